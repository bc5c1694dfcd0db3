"""What fused.py does in PyNative, as MindSpore's compiler reads it on a CPU, with the guards in the graph: where one
finds what the kernels get wrong, the graph takes the composition, which otherwise doesn't run.

A graph costs 0.2 ms a call and some 20 microseconds a kernel (measured, 2.10.0, two cores): few kernels count as much
as few passes. NLLLoss, one kernel for most of it, won't do: without reduction it leaves what was in memory where rows
are ignored (measured, 2.10.0).

"Columns" have one number a row: (R, 1), or (N, 1, d1, ...), and are float64.
"""

from __future__ import annotations

from typing import Any

from ..framework import framework

mindspore = framework("mindspore")
mint = mindspore.mint
ops = mindspore.ops
WIDE = mindspore.float64

_softmax = ops.Softmax(1)
_log_softmax = ops.LogSoftmax(1)
_peak = ops.ArgMaxWithValue(1, True)
_gather = ops.GatherD()
_add_at = ops.TensorScatterElements(1, "add")
_divide_or_zero = ops.DivNoNan()  # 0 where the divisor is 0
_subtract = ops.Sub()
_multiply = ops.Mul()
_multiply_or_zero = ops.MulNoNan()  # 0 where the second factor is 0
_exp = ops.Exp()
_log = ops.Log()
_number = ops.scalar_to_tensor


def spread_out(x: Any, coefficients: Any) -> Any:
    """The rows of class probabilities.

    Args:
        x: (R, C) in the dtype of computation.
        coefficients: what multiplies each -log p_c, alike.

    Returns:
        p; log p; a column, minus the losses; and whether all of it can be trusted.
    """
    probability = _softmax(x)
    log_p = _log(probability) if x.dtype == WIDE else _log_softmax(x)
    counted = mint.where(mint.ne(coefficients, 0.0), log_p, 0.0)
    gains = mint.sum(_multiply(counted, coefficients), 1, True).to(WIDE)
    least = -690.0 if x.dtype == WIDE else -3.4e38
    sound = mint.logical_and(mint.gt(mint.min(counted), least), mint.isfinite(mint.sum(gains)))
    # A logit of nan or +inf, or nothing but -inf, shows in p even where every coefficient of the row is 0.
    whole = mint.all(mint.gt(mint.sum(probability, 1, True), 0.5))
    return probability, log_p, gains, mint.logical_and(sound, whole)


def gradient_spread_out(probability: Any, coefficients: Any, factor: Any) -> Any:
    """factor * (mass * p - coefficients). `factor`: a column, or one number as shape ()."""
    mass = mint.sum(coefficients, 1, True)
    return _multiply(_subtract(_multiply(probability, mass), coefficients), factor.to(probability.dtype))


def looked_up(x: Any, target: Any, weight: Any, ignore_index: int, kept: Any, spread: Any) -> Any:
    """The rows of class indices.

    Args:
        x: (R, C), or (N, C, d1, ...) in float32.
        target: a column of class indices, int32 or int64.
        weight: (C,) float64, or None for ones.
        kept, spread: 1 - label_smoothing and label_smoothing / C, float64, shape (); spread None for no smoothing.

    Returns:
        What the gradient needs: p or log p; the labels, in [0, C) everywhere; a column of w[y], 0 where ignored; a
        column of 1, 0 where ignored. Then a column, minus the losses; and whether all of it can be trusted.
    """
    counts = mint.ne(target, ignore_index)
    inside = mint.logical_and(mint.ge(target, 0), mint.lt(target, x.shape[1]))
    label = _multiply(target, mint.logical_and(counts, inside).to(target.dtype))
    if x.ndim == 2:
        # The log of the least probability that is no subnormal number, by a margin.
        probability, least = _softmax(x), -690.0 if x.dtype == WIDE else -85.0
        gains = _log(_gather(probability, 1, label).to(WIDE))
    else:
        probability, least = _log_softmax(x), -3.4e38
        gains = _gather(probability, 1, label).to(WIDE)
    right = mint.logical_and(inside, mint.gt(gains, least))  # false for nan too
    sound = mint.all(mint.logical_or(mint.logical_not(counts), right))
    keep = counts.to(WIDE)
    scale = keep
    if weight is not None:
        scale = _multiply(keep, _gather(weight, 0, label.reshape(-1)).reshape(label.shape))
    gains = _multiply_or_zero(gains, scale)
    if spread is not None:
        spreads = _multiply_or_zero(_spreads(x, probability, weight), keep)
        sound = mint.logical_and(sound, mint.isfinite(mint.sum(spreads)))
        gains = gains * kept + spreads * spread
    return probability, label, scale, keep, gains, sound


def _spreads(x: Any, probability: Any, weight: Any) -> Any:
    """A column: log p added up over classes, each times its weight."""
    if x.ndim > 2:
        return _along(probability, weight)
    log_sum = 0.0 - _log(_peak(probability)[1].to(WIDE))
    total = _number(float(x.shape[1]), WIDE) if weight is None else mint.sum(weight)
    return _subtract(_along(_subtract(x, _peak(x)[1]), weight), _multiply(log_sum, total))


def _along(rows: Any, weight: Any) -> Any:
    """Added up over classes, each times its weight: a column."""
    if weight is not None:
        rows = _multiply(rows, weight.to(rows.dtype).reshape((1, -1) + (1,) * (rows.ndim - 2)))
    return mint.sum(rows, 1, True).to(WIDE)


def gradient_looked_up(
    probability: Any, label: Any, scale: Any, keep: Any, weight: Any, factor: Any, kept: Any, spread: Any
) -> Any:
    """factor * (mass * p - coefficients), exactly 0 where ignored; the first four arguments as `looked_up` gives them.

    Args:
        factor: what each row's loss is multiplied with: a column, or one number as shape ().
    """
    p = probability if probability.ndim == 2 else _exp(probability)
    dtype = p.dtype
    if spread is None:
        result = _add_at(p, label, ops.full_like(keep, -1.0, dtype=dtype))
        return _divide_or_zero(result, _divide_or_zero(1.0 / factor, scale).to(dtype))
    picked, others = scale * factor * kept, keep * factor * spread
    total = _number(float(p.shape[1]), WIDE) if weight is None else mint.sum(weight)
    mass = picked + others * total
    result = _divide_or_zero(p, _multiply_or_zero(1.0 / mass, keep).to(dtype))
    along = others.to(dtype)
    if weight is not None:
        along = _multiply(along, weight.to(dtype).reshape((1, -1) + (1,) * (p.ndim - 2)))
    return _add_at(_subtract(result, along), label, (0.0 - picked).to(dtype))

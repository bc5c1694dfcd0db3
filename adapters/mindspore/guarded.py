"""The loss and its gradients in a graph: by the kernels of graph.py where their guards trust the result, else by the
composition. Both stand in the graph, and at each call one of them runs.

On a CPU alone, and for shapes that are known while the graph is made; elsewhere there is the composition only.
"""

from __future__ import annotations

import math
from typing import Any, Tuple

from ..framework import framework
from . import composition, fused, graph

mindspore = framework("mindspore")
mint = mindspore.mint
number = mindspore.ops.scalar_to_tensor


def _wide() -> Any:
    """float64, which the kernels for Ascend do not know: float32 there."""
    return mindspore.float64 if mindspore.get_context("device_target") == "CPU" else mindspore.float32


def _of_kernels(shape: Tuple[int, ...], dtype: Any) -> str:
    """What `fused.dtype_of_computation` says on a CPU; "" elsewhere."""
    if mindspore.get_context("device_target") != "CPU":
        return ""
    rows = math.prod(shape) // shape[min(len(shape) - 1, 1)]
    return str(fused.dtype_of_computation(dtype, rows, shape[min(len(shape) - 1, 1)])).lower()


def _are_floating(dtype: Any) -> bool:
    return str(dtype).startswith(("Float", "BFloat"))


# The compiler runs these while it makes the graph, and puts what they return into it.
_dtype_of_computation = mindspore.ops.constexpr(check=False)(_wide)
_fast_dtype = mindspore.ops.constexpr(check=False)(_of_kernels)
floating = mindspore.ops.constexpr(check=False)(_are_floating)


def value(input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float) -> Any:
    """The result, in the dtype of computation; of one dimension where reduction is none."""
    fast = _fast(input)
    if fast == "":
        return _computed(input, target, weight, ignore_index, reduction, label_smoothing)[0]
    rows = _rows(input, target, weight, ignore_index, label_smoothing, fast)
    gains, total, sound = rows[1], rows[2], rows[3]
    if _trusted(sound, total, reduction):
        if reduction == "none":
            result = (0.0 - gains).reshape(-1)
        elif reduction == "sum":
            result = 0.0 - mint.sum(gains)
        else:
            result = 0.0 - mint.sum(gains) / total
    else:
        result = _computed(input, target, weight, ignore_index, reduction, label_smoothing)[0]
    return result


def slopes(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float, dout: Any
) -> Any:
    """The gradients with respect to input and target, in their shapes and dtypes."""
    zeros = mindspore.ops.zeros_like
    fast = _fast(input)
    if fast == "":
        return _composed_slopes(input, target, weight, ignore_index, reduction, label_smoothing, dout)
    rows = _rows(input, target, weight, ignore_index, label_smoothing, fast)
    kept_rows, gains, total, sound = rows[0], rows[1], rows[2], rows[3]
    factor = dout.to(graph.WIDE)
    if reduction == "none":
        factor = factor.reshape(gains.shape)
    elif reduction == "mean":
        factor = factor / total
    kept = number(1.0 - label_smoothing, graph.WIDE)
    scales = None
    if weight is not None:
        scales = weight.to(graph.WIDE)
    if floating(target.dtype):
        probability, log_p, coefficients = kept_rows
        if sound:
            slope = composition.like_input(graph.gradient_spread_out(probability, coefficients, factor), input)
            slope = slope.to(input.dtype)
        else:
            slope = _composed_slopes(input, target, weight, ignore_index, reduction, label_smoothing, dout)[0]
        if mint.logical_and(sound, mint.isfinite(mint.sum(log_p))):
            each = factor * kept
            if scales is not None:
                each = each * scales.reshape(1, -1)
            of_target = composition.like_input((0.0 - log_p) * each.to(log_p.dtype), target).to(target.dtype)
        else:
            of_target = _composed_slopes(input, target, weight, ignore_index, reduction, label_smoothing, dout)[1]
        return slope, of_target
    spread = None
    if label_smoothing != 0.0:
        spread = number(label_smoothing / input.shape[min(input.ndim - 1, 1)], graph.WIDE)
    probability, label, scale, keep = kept_rows
    if _trusted(sound, total, reduction):
        slope = graph.gradient_looked_up(probability, label, scale, keep, scales, factor, kept, spread)
        if input.ndim > 2 and slope.ndim == 2:
            slope = composition.like_input(slope, input)
        slope = slope.reshape(input.shape).to(input.dtype)
    else:
        slope = _composed_slopes(input, target, weight, ignore_index, reduction, label_smoothing, dout)[0]
    return slope, zeros(target)


def _composed_slopes(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float, dout: Any
) -> Any:
    """The same by the composition."""
    found = _computed(input, target, weight, ignore_index, reduction, label_smoothing)
    slope, target_slope = found[1], found[2]
    scale = dout.to(slope.dtype)
    if dout.ndim > 0:
        scale = mint.unsqueeze(scale, 1)
    input_slope = (slope * scale).to(input.dtype)
    if target_slope is None:
        return input_slope, mindspore.ops.zeros_like(target)
    return input_slope, (target_slope * scale).to(target.dtype)


def _trusted(sound: Any, total: Any, reduction: str) -> Any:
    """Also whether the mean divides by something."""
    if reduction == "mean":
        return mint.logical_and(sound, mint.ne(total, 0.0))
    return sound


def _fast(input: Any) -> str:
    """The dtype in which the kernels of graph.py compute these logits; "" where they aren't used."""
    if mindspore.ops.functional.is_sequence_value_unknown(input.shape):
        return ""
    found: str = _fast_dtype(input.shape, input.dtype)
    return found


def _rows(input: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float, fast: str) -> Any:
    """What graph.py makes of the rows: what their gradient needs; a column, minus the losses; what the mean divides
    by; and whether all of it can be trusted."""
    wide = graph.WIDE
    x = input.to(mindspore.float32) if fast == "float32" else input.to(wide)
    classes = input.shape[min(input.ndim - 1, 1)]
    if floating(target.dtype):
        x = composition.as_rows(x)
        scales = None
        if weight is not None:
            scales = weight.to(x.dtype)
        coefficients = composition.probability_coefficients(
            composition.as_rows(target.to(x.dtype)),
            scales,
            number(1.0 - label_smoothing, x.dtype),
            number(label_smoothing / classes, x.dtype),
        )
        probability, log_p, gains, sound = graph.spread_out(x, coefficients)
        return (probability, log_p, coefficients), gains, number(float(x.shape[0]), wide), sound
    if fast == "float32" and input.ndim > 2:
        if input.ndim > 4:
            x = x.reshape(input.shape[0], classes, -1)
        column = target.reshape((x.shape[0], 1, *x.shape[2:]))
    else:
        x = composition.as_rows(x)
        column = target.reshape(-1, 1)
    if target.dtype != mindspore.int32:
        column = column.to(mindspore.int64)
    scales = None
    if weight is not None:
        scales = weight.to(wide)
    spread = None
    if label_smoothing != 0.0:
        spread = number(label_smoothing / classes, wide)
    kept = number(1.0 - label_smoothing, wide)
    probability, label, scale, keep, gains, sound = graph.looked_up(x, column, scales, ignore_index, kept, spread)
    return (probability, label, scale, keep), gains, mint.sum(scale), sound


def _computed(input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float) -> Any:
    """`composition.composed` of tensors as they come."""
    wide = _dtype_of_computation()
    scales = None
    if weight is not None:
        scales = weight.to(wide)
    if floating(target.dtype):
        labels = target.to(wide)
        classes = None
    else:
        labels = target.to(mindspore.int64)
        classes = mindspore.ops.arange(input.shape[min(input.ndim - 1, 1)])
    return composition.composed(
        input.to(wide),
        labels,
        scales,
        ignore_index,
        reduction,
        number(1.0 - label_smoothing, wide),
        number(label_smoothing / input.shape[min(input.ndim - 1, 1)], wide),
        classes,
    )

"""The portable loss on MindSpore's fused CPU kernels, for rows that these get right, and guards that find the others.

What the kernels do (measured, 2.10.0), and what follows:
- Over the last axis Softmax is the fastest pass over the logits. In float32 its exp is coarse (a relative error of up
  to 6e-6, which is 18 bounds for two classes and less than one from 256 on), in float64 it is exact to 1e-15;
  LogSoftmax is as coarse in either dtype, and Log in float32 is off by 3e-7. So small problems are computed in float64
  (`dtype_of_computation`), and everything that has one number a row always is.
- Over another axis Softmax transposes and is 5 times slower than LogSoftmax, which needs no other kernel to transpose
  for it either: logits (N, C, d1, ...) in float32 stay as they are, and -log p comes straight from it.
- A nan or +inf logit makes every probability of its row 0 or nan, so -log p of the target shows it; 1e38 and -inf show
  as p = 0. LogSoftmax makes of such a row nothing but nan and -inf. The composition takes over from there.
- log sum exp(x) is x_c - log p_c of ANY class whose p_c is no subnormal number: no pass finds the maximum.
- Mul and Add broadcast element by element, 20 times slower than Sub, RealDiv and DivNoNan do, and in float64 they are
  as slow on equal shapes: rows are scaled by dividing, and DivNoNan by 0 makes exact zeros of ignored rows, nan
  logits included. Over 256 MB mint's sub takes half of Sub's time, and the operators in place half of that again.
- asnumpy of a tensor on the CPU is a view: the guards look at one number a row through it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional

import numpy as np

from ..framework import framework
from .tensors import column, converted, number, scaled, spread_out, summed

mindspore = framework("mindspore")
mint = mindspore.mint
ops = mindspore.ops

PRECISE_CLASSES = 256  # from here on the bound grows past the coarseness of Softmax in float32
PRECISE_ELEMENTS = 1 << 18  # beyond, float64 costs more time than the aims leave
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
_add = ops.AddN()
_invert = ops.Reciprocal()
_exp = ops.Exp()
_log = ops.Log()
_select = ops.Select()
_differs = ops.NotEqual()


def dtype_of_computation(dtype: Any, rows: int, classes: int) -> Any:
    """float64 for float64 and for small problems of few classes, else float32."""
    small = classes < PRECISE_CLASSES and rows * classes <= PRECISE_ELEMENTS
    return mindspore.float64 if small or dtype == mindspore.float64 else mindspore.float32


class Rows(NamedTuple):
    """What the fused kernels made of the rows of a call: everything that the gradient needs.

    "Columns" have one number a row: (R, 1), or (N, 1, d1, ...).

    Attributes:
        probability: softmax (R, C), or log-softmax (N, C, d1, ...).
        gains: a column, float64, minus the losses.
        divisor: what the mean divides by.
        label: a column of class indices, in [0, C) where ignored too; None for class probabilities.
        scale: a column, float64, w[y], 0 where ignored; None where all are 1.
        keep: a column, float64, 0 where ignored and 1 elsewhere; None where no row is ignored.
        coefficient: of probability's shape, of class probabilities: what multiplies -log p; None for class indices.
        mass: a column, float64, its sums over classes; None where none is far enough from 1 to matter.
        logits, log_sum: of class probabilities, (R, C) and the column of their log sum exp, float64, which together
            give -log p; None where probability is log p.
        weight: (C, 1) in the dtype of computation, where smoothing needs it; else None.
    """

    probability: Any
    gains: Any
    divisor: float
    label: Any = None
    scale: Any = None
    keep: Any = None
    coefficient: Any = None
    mass: Any = None
    logits: Any = None
    log_sum: Any = None
    weight: Any = None


class Allowed(NamedTuple):
    """What the bound leaves room for.

    Attributes:
        offset: how far from 0 log sum exp(x) may lie when logits are added up as they are, without subtracting it
            first. The sum then rounds numbers larger by that much; the bound allows (C - 1) u for each class.
        mass: how far from 1 a sum of coefficients may lie and not multiply p_c: the gradient's bound holds that
            product times more than (C - 1) u.
    """

    offset: float
    mass: float


def allowed(dtype: Any, wide: Any, classes: int) -> Allowed:
    """For input of that dtype, computed in `wide`."""
    if dtype == WIDE:
        return Allowed(classes / 8, 0.0)
    # 8: the sum's kernel adds pairwise, and the bound holds 3 u and more beside (C - 1) u.
    return Allowed(max(8.0, classes / 8) if wide == mindspore.float32 else 2.0**20, classes * 2.0**-26)


def of_indices(
    x: Any, label: Any, weight: Any, ignore_index: int, ignored: Any, smoothing: float, room: Allowed
) -> Optional[Rows]:
    """The rows of class indices; None where the kernels can't be trusted with these numbers.

    Args:
        x: (R, C), or (N, C, d1, ...) in float32, in the dtype of computation.
        label: a column, int32 or int64, in [0, C) or ignored.
        weight: (C,), any floating dtype; None for ones.
        ignored: an array of label's shape, which rows are; None for none.
        room: `allowed`.
    """
    classes = x.shape[1]
    keep = scale = narrow = None
    if ignored is not None:
        kept = _differs(label, number(ignore_index, label.dtype))
        keep = converted(kept, WIDE)
        if not 0 <= ignore_index < classes:
            label = _select(kept, label, column(label.size, 0, label.dtype).reshape(label.shape))
    if x.ndim == 2:
        probability, least = _softmax(x), _least(x.dtype)
        gains = _log(converted(_gather(probability, 1, label), WIDE))
    else:
        probability, least = _log_softmax(x), -math.inf
        gains = converted(_gather(probability, 1, label), WIDE)
    if not _lowest(gains, ignored) > least:  # false for nan too
        return None
    divisor = float(label.size - (0 if ignored is None else np.count_nonzero(ignored)))
    if weight is not None:
        weight = converted(weight, WIDE)
        scale = _gather(weight, 0, label.reshape(-1)).reshape(label.shape)
        if keep is not None:
            scale = _multiply_or_zero(scale, keep)
        divisor = float(scale.asnumpy().sum())
    elif keep is not None:
        scale = keep
    if smoothing == 0.0:
        return Rows(probability, _weighed(gains, scale), divisor, label, scale, keep)
    if weight is not None:
        narrow = converted(weight, x.dtype).reshape(-1, 1)
    if x.ndim == 2:
        total = float(classes) if weight is None else float(weight.asnumpy().sum())
        log_sum = _subtract(converted(_gather(x, 1, label), WIDE), gains)
        if _offset(log_sum, ignored) > room.offset:
            x, log_sum = _shifted(x, probability)
        spread = _subtract(converted(summed(x, narrow), WIDE), scaled(log_sum, total))
    else:
        spread = converted(summed(probability, narrow), WIDE)
    if keep is not None:
        spread = _multiply_or_zero(spread, keep)
    if not math.isfinite(spread.asnumpy().sum()):
        return None
    gains = scaled(_weighed(gains, scale), 1.0 - smoothing)
    gains = _add((gains, scaled(spread, smoothing / classes)))
    return Rows(probability, gains, divisor, label, scale, keep, weight=narrow)


def of_probabilities(x: Any, target: Any, weight: Any, smoothing: float, room: Allowed) -> Optional[Rows]:
    """The rows of class probabilities; None where the kernels can't be trusted with these numbers.

    Args:
        x, target: (R, C), or (N, C, d1, ...) in float32, in the dtype of computation.
        weight: (C,), any floating dtype; None for ones.
        room: `allowed`.
    """
    classes = x.shape[1]
    coefficient = target
    if smoothing != 0.0:
        coefficient = _subtract(scaled(target, 1.0 - smoothing), number(-smoothing / classes, x.dtype))
    if weight is not None:
        ones = ops.ones((x.shape[0], 1, *x.shape[2:]), x.dtype)
        coefficient = _multiply(coefficient, spread_out(ones, converted(weight, x.dtype).reshape(-1, 1)))
    mass = converted(summed(coefficient), WIDE)
    log_sum = None
    if x.ndim == 2:
        probability = _softmax(x)
        gains = _log(converted(probability[:, :1], WIDE))
        log_sum = _subtract(converted(x[:, :1], WIDE), gains)
        if not gains.asnumpy().min() > max(_least(x.dtype), -room.offset) or _offset(log_sum) > room.offset:
            x, log_sum = _shifted(x, probability)
        gains = _subtract(converted(summed(_product(coefficient, x)), WIDE), _multiply(log_sum, mass))
    else:
        probability = _log_softmax(x)
        gains = converted(summed(_product(coefficient, probability)), WIDE)
    if not math.isfinite(gains.asnumpy().sum()):
        return None
    if abs(mass.asnumpy() - 1.0).max() <= room.mass:
        mass = None
    return Rows(probability, gains, float(gains.size), None, None, None, coefficient, mass, x, log_sum)


def _least(dtype: Any) -> float:
    """The log of the least probability that is no subnormal number, by a margin."""
    return -690.0 if dtype == WIDE else -85.0


def _lowest(numbers: Any, ignored: Any) -> float:
    """The lowest number of the rows that are not ignored; nan for nan."""
    view = numbers.asnumpy()
    return float(view.min() if ignored is None else view.min(where=~ignored, initial=0.0))


def _offset(log_sum: Any, ignored: Any = None) -> float:
    """The largest magnitude in the rows that are not ignored; inf for nan."""
    view = log_sum.asnumpy() if ignored is None else np.where(ignored, 0.0, log_sum.asnumpy())
    largest = max(view.max(), -view.min())
    return float(largest) if math.isfinite(largest) else math.inf


def _shifted(x: Any, probability: Any) -> Any:
    """(R, C) minus the largest of each row, and log sum exp of that: a column, float64."""
    index, peak = _peak(x)
    shares = _log(converted(_gather(probability, 1, index.reshape(-1, 1)), WIDE))
    return _subtract(x, peak), _subtract(number(0.0, WIDE), shares)


def _product(one: Any, other: Any) -> Any:
    """Both of one shape and dtype, by the fastest kernel. In float64 0 where the first is."""
    return mint.mul(one, other) if one.dtype == mindspore.float32 else _multiply_or_zero(other, one)


def _weighed(gains: Any, scale: Any) -> Any:
    return gains if scale is None else _multiply_or_zero(gains, scale)


def gradient_of_indices(rows: Rows, factor: Any, smoothing: float) -> Any:
    """factor * (mass * p - coefficients) in the shape of probability, exactly 0 where ignored.

    Args:
        factor: what the row's loss is multiplied with: a float, or a float64 column for one a row.
    """
    p = _probability(rows)
    classes, dtype = p.shape[1], p.dtype
    if rows.weight is None:
        result = _add_at(p, rows.label, column(rows.label.size, smoothing - 1.0, dtype).reshape(rows.label.shape))
        if smoothing != 0.0:
            if rows.scale is None and isinstance(factor, float) and dtype == mindspore.float32:
                return mint.add(number(-factor * smoothing / classes, dtype), result, alpha=factor)
            result = _less(result, number(smoothing / classes, dtype))
        if rows.scale is None:
            return _times(result, factor)
        # Where w[y] is 0 or the row ignored this is 0, and DivNoNan by 0 is 0 whatever the row holds.
        return _rows_divided(result, _divide_or_zero(_inverse_of(factor), rows.scale))
    if isinstance(factor, float):
        factor = scaled(ops.ones_like(rows.gains), factor)
    if rows.keep is not None:
        factor = _multiply_or_zero(factor, rows.keep)
    spread = scaled(factor, smoothing / classes)
    picked = scaled(_multiply_or_zero(factor, rows.scale), 1.0 - smoothing)
    mass = _add((picked, scaled(spread, float(rows.weight.asnumpy().sum(dtype="float64")))))
    inverse = _invert(mass)
    result = _rows_divided(p, inverse if rows.keep is None else _multiply_or_zero(inverse, rows.keep))
    result = _less(result, spread_out(converted(spread, dtype), rows.weight))
    return _add_at(result, rows.label, converted(scaled(picked, -1.0), dtype))


def gradient_of_probabilities(rows: Rows, factor: Any) -> Any:
    """factor * (mass * p - coefficient). `factor` as in `gradient_of_indices`."""
    p = _probability(rows)
    if rows.mass is not None:
        p = _rows_divided(p, _invert(rows.mass))
    if p.dtype == mindspore.float32:
        return _times(mint.sub(p, rows.coefficient), factor)
    return _times(_subtract(p, rows.coefficient), factor)


def gradient_of_targets(rows: Rows, factor: Any, weight: Any, smoothing: float) -> Any:
    """factor * w * (1 - smoothing) * -log p: the gradient with respect to class probabilities."""
    if rows.log_sum is None:
        surprise = scaled(rows.probability, -1.0)
    else:
        surprise = _subtract(converted(rows.log_sum, rows.logits.dtype), rows.logits)
    if weight is None and isinstance(factor, float):
        return _times(surprise, factor * (1.0 - smoothing))
    columns = converted(ops.ones_like(rows.gains) if isinstance(factor, float) else factor, surprise.dtype)
    columns = scaled(columns, (factor if isinstance(factor, float) else 1.0) * (1.0 - smoothing))
    classes = surprise.shape[1]
    along = column(classes, 1.0, surprise.dtype) if weight is None else converted(weight, surprise.dtype).reshape(-1, 1)
    return _multiply(surprise, spread_out(columns, along))


def _probability(rows: Rows) -> Any:
    return rows.probability if rows.probability.ndim == 2 else _exp(rows.probability)


def _less(result: Any, other: Any) -> Any:
    """result - other, in result's own memory where that is faster."""
    return result.sub_(other) if result.dtype == mindspore.float32 else _subtract(result, other)


def _times(result: Any, factor: Any) -> Any:
    """result times a float or a column, in its own memory where that is faster."""
    if not isinstance(factor, float):
        return _rows_divided(result, _invert(factor))
    if factor == 1.0:
        return result
    if result.dtype == mindspore.float32:
        return result.mul_(number(factor, mindspore.float32))
    return _divide_or_zero(result, number(1.0 / factor, WIDE)) if factor else _multiply(result, number(factor, WIDE))


def _inverse_of(factor: Any) -> Any:
    if isinstance(factor, float):
        return number(1.0 / factor if factor else math.inf, WIDE)
    return _invert(factor)


def _rows_divided(tensor: Any, inverse: Any) -> Any:
    """Divided row by row: a row times 0 is divided by infinity, and an ignored one by 0, which DivNoNan takes for 0
    whatever the row holds."""
    return _divide_or_zero(tensor, converted(inverse, tensor.dtype))

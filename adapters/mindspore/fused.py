"""The portable loss on MindSpore's fused CPU kernels, for rows that these get right, and guards that find the others.

What the kernels do (measured, 2.10.0), and what follows:
- Softmax is the fastest pass over the logits. In float32 its exp is coarse (a relative error of 2e-6, up to 2.7 bounds
  where C is below 200), in float64 it is exact to 1e-15; LogSoftmax is as coarse in either dtype, and Log in float32
  is off by 3e-7. So small problems are computed in float64 (`dtype_of_computation`), and everything that has one
  number a row always is.
- A nan or +inf logit makes every probability of its row 0 or nan, so -log p of the target shows it; 1e38 and -inf show
  as p = 0. The composition takes over from there.
- log sum exp(x) is x_c - log p_c of ANY class whose p_c is no subnormal number: no pass finds the maximum.
- Mul and Add broadcast element by element, 20 times slower than Sub, RealDiv and DivNoNan do, and in float64 they are
  as slow on equal shapes: rows are scaled by dividing, and DivNoNan by 0 makes exact zeros of ignored rows, nan
  logits included.
- asnumpy of a tensor on the CPU is a view: the guards look at one number a row through it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple, Optional

from ..framework import framework
from .tensors import converted, number, scaled

mindspore = framework("mindspore")
mint = mindspore.mint
ops = mindspore.ops

PRECISE_CLASSES = 256  # from here on the bound grows past the coarseness of Softmax in float32
PRECISE_ELEMENTS = 1 << 18  # beyond, float64 costs more time than the aims leave
WIDE = mindspore.float64

_softmax = ops.Softmax(1)
_peak = ops.ArgMaxWithValue(1, True)
_gather = ops.GatherD()
_add_at = ops.TensorScatterElements(1, "add")
_divide = ops.RealDiv()
_divide_or_zero = ops.DivNoNan()  # 0 where the divisor is 0
_subtract = ops.Sub()
_multiply = ops.Mul()
_multiply_or_zero = ops.MulNoNan()  # 0 where the second factor is 0
_add = ops.AddN()
_negate = ops.Neg()
_invert = ops.Reciprocal()
_log = ops.Log()
_select = ops.Select()
_product = ops.MatMul()


def dtype_of_computation(dtype: Any, rows: int, classes: int) -> Any:
    """float64 for float64 and for small problems of few classes, else float32."""
    small = classes < PRECISE_CLASSES and rows * classes <= PRECISE_ELEMENTS
    return mindspore.float64 if small or dtype == mindspore.float64 else mindspore.float32


@lru_cache(maxsize=8)
def _column(count: int, value: float, dtype: Any) -> Any:
    """(count, 1) of one number. Never written to."""
    return ops.full((count, 1), value, dtype=dtype)


class Rows(NamedTuple):
    """What the fused kernels made of the rows of a call: everything that the gradient needs.

    Attributes:
        probability: (R, C) softmax.
        gains: (R, 1) float64, minus the losses.
        divisor: what the mean divides by.
        label: (R, 1) class indices, 0 where ignored; None for class probabilities.
        scale: (R, 1) float64, w[y], 0 where ignored; None where all are 1.
        keep: (R, 1) float64, 0 where ignored and 1 elsewhere; None where no row is ignored.
        coefficient: (R, C) of class probabilities: what multiplies -log p; None for class indices.
        mass: (R, 1) float64, its sums over classes; None where none is far enough from 1 to matter.
        weight: (1, C) in the dtype of computation, where smoothing needs it; else None.
    """

    probability: Any
    gains: Any
    divisor: float
    label: Any = None
    scale: Any = None
    keep: Any = None
    coefficient: Any = None
    mass: Any = None
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
    x: Any, label: Any, weight: Any, ignore_index: int, ignoring: int, smoothing: float, room: Allowed
) -> Optional[Rows]:
    """The rows of class indices; None where the kernels can't be trusted with these numbers.

    Args:
        x: (R, C) in the dtype of computation.
        label: (R, 1) int32 or int64, in [0, C) or ignored.
        weight: (C,), any floating dtype; None for ones.
        ignoring: how many rows are ignored.
        room: `allowed`.
    """
    keep = scale = narrow = None
    if ignoring:
        ignored = mint.eq(label, ignore_index)
        label = _select(ignored, ops.zeros_like(label), label)
        keep = converted(mint.logical_not(ignored), WIDE)
    probability = _softmax(x)
    gains = _log(converted(_gather(probability, 1, label), WIDE))
    shown = gains if keep is None else _multiply_or_zero(gains, keep)
    if not shown.asnumpy().min() > _least(x.dtype):  # false for nan too
        return None
    divisor = float(x.shape[0] - ignoring)
    if weight is not None:
        weight = converted(weight, WIDE)
        scale = _gather(weight, 0, label.reshape(-1)).reshape(-1, 1)
        if keep is not None:
            scale = _multiply_or_zero(scale, keep)
        divisor = float(scale.asnumpy().sum())
    elif keep is not None:
        scale = keep
    if smoothing == 0.0:
        return Rows(probability, _weighed(gains, scale), divisor, label, scale, keep)
    total, summed = float(x.shape[1]), None
    if weight is not None:
        total = float(weight.asnumpy().sum())
        narrow = converted(weight, x.dtype).reshape(1, -1)
    log_sum = _subtract(converted(_gather(x, 1, label), WIDE), gains)
    if _offset(log_sum if keep is None else _multiply_or_zero(log_sum, keep)) > room.offset:
        index, peak = _peak(x)
        log_sum = _negate(_log(converted(_gather(probability, 1, index.reshape(-1, 1)), WIDE)))
        x = _subtract(x, peak)
    summed = mint.sum(x, 1, True) if narrow is None else _product(x, narrow.reshape(-1, 1))
    spread = _subtract(converted(summed, WIDE), scaled(log_sum, total))
    if keep is not None:
        spread = _multiply_or_zero(spread, keep)
    if not math.isfinite(spread.asnumpy().sum()):
        return None
    gains = scaled(_weighed(gains, scale), 1.0 - smoothing)
    gains = _add((gains, scaled(spread, smoothing / x.shape[1])))
    return Rows(probability, gains, divisor, label, scale, keep, weight=narrow)


def of_probabilities(x: Any, target: Any, weight: Any, smoothing: float, room: Allowed) -> Optional[Rows]:
    """The rows of class probabilities; None where the kernels can't be trusted with these numbers.

    Args:
        x, target: (R, C) in the dtype of computation.
        weight: (C,), any floating dtype; None for ones.
        room: `allowed`.
    """
    count, classes = x.shape
    coefficient = target
    if smoothing != 0.0:
        coefficient = _subtract(scaled(target, 1.0 - smoothing), number(-smoothing / classes, x.dtype))
    if weight is not None:
        ones = ops.ones((count, 1), x.dtype)
        coefficient = _multiply(coefficient, _product(ones, converted(weight, x.dtype).reshape(1, -1)))
    probability = _softmax(x)
    gains = _log(converted(probability[:, :1], WIDE))
    log_sum = _subtract(converted(x[:, :1], WIDE), gains)
    if not gains.asnumpy().min() > max(_least(x.dtype), -room.offset) or _offset(log_sum) > room.offset:
        index, peak = _peak(x)
        log_sum = _negate(_log(converted(_gather(probability, 1, index.reshape(-1, 1)), WIDE)))
        x = _subtract(x, peak)
    mass = converted(mint.sum(coefficient, 1, True), WIDE)
    weighed = _multiply(coefficient, x) if x.dtype == mindspore.float32 else _multiply_or_zero(x, coefficient)
    gains = _subtract(converted(mint.sum(weighed, 1, True), WIDE), _divide(log_sum, _invert(mass)))
    if not math.isfinite(gains.asnumpy().sum()):
        return None
    if abs(mass.asnumpy() - 1.0).max() <= room.mass:
        mass = None
    return Rows(probability, gains, float(count), coefficient=coefficient, mass=mass)


def _least(dtype: Any) -> float:
    """The log of the least probability that is no subnormal number, by a margin."""
    return -690.0 if dtype == WIDE else -85.0


def _offset(log_sum: Any) -> float:
    """The largest magnitude; inf for nan."""
    view = log_sum.asnumpy()
    largest = max(view.max(), -view.min())
    return float(largest) if math.isfinite(largest) else math.inf


def _weighed(gains: Any, scale: Any) -> Any:
    return gains if scale is None else _multiply_or_zero(gains, scale)


def gradient_of_indices(rows: Rows, factor: Any, smoothing: float) -> Any:
    """(R, C): factor * (mass * p - coefficients), exactly 0 where ignored.

    Args:
        factor: what the row's loss is multiplied with: a float, or (R, 1) float64 for one a row.
    """
    p = rows.probability
    count, classes = p.shape
    dtype = p.dtype
    if rows.weight is None:
        if smoothing != 0.0:
            p = _subtract(p, number(smoothing / classes, dtype))
        result = _add_at(p, rows.label, _column(count, smoothing - 1.0, dtype))
        if rows.scale is None and isinstance(factor, float):
            return result if factor == 1.0 else _scaled_in_place(result, factor)
        inverse = _inverse_of(factor) if rows.scale is None else _divide(_inverse_of(factor), rows.scale)
        return _rows_divided(result, inverse, rows.keep)
    if isinstance(factor, float):
        factor = ops.full((count, 1), factor, dtype=WIDE)
    if rows.keep is not None:
        factor = _multiply_or_zero(factor, rows.keep)
    spread = scaled(factor, smoothing / classes)
    picked = scaled(_multiply_or_zero(factor, rows.scale), 1.0 - smoothing)
    mass = _add((picked, scaled(spread, float(rows.weight.asnumpy().sum(dtype="float64")))))
    result = _rows_divided(p, _invert(mass), rows.keep)
    result = _subtract(result, _product(converted(spread, dtype), rows.weight))
    return _add_at(result, rows.label, converted(_negate(picked), dtype))


def gradient_of_probabilities(rows: Rows, factor: Any) -> Any:
    """(R, C): factor * (mass * p - coefficient). `factor` as in `gradient_of_indices`."""
    p = rows.probability
    if rows.mass is not None:
        p = _rows_divided(p, _invert(rows.mass), None)
    result = _subtract(p, rows.coefficient)
    if isinstance(factor, float):
        return result if factor == 1.0 else _scaled_in_place(result, factor)
    return _rows_divided(result, _invert(factor), None)


def _scaled_in_place(result: Any, factor: float) -> Any:
    if result.dtype == mindspore.float32:
        return result.mul_(number(factor, mindspore.float32))
    return _divide_or_zero(result, number(1.0 / factor, WIDE)) if factor else _multiply(result, number(factor, WIDE))


def _inverse_of(factor: Any) -> Any:
    if isinstance(factor, float):
        return number(1.0 / factor if factor else math.inf, WIDE)
    return _invert(factor)


def _rows_divided(tensor: Any, inverse: Any, keep: Any) -> Any:
    """(R, C) divided row by row: a row times 0 is divided by infinity, and an ignored one by 0, which DivNoNan takes
    for 0 whatever the row holds."""
    if keep is not None:
        inverse = _multiply_or_zero(inverse, keep)
    return _divide_or_zero(tensor, converted(inverse, tensor.dtype))

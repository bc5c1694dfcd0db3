"""The portable loss on MindSpore's fused CPU kernels, for rows that these get right, and a guard that finds the others.

What the kernels do (measured, 2.10.0), and what follows:
- Softmax is the fastest pass over the logits. In float32 its exp is coarse (a relative error of 2e-6, which only counts
  beside the bound where C is below some 100), in float64 it is exact to 1e-15; LogSoftmax is as coarse in either
  dtype, and Log in float32 is off by 3e-7. So small problems are computed in float64 (`dtype_of_computation`), and
  everything that has one number a row always is.
- A nan or +inf logit makes every probability of its row 0 or nan, so -log p of the target shows it; 1e38 and -inf show
  as p = 0. The composition takes over from there.
- Mul and Add broadcast element by element, 20 times slower than Sub, RealDiv and DivNoNan do: rows are scaled by
  dividing, and DivNoNan by 0 makes exact zeros of ignored rows, nan logits included.
- A copy into an empty tensor converts in 20 microseconds where Cast takes a millisecond.
- Permuting (N, C, D) costs 10 times what a product with the unit matrix does, which is exact for finite numbers.
- asnumpy of a tensor on the CPU is a view: the guards look at one number a row through it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple, Optional, Tuple

from ..framework import framework

mindspore = framework("mindspore")
mint = mindspore.mint
ops = mindspore.ops

PRECISE_CLASSES = 128  # from here on the bound grows past the coarseness of Softmax in float32
PRECISE_ELEMENTS = 1 << 18  # beyond, float64 costs more time than the aims leave
TRANSPOSED_CLASSES = 256  # beyond, the product with the unit matrix costs more than permuting

_softmax = ops.Softmax(1)
_peak = ops.ArgMaxWithValue(1, True)
_gather = ops.GatherD()
_add_at = ops.TensorScatterElements(1, "add")
_divide = ops.DivNoNan()
_subtract = ops.Sub()
multiply = ops.Mul()
_log = ops.Log()
_select = ops.Select()
_product = ops.MatMul()
_transpose = ops.BatchMatMul(transpose_a=True)
_transpose_back = ops.BatchMatMul(transpose_b=True)


def converted(tensor: Any, dtype: Any) -> Any:
    """The tensor in that dtype; itself where it has it."""
    if tensor.dtype == dtype:
        return tensor
    result = mint.empty(tensor.shape, dtype=dtype)
    result.copy_(tensor)
    return result


def number(value: float, dtype: Any) -> Any:
    """A tensor of shape (): a Python number would reach a float64 kernel as a float32 (measured, 2.10.0)."""
    return mindspore.Tensor(value, dtype)


def dtype_of_computation(dtype: Any, rows: int, classes: int) -> Any:
    """float64 for float64 and for small problems of few classes, else float32."""
    small = classes < PRECISE_CLASSES and rows * classes <= PRECISE_ELEMENTS
    return mindspore.float64 if small or dtype == mindspore.float64 else mindspore.float32


@lru_cache(maxsize=8)
def _unit_matrices(count: int, size: int, dtype: Any) -> Any:
    return ops.Tile()(ops.eye(size, size, dtype).reshape(1, size, size), (count, 1, 1))


def as_rows(tensor: Any, finite: bool = True) -> Any:
    """(C), (N, C) or (N, C, d1, ..., dK) as (R, C). Unless `finite`, other numbers than finite ones are kept."""
    shape = tensor.shape
    if len(shape) <= 2:
        return tensor.reshape(-1, shape[-1])
    count, classes = shape[0], shape[1]
    tensor = tensor.reshape(count, classes, -1)
    places = tensor.shape[2]
    if places == 1:
        return tensor.reshape(count, classes)
    if finite and classes <= min(places, TRANSPOSED_CLASSES) and tensor.dtype in (mindspore.float32, mindspore.float64):
        swapped = _transpose(tensor, _unit_matrices(count, classes, tensor.dtype))
    else:
        swapped = tensor.permute(0, 2, 1).contiguous()
    return swapped.reshape(-1, classes)


def like_input(rows: Any, shape: Tuple[int, ...]) -> Any:
    """(R, C) of finite numbers in the shape of input."""
    if len(shape) <= 2 or rows.shape[0] == shape[0]:
        return rows.reshape(shape)
    count, classes = shape[0], shape[1]
    tensor = rows.reshape(count, -1, classes)
    if classes <= min(tensor.shape[1], TRANSPOSED_CLASSES):
        swapped = _transpose_back(_unit_matrices(count, classes, rows.dtype), tensor)
    else:
        swapped = tensor.permute(0, 2, 1).contiguous()
    return swapped.reshape(shape)


class Rows(NamedTuple):
    """What the fused kernels made of the rows of a call: everything that the gradient needs.

    Attributes:
        probability: (R, C) softmax.
        losses: (R, 1) float64.
        divisor: what the mean divides by.
        label: (R, 1) class indices, 0 where ignored; None for class probabilities.
        scale: (R, 1) float64, w[y], 0 where ignored; None where all are 1.
        ignored: (R, 1) bool; None where no row is.
        coefficient: (R, C) of class probabilities: what multiplies -log p; None for class indices.
        mass: (R, 1) float64, its sums over classes.
        weight: (1, C) in the dtype of computation, where smoothing needs it; else None.
    """

    probability: Any
    losses: Any
    divisor: float
    label: Any = None
    scale: Any = None
    ignored: Any = None
    coefficient: Any = None
    mass: Any = None
    weight: Any = None


def of_indices(x: Any, label: Any, weight: Any, ignore_index: int, ignoring: int, smoothing: float) -> Optional[Rows]:
    """The rows of class indices; None where the kernels can't be trusted with these numbers.

    Args:
        x: (R, C) in the dtype of computation.
        label: (R, 1) int32 or int64, in [0, C) or ignored.
        weight: (C,), any floating dtype; None for ones.
        ignoring: how many rows are ignored.
    """
    wide = mindspore.float64
    ignored = scale = None
    if ignoring:
        ignored = mint.eq(label, ignore_index)
        label = _select(ignored, ops.zeros_like(label), label)
    probability = _softmax(x)
    if weight is not None:
        weight = converted(weight, wide)
        scale = _gather(weight, 0, label.reshape(-1)).reshape(-1, 1)
    if smoothing == 0.0:
        losses = -_log(converted(_gather(probability, 1, label), wide))
        limit = 690.0 if x.dtype == wide else 85.0  # a p beyond was rounded as a subnormal number, or is 0
        picked = losses
    else:
        below, spread = _below(x, probability)
        losses = spread - converted(_gather(below, 1, label), wide)
        if weight is None:
            total, summed = float(x.shape[1]), mint.sum(below, 1, True)
        else:
            total = float(weight.asnumpy().sum())
            summed = _product(below, converted(weight, x.dtype).reshape(-1, 1))
        smooth = multiply(spread, number(total, wide)) - converted(summed, wide)
        losses = multiply(losses if scale is None else multiply(losses, scale), number(1.0 - smoothing, wide))
        picked = losses = losses + multiply(smooth, number(smoothing / x.shape[1], wide))
        limit = math.inf
    if ignored is not None:
        losses = picked = _select(ignored, ops.zeros_like(losses), losses)
    if not picked.asnumpy().max() < limit or not math.isfinite(picked.asnumpy().min()):
        return None
    divisor = float(x.shape[0] - ignoring)
    if scale is not None:
        if ignored is not None:
            scale = _select(ignored, ops.zeros_like(scale), scale)
        if smoothing == 0.0:
            losses = losses * scale
        divisor = float(scale.asnumpy().sum())
    elif ignored is not None:
        scale = _select(ignored, ops.zeros_like(losses), ops.ones_like(losses))
    narrow = None if weight is None or smoothing == 0.0 else converted(weight, x.dtype).reshape(1, -1)
    return Rows(probability, losses, divisor, label, scale, ignored, weight=narrow)


def of_probabilities(x: Any, target: Any, weight: Any, smoothing: float) -> Optional[Rows]:
    """The rows of class probabilities; None where the kernels can't be trusted with these numbers.

    Args:
        x, target: (R, C) in the dtype of computation.
        weight: (C,), any floating dtype; None for ones.
    """
    wide = mindspore.float64
    coefficient = target
    if smoothing != 0.0:
        coefficient = multiply(target, number(1.0 - smoothing, x.dtype)) + number(smoothing / x.shape[1], x.dtype)
    if weight is not None:
        ones = ops.ones((x.shape[0], 1), x.dtype)
        coefficient = multiply(coefficient, _product(ones, converted(weight, x.dtype).reshape(1, -1)))
    probability = _softmax(x)
    below, spread = _below(x, probability)
    mass = converted(mint.sum(coefficient, 1, True), wide)
    losses = spread * mass - converted(mint.sum(multiply(coefficient, below), 1, True), wide)
    if not math.isfinite(losses.asnumpy().sum()):
        return None
    return Rows(probability, losses, float(x.shape[0]), coefficient=coefficient, mass=mass)


def _below(x: Any, probability: Any) -> Tuple[Any, Any]:
    """x - max x, and log sum exp of it (R, 1) in float64, which is minus the log of the largest probability."""
    index, peak = _peak(x)
    largest = _gather(probability, 1, index.reshape(-1, 1))
    return _subtract(x, peak), -_log(converted(largest, mindspore.float64))


def gradient_of_indices(rows: Rows, factor: Any, smoothing: float) -> Any:
    """(R, C): factor * w[y] * (p - coefficients), exactly 0 where ignored.

    Args:
        factor: what the row's loss is multiplied with: a float, or (R, 1) float64 for one a row.
    """
    p = rows.probability
    count, classes = p.shape
    dtype = p.dtype
    if rows.scale is None and isinstance(factor, float):
        if smoothing != 0.0:
            p = _subtract(p, number(smoothing / classes, dtype))
        result = _add_at(p, rows.label, ops.full((count, 1), smoothing - 1.0, dtype=dtype))
        return result if factor == 1.0 else result.mul_(number(factor, dtype))
    scale = rows.scale if rows.scale is not None else ops.ones((count, 1), mindspore.float64)
    if isinstance(factor, float):
        factor = number(factor, mindspore.float64)
    picked = multiply(scale, factor)
    if rows.weight is None:
        if smoothing != 0.0:
            p = _subtract(p, number(smoothing / classes, dtype))
        result = _add_at(p, rows.label, ops.full((count, 1), smoothing - 1.0, dtype=dtype))
        return _divide(result, converted(_inverse(picked, rows.ignored), dtype))
    spread = number(smoothing / classes, mindspore.float64)
    kept = number(1.0 - smoothing, mindspore.float64)
    each = multiply(ops.ones((count, 1), mindspore.float64), factor)
    if rows.ignored is not None:
        each = _select(rows.ignored, ops.zeros_like(each), each)
    total = number(float(rows.weight.asnumpy().sum(dtype="float64")), mindspore.float64)
    each = multiply(each, spread)
    picked = multiply(picked, kept)
    mass = picked + multiply(each, total)
    result = _divide(p, converted(_inverse(mass, rows.ignored), dtype))
    result = _subtract(result, _product(converted(each, dtype), rows.weight))
    return _add_at(result, rows.label, converted(-picked, dtype))


def gradient_of_probabilities(rows: Rows, factor: Any) -> Any:
    """(R, C): factor * (mass * p - coefficient). `factor` as in `gradient_of_indices`."""
    p = rows.probability
    if not (rows.mass.asnumpy() == 1.0).all():
        p = _divide(p, converted(_inverse(rows.mass, None), p.dtype))
    result = _subtract(p, rows.coefficient)
    if not isinstance(factor, float):
        return _divide(result, converted(_inverse(factor, None), p.dtype))
    return result if factor == 1.0 else result.mul_(number(factor, p.dtype))


def _inverse(factor: Any, ignored: Any) -> Any:
    """What to divide by instead of multiplying: infinite for a 0, and 0 where ignored, which DivNoNan takes for 0."""
    inverse = ops.RealDiv()(ops.ones_like(factor), factor)
    return inverse if ignored is None else _select(ignored, ops.zeros_like(inverse), inverse)

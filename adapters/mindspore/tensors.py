"""Conversions and layouts of tensors by the kernels that are fast on a CPU, for fused.py and whoever uses it.

- A copy into an empty tensor converts in 20 microseconds where Cast takes a millisecond (measured, 2.10.0).
- Permuting (N, C, D) costs 10 times what a product with the unit matrix does, which is exact for finite numbers.
- Mul in float64 multiplies element by element, RealDiv does not.
- What reshape returns is a view, and every operator that reads one copies it first: 40 ms at 2048 x 32000.
- Over another axis than the last a product with ones adds up 6 times faster than sum does, and so it does in float64.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Tuple

from ..framework import framework

mindspore = framework("mindspore")
mint = mindspore.mint
ops = mindspore.ops

TRANSPOSED_CLASSES = 256  # beyond, the product with the unit matrix costs more than permuting

_multiply = ops.Mul()
_divide = ops.RealDiv()
_product = ops.MatMul()
_products = ops.BatchMatMul()
_repeated = ops.Tile()
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


def scaled(tensor: Any, factor: float) -> Any:
    """The tensor times a number; by dividing where that is the fast kernel."""
    if factor == 1.0:
        return tensor
    if tensor.dtype == mindspore.float32 or not 1e-300 < abs(factor) < 1e300:
        return _multiply(tensor, number(factor, tensor.dtype))
    return _divide(tensor, number(1.0 / factor, tensor.dtype))


@lru_cache(maxsize=8)
def _unit_matrices(count: int, size: int, dtype: Any) -> Any:
    return _repeated(ops.eye(size, size, dtype).reshape(1, size, size), (count, 1, 1))


def as_rows(tensor: Any, finite: bool = True) -> Any:
    """(C), (N, C) or (N, C, d1, ..., dK) as (R, C). Unless `finite`, other numbers than finite ones are kept."""
    shape = tensor.shape
    if len(shape) == 2:
        return tensor
    if len(shape) == 1:
        return tensor.reshape(1, -1)
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
    """(R, C) of finite numbers, or whatever else has as many and their order, in the shape of input."""
    if rows.shape == shape:
        return rows
    if len(shape) <= 2 or rows.ndim > 2 or rows.shape[0] == shape[0]:
        return rows.reshape(shape)
    count, classes = shape[0], shape[1]
    tensor = rows.reshape(count, -1, classes)
    if classes <= min(tensor.shape[1], TRANSPOSED_CLASSES):
        swapped = _transpose_back(_unit_matrices(count, classes, rows.dtype), tensor)
    else:
        swapped = tensor.permute(0, 2, 1).contiguous()
    return swapped.reshape(shape)


def as_planes(tensor: Any) -> Any:
    """(N, C, d1, ..., dK) as it is, or with one d where the kernels don't know so many."""
    return tensor if tensor.ndim <= 4 else tensor.reshape(tensor.shape[0], tensor.shape[1], -1)


@lru_cache(maxsize=8)
def column(count: int, value: float, dtype: Any) -> Any:
    """(count, 1) of one number. Never written to."""
    return ops.full((count, 1), value, dtype=dtype)


def summed(tensor: Any, weight: Any = None) -> Any:
    """(N, C, ...) added up over classes, each times its weight where there are any: (N, 1, ...).

    Args:
        weight: (C, 1), or None for ones.
    """
    count, classes = tensor.shape[:2]
    if tensor.ndim == 2:
        if weight is None and tensor.dtype == mindspore.float32:
            return mint.sum(tensor, 1, True)
        return _product(tensor, column(classes, 1.0, tensor.dtype) if weight is None else weight)
    weight = column(classes, 1.0, tensor.dtype) if weight is None else weight
    planes = tensor if tensor.ndim == 3 else tensor.reshape(count, classes, -1)
    return _products(_repeated(weight.reshape(1, 1, classes), (count, 1, 1)), planes).reshape(
        count, 1, *tensor.shape[2:]
    )


def spread_out(numbers: Any, weight: Any) -> Any:
    """(N, 1, ...) times each of the weights (C, 1): (N, C, ...)."""
    count, classes = numbers.shape[0], weight.shape[0]
    if numbers.ndim == 2:
        return _product(numbers, weight.reshape(1, classes))
    planes = _products(_repeated(weight.reshape(1, classes, 1), (count, 1, 1)), numbers.reshape(count, 1, -1))
    return planes.reshape(count, classes, *numbers.shape[2:])

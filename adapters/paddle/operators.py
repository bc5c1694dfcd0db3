"""Differentiable operators that the loss needs and Paddle's own don't give (measured, 3.3.1 on CPU):

- exp of a vector is never less than 2.9e-39 (float64: 5.6e-309): exp(-inf) isn't 0.
- A cast to float16 makes numbers up to 1.2e-4 of those between 1.6e-27 and 6.7e-24 in magnitude.
- The gradient of 0 times -inf is nan on the one side, whatever is done about the product afterwards.
- Floating numbers closer than some 1e-16 are equal to ``==``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xent.adapters.framework import framework

paddle: Any = framework("paddle")
Tensor = Any

_LEAST = 2.0**-25  # what is no larger rounds to 0 in float16


def eager() -> bool:
    """Whether values can be looked at: not in a static graph."""
    return bool(paddle.in_dynamic_mode())


def exp(z: Tensor, top: Tensor) -> Tensor:
    """The exponentials of numbers that are at most 0, and exactly 0 for -inf."""
    e = z.exp()
    if eager() and z.detach().sum().isfinite().item():
        return e
    return e * (~z.isinf() | top.isinf()).astype(e.dtype)  # not masked_fill, whose gradient loses a nan


def cast(tensor: Tensor, dtype: Any) -> Tensor:
    """The tensor in that dtype, and the gradient in the tensor's own."""
    if eager() and paddle.float16 in (tensor.dtype, dtype):
        return _Cast.apply(tensor, dtype)
    return tensor.astype(dtype)


class _Cast(paddle.autograd.PyLayer):  # type: ignore[misc]  # Paddle has no types where mypy runs
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, dtype: Any) -> Tensor:
        ctx.own = tensor.dtype
        return _converted(tensor, dtype)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return _converted(slope, ctx.own)


def _converted(tensor: Tensor, dtype: Any) -> Tensor:
    if dtype == paddle.float16:
        tensor = tensor.masked_fill(tensor.abs() <= _LEAST, 0.0)
    return tensor.astype(dtype)


def product(coefficient: Tensor, number: Tensor) -> Tensor:
    """Their product, of equal shapes; where an infinite number's coefficient is 0, the limit, 0 (O1).

    The gradient with respect to such a number is 0, or nan from a nan; with respect to its coefficient it is infinite.
    """
    if not eager():
        return _limited(coefficient, number)
    with paddle.no_grad():
        value = _limited(coefficient, number)
    # Two functions of one tensor each: of a function of two, paddle.grad takes no gradient by one of them alone.
    result = value if number.stop_gradient else _Linear.apply(number, _Line(coefficient, value))
    if coefficient.stop_gradient:
        return result
    return result + _Linear.apply(coefficient, _Line(number, paddle.zeros_like(value)))


def _limited(coefficient: Tensor, number: Tensor) -> Tensor:
    return coefficient * number.masked_fill((coefficient.abs() <= 0) & number.isinf(), 0.0)  # == 0 takes 1e-16 for 0


@dataclass(frozen=True)
class _Line:
    """What a function of a tensor gives, and the slope that it has there. A class of ours, so that Paddle looks at none
    of them."""

    slope: Tensor
    value: Tensor


class _Linear(paddle.autograd.PyLayer):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, line: _Line) -> Tensor:
        ctx.slope = line.slope
        return line.value

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return slope * ctx.slope


def scalar(value: float, dtype: Any) -> Tensor:
    """A tensor of shape (): a static graph rounds a Python number to float32, whatever it meets."""
    return paddle.full([], value, dtype)

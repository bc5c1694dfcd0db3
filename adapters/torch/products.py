"""Products of a coefficient and -log p whose derivatives, of every order, keep O1: 0 times an infinity is 0.

At a closed class (a logit of -inf) -log p is infinite. A coefficient of 0 takes it out of the loss, but not out of the
derivative with respect to that coefficient's own probability or weight: that is -log p times the OTHER factors of the
coefficient, infinite unless one of these is 0. Autograd has only one answer to 0 * inf, and a mask in the forward pass
hides the infinity from the backward pass as well.
"""

from __future__ import annotations

from typing import Any, Tuple

from . import context
from .problem import Tensor, torch


class _Product(torch.autograd.Function):  # type: ignore[misc]  # torch has no types where mypy runs
    """What both products record of their two factors, which have one shape."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: Tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


class _Limit(_Product):
    @staticmethod
    def forward(coefficient: Tensor, number: Tensor) -> Tensor:
        return (coefficient * number).masked_fill((coefficient == 0) & number.isinf(), 0)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        coefficient, number = ctx.saved_tensors
        of_coefficient = limit(upstream, number) if ctx.needs_input_grad[0] else None
        # An infinite upstream comes from a mean that divides by 0: nan for a coefficient of 0 too (S12).
        return of_coefficient, upstream * coefficient if ctx.needs_input_grad[1] else None


class _LimitForward(_Limit):
    """With derivatives in forward mode, which torch.compile can't trace."""

    @staticmethod
    def jvp(ctx: Any, along_coefficient: Tensor, along_number: Tensor) -> Tensor:
        coefficient, number = ctx.saved_tensors
        return limit(along_coefficient, number) + coefficient * along_number


class _Coefficient(_Product):
    @staticmethod
    def forward(left: Tensor, right: Tensor) -> Tensor:
        return left * right

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        left, right = ctx.saved_tensors
        of_left = limit(right, upstream) if ctx.needs_input_grad[0] else None
        return of_left, limit(left, upstream) if ctx.needs_input_grad[1] else None


class _CoefficientForward(_Coefficient):
    """With derivatives in forward mode, which torch.compile can't trace."""

    @staticmethod
    def jvp(ctx: Any, along_left: Tensor, along_right: Tensor) -> Tensor:
        left, right = ctx.saved_tensors
        return along_left * right + left * along_right


def _adapted(product: Any) -> Any:
    """The product as torch before 2.0 knows functions: forward itself records, and there is no torch.func."""
    if hasattr(torch.autograd.Function, "setup_context"):
        return product

    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        product.setup_context(ctx, (left, right), None)
        return product.forward(left, right)

    return type(product.__name__, (product,), {"forward": staticmethod(forward)})


_LIMIT, _COEFFICIENT = _adapted(_LimitForward), _adapted(_CoefficientForward)


def limit(coefficient: Tensor, number: Tensor) -> Tensor:
    """coefficient * number, where a coefficient of 0 makes an infinite number count 0 (O1). They may broadcast."""
    product = _Limit if context.is_compiling() else _LIMIT
    return product.apply(*torch.broadcast_tensors(coefficient, number))


def coefficient(left: Tensor, right: Tensor) -> Tensor:
    """left * right as IEEE has it; a factor of 0 makes an infinite gradient 0 on its way to the other one."""
    product = _Coefficient if context.is_compiling() else _COEFFICIENT
    return product.apply(*torch.broadcast_tensors(left, right))

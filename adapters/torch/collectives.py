"""Sums over the processes of a mesh, differentiable any number of times.

A number that several processes hold is either the same on all of them, and so is its derivative, or a term of a sum.
`summed` leads from terms to the sum, `shared` marks the same number where each process computes its own part with it:
the derivative of each is the other.
"""

from __future__ import annotations

from typing import Any, Tuple

from .problem import Tensor, torch

Groups = Tuple[Any, ...]  # process groups, one for each dimension of the mesh that takes part


class _Summed(torch.autograd.Function):  # type: ignore[misc]  # torch has no types where mypy runs
    @staticmethod
    def forward(ctx: Any, term: Tensor, groups: Groups) -> Tensor:
        ctx.groups = groups
        return _reduced(term, groups, torch.distributed.ReduceOp.SUM)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        return _Shared.apply(upstream, ctx.groups), None


class _Shared(torch.autograd.Function):  # type: ignore[misc]  # torch has no types where mypy runs
    @staticmethod
    def forward(ctx: Any, number: Tensor, groups: Groups) -> Tensor:
        ctx.groups = groups
        return number.view_as(number)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        return _Summed.apply(upstream, ctx.groups), None


def summed(term: Tensor, groups: Groups) -> Tensor:
    """The sum of these processes' terms, on each of them."""
    return _Summed.apply(term, groups) if groups else term


def shared(number: Tensor, groups: Groups) -> Tensor:
    """The number, the same on these processes, for what each computes from it alone."""
    return _Shared.apply(number, groups) if groups else number


def largest(number: Tensor, groups: Groups) -> Tensor:
    """The largest of these processes' numbers, on each of them, without a derivative; a nan may come out or not."""
    return _reduced(number.detach(), groups, torch.distributed.ReduceOp.MAX)


def _reduced(tensor: Tensor, groups: Groups, operation: Any) -> Tensor:
    result = tensor.clone(memory_format=torch.contiguous_format)
    if result.numel() > 0:  # as many on all of these processes
        for group in groups:
            torch.distributed.all_reduce(result, operation, group=group)
    return result

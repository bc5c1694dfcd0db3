"""The loss as a composition of torch's differentiable operators, without a branch on any value.

It is what torch.compile and torch.func trace, what derivatives of derivatives go through, what runs on devices other
than the CPU, and what the fused path falls back to for rows with nan, infinities or vanishing probabilities.
"""

from __future__ import annotations

from typing import Optional

from . import context, products
from .problem import Problem, Tensor, divisor, torch


def losses(x: Tensor, problem: Problem, closed: bool = True) -> Tensor:
    """Each row's loss (S9 to S13), before reduction; 0 with gradient 0 where ignored.

    Args:
        x: logits (N, C) or (N, C, S) in the dtype of computation.
        problem: in the same dtype.
        closed: whether there may be a closed class (a logit of -inf); where there is none it is faster without.
    """
    if problem.ignored is not None:
        x = x.masked_fill(problem.ignored.unsqueeze(1), 0)  # whatever stands there, its gradient is exactly 0
    log_p = torch.log_softmax(x, 1)
    return of_log_p(log_p, log_p.amax(1), problem, closed)


def of_log_p(
    log_p: Tensor, level: Tensor, problem: Problem, closed: bool = True, elsewhere: Optional[Tensor] = None
) -> Tensor:
    """The same from the logarithms of the softmax, finite in ignored rows.

    Args:
        level: a number of each row that is nan where the row is (S13), else finite.
        elsewhere: rows whose label is none of these classes, where they are not all; None for no such rows.
    """
    along = problem.along(log_p)
    both = context.may_differentiate(problem.weight, problem.probabilities)
    term = torch.mul if not closed else products.limit if both else _opened
    # nan in rows with nan or +inf, and where all classes are closed (S13), else 0. With weights its gradient counts
    # too: where a mean divides by 0 it is nan, also in a row whose every term is left out (S12, O1).
    result = 0 * (level if along is not None else level.detach())
    if both and closed and along is not None:
        result = result + result.detach() * nothing(problem.weight)  # nan for every weight, not for the label's alone
    share, keep = problem.smoothing / problem.classes, 1 - problem.smoothing
    if problem.labels is None:
        coefficients = problem.probabilities
        times = products.coefficient if both and closed else torch.mul
        if share:
            coefficients = (keep * coefficients if keep else times(coefficients.new_zeros(()), coefficients)) + share
        if along is not None:
            coefficients = times(coefficients, along)
        return result - term(coefficients, log_p).sum(1)
    if keep:
        picked = log_p.gather(1, problem.labels.unsqueeze(1)).squeeze(1)
        if elsewhere is not None:
            picked = picked.masked_fill(elsewhere, 0)
        if problem.weight is not None:
            picked = term(problem.weight.take(problem.labels), picked)
        result = result - (keep * picked if share else picked)
    if share:
        smooth = log_p if along is None else term(along.expand_as(log_p), log_p)
        result = result - (share * smooth).sum(1)  # the sum of log_p alone may overflow
    return result if problem.ignored is None else result.masked_fill(problem.ignored, 0)


def _opened(coefficient: Tensor, log_p: Tensor) -> Tensor:
    """Their product, where the -inf of classes whose coefficient is 0 counts as the limit, 0 (O1); for gradients of
    log_p alone."""
    return coefficient * log_p.masked_fill((coefficient == 0) & (log_p == -float("inf")), 0)


def reduced(each: Tensor, problem: Problem, reduction: str) -> Tensor:
    """The losses of all rows as S9 to S12 reduce them."""
    if reduction == "none":
        return each
    if reduction == "sum":
        return each.sum()
    total = each.sum()
    if problem.weight is not None:
        total = total + nothing(problem.weight)
    return total / divisor(problem, problem.weights(), each.numel(), each.dtype)


def nothing(weight: Tensor) -> Tensor:
    """0 times every entry of weight: an infinite or nan derivative of this makes all their gradients nan (S12)."""
    return (0 * weight).sum()

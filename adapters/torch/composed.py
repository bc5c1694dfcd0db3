"""The loss as a composition of torch's differentiable operators, without a branch on any value.

It is what torch.compile and torch.func trace, what derivatives of derivatives go through, what runs on devices other
than the CPU, and what the fused path falls back to for rows with nan, infinities or vanishing probabilities.
"""

from __future__ import annotations

from .problem import Problem, Tensor, divisor, torch


def losses(x: Tensor, problem: Problem) -> Tensor:
    """Each row's loss (S9 to S13), before reduction; 0 with gradient 0 where ignored.

    Args:
        x: logits (N, C) or (N, C, S) in the dtype of computation.
        problem: in the same dtype.
    """
    if problem.ignored is not None:
        x = x.masked_fill(problem.ignored.unsqueeze(1), 0)  # whatever stands there, its gradient is exactly 0
    log_p = torch.log_softmax(x, 1)
    along = problem.along(x)
    # nan in rows with nan or +inf, and where all classes are closed (S13), else 0. With weights its gradient counts
    # too: where a mean divides by 0 it is nan, also in a row whose every term is left out (S12, O1).
    result = 0 * (log_p if along is not None else log_p.detach()).amax(1)
    share, keep = problem.smoothing / problem.classes, 1 - problem.smoothing
    if problem.labels is None:
        coefficients = keep * problem.probabilities + share if share else problem.probabilities
        coefficients = coefficients if along is None else coefficients * along
        return result - (coefficients * _opened(log_p, coefficients)).sum(1)
    if keep:
        picked = log_p.gather(1, problem.labels.unsqueeze(1)).squeeze(1)
        if problem.weight is not None:
            coefficient = problem.weight.take(problem.labels)
            picked = coefficient * _opened(picked, coefficient)
        result = result - (keep * picked if share else picked)
    if share:
        smooth = log_p if along is None else along * _opened(log_p, along)
        result = result - (share * smooth).sum(1)  # the sum of log_p alone may overflow
    return result if problem.ignored is None else result.masked_fill(problem.ignored, 0)


def _opened(log_p: Tensor, coefficient: Tensor) -> Tensor:
    """log_p with 0 for the -inf of classes whose coefficient is 0: they count as the limit, 0 (O1)."""
    return log_p.masked_fill((coefficient == 0) & (log_p == -float("inf")), 0)


def reduced(each: Tensor, problem: Problem, reduction: str) -> Tensor:
    """The losses of all rows as S9 to S12 reduce them."""
    if reduction == "none":
        return each
    if reduction == "sum":
        return each.sum()
    return each.sum() / divisor(problem, problem.weights(), each.numel(), each.dtype)

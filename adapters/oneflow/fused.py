"""Kernels for float32 rows in eager mode: oneDNN's softmax and log_softmax, many times as fast as exp one by one.

- softmax is precise: its relative error stays inside the derived bound (conformance/bound.py), so the negative
  logarithm of the target's probability does too. It serves class indices without smoothing.
- log_softmax is off by up to 4e-6 in its logarithm. The bound allows that from about 64 classes on, for each class
  that sum exp adds may cost an ulp. It serves the rest for many classes. Its gradient kernel subtracts and scales in one pass.
"""

from __future__ import annotations

from typing import Any

from .problem import LARGE, Problem, flow, ops

LEAST_CLASSES = 128  # for log_softmax
LONG = 4096  # classes from which a call for each row costs less than spreading the rows' factors
TINY = 1e-30  # below, the logarithm of a float32 probability isn't precise


class Softmax:
    """Class indices without label smoothing."""

    def __init__(self, problem: Problem) -> None:
        labels = problem.labels
        assert labels is not None  # what this kernel is for
        self.problem = problem
        self.p = ops.softmax(problem.x, -1)
        q = ops.dim_gather(self.p, 1, labels.safe)
        self._sum, self._least = self.p.sum(), ops.reduce_min(q, [], False)
        self._losses = ops.relu(ops.negative(ops.log(q)))
        self._q = q

    def regular(self) -> bool:
        """Whether no row holds nan, +inf or -inf only. Waits for the device."""
        number: float = self._sum.item()
        return number - number == 0

    @property
    def losses(self) -> Any:
        """The losses, a column. Waits for the device."""
        labels, losses = self.problem.labels, self._losses
        assert labels is not None
        if self._least.item() < TINY:
            direct = ops.negative(ops.dim_gather(ops.log_softmax(self.problem.x, -1), 1, labels.safe))
            losses = ops.where(ops.less(self._q, TINY), direct, losses)
        if labels.factor is None:
            return losses
        return ops.mul(ops.masked_fill(losses, ops.logical_not(labels.factor), 0.0), labels.factor)

    def gradient(self, slope: Any) -> Any:
        """The gradient with respect to x; a second call computes the softmax again."""
        problem = self.problem
        p = ops.softmax(problem.x, -1) if self.p is None else self.p
        self.p = None  # handed over to the caller, changed
        assert problem.labels is not None
        factor, scale = problem.labels.factor, problem.scale(slope)
        ones = problem.layout.ones()
        if factor is None and problem.reduction != "none":
            return problem.scatter(p, ops.negative(ones)).mul_(scale)
        column = problem.cleared(ops.mul(ones if factor is None else factor, scale))
        return problem.scatter(_scaled(problem, p, column), ops.negative(column))


class LogSoftmax:
    """Class probabilities, and label smoothing, with many classes."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        with flow.enable_grad():
            self._x = problem.x.detach().requires_grad_(True)
            self._log_p = ops.log_softmax(self._x, -1)
        log_p, labels, e = self._log_p.detach(), problem.labels, problem.smoothing
        if labels is None:
            self._a = problem.dense()
            self.losses = ops.negative(problem.layout.total(ops.mul(self._a, log_p)))
            return
        self._shares = problem.shares()
        smooth = ops.negative(problem.layout.product(log_p, self._shares))
        plain = ops.mul(ops.dim_gather(log_p, 1, labels.safe), e - 1)
        if labels.factor is not None:
            plain, smooth = ops.mul(plain, labels.factor), ops.mul(smooth, labels.kept) if labels.kept is not None else smooth
        self.losses = ops.add(plain, smooth)

    def regular(self) -> bool:
        """Whether no nan and no infinity came up anywhere. Waits for the device."""
        number: float = self.losses.sum().item()
        return number - number == 0

    def gradient(self, slope: Any) -> Any:
        """The gradient with respect to x. May be called again."""
        problem, layout, labels = self.problem, self.problem.layout, self.problem.labels
        scale = ops.negative(problem.scale(slope))
        if labels is None:
            seed = ops.mul(self._a, layout.spread(scale) if problem.reduction == "none" else scale)
        else:
            ones = layout.ones()
            kept = ops.mul(ones if labels.kept is None else labels.kept, scale)
            factor = ops.mul(ones if labels.factor is None else labels.factor, scale)
            seed = layout.outer(problem.cleared(kept), self._shares)
            seed = problem.scatter(seed, problem.cleared(ops.mul(factor, 1 - problem.smoothing)))
        return flow.autograd.grad(self._log_p, self._x, seed, retain_graph=True)[0]


def _scaled(problem: Problem, p: Any, column: Any) -> Any:
    """p with each row multiplied by its number, in place."""
    layout = problem.layout
    if layout.classes >= LONG:
        for row in range(layout.places):
            ops.narrow(p, 0, row, 1).mul_(ops.narrow(column, 0, row, 1))
        return p
    step = max(1, LARGE * 4 // layout.classes)
    ones = flow.ones(1, layout.classes, dtype=p.dtype, device=p.device)
    for row in range(0, layout.places, step):
        rows = min(step, layout.places - row)
        ops.narrow(p, 0, row, rows).mul_(ops.matmul(ops.narrow(column, 0, row, rows), ones))
    return p

"""Kernels for float32 rows in eager mode: oneDNN's softmax and log_softmax, many times as fast as exp one by one.

- softmax is precise: its relative error stays inside the derived bound (conformance/bound.py), so the negative
  logarithm of the target's probability does too. It serves class indices without smoothing.
- log_softmax is off by up to 4e-6 in its logarithm. The bound allows that from about 64 classes on, for each class
  that sum exp adds may cost an ulp. It serves the rest for many classes: its gradient kernel scales and subtracts in
  one pass.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

from .labels import labels
from .problem import LARGE, Problem, added, finite, flow, ops

LEAST_CLASSES = 128  # for log_softmax
LONG = 4096  # classes from which a call for each row costs less than spreading the rows' factors
TINY = 1e-30  # below, the logarithm of a float32 probability isn't precise


class Softmax:
    """Class indices without label smoothing.

    Args:
        problem: the call, labels included.
        p: softmax of the logits, where it is known already; changed by `gradient`.
        surprise: -log of each target's probability, likewise.
        total: the sum of `surprise`, likewise.
    """

    def __init__(self, problem: Problem, p: Any = None, surprise: Any = None, total: Any = None) -> None:
        labels = problem.labels
        assert labels is not None  # what this kernel is for
        self.problem, self._labels = problem, labels
        self._p = ops.softmax(problem.x, -1) if p is None else p
        self._surprise = _surprise(self._p, labels.safe) if surprise is None else surprise
        self.total = total if labels.factor is None else None

    @property
    def losses(self) -> Any:
        """A column."""
        factor = self._labels.factor
        if factor is None:
            return self._surprise
        return ops.mul(ops.masked_fill(self._surprise, ops.logical_not(factor), 0.0), factor)

    def regular(self) -> bool:
        """Whether no row holds nan, +inf or -inf alone, and the losses add up. Waits for the device.

        Such a row shows in every class, as nan or as a probability of 0: oneDNN's exp takes nan for the largest number,
        which then divides all others.
        """
        if finite(added(self._surprise)):
            return True
        if not finite(added(self._p)):
            return False
        # A very small probability: log_softmax holds its logarithm, precise enough for one so large.
        direct = ops.negative(ops.dim_gather(ops.log_softmax(self.problem.x, -1), 1, self._labels.safe))
        self._surprise = ops.where(ops.less(self._surprise, float("inf")), self._surprise, direct)
        return finite(ops.add(added(self._surprise), added(self.losses)))

    def gradient(self, slope: Any) -> Any:
        """The gradient with respect to x; a second call computes the softmax again."""
        problem, labels = self.problem, self._labels
        p = ops.softmax(problem.x, -1) if self._p is None else self._p
        self._p = None  # changed in place, and then the caller's
        scale = problem.scale(slope)
        if labels.factor is None and problem.reduction != "none":
            return problem.scatter(p, problem.layout.full(-1.0)).mul_(scale)
        column = problem.cleared(ops.mul(problem.layout.full(1.0) if labels.factor is None else labels.factor, scale))
        return problem.scatter(_scaled(problem, p, column), ops.negative(column))


def attempt(problem: Problem, column: Any, ignore_index: int) -> Optional[Softmax]:
    """The softmax kernel for unchecked class indices, where nothing is wrong with them or the logits; None elsewhere.

    One number tells: the sum of the losses, to which every doubt adds infinity. So the check waits for the device once.

    Args:
        problem: the call, labels left out; float32 rows, no label smoothing.
        column: int64 class indices, as they came.
    """
    classes, weight, dtype = problem.layout.classes, problem.weight, problem.x.dtype
    p = ops.softmax(problem.x, -1)
    safe = ops.clamp(column, 0, classes - 1)
    surprise = _surprise(p, safe)
    outside = ops.not_equal(column, safe)
    if not 0 <= ignore_index < classes:
        total = added(ops.masked_fill(surprise, outside, float("inf")))
        if finite(total):
            clean = labels(column, classes, ignore_index, weight, True, dtype)
            return Softmax(replace(problem, labels=clean), p, surprise, total)
    stray = ops.logical_and(outside, ops.not_equal(column, ignore_index))
    if finite(added(ops.masked_fill(surprise, stray, float("inf")))):
        chosen = labels(column, classes, ignore_index, weight, False, dtype, safe)
        return Softmax(replace(problem, labels=chosen), p, surprise)
    return None


def _surprise(p: Any, safe: Any) -> Any:
    """-log p of each row's class; inf where p is too small to have a precise logarithm. A column."""
    return ops.negative(ops.log(ops.threshold(ops.dim_gather(p, 1, safe), threshold=TINY, value=0.0)))


class LogSoftmax:
    """Class probabilities, and label smoothing, with many classes."""

    total = None

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        with flow.enable_grad():
            self._x = problem.x.detach().requires_grad_(True)
            self._log_p = ops.log_softmax(self._x, -1)
        log_p, chosen, e = self._log_p.detach(), problem.labels, problem.smoothing
        if chosen is None:
            self._a = problem.dense()
            self.losses = ops.negative(problem.layout.total(ops.mul(self._a, log_p)))
            return
        self._shares = problem.shares()
        smooth = ops.negative(problem.layout.product(log_p, self._shares))
        plain = ops.mul(ops.dim_gather(log_p, 1, chosen.safe), e - 1)
        if chosen.factor is not None:
            plain = ops.mul(plain, chosen.factor)
        if chosen.kept is not None:
            smooth = ops.mul(smooth, chosen.kept)
        self.losses = ops.add(plain, smooth)

    def regular(self) -> bool:
        """Whether no nan and no infinity came up anywhere. Waits for the device."""
        return finite(added(self.losses))

    def gradient(self, slope: Any) -> Any:
        """The gradient with respect to x. May be called again."""
        problem, layout, chosen = self.problem, self.problem.layout, self.problem.labels
        scale = ops.negative(problem.scale(slope))
        if chosen is None:
            seed = ops.mul(self._a, layout.spread(scale) if problem.reduction == "none" else scale)
        else:
            ones = layout.full(1.0)
            kept = ops.mul(ones if chosen.kept is None else chosen.kept, scale)
            factor = ops.mul(ones if chosen.factor is None else chosen.factor, scale)
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
    ones = ops.constant((1, layout.classes), 1.0, dtype=p.dtype, device=p.device)
    for row in range(0, layout.places, step):
        rows = min(step, layout.places - row)
        ops.narrow(p, 0, row, rows).mul_(ops.matmul(ops.narrow(column, 0, row, rows), ones))
    return p

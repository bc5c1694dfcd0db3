"""The kernel for everything: log p = (x - m) - log sum exp(x - m), with the primitives that are precise.

oneflow's exp and log are correctly rounded to within an ulp, and sums by matrix products stay inside the derived bound
(conformance/judging/bound). Its float32 log_softmax, in oneDNN, is not: its logarithm is off by up to 4e-6. Its softmax
is precise, and the largest probability of a row is 1 / sum exp(x - m): for float32 rows that saves exp, which takes
twice softmax's time (measured, 0.9.0, 8192 x 10).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from .layouts import Rows
from .problem import Problem, added, dot, finite, flow, ops


class Shifted:
    """Losses and gradient of one call.

    Args:
        problem: the call.
        careful: tell apart all that nan and infinities may meet; without it they may come out as nan where the rules
            want a number, never the other way round.
    """

    def __init__(self, problem: Problem, careful: bool) -> None:
        self.problem, self.careful = problem, careful
        layout, labels, x = problem.layout, problem.labels, problem.x
        if careful and labels is not None and labels.ignored is not None:
            x = ops.masked_fill(x, _bool(layout.spread(labels.ignored.to(x.dtype))), 0.0)  # S12: even with nan logits
        self.d = layout.minus(x, ops.reduce_max(x, [1], True))
        self.s = None  # e adds up to 1
        if not careful and isinstance(layout, Rows) and x.dtype == flow.float32:
            self.e = ops.softmax(x, -1)
            self.log_s = ops.negative(ops.log(ops.reduce_max(self.e, [1], True)))
        else:
            self.e = ops.exp(self.d)
            self.s = layout.total(self.e)
            self.log_s = ops.log(self.s)
        self.a = problem.dense() if labels is None else None
        self.sizes = layout.total(self.a) if labels is None else None

    @cached_property
    def losses(self) -> Any:
        """A column."""
        return self._dense_losses() if self.problem.labels is None else self._label_losses()

    @cached_property
    def total(self) -> Any:
        """The sum of the losses."""
        if self.careful or self.problem.labels is not None or self.problem.reduction == "none":
            return added(self.losses)
        return ops.sub(dot(self.sizes, self.log_s), dot(self.a, self.d))

    def regular(self) -> bool:
        """Whether no nan came up anywhere, so that there was nothing to be careful about. Waits for the device."""
        return finite(self.total)

    def _dense_losses(self) -> Any:
        layout, d = self.problem.layout, self.d
        if self.careful:
            d = ops.masked_fill(d, ops.logical_not(self.a), 0.0)  # O1
        return ops.sub(ops.mul(self.sizes, self.log_s), layout.total(ops.mul(self.a, d)))

    def _label_losses(self) -> Any:
        problem, layout, labels, e = self.problem, self.problem.layout, self.problem.labels, self.problem.smoothing
        assert labels is not None  # the caller's branch
        losses = None
        if e < 1:
            d = ops.dim_gather(self.d, 1, labels.safe)
            if self.careful and labels.factor is not None:
                d = ops.masked_fill(d, ops.logical_not(labels.factor), 0.0)  # O1
            losses = ops.sub(self.log_s, d)
            if labels.factor is not None:
                losses = ops.mul(losses, labels.factor)
            losses = ops.mul(losses, 1 - e) if e else losses
        if e:
            shares, d = problem.shares(), self.d
            if self.careful and problem.weight is not None:
                unweighted = _bool(layout.outer(layout.full(1.0), ops.logical_not(shares).to(d.dtype)))
                d = ops.masked_fill(d, unweighted, 0.0)  # O1
            smooth = ops.sub(ops.mul(self.log_s, problem.share), layout.product(d, shares))
            smooth = smooth if labels.kept is None else ops.mul(smooth, labels.kept)
            losses = smooth if losses is None else ops.add(losses, smooth)
        return problem.cleared(losses) if self.careful else losses

    def gradient(self, slope: Any) -> Any:
        """The gradient with respect to x. May be called again.

        Args:
            slope: the gradient with respect to the reduced result; a column under ``"none"``.
        """
        problem, layout, labels, e = self.problem, self.problem.layout, self.problem.labels, self.problem.smoothing
        scale = problem.scale(slope)
        if labels is None:
            g = layout.times(self.e, ops.mul(self._over_s(self.sizes), scale))
            return g.sub_(layout.times(self.a, scale) if problem.reduction == "none" else ops.mul(self.a, scale))
        if labels.factor is None and self.s is None:
            return self._even_gradient(scale)
        # W/s, W the sum of the row's coefficients
        factor = layout.full(1.0) if labels.factor is None else labels.factor
        factor = ops.mul(ops.mul(factor, 1 - e) if e else factor, scale)
        total = factor
        if e:
            shares = problem.shares()
            smooth = ops.mul(layout.full(1.0) if labels.kept is None else labels.kept, scale)
            total = ops.add(total, ops.mul(smooth, problem.share))
        g = layout.times(self.e, problem.cleared(self._over_s(total)))
        if e:
            g = ops.sub(g, layout.outer(problem.cleared(smooth), shares))
        return problem.scatter(g, problem.cleared(ops.negative(factor)))

    def _even_gradient(self, scale: Any) -> Any:
        """`gradient` where all rows and classes count alike: scale (p - e/C), less scale (1 - e) at the class index."""
        problem, layout, e = self.problem, self.problem.layout, self.problem.smoothing
        if problem.reduction == "none":
            g = layout.minus(layout.times(self.e, scale), ops.mul(scale, e / layout.classes))
        else:
            g = ops.mul(self.e, scale).sub_(ops.mul(scale, e / layout.classes))
        return problem.scatter(g, ops.mul(layout.full(e - 1), scale))

    def _over_s(self, column: Any) -> Any:
        return column if self.s is None else ops.div(column, self.s)


def _bool(t: Any) -> Any:
    return ops.not_equal(t, 0)

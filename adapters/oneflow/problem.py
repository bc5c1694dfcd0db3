"""One call of the loss: what every kernel needs to know, and the reductions, which are the same for all (S9 to S12)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Optional, Protocol, Union

from xent.adapters.framework import framework

from .labels import Labels
from .layouts import Planes, Rows

flow = framework("oneflow")
ops = flow._C

LARGE = 1 << 16  # elements from which an operator's time is its work, not its call
TINY = 1e-30  # below, the logarithm of a float32 probability isn't precise
FEW_CLASSES = 64  # below, copying the logits costs less than finding the places in them


class Kernel(Protocol):
    """How a loss and its gradient are computed.

    Attributes:
        problem: the call, in the dtype of computation.
        losses: a column.
        total: the sum of the losses.
    """

    @property
    def problem(self) -> Problem: ...

    @property
    def losses(self) -> Any: ...

    @property
    def total(self) -> Any: ...

    def gradient(self, slope: Any) -> Any: ...


@dataclass(frozen=True)
class Problem:
    """A call in canonical form. Floating tensors are in the dtype of computation, on x's device.

    Attributes:
        x: logits in one of the layouts.
        layout: that layout.
        labels: class indices, or None.
        probabilities: class probabilities in x's shape, or None.
        weight: (C), or None.
        reduction, smoothing: the arguments.
        lazy: inside nn.Graph, where no value can be looked at.
    """

    x: Any
    layout: Union[Rows, Planes]
    labels: Optional[Labels]
    probabilities: Any
    weight: Any
    reduction: str
    smoothing: float
    lazy: bool

    def labelled(self, labels: Labels) -> Problem:
        """This call with those labels."""
        return replace(self, labels=labels)

    def shares(self) -> Any:
        """(e/C) w, shape (C): the part of each class in the smooth part of a loss."""
        share = self.smoothing / self.layout.classes
        if self.weight is None:
            return ops.constant((self.layout.classes,), share, dtype=self.x.dtype, device=self.x.device)
        return ops.mul(self.weight, share)

    @cached_property
    def share(self) -> Any:
        """The sum of `shares`: a number, or a tensor of shape ()."""
        return self.smoothing if self.weight is None else added(self.shares())

    def dense(self) -> Any:
        """w ((1 - e) y + e/C) of class probabilities, x's shape."""
        a = self.probabilities
        if self.smoothing:
            a = ops.add(ops.mul(a, 1 - self.smoothing), self.smoothing / self.layout.classes)
        if self.weight is None:
            return a
        if isinstance(self.layout, Rows):
            return ops.mul(a, self.weight)
        return ops.mul(a, self.layout.outer(self.layout.full(1.0), self.weight))

    @cached_property
    def divisor(self) -> Any:
        """What the mean divides by: a number, or a tensor of shape ()."""
        if self.labels is None or self.labels.factor is None:
            return float(self.layout.places)
        return dot(self.labels.factor, self.layout.full(1.0))

    def reduced(self, kernel: Kernel) -> Any:
        """A kernel's losses as the result; under ``"none"`` they stay a column."""
        if self.reduction == "none":
            return kernel.losses
        if self.reduction == "sum":
            return kernel.total
        mean = ops.div(kernel.total, self.divisor)
        if self.smoothing and self.weight is not None and self.labels is not None:
            size = added(ops.abs(self.labels.factor))
            mean = ops.mul(mean, ops.div(size, size))  # S12: nan where every selected weight is 0, 1 otherwise
        return mean

    def scale(self, slope: Any) -> Any:
        """What each row's gradient is multiplied by: a column under ``"none"``, else a tensor of shape ().

        Args:
            slope: the gradient with respect to the result.
        """
        return ops.div(slope, self.divisor) if self.reduction == "mean" else slope

    def cleared(self, column: Any) -> Any:
        """The column with exactly 0 for ignored rows, whatever stood there."""
        if self.labels is None or self.labels.ignored is None:
            return column
        return ops.masked_fill(column, self.labels.ignored, 0.0)

    def scatter(self, g: Any, column: Any) -> Any:
        """g plus a number a row at the row's class index; large ones are changed in place."""
        assert self.labels is not None  # class probabilities have nothing to scatter
        safe = self.labels.safe
        if self.lazy or g.numel() < LARGE or self.layout.classes < FEW_CLASSES:
            return ops.scatter_add(g, 1, safe, column)
        ops.index_add_(g.view(-1), 0, self.layout.positions(safe), column.reshape(-1), alpha=1.0)
        return g


def added(t: Any) -> Any:
    """The sum of all elements, shape (); a fourth of the time that ``t.sum()`` takes for a few of them."""
    return ops.reduce_sum(t, list(range(t.ndim)), False)


def dot(a: Any, b: Any) -> Any:
    """The sum of a times b, shape (); in half the time of `added` alone (measured, 0.9.0, 8192 numbers)."""
    return ops.matmul(a.reshape(1, -1), b.reshape(-1, 1)).reshape(())


def finite(scalar: Any) -> bool:
    """Whether a tensor of one number holds neither nan nor infinity. Waits for the device."""
    number: float = scalar.item()
    return number - number == 0

"""One call of the loss in the dtype of computation, and what the composed and the fused path share of it.

Rows are laid out as torch has them, classes along dimension 1: input (N, C) or (N, C, S), labels (N) or (N, S).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Tuple

from xent.adapters.framework import framework

torch: Any = framework("torch")
Tensor = Any  # or None, where an attribute says so


class Problem(NamedTuple):
    """What a loss is asked for, besides its logits.

    Attributes:
        labels: class indices, int64, each in [0, C): 0 where ignored. None for class probabilities.
        ignored: which labels are ignored; None where none is.
        probabilities: class probabilities of input's shape; None for class indices.
        weight: (C,), or None for ones.
        smoothing: label_smoothing.
        classes: C.
    """

    labels: Tensor
    ignored: Tensor
    probabilities: Tensor
    weight: Tensor
    smoothing: float
    classes: int

    def to(self, dtype: Any) -> Problem:
        """The same with weight and probabilities of that dtype."""
        return self._replace(
            weight=None if self.weight is None else self.weight.to(dtype),
            probabilities=None if self.probabilities is None else self.probabilities.to(dtype),
        )

    def at(self, index: Tuple[Any, ...]) -> Problem:
        """The rows that an index of the labels (a slice or a tensor for each of their dimensions) picks."""
        return self._replace(
            labels=None if self.labels is None else self.labels[index],
            ignored=None if self.ignored is None else self.ignored[index],
            probabilities=None if self.probabilities is None else self.probabilities[with_classes(index)],
        )

    def along(self, x: Tensor) -> Tensor:
        """The weight along the classes of x; None where there is none."""
        return None if self.weight is None else self.weight.reshape((-1,) + (1,) * (x.dim() - 2))

    def weights(self) -> Tensor:
        """The weight of each label, 0 where ignored; None where all rows count the same."""
        if self.labels is None:
            return None
        if self.weight is not None:
            weights = self.weight.take(self.labels)
            return weights if self.ignored is None else weights.masked_fill(self.ignored, 0)
        return None if self.ignored is None else ~self.ignored


def with_classes(index: Tuple[Any, ...]) -> Tuple[Any, ...]:
    """An index of labels as one of logits: all classes along dimension 1."""
    return (index[0], slice(None), *index[1:])


def divisor(problem: Problem, weights: Tensor, rows: Any, dtype: Any) -> Any:
    """What the mean divides by (S9 to S12), a number or a 0-d tensor: nan where every selected weight is 0.

    Args:
        weights: `problem.weights()`.
        rows: how many rows there are.
        dtype: to add weights in.
    """
    if weights is None:
        return rows
    if problem.weight is None:
        return weights.sum()
    total = weights.sum(dtype=dtype)
    return total.masked_fill((weights == 0).all(), float("nan"))

"""A call of the loss laid out as rows: one a sample (and a place d1, ..., dK), its classes along the second axis."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Iterator, NamedTuple

import numpy as np

from .. import dtypes, shapes
from ..dtypes import Array
from ..spec import CrossEntropySpec
from .bounds import UNIT, Approximation, depth, long_double, pairwise

CHUNK = (
    1 << 15
)  # elements (row, class) worked on at a time: half a MB an array of long doubles, which stays in the cache


class Divisor(NamedTuple):
    """What ``mean`` divides by (1 for the other reductions).

    Attributes:
        value: 0-d long double.
        relative: bound of its relative error; a 0 is exact.
        empty: nothing is selected (S12): the mean is nan, whatever the numerator.
    """

    value: Array
    relative: float
    empty: bool

    def divide(self, numerator: Approximation) -> Approximation:
        """The quotient: nan where nothing is selected, and what IEEE says where the divisor is 0."""
        if self.empty:
            return Approximation(np.full_like(numerator.value, np.nan), np.zeros_like(numerator.error))
        with np.errstate(all="ignore"):
            value = numerator.value / self.value
            relative = np.longdouble(1.25 * self.relative + 2 * UNIT)
            error = numerator.error / np.abs(self.value) + np.abs(value) * relative
            error = np.where(np.isfinite(value) & np.isfinite(error), error, np.longdouble(np.inf))
            certain = (numerator.error == 0) & ((numerator.value == 0) | ~np.isfinite(numerator.value))
            if self.value == 0:
                certain |= (np.abs(numerator.value) > numerator.error) | (numerator.error == 0)
        return Approximation(value, np.where(certain, np.longdouble(0), error))


@dataclass(frozen=True)
class Problem:
    """The arguments of one call.

    Attributes:
        input: (rows, C), in input's own dtype.
        labels: (rows,) int64 for class indices, 0 where ignored; None for class probabilities.
        ignored: (rows,) bool.
        probabilities: (rows, C) in target's own dtype; None for class indices.
        weight: (C,) float64, exact for every weight dtype; None for no weight.
        smoothing: `label_smoothing`.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        shape: of input: (C), (N, C) or (N, C, d1, ..., dK).
    """

    input: Array
    labels: Array | None
    ignored: Array
    probabilities: Array | None
    weight: Array | None
    smoothing: float
    reduction: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, spec: CrossEntropySpec, input: Array, target: Array) -> Problem:
        """Validates (raises `xent.errors.SpecError`, warns for S7) and lays out."""
        spec.validate(input, target)
        rows = shapes.rows(input)
        ignored = np.zeros(len(rows), dtype=bool)
        labels: Array | None = None
        probabilities: Array | None = None
        if dtypes.is_float(target):
            probabilities = shapes.rows(target)
        else:
            labels = target.astype(np.int64).reshape(-1)
            ignored = labels == spec.ignore_index
            labels = np.where(ignored, 0, labels)
        weight = None if spec.weight is None else dtypes.to_float64(spec.weight)
        return cls(rows, labels, ignored, probabilities, weight, spec.label_smoothing, spec.reduction, input.shape)

    @property
    def places(self) -> tuple[int, ...]:
        """The shape of the losses before they are reduced."""
        return shapes.places(self.shape)

    @property
    def rows(self) -> int:
        return len(self.input)

    @property
    def classes(self) -> int:
        return int(self.input.shape[1])

    def chunks(self) -> Iterator[slice]:
        """The rows in portions of about CHUNK elements."""
        step = max(1, CHUNK // self.classes)
        for start in range(0, self.rows, step):
            yield slice(start, min(start + step, self.rows))

    def counts(self) -> Array:
        """(C,) how many selected rows have each class index (class indices only)."""
        assert self.labels is not None
        return np.bincount(self.labels[~self.ignored], minlength=self.classes)

    def divisor(self) -> Divisor:
        """1 without mean; the number of rows for probabilities (S10); the sum of w[y] over selected rows (S9, S11)."""
        if self.reduction != "mean":
            return Divisor(np.ones((), dtype=np.longdouble), 0.0, False)
        if self.labels is None:
            return Divisor(np.asarray(self.rows, dtype=np.longdouble), 0.0, self.rows == 0)
        counts = self.counts()
        if self.weight is None:
            return Divisor(np.asarray(counts.sum(), dtype=np.longdouble), 0.0, not counts.any())
        selected = self.weight[counts > 0]
        if not selected.any():
            return Divisor(np.zeros((), dtype=np.longdouble), 0.0, True)
        if (selected < 0).any() and (selected > 0).any():  # they may cancel, to 0 even: exactly, then
            return Divisor(long_double(self.exact_divisor()), 2 * UNIT, False)
        terms = selected.astype(np.longdouble) * counts[counts > 0]
        return Divisor(pairwise(terms), UNIT * (depth(terms.size) + 2), False)

    def exact_divisor(self) -> Fraction:
        """The same divisor without rounding."""
        if self.reduction != "mean":
            return Fraction(1)
        if self.labels is None:
            return Fraction(self.rows)
        counts = self.counts()
        if self.weight is None:
            return Fraction(int(counts.sum()))
        present = np.flatnonzero(counts)
        return sum((Fraction(float(self.weight[c])) * int(counts[c]) for c in present), Fraction(0))

    def like_input(self, rows: Array) -> Array:
        """(rows, C) back in the shape of input: (C), (N, C) or (N, C, d1, ..., dK), contiguous."""
        return np.ascontiguousarray(shapes.from_rows(rows, self.shape))

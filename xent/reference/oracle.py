"""From numbers with error bounds to correctly rounded ones: mpmath for what is in doubt, within a call's budget."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Callable

import numpy as np

from .. import dtypes
from ..dtypes import Array
from .bounds import Approximation
from .precise import Form, PreciseRow, added, resolve
from .problem import Problem
from .rounding import rounded

BUDGET = 200_000  # logits that mpmath may work on in one call

FormOf = Callable[[PreciseRow, int], Form]


class Oracle:
    """What one call knows exactly, made when it is asked for.

    Args:
        problem: the call.
        name: the output dtype.
    """

    def __init__(self, problem: Problem, name: str) -> None:
        self._problem, self._name = problem, name
        self._left = BUDGET
        self.row = lru_cache(maxsize=None)(self._row)

    def _row(self, number: int) -> PreciseRow:
        return PreciseRow(self._problem, number)

    @cached_property
    def divisor(self) -> Fraction:
        return self._problem.exact_divisor()

    @cached_property
    def selected(self) -> list[int]:
        """The rows that are not ignored."""
        return [int(n) for n in np.flatnonzero(~self._problem.ignored)]

    @cached_property
    def sum_of_losses(self) -> Form:
        return added(self.row(n).loss() for n in self.selected)

    def affords(self, rows: int) -> bool:
        """Whether the budget allows so many rows more; takes them off."""
        if rows * self._problem.classes > self._left:
            return False
        self._left -= rows * self._problem.classes
        return True

    def number(self, form: Form) -> Array:
        """The form divided by the divisor, rounded once; 0-d."""
        return dtypes.from_float64(resolve(form, self.divisor, self._name), self._name)

    def round(self, result: Array, rows: slice, numbers: Approximation, form_of: FormOf) -> None:
        """Rounds numbers (C, rows) into result[rows], (rows, C); form_of gives the exact number of a row and class."""
        near, certain = rounded(numbers, self._name)
        result[rows] = near.T
        doubtful = np.argwhere(~certain.T)
        for n, start, stop in _runs(doubtful[:, 0]):
            if not self.affords(1):
                return
            row = self._row(rows.start + n)
            for c in doubtful[start:stop, 1]:
                result[rows.start + n, c] = self.number(form_of(row, int(c)))


def _runs(numbers: Array) -> list[tuple[int, int, int]]:
    """(number, start, stop) of each run of equal numbers."""
    if numbers.size == 0:
        return []
    starts = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    return [(int(numbers[a]), a, b) for a, b in zip(starts, [*starts[1:], numbers.size])]

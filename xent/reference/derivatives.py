"""Derivatives of the summed result with respect to class probabilities and weight, in long double with error bounds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..dtypes import Array
from .bounds import Approximation
from .oracle import Oracle
from .precise import Form, added
from .problem import Divisor, Problem
from .rows import Softmax, surprises
from .sums import class_sums, difference, losses, per_row, reduced, scaled


def of_probabilities(problem: Problem, chunk: Softmax, divisor: Divisor) -> Approximation:
    """(1 - e) w[c] (-log p[c]) over the divisor, (C, rows); nan in nan rows."""
    weight = np.ones(problem.classes) if problem.weight is None else problem.weight
    factors = (1 - np.longdouble(problem.smoothing)) * weight.astype(np.longdouble)
    numbers = per_row(divisor, scaled(surprises(chunk), factors[:, None]), chunk.ignored)
    numbers.value[:, chunk.invalid], numbers.error[:, chunk.invalid] = np.nan, 0
    return numbers


def of_weight(problem: Problem, divisor: Divisor) -> Approximation:
    """Sum of y'[c] (-log p[c]) over rows, less what each class adds to mean's divisor, over the divisor, (C,)."""
    numbers = class_sums(problem)
    shares = _shares(problem)
    if shares.any():
        numbers = difference(numbers, scaled(reduced(problem, losses(problem)), shares))
    column = Approximation(numbers.value[:, None], numbers.error[:, None])
    numbers = per_row(divisor, column, np.zeros(1, dtype=bool))
    return Approximation(numbers.value[:, 0], numbers.error[:, 0])


def form_of_weight(problem: Problem, oracle: Oracle, c: int) -> Form:
    """What `of_weight` divides, of a class whose derivative is finite: exact, for mpmath."""
    form = added(oracle.row(n).term(c) for n in oracle.selected)
    share = int(_shares(problem)[c])
    return added([form, oracle.sum_of_losses.times(Fraction(-share) / oracle.divisor)]) if share else form


def _shares(problem: Problem) -> Array:
    """d divisor / d weight, (C,): how many rows have that class index where ``mean`` divides by their weights."""
    if problem.reduction == "mean" and problem.labels is not None:
        return problem.counts()
    return np.zeros(problem.classes, dtype=np.int64)

"""Sums, quotients and multiples of numbers with error bounds, as the reductions need them."""

from __future__ import annotations

import numpy as np

from ..dtypes import Array
from .bounds import UNIT, Approximation, total
from .problem import Divisor, Problem
from .rows import coefficients, softmax, weighed


def losses(problem: Problem) -> Approximation:
    """The loss of every row, (rows,): 0 where ignored."""
    parts = []
    for rows in problem.chunks():
        parts.append(total(weighed(softmax(problem, rows), coefficients(problem, rows, problem.weight))))
    return joined(parts)


def reduced(problem: Problem, rows: Approximation) -> Approximation:
    """The losses reduced: (rows,) for none, 0-d for mean and sum."""
    return rows if problem.reduction == "none" else problem.divisor().divide(total(rows))


def class_sums(problem: Problem) -> Approximation:
    """Sum over rows of y'[c] (-log p[c]), (C,): the derivative of the summed losses with respect to weight."""
    parts = []
    for rows in problem.chunks():
        terms = weighed(softmax(problem, rows), coefficients(problem, rows, None))
        parts.append(total(Approximation(terms.value.T, terms.error.T)))
    none = np.zeros((0, problem.classes), dtype=np.longdouble)
    values, errors = [part.value[None] for part in parts], [part.error[None] for part in parts]
    return total(Approximation(np.concatenate([none, *values]), np.concatenate([none, *errors])))


def joined(parts: list[Approximation]) -> Approximation:
    """Portions of rows, one after the other."""
    none = np.zeros(0, dtype=np.longdouble)
    return Approximation(
        np.concatenate([none, *(part.value for part in parts)]), np.concatenate([none, *(part.error for part in parts)])
    )


def per_row(divisor: Divisor, numbers: Approximation, ignored: Array) -> Approximation:
    """Derivatives (C, rows) divided: 0 in ignored rows, and nan in the others where the divisor is 0."""
    quotients = divisor.divide(numbers)
    if divisor.value == 0:
        quotients = Approximation(np.full_like(numbers.value, np.nan), np.zeros_like(numbers.error))
    quotients.value[:, ignored], quotients.error[:, ignored] = 0, 0
    return quotients


def scaled(numbers: Approximation, factors: Array) -> Approximation:
    """Numbers times factors that carry up to one rounding; a factor 0 gives 0, times infinity too."""
    with np.errstate(all="ignore"):
        value = np.where(factors == 0, 0, numbers.value * factors)
        error = np.abs(factors) * numbers.error + 4 * np.longdouble(UNIT) * np.abs(value)
        demanded = (numbers.error == 0) & ((value == 0) | ~np.isfinite(value))
        error = np.where(np.isfinite(value) & np.isfinite(error), error, np.longdouble(np.inf))
    return Approximation(value, np.where(demanded | (factors == 0), np.longdouble(0), error))


def difference(left: Approximation, right: Approximation) -> Approximation:
    """left - right, same shape."""
    return total(Approximation(np.stack([left.value, -right.value]), np.stack([left.error, right.error])))

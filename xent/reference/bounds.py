"""Long double arithmetic with error bounds. What long double is (80 bits or not) is asked of NumPy, never assumed."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..dtypes import Array

# Unit roundoff. Never taken for less than 64 bits' worth, so that IBM's double-double is covered too.
UNIT = max(float(np.finfo(np.longdouble).eps) / 2, 2.0**-64)
# The one assumption not proven: the C library's expl, logl and log1pl are within 8 ulp (16 units). glibc states 4.
FUNCTION = 16
# Absolute error of a result that underflows. The smallest NORMAL number: arithmetic on subnormals is 20 times slower.
TINY = np.finfo(np.longdouble).tiny
SLACK = np.longdouble(1.25)  # for products of errors, which the first-order bounds leave out


class Approximation(NamedTuple):
    """Long doubles with a bound of their absolute error, same shape.

    Error 0 says: exact, or a nan or infinity that the specification demands. An infinite error says: ask mpmath.
    """

    value: Array
    error: Array


class Compensated(NamedTuple):
    """A sum as high + low, with a bound of its error: 0 where no addition rounded."""

    high: Array
    low: Array
    error: Array


def depth(terms: int) -> int:
    """How many additions a term goes through in `pairwise`."""
    return max(0, terms - 1).bit_length()


def pairwise(terms: Array) -> Array:
    """Sum over the first axis; error at most depth * UNIT * sum of magnitudes. No terms give 0."""
    if len(terms) == 0:
        return np.zeros(terms.shape[1:], dtype=np.longdouble)
    while len(terms) > 1:
        half = (len(terms) + 1) // 2
        folded = terms[:half].copy()
        folded[: len(terms) - half] += terms[half:]
        terms = folded
    return np.array(terms[0])  # a copy: of one term this would be a view of it


def compensated(terms: Array) -> Compensated:
    """Sum over the first axis (at least one term) that keeps what each addition rounds away."""
    levels = depth(len(terms))
    high, low = terms, np.zeros_like(terms)
    magnitude = np.zeros_like(terms)
    while len(high) > 1:
        half = (len(high) + 1) // 2
        pairs = len(high) - half
        left, right = high[:pairs], high[half:]
        total = left + right
        virtual = total - left
        lost = (left - (total - virtual)) + (right - virtual)
        high = np.concatenate([total, high[pairs:half]])
        low = np.concatenate([low[:pairs] + low[half:] + lost, low[pairs:half]])
        magnitude = np.concatenate([magnitude[:pairs] + magnitude[half:] + np.abs(lost), magnitude[pairs:half]])
    return Compensated(high[0], low[0], 2 * (levels + 1) * np.longdouble(UNIT) * magnitude[0])


def total(parts: Approximation) -> Approximation:
    """Sum over the first axis. Demanded infinities and nans add up as IEEE does."""
    with np.errstate(all="ignore"):
        value = pairwise(parts.value)
        rounding = depth(len(parts.value)) * np.longdouble(UNIT) * pairwise(np.abs(parts.value))
        error = SLACK * (pairwise(parts.error) + rounding)
        demanded = (~np.isfinite(parts.value) & (parts.error == 0)).any(axis=0)
        exact = (parts.value == 0).all(axis=0) & (parts.error == 0).all(axis=0)
        error = np.where(np.isfinite(value), error, np.longdouble(np.inf))
    return Approximation(value, np.where(demanded | exact, np.longdouble(0), error))


def long_double(number: Fraction) -> Array:
    """The long double nearest to a fraction, within 2 UNIT; 0-d."""
    if number == 0:
        return np.zeros((), dtype=np.longdouble)
    # Scaled into the middle of float64's range, then taken as two float64 parts.
    exponent = abs(number.numerator).bit_length() - number.denominator.bit_length()
    scaled = number / Fraction(2) ** exponent
    high = float(scaled)
    low = float(scaled - Fraction(high))
    return np.asarray(np.ldexp(np.longdouble(high) + np.longdouble(low), exponent))

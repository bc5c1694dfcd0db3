"""ONE rounding, to nearest even, from long double or from a fraction; and whether an error bound leaves it in doubt."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from .. import dtypes
from ..dtypes import Array
from .bounds import UNIT, Approximation


def rounded(numbers: Approximation, name: str) -> tuple[Array, Array]:
    """The numbers in the floating dtype of that name, and where that is certainly the correct rounding (bool).

    Ziv's test: certain where the lower and the upper end of the error bound round to the same number.
    """
    with np.errstate(all="ignore"):
        # The ends are themselves rounded to long double: a bound below an ulp would vanish there.
        margin = np.where(numbers.error > 0, numbers.error + 2 * np.longdouble(UNIT) * np.abs(numbers.value), 0)
        low = nearest(numbers.value - margin, name)
        high = nearest(numbers.value + margin, name)
        certain = (dtypes.to_float64(low) == dtypes.to_float64(high)) | (numbers.error == 0)
    return (low if certain.all() else nearest(numbers.value, name)), certain


def nearest(numbers: Array, name: str) -> Array:
    """Long doubles rounded once; overflow gives inf. The sign of a zero is that of the number."""
    with np.errstate(all="ignore"):
        if name in ("float32", "float64"):  # the processor's own single rounding
            return numbers.astype(dtypes.dtype(name))
        return dtypes.from_float64(_to_odd(numbers), name)


def _to_odd(numbers: Array) -> Array:
    """float64 with its last bit as a sticky bit, so that a second rounding, to few enough bits, is a correct one.

    NumPy's own cast from long double to float16 rounds twice.
    """
    double = numbers.astype(np.float64)
    lost = numbers - double
    even = (double.view(np.uint64) & np.uint64(1)) == 0
    toward = np.where(lost > 0, np.inf, -np.inf)
    step = even & (lost != 0) & np.isfinite(double)
    return np.where(step, np.nextafter(double, toward), double)


def nearest_float(number: Fraction, name: str) -> float:
    """A fraction rounded once to the dtype of that name, as a float (which holds every one of them)."""
    if number == 0:
        return 0.0
    _, precision, lowest, highest = dtypes.FORMATS[name]
    above, below = abs(number.numerator), number.denominator
    exponent = above.bit_length() - below.bit_length()
    if above << max(0, -exponent) < below << max(0, exponent):
        exponent -= 1
    last = max(exponent, lowest) - precision + 1  # exponent of the last bit
    whole, over = divmod(above << max(0, -last), below << max(0, last))
    twice = 2 * over - (below << max(0, last))
    whole += twice > 0 or (twice == 0 and whole % 2)
    sign = 1.0 if number > 0 else -1.0
    if whole.bit_length() + last > highest + 1:
        return sign * float("inf")
    # Through a fraction: ldexp would round a subnormal's bits away in two steps.
    return sign * float(Fraction(whole) * Fraction(2) ** last)

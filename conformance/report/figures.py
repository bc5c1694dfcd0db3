"""Numbers and arrays in words: every number with the digits that tell it from its neighbours in its dtype."""

from __future__ import annotations

import numpy as np

from xent import dtypes
from xent.conformance.judging.compare import digits
from xent.conformance.report.sheet import Summary
from xent.dtypes import Array

FEW = 16  # elements that are written out
_SOME = 12  # elements of a longer array


def described(array: Array) -> str:
    """``"float32 (2, 3)  [1 2 3]\\n[4 5 6]"``; of a long array the first elements, and between what all lie."""
    found = Summary.of(array)
    order = "" if found.contiguous else ", non-contiguous"
    values = dtypes.to_float64(array) if dtypes.is_float(array) else array
    return f"{found.dtype} {found.shape}{order}  {elements(values, found.dtype)}{_range(found)}"


def elements(values: Array, dtype: str) -> str:
    """The elements of a small array, nested as it is, those of a matrix with a line a row; the first of a long one.

    Args:
        values: float64 or long double for a floating dtype.
        dtype: decides the digits.
    """
    if values.size > FEW:
        return f"{' '.join(number(value, dtype) for value in values.ravel()[:_SOME])} ... ({values.size} in all)"
    if values.ndim == 2 and values.shape[0] > 1:
        return "\n" + "\n".join(_nested(row, dtype) for row in values)
    return _nested(values, dtype)


def number(value: object, dtype: str) -> str:
    """One element, e.g. ``"0.1"`` for float32's nearest to it."""
    return digits(float(np.asarray(value).item()), dtype) if dtype in dtypes.FLOATS else str(value)


def exact(value: object, dtype: str) -> str:
    """An exact answer, with a few digits more than its dtype has."""
    return f"{float(np.asarray(value).item()):.{17 if dtype == 'float64' else 10}g}"


def margin(bound: object) -> str:
    """The bound around an exact answer: ``"± 5.6e-06"``, or that the answer is exact, or not determined."""
    size = float(np.asarray(bound).item())
    return "any" if np.isinf(size) else f"± {size:.3g}"


def place(at: tuple[int, ...]) -> str:
    """An index without spaces, ``"[0,2]"``; empty for that of a single number."""
    return f"[{','.join(map(str, at))}]" if at else ""


def _nested(values: Array, dtype: str) -> str:
    if values.ndim == 0:
        return number(values[()], dtype)
    return f"[{' '.join(_nested(row, dtype) for row in values)}]"


def _range(found: Summary) -> str:
    """What the first elements of a long array don't show."""
    if int(np.prod(found.shape)) <= FEW or found.least is None:
        return ""
    counts = ((found.nan, "nan"), (found.inf, "inf"), (found.minus_inf, "-inf"))
    others = "".join(f", {count} {name}" for count, name in counts if count)
    return f", {found.least:.4g} to {found.largest:.4g}{others}"

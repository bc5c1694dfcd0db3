"""Measures a result against what counts as right: shape, dtype, places of nan and inf, error in bounds and ulps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from xent import dtypes
from xent.dtypes import Array

from .answers import Answer
from .bound import ulp

BOUNDS = "bounds"
TOLERANCES = "tolerances of the print"


@dataclass(frozen=True)
class Measure:
    """How a result compares.

    Attributes:
        faults: of "shape", "dtype" and "nan" (nan or inf in other places) those that are wrong.
        bounds: the largest error in bounds; inf where an exact answer is missed, None where nothing can be compared.
        ulps: the largest error in ulps of the output dtype, against the correctly rounded answer; None likewise.
        at: where the worst element lies: the first that is in a wrong place, else the farthest off. () for a scalar,
            None where nothing can be compared.
        text: what was found, a clause such as ``"0.7029 for 0.6931: 8.1e+04 bounds, 1.2e+05 ulp at index (3,)"``.
    """

    faults: Tuple[str, ...]
    bounds: Optional[float]
    ulps: Optional[float]
    text: str
    at: Optional[Tuple[int, ...]] = None


def measure(result: Array, answer: Answer, unit: str = BOUNDS) -> Measure:
    """Compares a result with the answer; `unit` is what the text calls the answer's bound."""
    faults, texts = [], []
    if dtypes.name(result) != answer.dtype:
        faults.append("dtype")
        texts.append(f"dtype {dtypes.name(result)} for {answer.dtype}")
    if result.shape != answer.exact.shape:
        return Measure(
            ("shape", *faults), None, None, ", ".join([f"shape {result.shape} for {answer.exact.shape}", *texts])
        )
    got = dtypes.to_float64(result)
    bounds = in_bounds(got, answer)
    in_ulps = _in_ulps(got, answer)
    ulps = float(np.nanmax(in_ulps)) if not np.isnan(in_ulps).all() else None
    misplaced = np.isnan(bounds)
    largest = at = None
    if misplaced.any():
        faults.append("nan")
        at = _index(int(misplaced.argmax()), got.shape)
        texts.append(f"{_number(result, at)} for {_expected(answer, at, unit)}{_place(at)} ({_count(misplaced)})")
        bounds = bounds[~misplaced]
    elif bounds.size:
        at = _index(int(bounds.argmax()), got.shape)
        ulp_text = "" if np.isnan(in_ulps[at]) or unit != BOUNDS else f", {in_ulps[at]:.3g} ulp"
        if bounds[at] > 1:
            worst = f"{_number(result, at)} for {_expected(answer, at, unit)}: {bounds[at]:.3g} {unit}"
            texts.append(worst + ulp_text + _place(at))
        else:
            texts.append(f"within {bounds[at]:.3g} {unit}{ulp_text}")
    else:
        texts.append("empty")
    if bounds.size:
        largest = float(bounds.max())
    return Measure(tuple(faults), largest, ulps, ", ".join(texts), at)


def in_bounds(got: Array, answer: Answer) -> Array:
    """Errors in bounds, elementwise; nan where a nan or an inf stands for something else, or something else for it.

    Args:
        got: float64, the shape of the answer.
    """
    with np.errstate(all="ignore"):
        exact = answer.exact
        error = np.abs(got - exact)
        # Rounding to inf starts half an ulp beyond the largest finite number.
        overflow = np.longdouble(dtypes.FORMATS[answer.dtype].largest) * (
            1 + np.longdouble(dtypes.unit_roundoff(answer.dtype)) / 2
        )
        beyond = np.isinf(got) & np.isfinite(exact) & (np.sign(got) == np.sign(exact))
        error = np.where(beyond, np.maximum(overflow - np.abs(exact), 0), error)
        ratio = np.where(error == 0, 0, error / answer.bound)
        same = (np.isnan(got) & (np.isnan(exact) | answer.or_nan)) | (got == exact) | ((got == 0) & answer.or_zero)
        same |= np.isinf(answer.bound)
        place = ~np.isfinite(got) | ~np.isfinite(exact)
        # inf for a number that just doesn't round to it, or that number for inf, is a matter of the bound.
        close = (ratio <= 1) & ~np.isnan(got) & np.isfinite(exact)
        misplaced = (place | (np.isinf(answer.rounded) & np.isfinite(got))) & ~close & ~same
    return np.asarray(np.where(misplaced, np.nan, np.where(same, 0, ratio)), dtype=np.float64)


def _in_ulps(got: Array, answer: Answer) -> Array:
    """Errors in ulps of the correctly rounded answer; nan where either is not finite."""
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(np.where(np.isfinite(answer.rounded), answer.rounded, 0))
        ulps = np.abs(got - answer.rounded) / np.maximum(ulp(answer.dtype, exponent), 5e-324)
    return np.asarray(np.where(np.isfinite(got) & np.isfinite(answer.rounded), ulps, np.nan))


def _index(flat: int, shape: Tuple[int, ...]) -> Tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape)) if shape else ()


def _place(at: Tuple[int, ...]) -> str:
    return f" at index {at}" if at else ""


def _count(where: Array) -> str:
    return (
        f"{int(where.sum())} of {where.size} in other places" if where.size > 1 else "nan and inf are in other places"
    )


def _expected(answer: Answer, at: Tuple[int, ...], unit: str) -> str:
    if unit == TOLERANCES:  # as it was printed, whatever the dtype of the result
        return repr(float(answer.exact[at]))
    return digits(answer.rounded[at], answer.dtype) + (" or nan" if answer.or_nan[at] else "")


def _number(result: Array, at: Tuple[int, ...]) -> str:
    return digits(dtypes.to_float64(result)[at], dtypes.name(result))


def digits(number: float, dtype: str) -> str:
    """The shortest text that tells the number from its neighbours in its dtype."""
    kind = {"float16": np.float16, "float32": np.float32}.get(dtype, np.float64)
    return f"{number:.4g}" if dtype == "bfloat16" else str(kind(number))

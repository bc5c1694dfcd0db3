"""Published results: what agrees with one, and what is said of one that is wrong."""

from __future__ import annotations

from typing import List, Optional

import numpy as np

from xent import dtypes
from xent.conformance.protocol.case import Case
from xent.dtypes import Array

from .answers import Answer, Answers


def as_answer(printed: Array, answer: Optional[Answer], case: Case) -> Answer:
    """The print with its tolerance; and with the oracle's bound, since a result may be exact and have fewer digits."""
    values = np.asarray(printed, dtype=np.float64)
    tolerance = _tolerance(values, case)
    if answer is not None and answer.bound.shape == values.shape:
        tolerance = tolerance + np.where(np.isfinite(answer.bound), answer.bound, 0.0)
    no = np.zeros(values.shape, dtype=bool)
    return Answer(dtypes.name(case.input), values.astype(np.longdouble), tolerance, no, no)


def _tolerance(printed: Array, case: Case) -> Array:
    assert case.expected is not None  # where there is a print
    return np.nan_to_num(case.expected.atol + case.expected.rtol * np.abs(printed), posinf=0.0)


def note(case: Case, right: Answers) -> str:
    """Where a printed expectation contradicts the specification: how, as the end of a sentence."""
    expected = case.expected
    if expected is None:
        return ""
    if expected.raises:
        return "" if right.refusal else " (the specification demands no refusal here; its source does)"
    notes = []
    if right.refusal and expected.value is not None:
        notes.append(f"the specification demands a refusal: {right.refusal}")
    for name, printed, answer in (
        ("value", expected.value, right.value), ("gradient", expected.gradient, right.gradient)
    ):  # fmt: skip
        if printed is not None and answer is not None:
            notes += _wrong_print(name, np.asarray(printed, dtype=np.float64), answer, case)
    return f" ({'; '.join(notes)})" if notes else ""


def _wrong_print(name: str, printed: Array, answer: Answer, case: Case) -> List[str]:
    """What is wrong with a print, against the exact answer, which has no dtype to be rounded to."""
    if printed.shape != answer.exact.shape:
        return [f"the print itself is wrong: the {name} has shape {answer.exact.shape}, not {printed.shape}"]
    with np.errstate(all="ignore"):
        # Both ends of a decimal interval are rounded to binary when they are read: a few ulps of float64.
        slack = _tolerance(printed, case) + 4 * np.spacing(np.abs(printed))
        same = (printed == answer.exact) | (np.isnan(printed) & (np.isnan(answer.exact) | answer.or_nan))
        same |= np.isinf(answer.bound) | ((printed == 0) & answer.or_zero)
        off = np.asarray(~same & ~(np.abs(printed - answer.exact) <= slack))
    if not off.any():
        return []
    at = np.unravel_index(int(off.argmax()), off.shape) if off.shape else ()
    place = f" at index {tuple(map(int, at))}" if at else ""
    exact, told = answer.exact[at], float(printed[at])
    return [f"the print itself is wrong: it says {told!r}, and the exact {name} is {exact:.12g}{place}"]

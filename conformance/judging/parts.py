"""What of a record is compared, part by part: the value, and each gradient that the case asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from xent import dtypes
from xent.adapters import Capabilities
from xent.conformance.evidence.records import Record
from xent.conformance.protocol.case import Case, Expected
from xent.dtypes import Array

from . import prints
from .answers import Answer, Answers
from .compare import BOUNDS, TOLERANCES, Measure, in_bounds, measure


@dataclass(frozen=True, eq=False)
class Part:
    """One of them.

    Attributes:
        name: "value", "gradient" (with respect to input), "gradient of target" or "gradient of weight".
        got: what was returned; None where it wasn't.
        answer: the oracle's; None where the specification demands a refusal and a print has a value.
        printed: the published one; None where there is none.
        by: what `got` is judged by: the print where there is one, else the answer.
        measure: how far `got` is off; None where there is nothing to measure.
    """

    name: str
    got: Array | None
    answer: Answer | None
    printed: Array | None
    by: Answer
    measure: Measure | None

    @property
    def unit(self) -> str:
        """What `measure.bounds` counts."""
        return BOUNDS if self.printed is None else TOLERANCES

    def in_bounds(self) -> Array | None:
        """How far each element is off, nan where it is in a wrong place; None where the shapes differ."""
        if self.got is None or self.got.shape != self.by.exact.shape:
            return None
        return in_bounds(dtypes.to_float64(self.got), self.by)


def withheld(case: Case, capabilities: Capabilities | None) -> Mapping[str, str]:
    """The gradients that aren't offered with this kind of target, each with why. A probe asks for all: it has none."""
    if capabilities is None or "capability" in case.tags:
        return {}
    return capabilities.withheld(case.target, case.others)


def compared(case: Case, record: Record, right: Answers, withheld: Mapping[str, str]) -> list[Part]:
    """The parts of a record that count, measured.

    Args:
        record: with the outcome "value".
        withheld: gradients that are left out.
    """
    expected = case.expected or Expected()
    rows = [("value", record.value, right.value, expected.value)]
    if case.gradient:
        rows.append(("gradient", record.gradient, right.gradient, expected.gradient))
    if record.gradients:
        for name in case.others:
            if name not in withheld:
                got, answer = record.gradients.get(name), right.gradients.get(name)
                rows.append((f"gradient of {name}", got, answer, None))
    return [
        _part(name, got, answer, printed, case)
        for name, got, answer, printed in rows
        if answer is not None or printed is not None
    ]


def left_out(case: Case, record: Record, right: Answers, withheld: Mapping[str, str]) -> list[str]:
    """Of the gradients that a case asks for those that can't be judged, each with why."""
    return [
        withheld.get(name) or f"the gradient with respect to {name} was not returned"
        for name in case.others
        if name in right.gradients and (name in withheld or not record.gradients)
    ]


def _part(name: str, got: Array | None, answer: Answer | None, printed: Array | None, case: Case) -> Part:
    by = answer if printed is None else prints.as_answer(printed, answer, case)
    assert by is not None  # `compared` leaves out what has neither
    if got is None:
        return Part(name, got, answer, printed, by, None)
    if printed is None:
        return Part(name, got, answer, printed, by, measure(got, by))
    ulps = None if answer is None else measure(got, answer).ulps
    return Part(name, got, answer, printed, by, replace(measure(got, by, TOLERANCES), ulps=ulps))

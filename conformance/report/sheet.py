"""All of one case as data: what was asked, what is right and how sure that is, and what each implementation answered.

`build` makes it; `sheet_text` shows it in a terminal, and `Sheet.to_dict` is what ``xent show --json`` prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xent import dtypes
from xent.conformance.cases.clauses import Clause
from xent.conformance.cases.clauses import load as load_clauses
from xent.conformance.evidence.columns import Column
from xent.conformance.evidence.record_json import record_data
from xent.conformance.evidence.records import Record
from xent.conformance.judging import bound
from xent.conformance.judging.answers import Answer, Answers, answers
from xent.conformance.judging.bound import Bound
from xent.conformance.judging.parts import Part, compared, left_out, withheld
from xent.conformance.judging.verdicts import Verdict
from xent.conformance.protocol import arrays
from xent.conformance.protocol.case import Case
from xent.conformance.report import script
from xent.dtypes import Array
from xent.spec import CrossEntropySpec, arguments_to_dict

SMALL = 64
"""Elements of a bound of which JSON holds the terms one by one; of a larger one those of its largest element."""


@dataclass(frozen=True)
class Summary:
    """An array in a few words.

    Attributes:
        dtype, shape: its own; an index of `shape` is one of the array.
        contiguous: whether its memory is in C order.
        least, largest: of its finite numbers; None where it has none.
        nan, inf, minus_inf: how many it has.
    """

    dtype: str
    shape: tuple[int, ...]
    contiguous: bool
    least: float | int | None
    largest: float | int | None
    nan: int
    inf: int
    minus_inf: int

    @classmethod
    def of(cls, array: Array) -> Summary:
        """Of an array of any dtype that a case may hold."""
        values = dtypes.to_float64(array) if dtypes.is_float(array) else np.asarray(array)
        finite = values[np.isfinite(values)]
        least, largest = (finite.min().item(), finite.max().item()) if finite.size else (None, None)
        counts = [int(found.sum()) for found in (np.isnan(values), np.isposinf(values), np.isneginf(values))]
        return cls(dtypes.name(array), array.shape, array.flags.c_contiguous, least, largest, *counts)


@dataclass(frozen=True)
class Cited:
    """A clause that the case tests, by its id; None for one that none of the documents has."""

    id: str
    clause: Clause | None

    def to_dict(self) -> dict[str, Any]:
        found = self.clause
        told = {} if found is None else {"document": found.document, "heading": found.heading, "text": found.text}
        return {"id": self.id, **told}


@dataclass(frozen=True, eq=False)
class Right:
    """What counts as right for the value or for one gradient.

    Attributes:
        name: as a `Part` has it.
        answer: the oracle's, with its bound; None where a refusal is demanded and a source prints a value all the same.
        bound: `answer.bound` with its terms; None where it has none, because there are no classes.
        printed: the published result, float64; None where there is none.
    """

    name: str
    answer: Answer | None
    bound: Bound | None
    printed: Array | None

    @property
    def largest(self) -> tuple[int, ...] | None:
        """Where the bound is largest, of its finite elements; None where it has none."""
        if self.bound is None or not np.isfinite(self.bound.total).any():
            return None
        total = self.bound.total
        flat = int(np.where(np.isfinite(total), total, -1.0).argmax())
        return tuple(int(place) for place in np.unravel_index(flat, total.shape))

    def to_dict(self) -> dict[str, Any]:
        answer = self.answer
        told: dict[str, Any] = {} if self.printed is None else {"printed": _plain(self.printed)}
        if answer is None:
            return told
        return {
            "exact": _plain(answer.exact),
            "bound": _plain(answer.bound),
            "dtype": answer.dtype,
            "shape": list(answer.exact.shape),
            "open": answer.why,
            "terms": self._terms(),
            **told,
        }

    def _terms(self) -> dict[str, Any] | None:
        at = self.largest
        if self.bound is None or at is None:
            return None
        terms, total = self.bound.terms, self.bound.total
        there = {"at": list(at), "total": float(total[at]), "terms": {name: float(terms[name][at]) for name in terms}}
        each = {name: _plain(term) for name, term in terms.items()} if total.size <= SMALL else None
        return {"largest": there, "each": each}


@dataclass(frozen=True, eq=False)
class Answered:
    """One implementation and what it did.

    Attributes:
        label: tells it from the others.
        id, version, device, mode, kernels: as its evidence says.
        verdict: on what it did.
        record: None where there is none.
        parts: what of the record is compared, each with its distance.
        left_out: why gradients that the case asks for aren't compared.
        script: reproduces it in its framework's interpreter; empty where nothing says how.
    """

    label: str
    id: str
    version: str
    device: str
    mode: str
    kernels: str
    verdict: Verdict
    record: Record | None
    parts: tuple[Part, ...]
    left_out: tuple[str, ...]
    script: str

    def to_dict(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in ("id", "version", "device", "mode", "kernels")},
            "verdict": asdict(self.verdict),
            "record": None if self.record is None else record_data(self.record),
            "parts": [_part(part) for part in self.parts],
            "left_out": list(self.left_out),
            "script": self.script,
        }


@dataclass(frozen=True, eq=False)
class Sheet:
    """All of one case.

    Attributes:
        case: the arguments as written, input, target, tags, source, note.
        clauses: that it tests.
        right: what counts as right, and whether a refusal does.
        parts: of `right`, each with the terms of its bound.
        implementations: in the order of their columns.
    """

    case: Case
    clauses: tuple[Cited, ...]
    right: Answers
    parts: tuple[Right, ...]
    implementations: tuple[Answered, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data, but for nan and inf in single numbers, which `escape.to_json` writes as texts."""
        case, parts = self.case, {part.name: part.to_dict() for part in self.parts}
        return {
            "case": case.id,
            "source": case.source,
            "note": case.note,
            "tags": list(case.tags),
            "clauses": [cited.to_dict() for cited in self.clauses],
            "spec": arguments_to_dict(case.arguments),
            "input": _given(case.input),
            "target": _given(case.target),
            "summary": {"input": asdict(Summary.of(case.input)), "target": asdict(Summary.of(case.target))},
            "asked": list(case.gradients),
            "refusal": self.right.refusal,
            "or_refusal": self.right.or_refusal,
            "value": parts.get("value"),
            "gradient": parts.get("gradient"),
            "gradients": {name: parts[f"gradient of {name}"] for name in self.right.gradients},
            "implementations": {one.label: one.to_dict() for one in self.implementations},
        }


def build(case: Case, columns: Sequence[Column], verdicts: Iterable[Verdict]) -> Sheet:
    """The sheet of a case.

    Args:
        columns: the implementations, in the order in which they are to stand.
        verdicts: one for each column, on this case; others are passed over.

    Raises:
        KeyError: a column has no verdict.
    """
    right = answers(case)
    known = load_clauses()
    found = {verdict.implementation: verdict for verdict in verdicts if verdict.case == case.id}
    return Sheet(
        case,
        tuple(Cited(id, known.get(id)) for id in case.clauses),
        right,
        tuple(_right_parts(case, right)),
        tuple(_answered(case, right, column, found[column.label]) for column in columns),
    )


def _right_parts(case: Case, right: Answers) -> Iterable[Right]:
    bounds, expected = _bounds(case, right), case.expected
    printed = {} if expected is None else {"value": expected.value, "gradient": expected.gradient}
    names = dict.fromkeys([*right.parts, *(name for name, array in printed.items() if array is not None)])
    for name in names:
        yield Right(name, right.parts.get(name), bounds.get(name), printed.get(name))


def _bounds(case: Case, right: Answers) -> Mapping[str, Bound]:
    """The bounds of the answers with their terms; none where there is no class, and so no arithmetic."""
    if right.value is None or case.input.shape[min(1, case.input.ndim - 1)] == 0:
        return {}
    of = {
        "value": bound.value_bound,
        "gradient": bound.gradient_bound,
        "gradient of target": bound.target_gradient_bound,
        "gradient of weight": bound.weight_gradient_bound,
    }
    spec = CrossEntropySpec(*case.arguments)
    return {name: of[name](spec, case.input, case.target) for name in right.parts}


def _answered(case: Case, right: Answers, column: Column, verdict: Verdict) -> Answered:
    parts: list[Part] = []
    reasons: list[str] = []
    if column.results is None:
        version, device, kernels = "not run", "-", "-"
        record = adapter = None
    else:
        header = column.results.header
        who, adapter = header.implementation, header.adapter
        version, device, kernels = who.version, who.device, who.kernels
        record = column.results.by_case.get(case.id)
        if record is not None and record.outcome == "value":
            omitted = withheld(case, header.capabilities)
            parts = compared(case, record, right, omitted)
            reasons = left_out(case, record, right, omitted)
    return Answered(
        label=column.label,
        id=column.id,
        version=version,
        device=device,
        mode=column.mode,
        kernels=kernels,
        verdict=verdict,
        record=record,
        parts=tuple(parts),
        left_out=tuple(reasons),
        script=script.of_evidence(column.id, adapter.module if adapter else None, case),
    )


def _part(part: Part) -> dict[str, Any]:
    found = part.measure
    told: dict[str, Any] = {"part": part.name, "unit": part.unit}
    if found is None or part.got is None:
        return {**told, "faults": ["missing"], "bounds": None, "ulps": None, "at": None}
    told = {**told, "faults": list(found.faults), "bounds": found.bounds, "ulps": found.ulps, "at": None}
    if found.at is None:
        return told
    there = {"got": dtypes.to_float64(part.got), "exact": part.by.exact, "bound": part.by.bound}
    return {**told, "at": list(found.at), **{name: float(array[found.at]) for name, array in there.items()}}


def _given(array: Array) -> Any:
    return arrays.encode(array) if dtypes.is_float(array) else array.tolist()


def _plain(values: Array) -> Any:
    return dtypes.to_data(np.asarray(values, dtype=np.float64))

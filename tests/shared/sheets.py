"""Columns with evidence, and the sheet of a case from them, for tests of what `xent show` shows."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import xent.reference
from xent import dtypes
from xent.adapters import Capabilities
from xent.conformance.evidence.columns import Column
from xent.conformance.evidence.records import AdapterSource, CaseSet, Header, Implementation, Record
from xent.conformance.evidence.results import Results
from xent.conformance.judging.answers import answers
from xent.conformance.judging.judge import judge
from xent.conformance.protocol.case import Case
from xent.conformance.report import console, sheet, sheet_text
from xent.conformance.report.sheet import Sheet
from xent.spec import CrossEntropySpec


def exact_record(case: Case, **more: object) -> Record:
    """The correctly rounded value, and every gradient that the case asks for."""
    spec = CrossEntropySpec(*case.arguments)
    exact = xent.reference.exact(spec, case.input, case.target, case.gradient, case.others)
    dtype = {"target": dtypes.name(case.target), "weight": "float32"}
    gradients = {name: dtypes.from_float64(np.float64(array), dtype[name]) for name, array in exact.gradients.items()}
    slope = None if exact.gradient is None else dtypes.from_float64(np.float64(exact.gradient), dtypes.name(case.input))
    value = dtypes.from_float64(np.float64(exact.value), dtypes.name(case.input))
    return Record(case.id, "value", value, slope, gradients or None, **more)


def column(label: str, record: Record | None = None, id: str = "", **header: object) -> Column:
    """A column whose evidence is that record; without one it never ran."""
    id = id or label
    if record is None:
        return Column(label=label, id=id, mode="eager", results=None, reason="no such device")
    words = {"name": id, "version": "1.0", "device": "cpu", "mode": "eager", "kernels": record.kernels}
    who = Implementation(id, *words.values())
    source = header.pop("adapter", AdapterSource("my.adapter", 64 * "0"))
    found = Header(
        who, "3.11", "Linux", {}, CaseSet(64 * "0", 1), "", source, header.pop("capabilities", Capabilities())
    )
    return Column(label=label, id=id, mode="eager", results=Results(found, [record], None, Path("results.jsonl")))


def sheet_of(case: Case, **records: Record | None) -> Sheet:
    """The sheet of a case with a column for each of these records."""
    return sheet_of_columns(case, [column(label, record) for label, record in records.items()])


def sheet_of_columns(case: Case, columns: list[Column]) -> Sheet:
    right = answers(case)
    verdicts = []
    for one in columns:
        known: Mapping[str, Record] = one.results.by_case if one.results else {}
        capabilities = one.results.header.capabilities if one.results else None
        verdicts.append(judge(case, known.get(case.id), capabilities, one.label, right))
    return sheet.build(case, columns, verdicts)


def text_of(shown: Sheet, width: int = 80, *, clauses: bool = False) -> str:
    """What a terminal of that width gets."""
    out = io.StringIO()
    sheet_text.show(shown, console.make(file=out, width=width, no_color=True), clauses=clauses)
    return out.getvalue()


def numbers_of(text: str) -> str:
    """What stands before the scripts."""
    return text.split("reproduce it")[0]

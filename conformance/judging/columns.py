"""The verdicts on whole columns: each from what stands in its own evidence, so that they are the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from xent.conformance.evidence.columns import Column
from xent.conformance.protocol.case import Case

from . import flaws, judge


def judge_columns(cases: Sequence[Case], columns: Sequence[Column]) -> list[judge.Verdict]:
    """One verdict for each case and column; a column without evidence gives "no evidence" with its reason.

    What a column's evidence is worth is read from it alone, so that the verdicts are the same on every machine.
    """
    evidence = {column.label: column.results for column in columns}
    return judge.judge_all(
        cases,
        {label: found.by_case if found else {} for label, found in evidence.items()},
        {label: found.header.capabilities for label, found in evidence.items() if found},
        {column.label: _absence(column) for column in columns},
    )


def find_flaws(cases: Sequence[Case], columns: Sequence[Column]) -> list[tuple[str, str]]:
    """(label, what can be noticed about the evidence) for every flaw of every column."""
    return [(column.label, flaw) for column in columns if column.results for flaw in flaws.find(column.results, cases)]


def _absence(column: Column) -> str:
    """Why a case of this column may have no record."""
    if column.results is None:
        return f"not run: {column.reason}"
    if sample := column.results.header.sample:
        return f"not in the sample of cases that it runs (tag {sample})"
    footer = column.results.footer
    reasons = ", ".join(footer.left_out) if footer is not None else ""
    return f"no record in the results file{f' ({reasons})' if reasons else ''}"

"""A report as data: schema ``xent-report/2``, assembled from cases, verdicts and the headers of results files.

It holds one verdict for each case and implementation, so that planned = judged + skipped with a reason, always. Texts
stand in it as they came: each rendering makes visible what it can't hold (`escape`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterable, Mapping, Sequence

from xent import dtypes
from xent.conformance.evidence.columns import Column
from xent.conformance.judging import columns
from xent.conformance.judging.verdicts import QUIET, VERDICTS, Verdict
from xent.conformance.protocol.case import Case, digest
from xent.spec import arguments_to_dict

SCHEMA = "xent-report/2"


def assemble(
    cases: Sequence[Case],
    implementations: Sequence[Mapping[str, Any]],
    verdicts: Iterable[Verdict],
    not_run: Sequence[tuple[str, str]],
    flaws: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """The report.

    Args:
        cases: all that were planned.
        implementations: {id, name, version, device, mode, kernels} of every column, those that never ran included.
        verdicts: one for each case and implementation.
        not_run: (implementation, reason) of those that could not run at all.
        flaws: (implementation, problem) for everything that the evidence itself gives away.

    Raises:
        ValueError: a verdict is missing, doubled, or about something unplanned: nothing may count that didn't run.
    """
    listed = list(verdicts)
    ids = [str(implementation["id"]) for implementation in implementations]
    planned = Counter((name, case.id) for name in ids for case in cases)
    judged = Counter((verdict.implementation, verdict.case) for verdict in listed)
    if planned != judged:
        missing, extra = planned - judged, judged - planned
        raise ValueError(f"planned and judged differ: missing {list(missing)[:3]}, beyond the plan {list(extra)[:3]}")
    summary = {name: Counter(verdict.verdict for verdict in listed if verdict.implementation == name) for name in ids}
    return {
        "schema": SCHEMA,
        "implementations": [dict(implementation) for implementation in implementations],
        "case_set": {"sha256": digest(cases), "count": len(cases)},
        "summary": {name: {v: counts[v] for v in VERDICTS if counts[v]} for name, counts in summary.items()},
        "cases": {case.id: _facts(case) for case in cases},
        "verdicts": [_verdict(verdict) for verdict in listed],
        "not_run": [{"implementation": name, "reason": reason} for name, reason in not_run],
        "flaws": [{"implementation": name, "problem": problem} for name, problem in flaws],
    }


def of_columns(cases: Sequence[Case], found: Sequence[Column]) -> dict[str, Any]:
    """The report of these columns, each judged by its own evidence."""
    return assemble(
        cases,
        [_described(column) for column in found],
        columns.judge_columns(cases, found),
        [(column.label, column.reason) for column in found if column.results is None],
        columns.find_flaws(cases, found),
    )


def accepted(report: Mapping[str, Any]) -> bool:
    """Whether everything that was judged agrees: what ``--check`` asks. A report in which nothing agrees is not."""
    found = {verdict for counts in report["summary"].values() for verdict in counts}
    clean = not report["not_run"] and not report["flaws"]
    return found <= set(QUIET) and "agrees" in found and clean


def _facts(case: Case) -> dict[str, Any]:
    return {
        "spec": arguments_to_dict(case.arguments),
        "tags": list(case.tags),
        "clauses": list(case.clauses),
        "input": {"dtype": dtypes.name(case.input), "shape": list(case.input.shape)},
        "target": {"dtype": dtypes.name(case.target), "shape": list(case.target.shape)},
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "case": verdict.case,
        "implementation": verdict.implementation,
        "verdict": verdict.verdict,
        "parts": list(verdict.parts),
        "error_in_bounds": _number(verdict.error_in_bounds),
        "error_in_ulps": _number(verdict.error_in_ulps),
        "reason": verdict.reason,
        "kernels": verdict.kernels,
    }


def _number(value: float | None) -> float | str | None:
    """JSON has no infinity: it travels as text, as in vector files."""
    if value is None or value - value == 0:
        return value
    return "nan" if value != value else "inf" if value > 0 else "-inf"


def _described(column: Column) -> dict[str, Any]:
    """The column's implementation as the report has it: its header's words, "id" being the label."""
    if column.results is None:
        words = {"name": column.id, "version": "not run", "device": "-", "mode": column.mode, "kernels": "-"}
    else:
        words = vars(column.results.header.implementation)
    return {**words, "id": column.label, "implementation": column.id}

"""How a command that judges ends: the report's files, the matrix or the JSON, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xent.conformance.evidence.columns import Column
from xent.conformance.protocol.case import Case
from xent.conformance.report import escape, files, model, terminal
from xent.conformance.report.console import Console


def finish(
    cases: Sequence[Case], found: Sequence[Column], out: Path, console: Console, *, as_json: bool
) -> dict[str, Any]:
    """Judges, writes the report's files, prints the matrix (or the JSON, on stdout)."""
    report = model.of_columns(cases, found)
    page = files.write(report, out)
    if as_json:
        print(escape.to_json(report))
    else:
        terminal.show(report, console)
    console.print(f"report: {escape.line(page)}", soft_wrap=True)
    return report


def exit_code(report: Mapping[str, Any], found: Sequence[Column], check: bool, asked: set[str]) -> int:
    """3 where nothing ran, evidence is incomplete, or (without --check) what was asked for by name did not run."""
    ran = [column.results for column in found if column.results is not None]
    if not ran or not all(evidence.complete for evidence in ran):
        return 3
    if check and not model.accepted(report):
        return 1
    return 3 if any(column.results is None and column.id in asked for column in found) else 0

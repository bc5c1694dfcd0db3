"""The report as one HTML file that needs no network: the matrix, then every case that does not simply agree."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import Any, Mapping

import jinja2

from xent.conformance.judging.verdicts import OF, QUIET
from xent.conformance.report import escape, matrix


def render(report: Mapping[str, Any]) -> str:
    """The page. Whatever an expression of the template yields goes through `escape.html` and is escaped."""
    by_case: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for verdict in report["verdicts"]:
        by_case[verdict["case"]].append(verdict)
    findings = [(case, rows) for case, rows in by_case.items() if any(row["verdict"] not in QUIET for row in rows)]
    return _template().render(
        report=report,
        heads=matrix.heads(report),
        counts=matrix.counts(report),
        sections=list(matrix.sections(report)),
        notes=matrix.notes(report),
        findings=findings,
        quiet=QUIET,
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xent.conformance.report", ""), autoescape=True, finalize=escape.html,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["name"] = lambda text: escape.line(text, escape.NAME)
    environment.filters["tone"] = lambda verdict: OF[verdict].tone
    return environment.get_template("page.html")

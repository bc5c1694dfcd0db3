"""The verdicts as JUnit XML, which CI systems show as tests: one suite an implementation, one test a case."""

from __future__ import annotations

from typing import Any, Mapping
from xml.etree import ElementTree

from xent.conformance.judging.verdicts import OUTSIDE, QUIET
from xent.conformance.report import escape


def render(report: Mapping[str, Any]) -> str:
    """The report as JUnit XML. `agrees` passes; unsupported and no evidence are skipped; everything else fails."""
    root = _element(None, "testsuites", name="xent")
    for implementation in report["implementations"]:
        name = implementation["id"]
        rows = [verdict for verdict in report["verdicts"] if verdict["implementation"] == name]
        skipped = sum(row["verdict"] in OUTSIDE for row in rows)
        failed = sum(row["verdict"] not in QUIET for row in rows)
        suite = _element(root, "testsuite", name=name, tests=len(rows), failures=failed, skipped=skipped, errors=0)
        for row in rows:
            test = _element(suite, "testcase", classname=f"xent.{name}", name=row["case"])
            if row["verdict"] in OUTSIDE:
                _element(test, "skipped", message=f"{row['verdict']}: {row['reason']}")
            elif row["verdict"] not in QUIET:
                _element(test, "failure", type=row["verdict"], message=row["reason"])
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _element(parent: ElementTree.Element | None, tag: str, **attributes: object) -> ElementTree.Element:
    """The one way to make an element: whatever an attribute holds, the file stays XML."""
    shown = {name: escape.xml(value) for name, value in attributes.items()}
    return ElementTree.Element(tag, shown) if parent is None else ElementTree.SubElement(parent, tag, shown)

"""The verdicts as JUnit XML, which CI systems show as tests: one suite an implementation, one test a case."""

from __future__ import annotations

from typing import Any, Mapping
from xml.etree import ElementTree

_SKIPPED = ("unsupported", "no evidence")


def render(report: Mapping[str, Any]) -> str:
    """The report as JUnit XML. `agrees` passes; unsupported and no evidence are skipped; everything else fails."""
    root = ElementTree.Element("testsuites", name="xent")
    for implementation in report["implementations"]:
        name = implementation["id"]
        rows = [verdict for verdict in report["verdicts"] if verdict["implementation"] == name]
        skipped = sum(row["verdict"] in _SKIPPED for row in rows)
        failed = sum(row["verdict"] not in ("agrees", *_SKIPPED) for row in rows)
        suite = ElementTree.SubElement(
            root, "testsuite", name=name, tests=str(len(rows)), failures=str(failed), skipped=str(skipped), errors="0"
        )
        for row in rows:
            test = ElementTree.SubElement(suite, "testcase", classname=f"xent.{name}", name=row["case"])
            if row["verdict"] in _SKIPPED:
                ElementTree.SubElement(test, "skipped", message=f"{row['verdict']}: {row['reason']}")
            elif row["verdict"] != "agrees":
                ElementTree.SubElement(test, "failure", type=row["verdict"], message=row["reason"])
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"

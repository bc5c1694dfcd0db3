"""The verdicts as JUnit XML, which CI systems show as tests: one suite an implementation, one test a case."""

from __future__ import annotations

import re
from typing import Any, Mapping
from xml.etree import ElementTree

# What XML 1.0 can't hold at all, not even escaped: frameworks print such things into their messages.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
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
                ElementTree.SubElement(test, "skipped", message=_text(f"{row['verdict']}: {row['reason']}"))
            elif row["verdict"] != "agrees":
                ElementTree.SubElement(test, "failure", type=row["verdict"], message=_text(row["reason"]))
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _text(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)

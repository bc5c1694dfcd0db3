"""The matrix as Markdown, for a README, an issue or a CI summary."""

from __future__ import annotations

from typing import Any, Mapping

from xent.conformance.report import matrix


def render(report: Mapping[str, Any]) -> str:
    """The report's matrix and notes as GitHub-flavoured Markdown."""
    implementations = report["implementations"]
    heads = [
        f"{item['id']}<br>{_plain(str(item['version']))} {item['device']} {item['mode']}" for item in implementations
    ]
    lines = [_row(["", *heads]), _row(["---", *["---:"] * len(heads)])]
    for verdict in matrix.VERDICTS:
        counts = [report["summary"][item["id"]].get(verdict, 0) for item in implementations]
        if any(counts):
            lines.append(_row([verdict, *[str(count) if count else "." for count in counts]]))
    lines.append(_row(["**planned**", *[str(report["case_set"]["count"])] * len(heads)]))
    for title, rows in matrix.sections(report):
        lines += ["", f"**{title}**", "", _row(["", *heads]), _row(["---", *["---:"] * len(heads)])]
        lines += [_row([_plain(label), *[cell.text for cell in cells]]) for label, cells in rows]
    return "\n".join([*lines, "", *[f"- {_plain(note)}" for note in matrix.notes(report)], ""])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _plain(text: str) -> str:
    """Text from outside must not become a table's cell border or markup."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

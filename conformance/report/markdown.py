"""The matrix as Markdown, for a README, an issue or a CI summary."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from xent.conformance.report import escape, matrix


def render(report: Mapping[str, Any]) -> str:
    """The report's matrix and notes as GitHub-flavoured Markdown, without any HTML."""
    heads = [f"{head.name} {head.version} {head.device} {head.mode}" for head in matrix.heads(report)]
    lines = _head(heads)
    lines += [_row([verdict, *[count or "." for count in counts]]) for verdict, counts in matrix.counts(report)]
    lines.append(_row(["planned", *[report["case_set"]["count"]] * len(heads)]))
    for title, rows in matrix.sections(report):
        lines += ["", f"**{title}**", "", *_head(heads)]
        lines += [_row([label, *[cell.text for cell in cells]]) for label, cells in rows]
    return "\n".join([*lines, "", *[f"- {escape.markdown(note, begins=True)}" for note in matrix.notes(report)], ""])


def _head(heads: Sequence[str]) -> list[str]:
    return [_row(["", *heads]), "| --- |" + " ---: |" * len(heads)]


def _row(cells: Sequence[object]) -> str:
    """The one way to make a row: no cell ends it or opens another."""
    return "| " + " | ".join(escape.markdown(cell) for cell in cells) + " |"

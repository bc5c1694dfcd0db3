"""The matrix in a terminal: verdicts by implementation, by kind of case, and for each of the documents' vectors.

Reads at 80 columns and without colour: a cell is text, colour only repeats what it says.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from xent.conformance.report import escape, matrix
from xent.conformance.report.console import Console, styled

STYLES = {
    "agrees": "green",
    "imprecise": "yellow",
    "deviates": "bold red",
    "rejects": "red",
    "accepts": "bold red",
    "crashes": "bold magenta",
    "hangs": "bold magenta",
    "unsupported": "dim",
    "no evidence": "dim",
}

_LABELS = 19  # what the first column needs; longer labels fold
_LABEL = 120  # the longest ids of our own have as many characters
_NAME = 28  # two such columns stand side by side at 80


def show(report: Mapping[str, Any], console: Console) -> None:
    """Prints the report (an xent-report/1 object) to the console, in as many tables as its width demands."""
    for implementations in _groups(report["implementations"], console.width - _LABELS):
        console.print(_table(report, implementations))
    for line in matrix.notes(report):
        console.print(styled(line, limit=escape.LONG))


def _groups(implementations: Sequence[Mapping[str, Any]], width: int) -> list[Sequence[Mapping[str, Any]]]:
    """The columns of each table: all where they fit, else the native losses before the portable ones."""
    widths = [1 + max(9, *map(cell_len, _heading(item).plain.split("\n"))) for item in implementations]
    if sum(widths) <= width:
        return [implementations]
    groups: list[list[Mapping[str, Any]]] = []
    for portable in (False, True):
        room = 0
        for item, needed in zip(implementations, widths, strict=True):
            if (item["mode"] == "portable") is portable:
                if needed > room:
                    groups.append([])
                    room = width
                groups[-1].append(item)
                room -= needed
    return [*groups]


def _table(report: Mapping[str, Any], implementations: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), expand=False)
    table.add_column("", overflow="fold")
    for implementation in implementations:
        table.add_column(_heading(implementation), justify="right", no_wrap=True)

    table.add_row(Text("VERDICTS", style="bold"))
    for verdict in matrix.VERDICTS:
        counts = [report["summary"][implementation["id"]].get(verdict, 0) for implementation in implementations]
        if any(counts):
            table.add_row(Text(verdict, style=STYLES[verdict]), *[_count(count, verdict) for count in counts])
    planned = report["case_set"]["count"]
    table.add_row(Text("planned", style="bold"), *[Text(str(planned), style="bold") for _ in implementations])

    for title, rows in matrix.sections({**report, "implementations": implementations}):
        table.add_section()
        table.add_row(Text(title, style="bold"))
        for label, cells in rows:
            table.add_row(styled(label, limit=_LABEL), *[Text(cell.text, style=STYLES[cell.worst]) for cell in cells])
    return table


def _heading(implementation: Mapping[str, Any]) -> Text:
    version = str(implementation["version"]).split("+")[0]
    words = [implementation["id"], version, *[implementation[name] for name in ("device", "mode", "kernels")]]
    return Text("\n".join(escape.line(word, _NAME) for word in words), style="bold")


def _count(count: int, verdict: str) -> Text:
    return Text(str(count), style=STYLES[verdict]) if count else Text(".", style="dim")

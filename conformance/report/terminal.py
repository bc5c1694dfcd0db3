"""The matrix in a terminal: verdicts by implementation, by kind of case, and for each of the documents' vectors.

Reads at 80 columns and without colour: a cell is text, colour only repeats what it says.
"""

from __future__ import annotations

from typing import Any, Mapping

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xent.conformance.report import matrix

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


def show(report: Mapping[str, Any], console: Console) -> None:
    """Prints the report (an xent-report/1 object) to the console."""
    implementations = report["implementations"]
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

    for title, rows in matrix.sections(report):
        table.add_section()
        table.add_row(Text(title, style="bold"))
        for label, cells in rows:
            table.add_row(label, *[Text(cell.text, style=STYLES[cell.worst]) for cell in cells])
    console.print(table)
    for line in matrix.notes(report):
        console.print(Text(line))


def _heading(implementation: Mapping[str, Any]) -> Text:
    version = str(implementation["version"]).split("+")[0]
    words = [implementation[name] for name in ("id", "device", "mode", "kernels")]
    return Text("\n".join([words[0], version, *words[1:]]), style="bold")


def _count(count: int, verdict: str) -> Text:
    return Text(str(count), style=STYLES[verdict]) if count else Text(".", style="dim")

"""What `xent doctor` found, as JSON and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from xent.conformance.running.doctor import Row

from . import escape
from .console import Console, styled

_SHOWN = (26, 13, 10)  # cells of implementation, version and device that leave the table within 80


def to_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON list of objects with `Row`'s attributes, for ``--json``."""
    return escape.to_json([asdict(row) for row in rows], 2)


def render(rows: Sequence[Row], console: Console) -> None:
    """A table of 80 columns at most, then what is missing, with every path and command whole on a line of its own."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("implementation", "runs here", "version", "device", "interpreter"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        called = row.label if len(row.label) <= _SHOWN[0] else row.implementation  # below, it stands whole
        said = zip((called, row.version or "-", row.device or "-"), _SHOWN, strict=True)
        name, version, device = (_cell(text, cells) for text, cells in said)
        table.add_row(name, row.state, version, device, row.how or "-")
    console.print(table)
    used = {row.interpreter: row.how for row in rows if row.interpreter}
    if used:
        console.print("\ninterpreters", style="bold")
    for interpreter in used:
        who = ", ".join(row.label for row in rows if row.interpreter == interpreter)
        _line(console, f"  {who}")
        _line(console, f"    {interpreter}")
    lacking = [row for row in rows if row.missing]
    if lacking:
        console.print("\nmissing", style="bold")
    for row in lacking:
        console.print(styled(f"  {row.label}: {row.missing}"))
        if row.remedy:
            _line(console, f"    {row.remedy}")


def _line(console: Console, text: str) -> None:
    # Not wrapped: a path or command that is broken in two can't be copied.
    console.print(styled(text), soft_wrap=True)


def _cell(text: str, cells: int) -> Text:
    shown = styled(text, limit=cells)
    shown.truncate(cells, overflow="ellipsis")  # a letter may be two cells wide
    return shown

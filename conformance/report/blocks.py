"""A table with more columns than a terminal is wide: blocks of columns one below the other, each with the names again.

Names and heads stay whole, so that a further implementation costs a row, and nothing breaks inside a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

GAP = 2  # cells between columns, of which the box makes one
_FEW = 4


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        head: its words stand one below the other where the cells are narrower.
        cells: one for each name.
        justify: "right" for numbers.
    """

    head: Text
    cells: Sequence[Text]
    justify: Literal["left", "right"] = "right"

    @property
    def width(self) -> int:
        """Cells of the terminal that it needs for every word of its head and for its widest cell."""
        return max(map(cell_len, [*self.head.plain.split(), *(cell.plain for cell in self.cells), "-"]))


def tables(names: Sequence[Text], columns: Sequence[Column], width: int) -> Iterator[Table]:
    """The tables, none wider than `width`: as few as possible, then as even as possible.

    Args:
        names: one for each row; longer than half of the width they are cut. A few are heads instead, over one table in
            which each column is a row, where it fits.
    """
    if len(names) <= _FEW and _upright_width(names, columns) <= width:
        yield _upright(names, columns)
        return
    first = min(max((cell_len(name.plain) for name in names), default=0), width // 2)
    for block in _blocks(columns, width - first):
        table = _table()
        table.add_column("", width=first, no_wrap=True)
        for column in block:
            needed = min(column.width, width - first - GAP)
            table.add_column(column.head, width=needed, justify=column.justify, vertical="bottom", overflow="ellipsis")
        for row, name in enumerate(names):
            table.add_row(name, *(column.cells[row] for column in block))
        yield table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False)


def _upright(names: Sequence[Text], columns: Sequence[Column]) -> Table:
    table = _table()
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for column in columns:
        table.add_row(column.head, *column.cells)
    return table


def _upright_width(names: Sequence[Text], columns: Sequence[Column]) -> int:
    widths = [max((cell_len(column.head.plain) for column in columns), default=0)]
    for row, name in enumerate(names):
        widths.append(GAP + max(map(cell_len, [name.plain, *(column.cells[row].plain for column in columns)])))
    return sum(widths)


def _blocks(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """The columns in order, each block's widths within `width`, which a single column may pass."""
    best = _packed(columns, width)
    for narrower in range(width - 1, 0, -1):  # the narrowest that needs no block more is the most even
        found = _packed(columns, narrower)
        if len(found) > len(best):
            break
        best = found
    return best


def _packed(columns: Sequence[Column], width: int) -> list[list[Column]]:
    blocks: list[list[Column]] = []
    room = 0
    for column in columns:
        needed = GAP + column.width
        if not blocks or needed > room:
            blocks.append([])
            room = width
        blocks[-1].append(column)
        room -= needed
    return blocks

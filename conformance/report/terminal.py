"""The matrix in a terminal: an implementation a row, verdicts and kinds of case as columns; single cases as sentences.

Reads at 80 columns and without colour, whatever the number of implementations: columns that don't fit go into a further
block, and colour only repeats what a text says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Mapping

from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xent.conformance.judging.verdicts import OF, VERDICTS
from xent.conformance.report import blocks, escape, matrix
from xent.conformance.report.blocks import GAP, Column
from xent.conformance.report.console import Console, styled

_STYLES = {"good": "green", "odd": "yellow", "bad": "bold red", "dark": "bold magenta", "dim": "dim"}
ABSENT = VERDICTS[-1]
_LABEL = 120  # the longest ids of our own have as many characters
_FACT = 28  # of a version or a device
_NAMED = 3  # so many that agree are named, more are counted


def style_of(verdict: str) -> str:
    """The style in which a terminal shows a verdict."""
    return _STYLES[OF[verdict].tone]


def show(report: Mapping[str, Any], console: Console) -> None:
    """Prints the report (an xent-report/2 object) to the console."""
    heads = matrix.heads(report)
    names = [styled(head.name, "bold", console.width // 2) for head in heads]
    _show_blocks(console, f"VERDICTS on {report['case_set']['count']} planned cases", names, _verdicts(heads, report))
    for title, rows in matrix.sections(report):
        if title == matrix.KINDS:
            columns = [_kind(label, cells) for label, cells in rows]
            _show_blocks(console, f"{title} (agreeing / judged)", names, columns)
        else:
            _show_singly(console, title, [head.name for head in heads], rows)
    console.print()
    for line in matrix.notes(report):
        console.print(styled(line, limit=escape.LONG))


def _show_blocks(console: Console, title: str, names: Sequence[Text], columns: Iterable[Column]) -> None:
    console.print(Text(f"\n{title}", "bold"))
    for number, table in enumerate(blocks.tables(names, list(columns), console.width)):
        if number:
            console.print()
        console.print(table)


def _verdicts(heads: Sequence[matrix.Head], report: Mapping[str, Any]) -> Iterator[Column]:
    for field in ("version", "device", "mode", "kernels"):
        yield Column(Text(field), [styled(getattr(head, field), limit=_FACT) for head in heads], "left")
    for verdict, counts in matrix.counts(report):
        yield Column(Text(verdict, style_of(verdict)), [_count(count, verdict) for count in counts])


def _kind(label: str, cells: Sequence[matrix.Cell]) -> Column:
    return Column(Text(label), [Text(cell.text, style_of(cell.worst)) for cell in cells])


def _show_singly(
    console: Console, title: str, names: Sequence[str], rows: Sequence[tuple[str, list[matrix.Cell]]]
) -> None:
    """A line a case: who agrees, and who does what else. Long ids of cases stand in a line of their own."""
    absent = [place for place, _ in enumerate(names) if all(cells[place].worst == ABSENT for _, cells in rows)]
    console.print(Text(f"\n{title}", "bold"))
    if absent:
        console.print(Text(f"{ABSENT}: {', '.join(names[place] for place in absent)}", style_of(ABSENT)))
    labels = [styled(label, limit=_LABEL) for label, _ in rows]
    present = [place for place, _ in enumerate(names) if place not in absent]
    found = [_told([(names[place], cells[place].worst) for place in present]) for _, cells in rows]
    widest = max(cell_len(label.plain) for label in labels)
    if widest > console.width // 2:
        for label, told in zip(labels, found, strict=True):
            console.print(label)
            console.print(Padding(told, (0, 0, 0, GAP)))
        return
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(width=widest, no_wrap=True)
    table.add_column(overflow="fold")
    for label, told in zip(labels, found, strict=True):
        table.add_row(label, told)
    console.print(table)


def _told(found: Sequence[tuple[str, str]]) -> Text:
    """Of one case, from (implementation, verdict): ``"8 agree; imprecise: mindspore, oneflow"``."""
    told = []
    for verdict in VERDICTS:
        who = [name for name, one in found if one == verdict]
        if not who:
            continue
        words = f"{verdict}: {', '.join(who)}"
        if verdict == "agrees" and len(who) > _NAMED:
            words = f"all {len(who)} agree" if len(who) == len(found) else f"{len(who)} agree"
        told.append(Text(words, style_of(verdict)))
    return Text("; ").join(told)


def _count(count: int, verdict: str) -> Text:
    return Text(str(count), style_of(verdict)) if count else Text(".", "dim")

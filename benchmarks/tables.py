"""The tables of a run, of ratios: milliseconds belong to a machine, ratios travel. For the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.table import Table as RichTable

from xent.conformance.report.console import Console

from . import plan
from .rows import Results, Row

MET, MISSED = "✓", "✗"
_TORCHS = {
    "torch": "its linear_cross_entropy",
    "torch-chunked": "the same in chunks",
    "torch-compiled": "linear and cross_entropy, compiled",
}


class Table(NamedTuple):
    """A title, a header and lines of cells."""

    title: str
    header: tuple[str, ...]
    lines: list[tuple[str, ...]]


def faster(ratio: float | None) -> str:
    """``"2.6x faster"``, ``"1.3x slower"``, ``"equal"``; a dash where there is nothing to compare."""
    if ratio is None:
        return "–"
    if f"{max(ratio, 1 / ratio):.1f}" == "1.0":
        return "equal"
    return f"{_short(ratio)}x faster" if ratio > 1 else f"{_short(1 / ratio)}x slower"


def share(row: Row | None, other: str = "") -> str:
    """The second side's extra memory, of the first's or another's, and both in sizes of the logits: ``"26 % (0.9 :
    3.5)"``."""
    if row is None:
        return ""
    sides = plan.sides(row.framework, row.variant)
    first, second = row.amount(other or sides[0]), row.amount(sides[1])
    size = 4
    for dimension in plan.logits(row.shape, row.variant):
        size *= dimension
    sizes = " : ".join("–" if amount is None else f"{amount / size:.1f}" for amount in (second, first))
    return f"{second / first:.0%} ({sizes})".replace("%", " %") if first and second is not None else f"– ({sizes})"


def mark(row: Row | None) -> str:
    """The aim with its mark, as in ``"2x faster ✓"``; ``?`` where nothing can be judged."""
    if row is None or row.aim is None:
        return ""
    return f"{row.aim.text} {'?' if row.met is None else MET if row.met else MISSED}"


def summary(results: Results) -> list[Table]:
    """For each framework a line for each shape: forward+backward of every variant, each with its aim's mark."""
    tables = []
    for framework in _measured(results):
        header = ("logits", *plan.VARIANTS, "time in copies of the logits", "extra memory (in logits)")
        lines = []
        for shape in _shapes(results, framework):
            rows = [results.find(framework, shape, variant, plan.BOTH) for variant in plan.VARIANTS]
            cells = [f"{faster(row.ratio)} {mark(row)[-1:]}".rstrip() if row else "" for row in rows]
            memory = results.find(framework, shape, "plain", plan.MEMORY)
            lines.append((shape, *cells, _copies(rows[0]), f"{share(memory)} {mark(memory)[-1:]}".rstrip()))
        title = f"{_title(results, framework)}: portable against native, forward+backward"
        tables.append(Table(title, header, lines))
    return tables + list(_linear(results))


def details(results: Results) -> list[Table]:
    """Every row: forward and forward+backward, the aims, the time in copies of the logits, the memory."""
    header = ("logits", "variant", "forward", "forward+backward", "aim", "in copies", "extra memory (in logits)", "aim")
    tables = []
    for framework in _measured(results):
        lines = []
        for shape in _shapes(results, framework):
            for variant in plan.VARIANTS:
                forward, both, memory = (
                    results.find(framework, shape, variant, what) for what in (plan.FORWARD, plan.BOTH, plan.MEMORY)
                )
                times = tuple(faster(row.ratio) if row else "" for row in (forward, both))
                lines.append((shape, variant, *times, mark(both), _copies(both), share(memory), mark(memory)))
        tables.append(Table(f"{_title(results, framework)}: portable against native", header, lines))
    return tables + list(_linear(results))


def notes(results: Results) -> list[str]:
    """What wasn't measured and why, and how many aims are met."""
    met, missed, open_ = results.aims()
    lines = [
        f"{name}: not measured: {known['reason']}" for name, known in results.frameworks.items() if "reason" in known
    ]
    for row in results.rows:
        lines += [f"{row.framework} {row.shape} {row.variant}, {row.what}: {note}" for note in row.notes]
    return [*lines, f"aims: {met} met, {missed} missed, {open_} without an answer"]


def markdown(results: Results) -> str:
    """The summary, all rows and the notes; the columns of ratios need no machine, the last line says which it was."""
    parts = [_markdown(table, 3) for table in summary(results)]
    parts += ["## Every row\n", *(_markdown(table, 3) for table in details(results)[: len(_measured(results))])]
    parts += ["## Notes\n", "".join(f"- {_cell(note)}\n" for note in notes(results))]
    return "\n".join([f"# The portable losses against the frameworks' own\n\n{_setting(results)}\n", *parts])


def show(results: Results, console: Console) -> None:
    """Prints all rows and the notes."""
    for table in details(results):
        drawn = RichTable(title=table.title, box=None, pad_edge=False, title_justify="left")
        for title in table.header:
            drawn.add_column(title, no_wrap=True)
        for line in table.lines:
            drawn.add_row(*line)
        console.print(drawn, markup=False)
        console.print()
    for note in notes(results):
        console.print(note, markup=False)


def _linear(results: Results) -> Iterator[Table]:
    header = ("framework", "N x H x C", "forward", "forward+backward", "extra memory (in logits)")
    lines = []
    for framework in _measured(results):
        for shape in dict.fromkeys(row.shape for row in results.rows if row.variant == plan.LINEAR):
            forward, both, memory = (
                results.find(framework, shape, plan.LINEAR, what) for what in (plan.FORWARD, plan.BOTH, plan.MEMORY)
            )
            if both or memory:
                times = (faster(row.ratio) if row else "" for row in (forward, both))
                lines.append((_title(results, framework), shape, *times, share(memory)))
    if lines:
        yield Table("linear_cross_entropy against computing the logits and their portable loss", header, lines)
        yield from _torchs(results)


def _torchs(results: Results) -> Iterator[Table]:
    """The same next to torch's own."""
    header = ("against", "N x H x C", "forward", "forward+backward", "extra memory (in logits)")
    lines = []
    for shape in dict.fromkeys(row.shape for row in results.rows if row.variant == plan.LINEAR):
        rows = [results.find("torch", shape, plan.LINEAR, what) for what in (plan.FORWARD, plan.BOTH, plan.MEMORY)]
        for side, name in _TORCHS.items() if rows[1] or rows[2] else ():
            times = (faster(row.against(side)) if row else "" for row in rows[:2])
            lines.append((name, shape, *times, share(rows[2], side)))
    if lines:
        yield Table(f"linear_cross_entropy against what {_title(results, 'torch')} has itself", header, lines)


def _measured(results: Results) -> list[str]:
    return list(dict.fromkeys(row.framework for row in results.rows))


def _shapes(results: Results, framework: str) -> list[str]:
    rows = (row for row in results.rows if row.framework == framework and row.variant != plan.LINEAR)
    return list(dict.fromkeys(row.shape for row in rows))


def _title(results: Results, framework: str) -> str:
    return f"{framework} {results.frameworks.get(framework, {}).get('version', '')}".strip()


def _copies(row: Row | None) -> str:
    return "" if row is None else "–" if row.copies is None else _short(row.copies)


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 9.95 else f"{number:.0f}"


def _setting(results: Results) -> str:
    machine = results.machine
    return (
        f"float32, CPU, {machine['cores']} cores ({machine['cpu'] or 'unknown'}), {results.date}, {results.effort} run."
        " Native, portable and a copy of the logits take turns in one process; medians. Ratios: native's time over"
        " portable's; portable's time over the copy's; extra memory, portable : native. "
        f"{MET} and {MISSED}: the aim is met, missed."
    )


def _markdown(table: Table, level: int) -> str:
    lines = [table.header, tuple("---" for _ in table.header), *table.lines]
    body = "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)
    return f"{'#' * level} {table.title}\n\n{body}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")

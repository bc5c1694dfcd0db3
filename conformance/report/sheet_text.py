"""A case's sheet in a terminal: numbers first, then what they rest on, then the scripts.

Reads at 80 columns and without colour.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from xent.adapters.source import literal
from xent.conformance.report import blocks, escape, figures, sheet_tables
from xent.conformance.report.console import Console, styled
from xent.conformance.report.sheet import Answered, Right, Sheet
from xent.conformance.report.sheet_tables import FEW, Rows
from xent.conformance.report.terminal import style_of

_LINES = 6  # of what a process printed
_LONG = 1000  # characters of one such line
_NAME = 40
_MEASURED = ("agrees", "imprecise", "deviates")  # whose reasons say what was left out


def show(sheet: Sheet, console: Console, *, clauses: bool = False) -> None:
    """Prints the sheet.

    Args:
        clauses: with the text and the place of each clause, not its id alone.
    """
    _show_case(sheet, console)
    _show(console, "answers: how far off the worst element is", sheet_tables.answers(sheet))
    _show_reasons(sheet, console)
    for part in sheet.parts:
        _show_elements(sheet, part, console)
    _show(console, "the bound: what a good implementation may miss by", sheet_tables.bounds(sheet))
    _show_rest(sheet, console, clauses)
    _show_scripts(sheet, console)


def _show_case(sheet: Sheet, console: Console) -> None:
    case, right = sheet.case, sheet.right
    _head(console, case.id)
    table = _facts()
    if len(case.id) > console.width - 2:  # the rule has cut it
        table.add_row("case", case.id)
    arguments = case.arguments
    spec = [f"{name}={literal(getattr(arguments, name))}" for name in ("reduction", "ignore_index", "label_smoothing")]
    weight = "weight=None" if arguments.weight is None else "with a weight"
    table.add_row("spec", ", ".join([*spec, weight]))
    given = {"weight": arguments.weight, "input": case.input, "target": case.target}
    for name, array in given.items():
        if array is not None:
            table.add_row(name, figures.described(array))
    table.add_row("gradients", f"by {', '.join(case.gradients)}" if case.gradients else "none")
    if right.refusal:
        table.add_row("refuses", right.refusal)
    if right.or_refusal:
        table.add_row("may refuse", f"open point {right.or_refusal}")
    open_points: dict[str, list[str]] = {}
    for part in sheet.parts:
        if part.answer is not None and part.answer.why:
            open_points.setdefault(f"{part.answer.why}: {_also(part)} counts too", []).append(part.name)
    for point, names in open_points.items():
        table.add_row("open", f"{', '.join(names)}: {point}")
    for part in sheet.parts:
        if part.printed is not None and case.expected is not None:
            tolerance = f"atol {case.expected.atol:g}, rtol {case.expected.rtol:g}"
            table.add_row("printed", f"{part.name}, {tolerance}: {figures.elements(part.printed, 'float64')}")
    if case.expected is not None and case.expected.raises:
        table.add_row("printed", "that the call is refused")
    console.print(table)


def _also(part: Right) -> str:
    """What else than the exact answer counts, where the documents leave a choice."""
    assert part.answer is not None
    found = (("nan", part.answer.or_nan), ("0", part.answer.or_zero))
    return " or ".join(name for name, where in found if where.any())


def _show_reasons(sheet: Sheet, console: Console) -> None:
    """Each reason once, whoever shares it, without what the table says in numbers."""
    reasons: dict[str, list[Text]] = {}
    for one in sheet.implementations:
        if reason := _beyond_numbers(one):
            reasons.setdefault(reason, []).append(styled(one.label, style_of(one.verdict.verdict), _NAME))
    if reasons:
        console.print()
    for reason, who in reasons.items():
        console.print(Text(", ").join(who) + Text(f": {escape.block(reason)}"))


def _beyond_numbers(one: Answered) -> str:
    """What the reason holds more than the numbers of one that agrees; all of another's reason."""
    reason = one.verdict.reason
    if one.verdict.verdict == "agrees" and one.parts:
        told = "; ".join(f"{part.name} {part.measure.text if part.measure else ''}" for part in one.parts)
        if reason[1:].startswith(told[1:]):
            return reason[len(told) :].strip("; .")
    return reason


def _show_elements(sheet: Sheet, part: Right, console: Console) -> None:
    """A part that isn't one number: all of its elements, or of many the worst of each implementation."""
    if part.answer is None or part.answer.exact.size < 2:
        return
    if part.answer.exact.size <= FEW:
        _show(console, f"{part.name}: every element", sheet_tables.element_by_element(sheet, part))
        return
    _head(console, f"{part.name}: the worst element of each")
    table = _facts()
    shape = f"{part.answer.dtype} {part.answer.exact.shape}"
    table.add_row("exact", f"{shape}  {figures.elements(part.answer.exact, part.answer.dtype)}")
    console.print(table)
    _show(console, "", sheet_tables.worst_elements(sheet, part))


def _show_rest(sheet: Sheet, console: Console, clauses: bool) -> None:
    """What was printed, cast and substituted; what the case is for."""
    _head(console, "about it")
    table = _facts()
    for one in sheet.implementations:
        for field, text in _printed(one):
            table.add_row(field, Text.assemble((escape.line(one.label, _NAME), "bold"), f": {escape.block(text)}"))
    took = [(one.label, one.record.ms) for one in sheet.implementations if one.record and one.record.ms is not None]
    if took:
        table.add_row("took", ", ".join(f"{escape.line(label, _NAME)} {ms:.2f} ms" for label, ms in took))
    case = sheet.case
    for field, text in (("source", case.source), ("note", case.note), ("tags", ", ".join(case.tags))):
        if text:
            table.add_row(field, Text(escape.block(text)))
    if sheet.clauses and not clauses:
        table.add_row("clauses", ", ".join(cited.id for cited in sheet.clauses))
    for cited in sheet.clauses if clauses else ():
        found = cited.clause
        table.add_row("clause", f"{cited.id}: {found.text} ({found.place})" if found else cited.id)
    console.print(table)


def _printed(one: Answered) -> Iterator[tuple[str, str]]:
    """What the table of answers and the reasons don't hold."""
    record = one.record
    if record is None:
        return
    if record.error and record.error.message.strip() not in one.verdict.reason:
        yield "error", f"{record.error.type} ({record.error.phase}): {_end(record.error.message)}"
    if record.stderr.strip():
        yield "stderr", _end(record.stderr)
    if record.casts:
        yield "casts", ", ".join(record.casts)
    if record.kernels != "native":
        yield "kernels", record.kernels
    if one.left_out and one.verdict.verdict not in _MEASURED:
        yield "left out", "; ".join(one.left_out)


def _show_scripts(sheet: Sheet, console: Console) -> None:
    """Each script once, whoever shares it, and not through rich: what is pasted must not be wrapped."""
    scripts: dict[str, list[str]] = {}
    for one in sheet.implementations:
        if one.script:
            scripts.setdefault(one.script, []).append(f"{escape.line(one.label, _NAME)}'s")
    for text, who in scripts.items():
        _head(console, f"reproduce it in {', '.join(who)} interpreter")
        print(escape.block(text), file=console.file)


def _show(console: Console, title: str, rows: Rows) -> None:
    if not rows.names or not rows.columns:
        return
    if title:
        _head(console, title)
    for number, table in enumerate(blocks.tables(rows.names, rows.columns, console.width)):
        if number:
            console.print()
        console.print(table)


def _head(console: Console, text: str) -> None:
    console.rule(styled(text), align="left")


def _facts() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _end(text: str) -> str:
    """The last lines: C++ frameworks put a screen of their own stack before what happened."""
    lines = text.strip(" \n").split("\n")  # not splitlines: it takes other characters for a line's end, and drops them
    cut = "[...]\n" if len(lines) > _LINES else ""
    return cut + escape.block("\n".join(lines[-_LINES:]), _LONG)

"""The tables of a case's sheet: the answers beside the exact one, element by element, and the bound term by term.

Each is names and columns for `blocks.tables`. A number beyond its bound, or in a wrong place, has a "!" behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from rich.text import Text

from xent import dtypes
from xent.conformance.judging.parts import Part
from xent.conformance.report import escape, figures
from xent.conformance.report.blocks import Column
from xent.conformance.report.console import styled
from xent.conformance.report.sheet import Answered, Right, Sheet
from xent.conformance.report.terminal import style_of
from xent.dtypes import Array

FEW = 8
"""Elements that stand side by side, and whose bounds are told one by one."""
_OFF = "bold red"
_OF_A_RIGHT_ANSWER = ("exact", "bound")


class Rows(NamedTuple):
    """A table: a name for each row, and its columns."""

    names: list[Text]
    columns: list[Column]


def answers(sheet: Sheet) -> Rows:
    """A row an implementation: its verdict, its value, and how far off each part is. One exact number comes first."""
    found = sheet.implementations
    value = next((part.answer for part in sheet.parts if part.name == "value"), None)
    above = []
    if value is not None and value.exact.size == 1:
        above = [figures.exact(value.exact, value.dtype), figures.margin(value.bound)]
    names = [Text(name, "bold") for name in _OF_A_RIGHT_ANSWER[: len(above)]]
    blank = [Text("")] * len(above)

    def column(head: str, cells: Iterable[Text]) -> Column:
        return Column(Text(head), [*blank, *cells])

    verdicts = [Text(one.verdict.verdict, style_of(one.verdict.verdict)) for one in found]
    columns = [Column(Text("verdict"), [*blank, *verdicts], "left")]
    values = [_value(one) for one in found]
    if above or any(cell.plain for cell in values):
        columns.append(Column(Text("value"), [*map(Text, above), *values]))
    for name in dict.fromkeys(part.name for one in found for part in one.parts):
        parts = [next((part for part in one.parts if part.name == name), None) for one in found]
        unit = next(part.unit for part in parts if part is not None)
        columns.append(column(f"{name} {unit}", map(_in_bounds, parts)))
        columns.append(column(f"{name} ulp", map(_in_ulps, parts)))
    columns = [one for one in columns if any(cell.plain for cell in one.cells)]
    return Rows([*names, *map(_label, found)], columns)


def element_by_element(sheet: Sheet, right: Right) -> Rows:
    """A column an element: the exact one, its bound, and each implementation's of the right shape."""
    assert right.answer is not None  # else there is nothing to compare with
    answer, found = right.answer, _measured(sheet, right)
    columns = []
    for at in np.ndindex(answer.exact.shape):
        cells = [Text(figures.exact(answer.exact[at], answer.dtype)), Text(figures.margin(answer.bound[at]))]
        columns.append(Column(Text(figures.place(at)), [*cells, *(one.element(at) for one in found)]))
    names = [Text(name, "bold") for name in _OF_A_RIGHT_ANSWER]
    return Rows([*names, *(_label(one.who) for one in found)], columns)


def worst_elements(sheet: Sheet, right: Right) -> Rows:
    """A row an implementation: how many elements are off, and which is the worst."""
    found = _measured(sheet, right)
    heads = ("off", "worst at", "it is", "exact", "bound")
    rows = [_worst(one) for one in found]
    columns = [Column(Text(head), [row[place] for row in rows]) for place, head in enumerate(heads)]
    return Rows([_label(one.who) for one in found], columns)


def bounds(sheet: Sheet) -> Rows:
    """A row a term: of a value of few elements each one's bound, else that of the largest element. No row of zeros."""
    columns = {}
    for part in sheet.parts:
        for at in _told(part):
            assert part.bound is not None  # `_told` gives none then
            numbers = {name: float(term[at]) for name, term in part.bound.terms.items()}
            columns[f"{part.name} {figures.place(at)}"] = {**numbers, "total": float(part.bound.total[at])}
    known = dict.fromkeys(name for numbers in columns.values() for name in numbers if name != "total")
    kept = [name for name in known if any(numbers.get(name) for numbers in columns.values())]
    names = [*kept, "total"] if columns else []
    return Rows(
        [Text(name, "bold" if name == "total" else "") for name in names],
        [
            Column(Text(head), [Text(f"{numbers[name]:.3g}" if numbers.get(name) else ".") for name in names])
            for head, numbers in columns.items()
        ],
    )


def _told(right: Right) -> list[tuple[int, ...]]:
    """The elements whose bounds are told."""
    if right.bound is None or right.largest is None:
        return []
    shape = right.bound.total.shape
    return list(np.ndindex(shape)) if right.name == "value" and right.bound.total.size <= FEW else [right.largest]


class _Measured(NamedTuple):
    """A part that somebody returned in the right shape: its numbers as float64, and each one's error in bounds."""

    who: Answered
    part: Part
    got: Array
    dtype: str
    off: Array

    def element(self, at: tuple[int, ...]) -> Text:
        """One number, marked where it is off."""
        return _marked(figures.number(self.got[at], self.dtype), not self.off[at] <= 1)


def _measured(sheet: Sheet, right: Right) -> list[_Measured]:
    found = []
    for one in sheet.implementations:
        for part in one.parts:
            off = part.in_bounds() if part.name == right.name else None
            if part.got is not None and off is not None:
                found.append(_Measured(one, part, dtypes.to_float64(part.got), dtypes.name(part.got), off))
    return found


def _label(one: Answered) -> Text:
    return styled(one.label, "bold", escape.NAME)


def _value(one: Answered) -> Text:
    """One number, the shape of several, or what there was instead."""
    record = one.record
    if record is None or record.outcome == "unsupported":
        return Text("")
    if record.value is None:
        words = {"error": "raised", "crash": record.signal, "timeout": "no end"}
        return styled(words.get(record.outcome) or record.outcome)
    if record.value.size != 1:
        return Text(str(record.value.shape).replace(" ", ""))
    off = next((_is_off(part) for part in one.parts if part.name == "value"), False)
    return _marked(figures.number(dtypes.to_float64(record.value), dtypes.name(record.value)), off)


def _is_off(part: Part) -> bool:
    return part.measure is None or bool(part.measure.faults) or (part.measure.bounds or 0) > 1


def _in_bounds(part: Part | None) -> Text:
    if part is None:
        return Text("")
    if part.measure is None:
        return _marked("missing", True)
    words = [{"nan": "nan/inf"}.get(fault, fault) for fault in part.measure.faults]
    if part.measure.bounds is not None and not words:
        words.append(f"{part.measure.bounds:.3g}")
    return _marked(",".join(words), _is_off(part))


def _in_ulps(part: Part | None) -> Text:
    ulps = part.measure.ulps if part is not None and part.measure is not None else None
    return Text("" if ulps is None else f"{ulps:.3g}")


def _worst(one: _Measured) -> Sequence[Text]:
    """The cells of a row of `worst_elements`."""
    at = None if one.part.measure is None else one.part.measure.at
    if at is None:
        return [Text(".")] * 5
    by, beyond = one.part.by, int((~(one.off <= 1)).sum())
    count = Text(f"{beyond}!", _OFF) if beyond else Text(".")
    exact, margin = figures.exact(by.exact[at], by.dtype), figures.margin(by.bound[at])
    return [count, Text(figures.place(at)), one.element(at), Text(exact), Text(margin)]


def _marked(text: str, off: bool) -> Text:
    return styled(f"{text}!", _OFF) if off else styled(text)

"""`xent show`: one case whole: the spec, the numbers of every implementation, the bound with its terms, and scripts."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
from rich.table import Table
from rich.text import Text

from xent import dtypes
from xent.adapters import load, module_path, names
from xent.conformance.cases.clauses import load as load_clauses
from xent.conformance.evidence import columns
from xent.conformance.evidence.records import Record, record_data
from xent.conformance.judging.answers import Answer, Answers, answers
from xent.conformance.judging.bound import (
    Bound,
    gradient_bound,
    target_gradient_bound,
    value_bound,
    weight_gradient_bound,
)
from xent.conformance.judging.verdicts import Verdict
from xent.conformance.protocol import arrays
from xent.conformance.protocol.case import Case
from xent.conformance.report import console as terminals
from xent.conformance.report import escape, script
from xent.conformance.report.console import Console, styled
from xent.conformance.report.terminal import style_of
from xent.errors import UnreadableInput
from xent.spec import CrossEntropySpec, arguments_to_dict

_LINES = 6
_LONG = 1000  # characters of one such line
_NAME = 40
_SOME = 12  # elements of an array shown in a row; the scripts hold all of them


def main(options: argparse.Namespace) -> int:
    """Shows what the options of `xent show` ask for, on stdout. Returns the exit code."""
    folder = Path(options.folder)
    found, cases = columns.load(folder)
    case = _find(cases, options.case)
    if options.only is not None:
        ids = [column.label for column in found]
        unknown = [name for name in options.only if name not in ids]
        if unknown:
            raise UnreadableInput(
                "--only", None, f"no evidence of {unknown[0]!r} in {folder}", f"There is {', '.join(ids)}."
            )
        found = [column for column in found if column.label in options.only]
    verdicts = {verdict.implementation: verdict for verdict in columns.judge_columns([case], found)}
    scripts = {column.label: _script(column, case) for column in found}
    records = {column.label: column.results.by_case.get(case.id) for column in found if column.results}
    if options.json:
        print(escape.to_json(_as_json(case, verdicts, records, scripts), 1))
        return 0
    console = terminals.make()
    right = answers(case)
    _show_case(console, case)
    _show_answer(console, right)
    for name, verdict in verdicts.items():
        _show_evidence(console, case, verdict, records.get(name))
    _show_bounds(console, case, right)
    for name, text in scripts.items():
        if text:
            console.rule(styled(f"reproduce it in {escape.line(name, _NAME)}'s interpreter"), align="left")
            print(escape.block(text))  # not through rich: what is pasted must not be wrapped
    return 0


def _find(cases: Sequence[Case], wanted: str) -> Case:
    """The case of that id, or the only one whose id holds that text."""
    exact = [case for case in cases if case.id == wanted]
    found = exact or [case for case in cases if wanted in case.id]
    if len(found) == 1:
        return found[0]
    if found:
        shown = "\n  ".join(case.id for case in found[:20])
        more = f"\n  and {len(found) - 20} more" if len(found) > 20 else ""
        raise UnreadableInput(wanted, None, f"names {len(found)} cases", f"Name one of them:\n  {shown}{more}")
    close = difflib.get_close_matches(wanted, [case.id for case in cases], n=3, cutoff=0.4)
    remedy = f"Near it: {', '.join(close)}." if close else "The ids stand in the report."
    raise UnreadableInput(wanted, None, "names no case of this run", remedy)


def _script(column: columns.Column, case: Case) -> str:
    """By the installed adapter of that id; what only a file names isn't imported, though the script may name it."""
    source = column.results.header.adapter if column.results else None
    if column.id in names() and (source is None or source.module == module_path(column.id)):
        return script.reproduce(load(column.id), case)
    return script.generic(source.module, case) if source else ""


def _show_case(console: Console, case: Case) -> None:
    console.rule(Text(case.id), align="left")
    table = _table()
    if len(case.id) > console.width - 2:  # the rule has cut it
        table.add_row("case", case.id)
    if case.source:
        table.add_row("source", case.source)
    if case.note:
        table.add_row("note", case.note)
    table.add_row("tags", ", ".join(case.tags))
    clauses = load_clauses()
    for name in case.clauses:
        clause = clauses.get(name)
        table.add_row("clause", f"{name}: {clause.text} ({clause.place})" if clause else name)
    arguments = case.arguments
    table.add_row("weight", "None" if arguments.weight is None else _array(arguments.weight))
    for name in ("ignore_index", "reduction", "label_smoothing"):
        table.add_row(name, repr(getattr(arguments, name)))
    table.add_row("input", _array(case.input))
    table.add_row("target", _array(case.target))
    console.print(table)


def _show_answer(console: Console, right: Answers) -> None:
    console.rule(Text("the specification"), align="left")
    table = _table()
    if right.refusal:
        table.add_row("refuses", right.refusal)
    if right.or_refusal:
        table.add_row("may refuse", right.or_refusal)
    for name, answer in right.parts.items():
        table.add_row(name, _answer(answer))
        table.add_row("  bound", _values(answer.bound))
        if answer.why:
            table.add_row("  open", answer.why)
    console.print(table)


def _show_evidence(console: Console, case: Case, verdict: Verdict, record: Record | None) -> None:
    name = styled(verdict.implementation, limit=_NAME)
    heading = name.append(": ").append(verdict.verdict, style=style_of(verdict.verdict))
    console.rule(heading, align="left")
    table = _table()
    if verdict.reason:
        table.add_row("reason", verdict.reason)
    if record is not None:
        table.add_row("kernels", record.kernels)
        for part in ("value", "gradient"):
            array = getattr(record, part)
            if array is not None:
                table.add_row(part, _array(array))
        for part, array in (record.gradients or {}).items():
            table.add_row(f"gradient of {part}", _array(array))
        if verdict.error_in_bounds is not None:
            unit = "bounds" if case.expected is None else "tolerances of the print"
            ulps = "" if verdict.error_in_ulps is None else f", {verdict.error_in_ulps:.3g} ulp"
            table.add_row("distance", f"{verdict.error_in_bounds:.3g} {unit}{ulps}")
        if record.error:
            table.add_row("error", f"{record.error.type} ({record.error.phase}): {_end(record.error.message)}")
        if record.signal:
            table.add_row("signal", record.signal)
        if record.stderr:
            table.add_row("stderr", _end(record.stderr))
        if record.casts:
            table.add_row("casts", ", ".join(record.casts))
        if record.ms is not None:
            table.add_row("time", f"{record.ms:.2f} ms in the framework's own calls")
    console.print(table)


def _show_bounds(console: Console, case: Case, right: Answers) -> None:
    """The largest bound of the value and of each gradient, term by term."""
    if right.value is None or right.refusal or case.input.shape[min(1, case.input.ndim - 1)] == 0:
        return
    spec = CrossEntropySpec(*case.arguments)
    console.rule(Text("the bound: what a good implementation may miss by, at its largest element"), align="left")
    table = Table(box=None, pad_edge=False)
    table.add_column("term")
    limits: list[tuple[str, Bound]] = [("value", value_bound(spec, case.input, case.target))]
    of = {"gradient": gradient_bound, "gradient of target": target_gradient_bound}
    of["gradient of weight"] = weight_gradient_bound
    limits += [(name, of[name](spec, case.input, case.target)) for name in right.parts if name in of]
    for name, _ in limits:
        table.add_column(name, justify="right")
    names = list(dict.fromkeys(term for _, limit in limits for term in limit.terms))
    places = [_largest(limit.total) for _, limit in limits]
    for term in names:
        cells = [
            f"{limit.terms[term].ravel()[at]:.3g}" if term in limit.terms and at is not None else ""
            for (_, limit), at in zip(limits, places, strict=True)
        ]
        table.add_row(term, *cells)
    totals = [
        f"{limit.total.ravel()[at]:.3g}" if at is not None else ""
        for (_, limit), at in zip(limits, places, strict=True)
    ]
    table.add_row("total", *totals)
    console.print(table)


def _largest(total: dtypes.Array) -> int | None:
    finite = np.where(np.isfinite(total), total, -1.0).ravel()
    return int(finite.argmax()) if finite.size and finite.max() >= 0 else None


def _table() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _array(array: dtypes.Array) -> str:
    values = dtypes.to_float64(array) if dtypes.is_float(array) else array
    order = "" if array.flags.c_contiguous else ", non-contiguous"
    return f"{dtypes.name(array)} {tuple(array.shape)}{order}: {_values(values)}"


def _end(text: str) -> str:
    """The last lines: C++ frameworks put a screen of their own stack before what happened."""
    lines = text.strip(" \n").split("\n")  # not splitlines: it takes other characters for a line's end, and drops them
    cut = "[...]\n" if len(lines) > _LINES else ""
    return cut + escape.block("\n".join(lines[-_LINES:]), _LONG)


def _answer(answer: Answer) -> str:
    return f"{answer.dtype} {tuple(answer.exact.shape)}: {_values(answer.exact)}"


def _values(values: Any) -> str:
    flat = np.asarray(values).ravel()
    words = [f"{value:.10g}" if isinstance(value, np.floating) else str(value) for value in flat[:_SOME]]
    return " ".join(words) + (f" ... ({flat.size} in all)" if flat.size > _SOME else "")


def _as_json(
    case: Case, verdicts: Mapping[str, Verdict], records: Mapping[str, Record | None], scripts: Mapping[str, str]
) -> dict[str, Any]:
    from dataclasses import asdict

    right = answers(case)
    expected = {
        name: None if answer is None else {"exact": _plain(answer.exact), "bound": _plain(answer.bound)}
        for name, answer in (("value", right.value), ("gradient", right.gradient))
    }
    others = {
        name: {"exact": _plain(answer.exact), "bound": _plain(answer.bound)} for name, answer in right.gradients.items()
    }
    return {
        "case": case.id,
        "spec": arguments_to_dict(case.arguments),
        "input": arrays.encode(case.input) if dtypes.is_float(case.input) else case.input.tolist(),
        "target": arrays.encode(case.target) if dtypes.is_float(case.target) else case.target.tolist(),
        "refusal": right.refusal,
        **expected,
        "gradients": others,
        "implementations": {
            name: {"verdict": asdict(verdict), "record": _record(records.get(name)), "script": scripts[name]}
            for name, verdict in verdicts.items()
        },
    }


def _record(record: Record | None) -> dict[str, Any] | None:
    return None if record is None else record_data(record)


def _plain(values: Any) -> Any:
    return dtypes.to_data(np.asarray(values, dtype=np.float64))

"""`xent show`: one case whole: the spec, the numbers of every implementation, the bound with its terms, and scripts."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

from xent.conformance.evidence import columns
from xent.conformance.evidence.columns import Column
from xent.conformance.implementations import place
from xent.conformance.judging.columns import judge_columns
from xent.conformance.protocol.case import Case
from xent.conformance.report import console, escape, sheet, sheet_text
from xent.errors import UnreadableInput


def main(options: argparse.Namespace) -> int:
    """Shows what the options of `xent show` ask for, on stdout. Returns the exit code."""
    folder = Path(options.folder)
    found, cases = columns.load(folder)
    case = find(cases, options.case)
    chosen = choose(found, options.only, folder)
    shown = sheet.build(case, chosen, judge_columns([case], chosen))
    if options.json:
        print(escape.to_json(shown.to_dict(), 1))
    else:
        sheet_text.show(shown, console.make(), clauses=options.clauses)
    return 0


def find(cases: Sequence[Case], wanted: str) -> Case:
    """The case of that id, or the only one whose id holds that text.

    Raises:
        UnreadableInput: there is none, or several, which the message names.
    """
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


def choose(found: Sequence[Column], labels: Sequence[str] | None, folder: Path) -> list[Column]:
    """The columns with these labels, all where labels is None, in the order of reports.

    Raises:
        UnreadableInput: a label that no column of the folder has.
    """
    known = [column.label for column in found]
    for label in labels or ():
        if label not in known:
            remedy = f"There is {', '.join(known)}."
            raise UnreadableInput("--only", None, f"no evidence of {label!r} in {folder}", remedy)
    chosen = [column for column in found if labels is None or column.label in labels]
    return sorted(chosen, key=lambda column: (place(column.id), column.label))

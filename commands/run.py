"""`xent run`: plans the cases, runs each implementation in its own interpreter, judges, and writes the report."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from xent.commands import selection
from xent.commands.bars import Bars
from xent.commands.outcome import exit_code, finish
from xent.conformance import implementations
from xent.conformance.cases import vectors
from xent.conformance.report import console as terminals
from xent.conformance.report import escape, files
from xent.conformance.running import ending, folder, together
from xent.errors import Unavailable


def main(options: argparse.Namespace) -> int:
    """Runs what the options of `xent run` ask for. Returns the exit code."""
    console = terminals.make(stderr=True)
    chosen, broken = selection.chosen(options.only, options.adapter)
    settings = together.Settings(selection.overrides(options.python, chosen), options.timeout, options.jobs)
    cases = vectors.cases(options.vectors)
    out = Path(options.out)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending.as_interrupts())
        try:
            stack.enter_context(folder.held(out))
        except Unavailable as error:
            console.print(escape.message(f"xent: {error}"), soft_wrap=True)
            return 3
        files.check(out)
        results_folder, moved = folder.begin(out, cases, [one.id for one in chosen], options.replace)
        if moved is not None:
            console.print(f"earlier evidence, of another case set, is in {escape.line(moved)}", soft_wrap=True)
        words = f"{len(cases)} cases on {len(chosen)} implementations, results in {escape.line(results_folder)}"
        console.print(words, soft_wrap=True)
        bars = Bars(console, chosen, len(cases))
        ran = together.run_all(chosen, cases, results_folder, settings, bars, lambda: bars.bars)
        found = [*sorted(ran, key=lambda column: implementations.place(column.id)), *broken]
        report = finish(cases, found, out, console, as_json=options.json)
        everything = {column.id for column in found}
        asked = everything if options.only is not None else selection.asked_for(options.adapter, chosen, broken)
        code = exit_code(report, found, options.check, asked)
        if code != 3:
            folder.finish(out)
    return code

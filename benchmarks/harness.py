"""`make bench`: what the harness costs. One implementation at a time, the standard cases, nothing kept.

For each: the start-up (interpreter, import, preparation), the time inside the framework's own calls, the whole, and the
whole as a multiple of the first two. The aim is `aims.HARNESS`; machines are noisy, so read the ratio.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from typing import Sequence

from rich.table import Table

from xent import adapters
from xent.commands import selection
from xent.conformance import implementations
from xent.conformance.cases import vectors
from xent.conformance.implementations import Implementation
from xent.conformance.protocol.case import Case
from xent.conformance.report import console as terminals
from xent.conformance.running import interpreters, supervisor
from xent.errors import Unavailable

from . import aims


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit code."""
    options = parser().parse_args(arguments)
    names: Sequence[str] = options.only.split(",") if options.only else implementations.names()
    console = terminals.make(stderr=True)
    named = selection.overrides(options.python)
    cases = vectors.cases([])
    table = Table(title=f"{len(cases)} cases, one implementation at a time (seconds)", box=None, pad_edge=False)
    ratio = f"whole / (start-up + framework), aim {aims.HARNESS}"
    for title in ("implementation", "cases", "start-up", "framework", "whole", ratio):
        table.add_column(title, justify="left" if title == "implementation" else "right")
    for name in names:
        try:
            adapter = adapters.load(name)
            found = interpreters.resolve(name, adapter.FRAMEWORK, named, console.print)
            table.add_row(name, *_measure(name, adapter.module.__name__, found, cases))
        except Unavailable as error:
            table.add_row(name, "not run", "", "", "", error.reason)
    terminals.make().print(table)
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.harness", description="What the harness costs.")
    made.add_argument("--only", metavar="IDS", help="implementations, e.g. torch,mint-jit (default: all)")
    made.add_argument("--python", metavar="NAME=INTERPRETER", action="append", default=[], help="as for xent run")
    return made


def _measure(name: str, module: str, found: interpreters.Interpreter, cases: Sequence[Case]) -> list[str]:
    started: list[float] = []

    def follow(event: supervisor.Event) -> None:
        if event.kind == "started":
            started.append(time.perf_counter())

    with tempfile.TemporaryDirectory(prefix="xent-bench-") as folder:
        begin = time.perf_counter()
        evidence = supervisor.run_worker(Implementation(name, module), found, cases, folder, 60.0, follow)
        whole = time.perf_counter() - begin
    startup = started[0] - begin
    inside = sum(record.ms or 0.0 for record in evidence.records) / 1000
    ratio = whole / (startup + inside)
    return [str(len(evidence.records)), f"{startup:.1f}", f"{inside:.1f}", f"{whole:.1f}", f"{ratio:.2f}"]


if __name__ == "__main__":
    sys.exit(main())

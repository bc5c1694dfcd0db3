"""`xent adapter check MODULE`: the kit for a new adapter, its findings a line each."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from xent.conformance.report import escape

_EPILOG = """\
Looks at the module, then asks it and runs some cases in the interpreter of its framework: the one that --python names,
else as for xent run. A check that ends its process or hangs costs itself alone. Each line is a check: ok, missing or
wrong, in words, with the place in the guide. What is no fault of the adapter, but worth knowing, follows as a note.

exit codes: 0 every check is ok; 1 something is missing or wrong; 2 wrong usage, no such module; 3 it could not be run.
"""


def add_parser(commands: Any, seconds: Callable[[str], float]) -> None:
    """Adds `adapter` to the parsers of all commands. `seconds` reads a number of seconds."""
    adapter = commands.add_parser(
        "adapter", help="for the author of an adapter", description="For authors of adapters."
    )
    deeds = adapter.add_subparsers(dest="deed", metavar="COMMAND", required=True)
    check = deeds.add_parser(
        "check",
        help="what is missing or wrong in an adapter, and what to do",
        description="Checks an adapter against the contract, in words.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("module", metavar="MODULE", help="its importable module, or an installed adapter's id")
    check.add_argument("--python", metavar="INTERPRETER", help="the interpreter that has its framework")
    check.add_argument(
        "--timeout", metavar="S", type=seconds, default=60.0, help="seconds that one check may take (default: 60)"
    )
    check.add_argument("--json", action="store_true", help="print the findings as JSON")
    check.set_defaults(call=run)


def run(options: argparse.Namespace) -> int:
    """Runs the kit and prints what it found. Returns the exit code."""
    from xent.conformance import kit
    from xent.conformance.running import ending
    from xent.errors import Unavailable

    def say(line: str) -> None:
        print(escape.line(line), file=sys.stderr, flush=True)

    with ending.as_interrupts():
        try:
            report = kit.check(
                options.module, folder=os.getcwd(), interpreter=options.python, timeout=options.timeout, say=say
            )
        except kit.NoModule:
            raise
        except Unavailable as error:
            print(escape.message(f"xent: {error}"), file=sys.stderr)
            return 3
    print(escape.to_json(report.to_dict(), indent=1) if options.json else _text(report))
    return 0 if report.passed else 1


def _text(report: Any) -> str:
    """The findings, a line each; the notes of one below it."""
    width = max(len(one.name) for one in report.checks)
    lines = []
    for one in report.checks:
        place = "" if one.status == "ok" else f" ({one.place})"
        lines.append(f"{one.status:<8}{one.name:<{width}}  {escape.line(one.words)}{place}")
        lines += [f"{'note':>8}{'':<{width}}  {escape.line(note)}" for note in one.notes]
    if report.waiting:
        lines.append(f"{report.waiting} more checks wait until the module has all that")
    return "\n".join(lines)

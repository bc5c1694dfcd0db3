"""The command line. Each command imports what it needs when it runs, so that `xent --help` is instant."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Callable, NoReturn, Sequence

from xent.conformance.report import escape

from . import adapter, streams

EPILOG = """\
examples:
  xent doctor                                    what can run here, and the command that mends what can't
  xent run                                       the documents' and the standard cases on every implementation
  xent run --only torch,mint --out torch-mint    on two of them, into another folder
  xent run --vectors my.json                     on the cases of a file of yours
  xent run --python torch=venv/bin/python        a torch of yours instead of the pinned one
  xent run --adapter my.adapter --only my.adapter    an adapter of yours
  xent doctor --adapter my.adapter               whether it can run, and what it lacks
  xent report here/*.jsonl ascend/mint.jsonl     merge evidence from several machines
  xent show indices/rank2/mean --in report       one case: numbers, bound, a script for each framework

exit codes: 0 complete, whatever was found; 1 only with --check; 2 wrong usage or unreadable input;
3 the run could not be completed (the same command resumes it).
"""

RUN_EPILOG = """\
Every implementation runs in its own interpreter: the one named by --python, else this one if it has the framework, else
an environment made once under your cache folder from pinned requirements (gigabytes, with your pip configuration).
A case that makes its framework abort or hang costs that one case. After an interruption the same command resumes.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(escape.message(message))


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = _Parser(
        prog="xent",
        description="One cross-entropy, every framework, proven.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=_version())
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser(
        "run",
        help="run the cases on real frameworks, judge them, write results and the report",
        description="Runs cases on real frameworks and judges them against the specification.",
        epilog=RUN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("--only", metavar="IDS", type=_ids, help="implementations, e.g. torch,mint-jit (default: all)")
    run.add_argument(
        "--vectors", metavar="FILE", action="append", default=[],
        help="the cases of this file (schema xent-vectors/1) instead of the built-in ones; may be given again",
    )  # fmt: skip
    run.add_argument(
        "--adapter", metavar="MODULE", action="append", default=[],
        help="a further implementation: an importable module with an adapter's names; may be given again",
    )  # fmt: skip
    run.add_argument(
        "--python", metavar="NAME=INTERPRETER", action="append", default=[],
        help="run an implementation, or all of a framework, in this interpreter; may be given again",
    )  # fmt: skip
    run.add_argument(
        "--out",
        metavar="DIR",
        type=_folder,
        default="report",
        help="where results and report go (default: %(default)s)",
    )
    run.add_argument(
        "--timeout", metavar="S", type=_seconds, default=60.0, help="seconds that one case may take (default: 60)"
    )
    run.add_argument(
        "--jobs", metavar="N", type=_jobs, default=None, help="implementations at a time (default: one a core)"
    )
    run.add_argument(
        "--replace", action="store_true",
        help="move evidence of another case set, where it would be overwritten, aside into DIR/replaced-TIME",
    )  # fmt: skip
    run.add_argument("--check", action="store_true", help="exit with 1 where anything but agreement was found")
    run.add_argument("--json", action="store_true", help="print the report as JSON on stdout instead of the matrix")
    run.set_defaults(call=_command("run"))

    report = commands.add_parser(
        "report",
        help="judge and merge results files into HTML, JSON, JUnit XML and Markdown",
        description="Judges results files (from any machines, of one case set) and merges them into one report.",
    )
    report.add_argument("files", metavar="FILE", nargs="+", help="results files (*.jsonl)")
    report.add_argument(
        "--out", metavar="DIR", type=_folder, default="report", help="where the report goes (default: %(default)s)"
    )
    report.add_argument(
        "--vectors",
        metavar="FILE",
        action="append",
        default=[],
        help="the vector files that the results were made with",
    )
    report.add_argument("--check", action="store_true", help="exit with 1 where anything but agreement was found")
    report.add_argument("--json", action="store_true", help="print the report as JSON on stdout instead of the matrix")
    report.set_defaults(call=_command("report"))

    show = commands.add_parser(
        "show",
        help="one case: the spec, every implementation's numbers, the bound, scripts that reproduce it",
        description="Shows one case whole. A part of an id will do where it names one case; else matches are listed.",
    )
    show.add_argument("case", metavar="CASE", help="a case's id, or a part of it")
    show.add_argument(
        "--in",
        dest="folder",
        metavar="DIR",
        type=_folder,
        default="report",
        help="the folder of the run (default: %(default)s)",
    )
    show.add_argument("--only", metavar="IDS", type=_ids, help="only these implementations")
    show.add_argument("--clauses", action="store_true", help="also the text of each clause that the case tests")
    show.add_argument("--json", action="store_true", help="print it as JSON on stdout")
    show.set_defaults(call=_command("show"))

    doctor = commands.add_parser(
        "doctor",
        help="which implementations can run here, in which interpreter, what is missing and what mends it",
        description="Tells what can run here. Installs nothing.",
    )
    doctor.add_argument(
        "--adapter", metavar="MODULE", action="append", default=[], help="also this plug-in, as for xent run"
    )
    doctor.add_argument("--python", metavar="NAME=INTERPRETER", action="append", default=[], help="as for xent run")
    doctor.add_argument("--json", action="store_true", help="print it as JSON on stdout")
    doctor.set_defaults(call=_command("doctor"))
    adapter.add_parser(commands, _seconds)
    return top


@streams.prepared()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code; anything that a user can mend ends in one line on stderr."""
    options = parser().parse_args(arguments)
    call: Callable[[argparse.Namespace], int] = options.call
    try:
        code = call(options)
        sys.stdout.flush()  # a full disk is told of here
        return code
    except KeyboardInterrupt:
        print("xent: interrupted; the same command resumes where it was", file=sys.stderr)
        return 3
    except Exception as error:
        from xent.errors import Unavailable, UnreadableInput

        if not isinstance(error, (UnreadableInput, Unavailable, OSError)):
            raise
        print(escape.message(f"xent: {_sentence(error)}"), file=sys.stderr)
        return 2


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f"{escape.line(error.filename)}: " if error.filename else ""
        return f"{place}{error.strerror[:1].lower()}{error.strerror[1:]}. Free or name another place and try again."
    subject = str(getattr(error, "path", "") or getattr(error, "implementation", ""))  # the message begins with it
    return escape.line(subject) + str(error)[len(subject) :]


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """The command of that module, imported when it runs."""

    def call(options: argparse.Namespace) -> int:
        main: Callable[[argparse.Namespace], int] = importlib.import_module(f"xent.commands.{name}").main
        return main(options)

    return call


def _version() -> str:
    from xent import __version__

    return f"xent {__version__}"


def _ids(text: str) -> list[str]:
    ids = [part.strip() for part in text.split(",") if part.strip()]
    if not ids:
        raise argparse.ArgumentTypeError("names no implementation")
    return ids


def _folder(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("names no folder")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e7:  # false for nan too
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:4]) < 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of implementations from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

"""``python -m benchmarks.loss``: the portable losses against the frameworks' own, in time and memory, beside the aims.

Each framework runs in its own interpreter, one after the other, and measures native, portable and a copy of the logits
by turns in one process. Memory is measured in a fresh process for each loss. ``loss.json`` holds the numbers;
``loss.md`` and ``loss.png`` (with the extra ``example``: matplotlib) show them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from xent.commands import selection
from xent.conformance.report import console as terminals
from xent.conformance.report import escape
from xent.conformance.report.console import Console
from xent.conformance.running import interpreters
from xent.errors import Unavailable, XentError

from . import children, plan, plot, tables
from .plan import Job
from .rows import Results


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, writes and prints; 0 unless the options or a file can't be read (2)."""
    options = parser().parse_args(arguments)
    console = terminals.make(stderr=True)
    out = Path(options.out)
    try:
        results = Results.read(Path(options.show)) if options.show else _measure(options, out, console)
        out.mkdir(parents=True, exist_ok=True)
        (out / "loss.md").write_text(tables.markdown(results), encoding="utf-8")
        try:
            plot.draw(results, out / "loss.png")
        except ImportError:
            console.print(
                "no loss.png: matplotlib isn't installed here (pip install 'xent-loss[example]')", markup=False
            )
    except (XentError, ValueError, OSError) as error:
        console.print(escape.message(f"xent: {error}"))
        return 2
    tables.show(results, terminals.make(width=150 if not sys.stdout.isatty() else None))
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.loss", description=(__doc__ or "").split("\n\n")[0])
    made.add_argument("--only", metavar="NAMES", help=f"frameworks, of {','.join(plan.FRAMEWORKS)} (default: all)")
    made.add_argument("--shapes", metavar="SHAPES", help="of the logits, e.g. 8x5,1024x1000; linear: linear's own")
    made.add_argument("--quick", action="store_true", help="small shapes, few repetitions: to see that it works")
    made.add_argument("--python", metavar="NAME=INTERPRETER", action="append", default=[], help="as for xent run")
    made.add_argument("--out", metavar="FOLDER", default="report/benchmarks", help="default: %(default)s")
    made.add_argument("--show", metavar="FILE", help="measure nothing: show this loss.json again")
    return made


def _measure(options: argparse.Namespace, out: Path, console: Console) -> Results:
    frameworks = options.only.split(",") if options.only else list(plan.FRAMEWORKS)
    for framework in frameworks:
        if framework not in plan.FRAMEWORKS:
            raise ValueError(f"--only {framework!r}: there are {', '.join(plan.FRAMEWORKS)}")
    effort, shapes, linear = _chosen(options)
    named = selection.overrides(options.python)
    out.mkdir(parents=True, exist_ok=True)
    results = Results("quick" if options.quick else "full", date.today().isoformat(), children.machine())
    for framework in frameworks:
        jobs = plan.jobs(framework, shapes, linear, effort)
        try:
            python = str(interpreters.resolve(framework, framework, named, console.print).path)
            results.frameworks[framework] = _one(python, jobs, results, console, out)
        except Unavailable as error:
            results.frameworks[framework] = {"reason": error.reason}
            console.print(f"{framework}: not measured: {error}", markup=False)
        results.write(out / "loss.json")
    return results


def _chosen(options: argparse.Namespace) -> tuple[plan.Effort, list[str], list[str]]:
    effort = plan.QUICK if options.quick else plan.FULL
    shapes = list(plan.QUICK_SHAPES if options.quick else plan.SHAPES)
    linear = [plan.QUICK_LINEAR_SHAPE if options.quick else plan.LINEAR_SHAPE]
    if options.shapes:
        wanted = list(dict.fromkeys(options.shapes.split(",")))
        linear = linear if plan.LINEAR in wanted else []
        shapes = [shape for shape in wanted if shape != plan.LINEAR]
        for shape in shapes:
            plan.dimensions(shape)
    return effort, shapes, linear


def _one(python: str, jobs: Sequence[Job], results: Results, console: Console, out: Path) -> dict[str, Any]:
    """All of one framework. The times share a process, since they compare; a peak of memory needs a fresh one."""

    def follow(job: Job, measured: dict[str, Any]) -> None:
        results.add(job, measured)
        results.write(out / "loss.json")  # after each: a run takes half an hour
        row = results.find(job.framework, job.shape, job.variant, measured["what"])
        if row is not None and measured["what"] != plan.MEMORY:
            console.print(f"{job.id}, {measured['what']}: {tables.faster(row.ratio)}", markup=False)

    begin = time.monotonic()
    facts = children.run(python, [job for job in jobs if job.what != plan.MEMORY], follow)
    for job in jobs:
        if job.what == plan.MEMORY:
            children.run(python, [job], follow)
    return {**facts, "seconds": round(time.monotonic() - begin)}


if __name__ == "__main__":
    sys.exit(main())

"""Trains the same two models in torch, MindSpore and oneflow, with their own losses and with the portable one.

    python examples/port/port.py [--steps 200] [--out DIR] [--python torch=PYTHON] ...

Same layers, initial weights, batches and optimiser (plain gradient descent); only the framework and the loss differ.
Prints how far the curves are apart, and where the picture is. Exits with 1 where the portable ones are farther apart
than LIMIT.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import data
import frameworks
import numpy as np
import task as tasks
from curves import Run, by_task, distance, portable, read, within
from rich.console import Console
from rich.table import Table

from xent.errors import Unavailable

LIMIT = 1e-5
HERE = Path(__file__).resolve().parent


def train(steps: int, out: Path, overrides: Mapping[str, str]) -> list[Run]:
    """Every task with every loss, each framework in its own interpreter; what they read and wrote stays in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    tasks.write(out / "tasks.npz", data.tasks(steps))
    for framework in frameworks.FRAMEWORKS:
        print(f"training in {framework}", file=sys.stderr, flush=True)
        arguments = [framework, str(out / "tasks.npz"), str(out / f"{framework}.npz")]
        frameworks.run(framework, "train.py", arguments, overrides)
    return read([out / f"{framework}.npz" for framework in frameworks.FRAMEWORKS])


def table(runs: Sequence[Run]) -> Table:
    """The largest distances, each over all steps and all pairs of frameworks."""
    made = Table(title="largest distance between any two frameworks", title_justify="left", box=None, pad_edge=False)
    for title in ("task", "losses", "loss", "at step", "between", "trained weight"):
        made.add_column(title, justify="right" if title in ("loss", "at step", "trained weight") else "left")
    for task in by_task(runs):
        for kind, wanted in (("portable", True), ("native", False)):
            found = distance(portable(runs, task, wanted))
            pair = ", ".join(loss.split("+")[0] for loss in found.pair)
            made.add_row(task, kind, f"{found.loss:.1e}", str(found.step), pair, f"{found.weights:.1e}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, draws and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="of training (default: 200)")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "build" / "port", help="(default: build/port)")
    parser.add_argument("--python", metavar="NAME=INTERPRETER", action="append", default=[], help="as for xent run")
    options = parser.parse_args(arguments)
    try:
        runs = train(options.steps, options.out, frameworks.parse(options.python))
    except (ValueError, Unavailable) as error:
        parser.error(str(error))
    import plot

    pictures = plot.draw(runs, LIMIT, options.out)
    Console(highlight=False).print(table(runs))
    for run in runs:
        if run.failure:
            print(f"{run.task}, {run.loss}: {run.failure}")
        elif not np.isfinite(run.losses).all():
            print(f"{run.task}, {run.loss}: {np.isnan(run.losses).sum()} of {run.losses.size} losses are nan")
    print("picture:", " ".join(map(str, pictures)))
    return 0 if within(runs, LIMIT) else 1


if __name__ == "__main__":
    sys.exit(main())

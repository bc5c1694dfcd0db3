"""What the runs gave, and how far apart they are."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from frameworks import LOSSES


class Run(NamedTuple):
    """One task trained with one loss.

    Attributes:
        task, loss: names.
        losses: before each step; nan where there is none.
        weights: after the last step.
        failure: what the framework said when it couldn't go on; empty otherwise.
    """

    task: str
    loss: str
    losses: np.ndarray
    weights: list[np.ndarray]
    failure: str


class Distance(NamedTuple):
    """The largest distance between any two of some runs of one task.

    Attributes:
        loss: over all steps, nan where there is no pair to compare.
        step: where that is.
        pair: between which losses.
        weights: of any trained weight, over all pairs.
    """

    loss: float
    step: int
    pair: tuple[str, str]
    weights: float


def read(paths: Sequence[Path]) -> list[Run]:
    """The runs in the files that train.py wrote, in the order of LOSSES."""
    runs = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            failures = json.loads(str(arrays["failures"]))
            for name in arrays.files:
                task, _, rest = name.partition("/")
                if rest.endswith("/losses"):
                    loss = rest[: -len("/losses")]
                    prefix = f"{task}/{loss}/weights/"
                    weights = [arrays[f"{prefix}{i}"] for i in range(sum(x.startswith(prefix) for x in arrays.files))]
                    runs.append(Run(task, loss, arrays[name], weights, failures.get(f"{task}/{loss}", "")))
    order = [loss.id for loss in LOSSES]
    return sorted(runs, key=lambda run: order.index(run.loss))


def portable(runs: Sequence[Run], task: str, wanted: bool) -> list[Run]:
    """The runs of a task with the portable losses, or with the native ones."""
    kinds = {loss.id: loss.portable for loss in LOSSES}
    return [run for run in runs if run.task == task and kinds[run.loss] == wanted]


def distance(runs: Sequence[Run]) -> Distance:
    """Over all pairs of runs that were trained; nan as soon as one of them has no number where another has."""
    trained = [run for run in runs if not run.failure]
    found = Distance(float("nan"), 0, ("", ""), float("nan"))
    for one, other in itertools.combinations(trained, 2):
        apart = np.abs(one.losses - other.losses)
        step = int(np.argmax(apart))  # of nan, the first
        weights = max(float(np.abs(a - b).max()) for a, b in zip(one.weights, other.weights, strict=True))
        if np.isnan(apart[step]):
            return Distance(float("nan"), step, (one.loss, other.loss), weights)
        if not apart[step] <= found.loss:
            found = found._replace(loss=float(apart[step]), step=step, pair=(one.loss, other.loss))
        if not weights <= found.weights:
            found = found._replace(weights=weights)
    return found


def by_task(runs: Sequence[Run]) -> Mapping[str, list[Run]]:
    """The runs of each task."""
    return {task: [run for run in runs if run.task == task] for task in dict.fromkeys(run.task for run in runs)}


def within(runs: Sequence[Run], limit: float) -> bool:
    """Every portable loss trained every task to the end, and their losses never were farther apart than `limit`."""
    found = [portable(group, task, True) for task, group in by_task(runs).items()]
    return all(not run.failure for group in found for run in group) and all(distance(g).loss <= limit for g in found)

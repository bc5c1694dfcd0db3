"""Runs in a framework's interpreter: ``python -m benchmarks.measure JOBS JOURNAL``. Python 3.8, NumPy, the framework.

JOBS is a JSON list of `plan.Job`s of one framework. Each line of JOURNAL is a JSON object: ``{"facts": {...}}`` first;
then for each job ``{"begin": INDEX}``, ``{"doing": SIDE}`` before a side's first call, ``{"row": {...}}`` for each row
and ``{"done": INDEX}``. A side that raises is ``{"reason": ...}`` in its row; one that ends the process is the last
that the journal names, and `children` goes on without it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from time import perf_counter
from typing import Any, Dict, Iterator, List

import numpy as np

from . import inputs, memory, plan
from .frameworks import Call, Framework, load
from .plan import Effort, Job

Side = Dict[str, Any]


def main(arguments: List[str]) -> None:
    """Runs the jobs. An exception here is the end of the process, and stderr says which."""
    with open(arguments[0], encoding="utf-8") as file:
        jobs = [Job.from_dict(job) for job in json.load(file)]
    _volunteer()
    with open(arguments[1], "a", encoding="utf-8") as journal:

        def write(entry: Dict[str, Any]) -> None:
            journal.write(json.dumps(entry) + "\n")
            journal.flush()

        framework = load(jobs[0].framework)
        write({"facts": {**framework.facts(), "python": platform.python_version(), "numpy": np.__version__}})
        for index, job in enumerate(jobs):
            write({"begin": index})
            for entry in _memory(framework, job) if job.what == plan.MEMORY else _times(framework, job):
                write(entry)
            write({"done": index})
    os._exit(0)  # frameworks have been seen to crash on their way out


def alternate(calls: Dict[str, Call], effort: Effort) -> Dict[str, List[float]]:
    """Seconds of each call, one after the other in rounds, and every second round backwards: what one call leaves in
    the caches, or another process takes away, meets all of them alike. Freeing the result is part of a call."""
    times: Dict[str, List[float]] = {name: [] for name in calls}
    order = list(calls)
    begin = perf_counter()
    rounds = 0
    while not _enough(rounds, perf_counter() - begin, effort):
        for name in order:
            call = calls[name]
            start = perf_counter()
            call()
            times[name].append(perf_counter() - start)
        order.reverse()
        rounds += 1
    return times


def _enough(rounds: int, elapsed: float, effort: Effort) -> bool:
    if rounds >= effort.maximum:
        return True
    return elapsed >= effort.budget and (rounds >= effort.minimum or (rounds >= 3 and elapsed >= 5 * effort.budget))


def _times(framework: Framework, job: Job) -> Iterator[Dict[str, Any]]:
    made = framework.tensors(inputs.make(plan.dimensions(job.shape), job.variant))
    for what in (plan.FORWARD, plan.BOTH):
        found: Dict[str, Side] = {}
        calls: Dict[str, Call] = {}
        for side in plan.sides(job.framework, job.variant):
            if side in job.barred:
                found[side] = {"reason": job.barred[side]}
                continue
            yield {"doing": side}
            try:
                if side == "copy":
                    calls[side] = framework.copy(made.differentiable[0])
                    calls[side]()
                    found[side] = {}
                else:
                    prepared = framework.forward if what == plan.FORWARD else framework.both
                    call = prepared(framework.side(side, made), made.differentiable)
                    found[side] = {"value": framework.number(call())}  # the warm-up
                    calls[side] = call
            except Exception as error:
                calls.pop(side, None)
                found[side] = {"reason": reason(error)}
        yield {"doing": ""}
        for side, seconds in alternate(calls, job.effort).items():
            low, median, high = np.percentile(seconds, [25, 50, 75]).tolist()
            found[side].update(amount=median, quartiles=[low, high], calls=len(seconds))
        yield {"row": {"what": what, "sides": found}}


def _memory(framework: Framework, job: Job) -> Iterator[Dict[str, Any]]:
    sizes = plan.dimensions(job.shape)
    if job.side in job.barred:
        found: Side = {"reason": job.barred[job.side]}
    else:
        yield {"doing": job.side}
        try:
            found = {"amount": _extra(framework, job, sizes)}
        except Exception as error:
            found = {"reason": reason(error)}
    yield {"row": {"what": plan.MEMORY, "sides": {job.side: found}}}


def _extra(framework: Framework, job: Job, sizes: Any) -> int:
    """One forward and backward pass, after one of the same kind on next to nothing: kernels and threads stay loaded.

    What is compiled for its shapes has run on the same ones before: compiling takes memory too.

    Raises:
        ValueError: the framework's own pool hides a call as small as this.
    """
    if 4 * np.prod(plan.logits(job.shape, job.variant)) < framework.grain:
        taken = "{} takes {} MiB at a time from the system".format(framework.name, framework.grain // 2**20)
        raise ValueError(taken + ", so what these logits need can't be told")
    for small in (True, False):
        made = framework.tensors(inputs.make(tuple(min(size, 4) for size in sizes) if small else sizes, job.variant))
        call = framework.both(framework.side(job.side, made), made.differentiable)
        if small:
            framework.number(call())
    if framework.compiles(job.side):
        framework.number(call())
    return memory.extra_peak(call)


def reason(error: BaseException) -> str:
    """An exception in one line, without colours, and without the paths of this machine."""
    text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    text = re.sub(r"(?:/[\w.+@-]+)+/", ".../", lines[0] if lines else "")
    return (type(error).__name__ + ": " + text)[:200].rstrip(": ")


def _volunteer() -> None:
    """Where memory runs out, let the kernel end this process and no other."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass  # another system: it decides by itself


if __name__ == "__main__":
    main(sys.argv[1:])

"""The worker's life: ``python -m xent.conformance.worker FOLDER MODULE``.

It runs in the framework's own interpreter, where there need be nothing but NumPy and the framework, in the folder
``FOLDER/N/scratch``. It reads ``FOLDER/cases.safetensors``, waits for ``FOLDER/N/go`` (the cases that are recorded
already) and writes ``FOLDER/N/journal``, JSON Lines: ``{"hello": ...}`` once the framework is ready, then per case
``{"begin": id}`` and its record, then ``{"end": true}``.

An adapter that says ``FORKS = True`` has a framework that works in a fork of the process that imported it. Its cases
run in one; after a case that ends it come ``{"died": exit code}`` and another fork, which takes milliseconds where an
import takes seconds. `runner` supervises.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import mmap
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from xent import adapters
from xent.adapters import Adapter
from xent.conformance.protocol import case_file
from xent.conformance.protocol.case import Case
from xent.conformance.worker import recording
from xent.conformance.worker.journal import WORD, Journal

_PR_SET_PDEATHSIG = 1


def main(
    argv: Sequence[str],
    load: Callable[[str], Adapter] = adapters.load,
    run_case: Callable[[Adapter, Case, Journal], Dict[str, Any]] = recording.run,
) -> None:
    """The worker's life. Leaves through os._exit: a framework that crashes on its way out must not change anything.

    Args:
        argv: the folder and the module.
        load: gives the adapter of the module.
        run_case: makes the record of a case; the kit, for its own cases, asks something else of the adapter.
    """
    folder, module, parent = Path(argv[0]), argv[1], os.getppid()  # the guard
    _die_with(parent)
    journal = Journal(Path.cwd().parent, os.environ.pop(WORD, ""))
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != os.getcwd()]  # -m put it there
    faulthandler.enable(all_threads=False)
    try:
        cases = case_file.read(folder / "cases.safetensors")
        adapter = load(module)
        adapter.prepare()
        plan, left_out = _plan(adapter, cases)
        journal.append({"hello": {**_who(adapter), "planned": [case.id for case in plan], "left_out": left_out}})
    except BaseException as error:
        journal.append({"unavailable": recording.why(error)})
        os._exit(1)
    recorded = set(_wait_for_go(journal, parent))
    rest = [case for case in plan if case.id not in recorded]

    def run(case: Case) -> None:
        _alive(parent)
        journal.append(run_case(adapter, case, journal))

    if adapter.FORKS and hasattr(os, "fork"):
        _in_forks(run, rest, journal)
    else:
        for case in rest:
            run(case)
    journal.append({"end": True})
    os._exit(0)


def _in_forks(run: Callable[[Case], None], cases: List[Case], journal: Journal) -> None:
    """Runs the cases in a fork of this process, and those after one that ends it in another."""
    worker, begin = os.getpid(), 0
    reached = mmap.mmap(-1, 8)  # the number of the case that runs, which the fork tells
    while begin < len(cases):
        child = os.fork()
        if child == 0:
            _die_with(worker)
            journal.adopt()
            for number in range(begin, len(cases)):
                reached[:] = number.to_bytes(8, "little")
                run(cases[number])
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        journal.append({"died": code, "stderr": journal.stderr_size()})
        begin = int.from_bytes(reached[:], "little") + 1


def _die_with(parent: int) -> None:
    """Nobody reads the journal of a worker whose parent is gone, and a hung one would stay for ever."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _alive(parent)
    import resource  # not on Windows, where the two lines above have nothing to do either

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a framework's core dump is gigabytes, and takes seconds


def _alive(parent: int) -> None:
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        os._exit(1)


def _plan(adapter: Adapter, cases: List[Case]) -> Tuple[List[Case], Dict[str, int]]:
    """The cases that this adapter runs, and how many it leaves out, by reason."""
    sample = adapter.SAMPLE
    if sample is None:
        return cases, {}
    plan = [case for case in cases if sample in case.tags]
    left_out = len(cases) - len(plan)
    return plan, {f"only cases tagged {sample} run": left_out} if left_out else {}


def _who(adapter: Adapter) -> Dict[str, Any]:
    """What the header says of the implementation; every text within its limit, whatever the adapter answers."""
    version = recording.name_of(adapter.version())
    return {
        "name": recording.name_of(adapter.NAME),
        "version": version,
        "device": recording.name_of(adapter.device()),
        "mode": recording.name_of(adapter.MODE),
        "python": platform.python_version(),
        "platform": recording.name_of(platform.platform()),
        "packages": {recording.name_of(adapter.FRAMEWORK): version, "numpy": np.__version__},
        "adapter": {"module": recording.name_of(adapter.module.__name__), "sha256": adapters.source_digest(adapter)},
        "capabilities": adapter.capabilities.to_dict(),
        "sample": adapter.SAMPLE,
    }


def _wait_for_go(journal: Journal, parent: int) -> List[str]:
    """The ids of the cases that are recorded already. A standby worker waits here, ready, until it is needed."""
    go = os.path.join(os.path.dirname(journal.path), "go")
    while not os.path.exists(go):
        _alive(parent)
        time.sleep(0.005)
    with open(go, encoding="ascii") as file:
        recorded: List[str] = json.load(file)
    return recorded


if __name__ == "__main__":
    main(sys.argv[1:])

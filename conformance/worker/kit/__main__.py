"""The kit's worker: ``python -m xent.conformance.worker.kit FOLDER MODULE``.

It is the worker of a run, but for cases that are tagged as a probe (the case's id names it) or as one for the portable
loss. A probe's record is a value where nothing is wrong, and else the error `Wrong` or `Missing`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Callable, Dict, List

import numpy as np

from xent import adapters
from xent.adapters import Adapter, Capabilities, Evaluation
from xent.conformance.protocol.case import Case
from xent.conformance.worker import __main__ as worker
from xent.conformance.worker import recording
from xent.conformance.worker.journal import Journal

from . import contract, evaluation, round_trips
from .findings import Wrong
from .portable import CLASS, FUNCTION, Portable
from .tags import FOR_PORTABLE, PROBE

_imported_early: List[str] = []


def _import(adapter: ModuleType) -> None:
    """Importing the adapter imported no framework, here where there is one."""
    if _imported_early:
        raise Wrong(contract.early(_imported_early))


def _names(adapter: ModuleType) -> None:
    """The names that may need the framework to be looked at."""
    for name in contract.NAMES:
        if name.name in (CLASS, FUNCTION) and hasattr(adapter, name.name):
            why = contract.uncallable(name, getattr(adapter, name.name))
            if why:
                raise Wrong(f"{name.name} {why}; it is {name.what}")


PROBES: Dict[str, Callable[[ModuleType], None]] = {
    "import": _import,
    "names": _names,
    "round-trip": round_trips.round_trip,
    "weights": round_trips.weights,
    "foreign": round_trips.foreign,
    "source": round_trips.source,
    "calls": round_trips.calls,
    "order": round_trips.order,
    "gradient": evaluation.gradient,
    "layouts": evaluation.layouts,
    "untouched": evaluation.untouched,
    "repeat": evaluation.repeat,
    "phases": evaluation.phases,
    "casts": evaluation.casts,
}


class _Probe:
    """As an adapter whose evaluation is a probe of another."""

    capabilities = Capabilities()

    def __init__(self, name: str, adapter: ModuleType) -> None:
        self._name = name
        self._adapter = adapter

    def evaluate(self, spec: Any, input: Any, target: Any, *, gradient: Any) -> Evaluation:
        PROBES[self._name](self._adapter)
        return Evaluation(np.zeros((), np.float32))


def _load(module: str) -> Adapter:
    adapter = adapters.load(module)
    _imported_early[:] = contract.frameworks_imported(adapter.module)
    return adapter


def _run(adapter: Adapter, case: Case, journal: Journal) -> Dict[str, Any]:
    asked: Any = adapter
    if PROBE in case.tags:
        asked = _Probe(case.id, adapter.module)
    elif FOR_PORTABLE in case.tags:
        asked = Portable(adapter.module)
    return recording.run(asked, case, journal)


if __name__ == "__main__":
    worker.main(sys.argv[1:], _load, _run)

"""Which call into a framework is under way, so that an exception can be told by where it came from."""

from __future__ import annotations

import contextlib
import time
from typing import Iterator


class _Phases:
    """Which call into the framework is under way, and the time spent in such calls, for the worker's record."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.last = "forward"
        self.seconds = 0.0
        self.depth = 0


_phases = _Phases()


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Marks a call into the framework: ``"construct"``, ``"forward"`` or ``"backward"``."""
    outer = _phases.last if _phases.depth else name
    _phases.last = name
    _phases.depth += 1
    started = time.perf_counter()
    try:
        yield
        _phases.last = outer  # a nested phase that ended well: what comes next belongs to the outer one again
    finally:
        _phases.depth -= 1
        if _phases.depth == 0:
            _phases.seconds += time.perf_counter() - started


def last_phase() -> str:
    """The phase that was entered last: after an exception, where it came from."""
    return _phases.last


def phase_seconds() -> float:
    """Seconds spent inside the framework's own calls since `reset_phases`."""
    return _phases.seconds


def reset_phases() -> None:
    """Before each case."""
    _phases.reset()

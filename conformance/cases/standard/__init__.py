"""The standard cases: what every implementation is run on, whatever else is.

Deterministic and the same to the bit on every machine (values.py); the choice is in tables (grid.py, hostile.py,
singles.py, refusals.py, probes.py), and ids are made of the factors chosen, e.g.
``indices/rank2/mean/weighted/ignore-default-some/smoothing-0.1/float32/int64``. An id and its data never change unless
that case does, so that evidence from different versions of this set compares case by case.
"""

from __future__ import annotations

from dataclasses import replace
from typing import List

from xent.conformance.cases.standard.jit_sample import JIT_SAMPLE
from xent.conformance.protocol.case import Case

from . import grid, hostile, probes, refusals, singles

__all__ = ["cases"]


def cases() -> List[Case]:
    """All standard cases, with ids that are unique; made anew at each call (about half a second)."""
    made = [case for table in (grid, hostile, singles, refusals, probes) for case in table.cases()]
    return [replace(case, tags=(*case.tags, "jit-sample")) if case.id in JIT_SAMPLE else case for case in made]

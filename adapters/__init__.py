"""What every adapter shares: the records it fills in, and the way to find it.

`contract` says what an adapter is, `registry` finds and loads one, `dispatch` picks the portable loss by whose tensor
it is given, `phases` tells which call into a framework is under way.
"""

from __future__ import annotations

from xent.capabilities import Capabilities, Entry
from xent.layout import layout

from .contract import Adapter, Evaluation
from .dispatch import cross_entropy, framework_of
from .phases import last_phase, phase, phase_seconds, reset_phases
from .registry import load, module_path, names, source_digest

__all__ = [
    "Adapter", "Capabilities", "Entry", "Evaluation", "cross_entropy", "framework_of", "last_phase", "layout", "load",
    "module_path", "names", "phase", "phase_seconds", "reset_phases", "source_digest",
]  # fmt: skip

"""The portable loss under mint's name as an implementation of the harness (``mint+xent``)."""

from __future__ import annotations

from xent.adapters.portable.ported import ported

from ..mindspore import native
from ..mindspore.ported import TENSOR, capabilities, device, prepare, version
from . import FRAMEWORK, NAME

__all__ = [
    "FRAMEWORK",
    "MODE",
    "NAME",
    "SCRIPT",
    "TENSOR",
    "capabilities",
    "device",
    "evaluate",
    "from_call",
    "from_native",
    "prepare",
    "source",
    "to_native",
    "version",
]

MODE, SCRIPT, to_native, from_native, from_call, source, evaluate = ported("xent.adapters.mint", native)

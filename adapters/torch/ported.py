"""The portable loss for torch as an implementation of the harness (``torch+xent``)."""

from __future__ import annotations

from xent.adapters.portable.ported import ported
from xent.capabilities import Capabilities

from . import native
from .native import FRAMEWORK, NAME, TENSOR, version
from .native import as_array as as_array  # beside as_tensor, for an adapter that builds on this one
from .native import as_tensor as as_tensor

__all__ = [
    "FRAMEWORK",
    "MODE",
    "NAME",
    "SCRIPT",
    "TENSOR",
    "capabilities",
    "evaluate",
    "from_call",
    "from_native",
    "source",
    "to_native",
    "version",
]

capabilities = Capabilities()
MODE, SCRIPT, to_native, from_native, from_call, source, evaluate = ported("xent.adapters.torch", native)

"""The portable loss for MindSpore as an implementation of the harness (``mindspore+xent``)."""

from __future__ import annotations

from xent.adapters.portable.ported import ported
from xent.capabilities import Capabilities, Entry

from . import native
from .native import FRAMEWORK, NAME, TENSOR, device, prepare, version
from .native import as_array as as_array  # beside as_tensor, for an adapter that builds on this one
from .native import as_tensor as as_tensor

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

_CONSTANT = "the portable loss for MindSpore takes weight for a constant"
capabilities = Capabilities(
    index_gradients=Entry(("input",), _CONSTANT), probability_gradients=Entry(("input", "target"), _CONSTANT)
)
MODE, SCRIPT, to_native, from_native, from_call, source, evaluate = ported("xent.adapters.mindspore", native)

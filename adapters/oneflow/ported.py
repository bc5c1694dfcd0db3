"""The portable loss for oneflow as an implementation of the harness (``oneflow+xent``)."""

from __future__ import annotations

from xent.adapters.portable.ported import ported
from xent.capabilities import Capabilities, Entry

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

_GRADIENTS = Entry(("input",), "the portable loss for oneflow takes target and weight for constants")
capabilities = Capabilities(
    index_dtypes=Entry(("int8", "uint8", "int32", "int64"), "oneflow 0.9.0 has no other integer dtypes (measured)"),
    index_gradients=_GRADIENTS,
    probability_gradients=_GRADIENTS,
)
MODE, SCRIPT, to_native, from_native, from_call, source, evaluate = ported("xent.adapters.oneflow", native)

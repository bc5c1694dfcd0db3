"""The portable loss for Paddle as an implementation of the harness (``paddle+xent``)."""

from __future__ import annotations

from xent.adapters.portable.ported import ported
from xent.capabilities import Capabilities, Entry

from . import native
from .native import FRAMEWORK, NAME, RANKS, TENSOR, device, version

__all__ = [
    "FRAMEWORK", "MODE", "NAME", "SCRIPT", "TENSOR", "capabilities", "device", "evaluate", "from_call", "from_native",
    "source", "to_native", "version",
]  # fmt: skip

capabilities = Capabilities(
    input_ranks=Entry(tuple(range(1, RANKS + 1)), "a tensor of paddle 3.3.1 has at most 9 dimensions (measured)"),
    index_dtypes=Entry(
        ("int8", "uint8", "int16", "int32", "int64"), "paddle 3.3.1 has no other integer dtypes (measured)"
    ),
)
MODE, SCRIPT, to_native, from_native, from_call, source, evaluate = ported("xent.adapters.paddle", native)

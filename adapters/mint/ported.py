"""The portable loss under mint's name as an implementation of the harness."""

from __future__ import annotations

from xent.adapters.source import call, with_import
from xent.spec import Arguments, CrossEntropySpec

from ..mindspore import native
from ..mindspore.ported import (
    MODE,
    TENSOR,
    capabilities,
    device,
    evaluate,
    from_call,
    from_native,
    prepare,
    to_native,
    version,
)
from . import FRAMEWORK, NAME

__all__ = [
    "FRAMEWORK", "MODE", "NAME", "SCRIPT", "TENSOR", "capabilities", "device", "evaluate", "from_call", "from_native",
    "prepare", "source", "to_native", "version",
]  # fmt: skip

SCRIPT = with_import(native.SCRIPT, "xent.adapters.mint")


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import mindspore, xent.adapters.mint``."""
    return call("xent.adapters.mint.CrossEntropyLoss", spec, TENSOR)

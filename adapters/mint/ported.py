"""The portable loss under mint's name as an implementation of the harness."""

from __future__ import annotations

from xent.spec import Arguments, CrossEntropySpec

from ..mindspore.native import SCRIPT as _SCRIPT
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
from ..text import call
from . import FRAMEWORK, NAME

__all__ = [
    "FRAMEWORK", "MODE", "NAME", "SCRIPT", "TENSOR", "capabilities", "device", "evaluate", "from_call", "from_native",
    "prepare", "source", "to_native", "version",
]  # fmt: skip

SCRIPT = _SCRIPT.replace("import mindspore\n", "import mindspore\nimport xent.adapters.mint\n", 1)


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import mindspore, xent.adapters.mint``."""
    return call("xent.adapters.mint.CrossEntropyLoss", spec, TENSOR)

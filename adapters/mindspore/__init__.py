"""mindspore.nn.CrossEntropyLoss, and the portable loss for MindSpore.

``CrossEntropyLoss``, ``cross_entropy`` and their linear companions are loaded, and MindSpore with them, when they are
first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..framework import on_use
from .native import (
    FRAMEWORK,
    NAME,
    SCRIPT,
    TENSOR,
    as_array,
    as_tensor,
    as_weight,
    capabilities,
    device,
    evaluate,
    from_call,
    from_native,
    prepare,
    source,
    to_native,
    version,
)

if TYPE_CHECKING:
    from .linear import linear_cross_entropy
    from .linear_module import LinearCrossEntropyLoss
    from .portable import CrossEntropyLoss, cross_entropy

__all__ = [
    "FRAMEWORK",
    "NAME",
    "SCRIPT",
    "TENSOR",
    "CrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "as_array",
    "as_tensor",
    "as_weight",
    "capabilities",
    "cross_entropy",
    "device",
    "evaluate",
    "from_call",
    "from_native",
    "linear_cross_entropy",
    "prepare",
    "source",
    "to_native",
    "version",
]

__getattr__ = on_use(
    __name__,
    CrossEntropyLoss="portable",
    LinearCrossEntropyLoss="linear_module",
    cross_entropy="portable",
    linear_cross_entropy="linear",
)

"""torch: its own loss (`native`), and one with the specification's semantics (`portable`), loaded when first used."""

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
    evaluate,
    from_call,
    from_native,
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
    "evaluate",
    "from_call",
    "from_native",
    "linear_cross_entropy",
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

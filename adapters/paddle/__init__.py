"""Paddle: its own loss (`native`), and one with the specification's semantics (`portable`), loaded when first used."""

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
    source,
    to_native,
    version,
)

if TYPE_CHECKING:
    from .portable import CrossEntropyLoss, cross_entropy

__all__ = [
    "FRAMEWORK",
    "NAME",
    "SCRIPT",
    "TENSOR",
    "CrossEntropyLoss",
    "as_array",
    "as_tensor",
    "as_weight",
    "capabilities",
    "cross_entropy",
    "device",
    "evaluate",
    "from_call",
    "from_native",
    "source",
    "to_native",
    "version",
]

__getattr__ = on_use(__name__, CrossEntropyLoss="portable", cross_entropy="portable")

"""torch: its own loss (`native`), and one with the specification's semantics (`portable`), loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    "evaluate",
    "from_call",
    "from_native",
    "linear_cross_entropy",
    "source",
    "to_native",
    "version",
]

_PORTABLE = {"CrossEntropyLoss": "portable", "cross_entropy": "portable", "linear_cross_entropy": "linear"}


def __getattr__(name: str) -> Any:
    """The portable loss needs torch for its class statement, and importing an adapter must import no framework."""
    if name not in _PORTABLE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PORTABLE[name]}"), name)

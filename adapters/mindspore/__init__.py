"""mindspore.nn.CrossEntropyLoss, and the portable loss for MindSpore.

``CrossEntropyLoss``, ``cross_entropy`` and ``linear_cross_entropy`` are loaded, and MindSpore with them, when they are
first asked for.
"""

from __future__ import annotations

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
    "linear_cross_entropy",
    "prepare",
    "source",
    "to_native",
    "version",
]

_PORTABLE = {"CrossEntropyLoss": "portable", "cross_entropy": "portable", "linear_cross_entropy": "linear"}


def __getattr__(name: str) -> Any:
    """The portable loss: a subclass of mindspore.nn.Cell, which can't exist before MindSpore is imported."""
    if name not in _PORTABLE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_PORTABLE[name]}", __name__), name)

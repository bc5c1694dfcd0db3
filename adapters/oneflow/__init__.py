"""oneflow: the adapter of its own loss, and the portable loss.

``CrossEntropyLoss`` and ``cross_entropy`` are loaded, and oneflow with them, when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .native import (
    FORKS,
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
    from .portable import CrossEntropyLoss, cross_entropy

__all__ = [
    "FORKS",
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
    "source",
    "to_native",
    "version",
]


def __getattr__(name: str) -> Any:
    """The portable loss, which subclasses oneflow.nn.Module and so can't exist before oneflow is imported."""
    if name not in ("CrossEntropyLoss", "cross_entropy"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import portable

    return getattr(portable, name)

"""oneflow: the adapter of its own loss, and the portable loss.

``CrossEntropyLoss`` and ``cross_entropy`` are loaded, and oneflow with them, when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..framework import on_use
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

__getattr__ = on_use(__name__, CrossEntropyLoss="portable", cross_entropy="portable")

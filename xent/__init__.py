"""One validated definition of cross-entropy loss, for every framework.

`CrossEntropySpec` is the definition's arguments, `reference` its values in NumPy, `adapters` the way to each framework
and back. Everything loads on first use, so that `import xent` costs nothing and imports no framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

__version__ = "0.1.0"
__all__ = ["CrossEntropySpec", "adapters", "errors", "reference"]

if TYPE_CHECKING:
    from . import adapters, errors, reference
    from .spec import CrossEntropySpec


def __getattr__(name: str) -> Any:
    if name == "CrossEntropySpec":
        return importlib.import_module(".spec", __name__).CrossEntropySpec
    if name in __all__:
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted([*globals(), *__all__])

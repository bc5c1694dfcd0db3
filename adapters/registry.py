"""The adapters that are installed, through the entry-point group ``xent.adapters``, and the way to load one."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path
from typing import Any, Dict, Tuple

from xent.errors import Unavailable

from .contract import Adapter, wrapped

GROUP = "xent.adapters"
_ABOVE = ("adapters", "conformance", "migration", "commands")  # folders of the package that stand on the core


def _entry_points() -> Dict[str, str]:
    from importlib import metadata  # 3.8 has it; imported here since a worker never needs it

    found: Any = metadata.entry_points()
    points = found.select(group=GROUP) if hasattr(found, "select") else found.get(GROUP, [])
    return {point.name: point.value for point in points}


def names() -> Tuple[str, ...]:
    """The ids of all installed adapters, ``numpy`` first, then by name."""
    return tuple(sorted(_entry_points(), key=lambda name: (name != "numpy", name)))


def load(name: str) -> Adapter:
    """The adapter of that id (``"mint-jit"``) or module path (``"my.adapter"``).

    It is imported, so a module path must be one that the user named, or that an installed distribution's entry point
    names: never one out of a file.

    Raises:
        Unavailable: there is no such adapter, it doesn't import, or it isn't what the contract says (`wrapped`).
    """
    known = _entry_points() if "." not in name else {}
    path = known.get(name, name)
    try:
        module = importlib.import_module(path)
        return wrapped(module)
    except (KeyboardInterrupt, Unavailable):
        raise
    except BaseException as error:  # a plug-in may fail in any way, sys.exit included, and takes no other with it
        import difflib

        close = difflib.get_close_matches(name, known, n=1) if name not in known else []
        remedy = f"Did you mean {close[0]!r}?" if close else f"Installed adapters: {', '.join(names()) or 'none'}."
        raise Unavailable(name, f"no adapter imports as {path!r} ({type(error).__name__}: {error})", remedy) from error


def module_path(name: str) -> str:
    """The module of an installed adapter, by its id. Raises KeyError where none is installed under it."""
    return _entry_points()[name]


def source_digest(adapter: Adapter) -> str:
    """SHA-256 (hex) of the source that an evaluation runs: xent's core, what adapters share, the adapter's package."""
    here = Path(__file__).resolve().parent
    core = Path(sys.modules["xent"].__file__ or "").resolve().parent
    file = Path(str(adapter.module.__file__)).resolve()
    own = file.parent.glob("*.py") if adapter.module.__package__ else [file]
    parts = (place for place in core.iterdir() if place.is_dir() and place.name not in _ABOVE)
    found = {path.resolve() for place in (core, *parts, here) for path in place.glob("*.py")} | set(own)
    state = hashlib.sha256()
    for path in sorted(found, key=lambda path: (path.parent.name, path.name)):
        state.update(f"{path.parent.name}/{path.name}\0".encode() + path.read_bytes())
    return state.hexdigest()

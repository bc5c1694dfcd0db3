"""Where an implementation runs, and in which environment one asks there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# For the start of a script that runs there: one that hangs must not outlive whoever waits for it.
DIE_WITH_PARENT = """
import sys
if sys.platform.startswith("linux"):
    try:
        import ctypes
        ctypes.CDLL(None).prctl(1, 9)
    except (ImportError, OSError):
        pass
"""

How = Literal["named", "running", "managed"]


@dataclass(frozen=True)
class Interpreter:
    """Where an implementation runs.

    Attributes:
        path: the executable.
        how: ``"named"`` (--python), ``"running"`` (the interpreter of this process) or ``"managed"``.
        environment: the managed environment's folder; None for the other two.
    """

    path: Path
    how: How
    environment: Path | None = None


def asking_environment(**more: str) -> Mapping[str, str]:
    """Ours, without what would lead another Python to our own library, and so that asking leaves no trace there."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}

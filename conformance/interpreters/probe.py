"""What a Python interpreter is and which packages it has, asked without importing any of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Optional, Sequence

MINIMUM = (3, 8)
_MARK = "xent-probe "

# Runs on any Python, 2.7 included, so that one that is too old can say so. A fresh process has nothing in sys.modules,
# so a stand-in that another package put there as "torch" isn't seen; nor does a mere file or folder of that name count.
# The version is that of the distribution "torch" or of a variant such as "mindspore-ascend".
_SCRIPT = """
import json, platform, sys
packages = {}

def version(name):
    try:
        return importlib.metadata.version(name)
    except Exception:
        # 3.10 and newer can tell who owns a package; a list of all that is installed, so only asked when needed.
        owners = getattr(importlib.metadata, "packages_distributions", dict)().get(name, [])
        owners = [owner for owner in owners if owner.lower().startswith(name)]
        return importlib.metadata.version(owners[0]) if owners else ""

if sys.version_info >= (3, 8):
    import importlib.metadata, importlib.util
    for name in sys.argv[1:]:
        try:
            spec = importlib.util.find_spec(name)
        except Exception:
            spec = None
        if spec is None or spec.origin is None or spec.submodule_search_locations is None:
            continue
        packages[name] = version(name)
report = {
    "version": list(sys.version_info[:3]),
    "cpython": platform.python_implementation() == "CPython",
    "threaded": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
    "packages": packages,
}
print("\\n" + "xent-probe " + json.dumps(report))
"""


@dataclass(frozen=True)
class Probe:
    """One interpreter.

    Attributes:
        path: the executable.
        version: (major, minor, micro).
        plain: CPython with its lock, which is what the frameworks' wheels are for.
        packages: those asked for that it has, with their versions ("" where no installed distribution owns it).
    """

    path: Path
    version: tuple[int, int, int]
    plain: bool
    packages: Mapping[str, str]

    @property
    def minor(self) -> str:
        """``"3.11"``."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def release(self) -> str:
        """``"3.11.7"``."""
        return ".".join(map(str, self.version))


class NotPython(Exception):
    """The file can't be run, or what ran didn't behave like Python; the message is a clause that says how."""


def ask(interpreter: Path, packages: Sequence[str] = (), timeout: float = 60) -> Probe:
    """Runs the interpreter once (20 ms) and asks.

    Raises:
        NotPython: it doesn't start, doesn't end, or doesn't answer as Python does.
    """
    command = [str(interpreter), "-c", _SCRIPT, *packages]
    try:
        # The root folder: a folder called "torch" where the user happens to stand is not the framework.
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, cwd=os.sep)
    except subprocess.TimeoutExpired:
        raise NotPython(f"didn't answer within {timeout:.0f} s") from None
    except OSError as error:
        raise NotPython(f"can't be run ({error.strerror or error})") from None
    for line in reversed(done.stdout.decode("utf-8", "replace").splitlines()):
        if line.startswith(_MARK):
            break
    else:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = f": {words[-1].strip()[:160]}" if words else ""
        raise NotPython(f"is not a working Python interpreter (exit code {done.returncode}{said})")
    try:
        report = json.loads(line[len(_MARK) :])
        major, minor, micro = (int(part) for part in report["version"])
        has = {str(name): str(version) for name, version in report["packages"].items()}
        return Probe(interpreter, (major, minor, micro), bool(report["cpython"] and report["threaded"]), has)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotPython("is not a working Python interpreter (its answer makes no sense)") from None


def locate(given: str) -> Optional[Path]:
    """The executable behind what a user wrote (a path, a command's name, an environment's folder), or None.

    Links are kept as they are: an environment's ``bin/python`` is a link, and following it would leave the environment.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        inside = path / "bin" / "python"
        return inside.absolute() if inside.exists() else None
    if path.exists():
        return path.absolute()
    found = shutil.which(given) if os.sep not in given else None
    return Path(found).absolute() if found else None

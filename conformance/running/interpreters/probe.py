"""What a Python interpreter is and which packages it has, asked without importing any of them."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

from xent.conformance.running.interpreters.interpreter import asking_environment

from . import bounded

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


def ask(
    interpreter: Path, packages: Sequence[str] = (), timeout: float = 60, stop: Optional[threading.Event] = None
) -> Probe:
    """Runs the interpreter once (20 ms) and asks.

    Args:
        packages: import names.
        timeout: seconds until it must have ended.
        stop: as for `bounded.run`.

    Raises:
        NotPython: it doesn't start, doesn't end, or doesn't answer as Python does.
        KeyboardInterrupt: by `stop`.
    """
    command = [str(interpreter), "-c", _SCRIPT, *packages]
    try:
        done = bounded.run(command, timeout, environment=asking_environment(), stop=stop)
    except OSError as error:
        raise NotPython(f"can't be run ({error.strerror or error})") from None
    if done.stopped:
        raise NotPython(done.stopped)
    for line in reversed(done.stdout.decode("utf-8", "replace").splitlines()):
        if line.startswith(_MARK):
            return _read(interpreter, line[len(_MARK) :], packages)
    if done.how.startswith("was"):
        raise NotPython(f"is not a working Python interpreter (it {done.how})")
    said = bounded.last_line(done.stderr, 160)
    raise NotPython(f"is not a working Python interpreter (exit code {done.status}{said and f': {said}'})")


def _read(interpreter: Path, answer: str, packages: Sequence[str]) -> Probe:
    """What the script printed; it may as well be a program that only looks like Python.

    Raises:
        NotPython: it has another form than the script's answer.
    """
    try:
        report: Any = json.loads(answer)
        major, minor, micro = (_number(part) for part in report["version"])
        plain = _flag(report["cpython"]) and _flag(report["threaded"])
        has = {name: _version(report["packages"][name]) for name in packages if name in report["packages"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotPython("is not a working Python interpreter (its answer makes no sense)") from None
    return Probe(interpreter, (major, minor, micro), plain, has)


def _number(part: Any) -> int:
    if type(part) is not int or not 0 <= part < 1000:
        raise ValueError("not a part of a version")
    return part


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("neither true nor false")
    return value


def _version(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("not a version")
    return bounded.one_line(value, 100)


def locate(given: str) -> Optional[Path]:
    """The executable behind what a user wrote (a path, a command's name, an environment's folder), or None.

    Links are kept as they are: an environment's ``bin/python`` is a link, and following it would leave the environment.
    """
    path = Path(os.path.expanduser(given))  # which leaves the home of a user that there isn't as it stands
    if os.path.isdir(path):
        inside = path / "bin" / "python"
        return inside.absolute() if os.path.exists(inside) else None
    if os.path.exists(path):
        return path.absolute()
    found = shutil.which(given) if os.sep not in given else None
    return Path(found).absolute() if found else None

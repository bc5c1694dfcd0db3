"""Where a Python of a given version may lie on this machine, activated or not."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Iterator, Mapping, Optional, Sequence

from xent.conformance.running.interpreters.probe import NotPython, Probe, ask

from . import bounded

_TIMEOUT = 60.0  # seconds for uv to look
_LONGEST_LIST = 2**20  # characters
_CONDA_FOLDERS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba")


def first(versions: Sequence[str], uv: Path, stop: Optional[threading.Event] = None) -> Optional[Probe]:
    """What `find` finds for the first of these versions that this machine has; None if it has none of them."""
    return next((found for version in versions if (found := find(version, uv, stop=stop))), None)


def find(
    version: str, uv: Path, environ: Mapping[str, str] = os.environ, stop: Optional[threading.Event] = None
) -> Optional[Probe]:
    """The first working CPython of that version (``"3.10"``); None if this machine has none. Downloads nothing."""
    for candidate in candidates(version, uv, environ, stop):
        try:
            found = ask(candidate, stop=stop)
        except NotPython:  # pyenv leaves a shim on PATH for versions that aren't activated: it exits with 127
            continue
        if found.plain and found.minor == version:
            return found
    return None


def candidates(
    version: str, uv: Path, environ: Mapping[str, str] = os.environ, stop: Optional[threading.Event] = None
) -> Iterator[Path]:
    """Every place to look, likeliest first: the running interpreter, PATH, pyenv, conda, uv's own. Each path once."""
    seen = set()
    for path in _places(version, uv, environ, stop):
        if path not in seen and os.path.isfile(path) and os.access(path, os.X_OK):
            seen.add(path)
            yield path


def _places(version: str, uv: Path, environ: Mapping[str, str], stop: Optional[threading.Event]) -> Iterator[Path]:
    if "{}.{}".format(*sys.version_info) == version:
        # The interpreter behind a virtual environment, which may be deleted while ours lives on.
        yield Path(getattr(sys, "_base_executable", sys.executable))
    search = environ.get("PATH", os.defpath)
    for name in (f"python{version}", "python3", "python"):
        for entry in search.split(os.pathsep):
            if found := shutil.which(name, path=entry):
                yield Path(found)
    home = Path(environ.get("HOME", os.path.expanduser("~")))
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    for folder in sorted((pyenv / "versions").glob(f"{version}*"), reverse=True):
        yield folder / "bin" / "python"
    for folder in _conda_environments(home, environ):
        yield folder / "bin" / f"python{version}"
    command = [str(uv), "python", "find", "--no-project", version]
    try:
        answer = bounded.run(command, _TIMEOUT, environment={**environ, "UV_PYTHON_DOWNLOADS": "never"}, stop=stop)
    except OSError:
        return
    if answer.status == 0 and not answer.stopped:
        yield Path(os.fsdecode(answer.stdout.strip()))


def _conda_environments(home: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    roots = [Path(environ["CONDA_PREFIX"])] if environ.get("CONDA_PREFIX") else []
    roots += [Path(environ["CONDA_EXE"]).parent.parent] if environ.get("CONDA_EXE") else []
    program = shutil.which("conda", path=environ.get("PATH", os.defpath))
    roots += [Path(program).resolve().parent.parent] if program else []
    roots += [home / name for name in _CONDA_FOLDERS]
    for root in roots:
        yield root
        yield from sorted((root / "envs").glob("*"))
    try:  # conda's own list of every environment that it made, wherever it lies
        with open(home / ".conda" / "environments.txt", encoding="utf-8", errors="replace") as file:
            listed = file.read(_LONGEST_LIST)
    except (OSError, ValueError):
        return
    yield from (Path(line) for line in listed.splitlines() if line)

"""Where a Python of a given version may lie on this machine, activated or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Mapping, Optional

from xent.conformance.interpreters.probe import NotPython, Probe, ask

_CONDA_FOLDERS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba")


def find(version: str, uv: Path, environ: Mapping[str, str] = os.environ) -> Optional[Probe]:
    """The first working CPython of that version (``"3.10"``); None if this machine has none. Downloads nothing."""
    for candidate in candidates(version, uv, environ):
        try:
            found = ask(candidate)
        except NotPython:  # pyenv leaves a shim on PATH for versions that aren't activated: it exits with 127
            continue
        if found.plain and found.minor == version:
            return found
    return None


def candidates(version: str, uv: Path, environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Every place to look, likeliest first: the running interpreter, PATH, pyenv, conda, uv's own. Each path once."""
    seen = set()
    for path in _places(version, uv, environ):
        if path not in seen and path.is_file() and os.access(path, os.X_OK):
            seen.add(path)
            yield path


def _places(version: str, uv: Path, environ: Mapping[str, str]) -> Iterator[Path]:
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
    answer = subprocess.run(
        command, capture_output=True, text=True, env={**environ, "UV_PYTHON_DOWNLOADS": "never"}, cwd=os.sep
    )
    if answer.returncode == 0:
        yield Path(answer.stdout.strip())


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
        listed = (home / ".conda" / "environments.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    yield from (Path(line) for line in listed.splitlines() if line)

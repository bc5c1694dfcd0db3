"""Interpreters for tests: Python 3.8, and environments on top of another's packages."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = "import sysconfig; print(*(sysconfig.get_path(kind) for kind in ('purelib', 'platlib')), sep='\\n')"


def says(python: str, script: str) -> str:
    """What the script prints in that interpreter; nothing where it doesn't run."""
    try:
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return ""
    return done.stdout.strip()


def python_38() -> str | None:
    """A Python 3.8 that runs (pyenv's shim is there even when its 3.8 isn't activated, and then fails)."""
    named = [os.environ.get("XENT_TEST_PYTHON_38"), shutil.which("python3.8")]
    roots = [os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), os.path.expanduser("~/miniconda3")]
    found = [path for root in roots for path in sorted(glob.glob(f"{root}/*/*3.8*/bin/python3.8"))]
    for path in [*named, *found]:
        if path and says(path, "import sys, venv; print(sys.version_info[:2] == (3, 8))") == "True":
            return path
    return None


class Environment:
    """A virtual environment with pip.

    Args:
        base: the interpreter that it is made from.
        folder: where.
        on_top: whether it has what `base` has too. pip then finds these packages installed and can't change them: what
            it wants in another version, it would install here as well.
    """

    def __init__(self, base: str, folder: Path, *, on_top: bool = False) -> None:
        options = ["--without-pip"] if on_top and says(base, "import pip; print(1)") else []  # 5 s, where it is there
        subprocess.run([base, "-I", "-m", "venv", *options, str(folder)], check=True, capture_output=True, timeout=120)
        self.folder, self.python = folder, str(folder / "bin" / "python")
        if on_top:
            below = subprocess.run([base, "-I", "-c", PACKAGES], check=True, capture_output=True, text=True).stdout
            lines = [f"import site; site.addsitedir({name!r})\n" for name in below.splitlines()]
            own = Path(self.run("-c", PACKAGES).stdout.splitlines()[0])
            (own / "below.pth").write_text("".join(lines), encoding="utf-8")

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Its Python with nothing else on the path: neither the current folder nor what PYTHONPATH names."""
        done = subprocess.run(
            [self.python, "-I", *arguments], capture_output=True, text=True, check=False, timeout=timeout
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    def install(self, *what: str) -> None:
        """As a user would, with the user's pip configuration. Raises AssertionError with what pip said."""
        self.run("-m", "pip", "install", "-q", "--disable-pip-version-check", *what, timeout=240)

    def packages(self) -> set[str]:
        """``pip freeze``: ``"numpy==1.26.4"`` and the like, of all that can be imported here."""
        return set(self.run("-m", "pip", "freeze", "--all", "--disable-pip-version-check").stdout.splitlines())

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The program `xent` of this environment."""
        program = str(self.folder / "bin" / "xent")
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)

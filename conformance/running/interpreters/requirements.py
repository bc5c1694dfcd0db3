"""The pinned requirement files of ``conformance/environments/`` and where the environment made from each one lies."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "environments"
MARKER = ".complete"


@dataclass(frozen=True)
class Requirements:
    """One requirement file: exact versions with hashes below a few ``# key: value`` lines.

    Attributes:
        name: the file's name without its ending, e.g. ``"torch-index"``.
        text: all of it.
        framework: what the environment is for, by import name.
        pythons: versions that it is pinned for, best first.
        platforms: ``"linux-x86_64"`` and the like.
        size: of the installed environment, for people, e.g. ``"2.8 GB"``.
    """

    path: Path
    name: str
    text: str
    framework: str
    pythons: tuple[str, ...]
    platforms: tuple[str, ...]
    size: str


def this_platform() -> str:
    """``"linux-x86_64"``, ``"linux-aarch64"``, ``"darwin-arm64"``."""
    return f"{sys.platform}-{platform.machine()}"


def load(path: Path) -> Requirements:
    """Reads one requirement file of ours.

    Raises:
        ValueError: one of its ``# key: value`` lines is missing.
    """
    text = path.read_text(encoding="utf-8")
    keys = dict(re.findall(r"^# (framework|pythons|platforms|size): (.+)$", text, re.MULTILINE))
    try:
        return Requirements(
            path, path.stem, text, keys["framework"], tuple(keys["pythons"].split()),
            tuple(keys["platforms"].split()), keys["size"],
        )  # fmt: skip
    except KeyError as error:
        raise ValueError(f"{path.name} lacks the line '# {error.args[0]}: ...'") from None


def for_framework(framework: str) -> tuple[Requirements, ...]:
    """The framework's requirement files for this platform, in the order to try: ``NAME.txt``, then ``NAME-*.txt``."""
    if not framework.isidentifier():  # an import name, of which there are no files elsewhere
        return ()
    files = [FOLDER / f"{framework}.txt", *sorted(FOLDER.glob(f"{framework}-*.txt"))]
    known = (load(file) for file in files if file.is_file())
    return tuple(one for one in known if one.framework == framework and this_platform() in one.platforms)


def cache_folder() -> Path:
    """Where environments are kept: ``xent/environments`` under the user's cache folder. Not created here."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path there is to be ignored.
    root = Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~")) / ".cache"
    return root / "xent" / "environments"


def environment_folder(requirements: Requirements, python: str) -> Path:
    """The environment's folder; its name changes with the pins, the Python and the machine (homes are shared)."""
    key = "\n".join((requirements.text, python, this_platform()))
    return cache_folder() / f"{requirements.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def is_complete(folder: Path) -> bool:
    """Whether the environment was finished, and the Python that it was made from is still there."""
    try:
        return (folder / MARKER).is_file() and (folder / "bin" / "python").exists()
    except OSError:
        return False


def existing(framework: str) -> Path | None:
    """The finished environment for that framework, if there is one."""
    for requirements in for_framework(framework):
        for python in requirements.pythons:
            folder = environment_folder(requirements, python)
            if is_complete(folder):
                return folder
    return None

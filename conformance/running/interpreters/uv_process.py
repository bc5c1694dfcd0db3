"""Runs uv, passes on what it says, and turns its failures into one reason and one next step."""

from __future__ import annotations

import re
import shutil
import threading
import time
from pathlib import Path
from typing import Callable, Mapping, Sequence

from xent.conformance.running.process import death

from . import bounded

Say = Callable[[str], None]

# Seconds that a step may take. They only end what would never end: gigabytes over a slow line take hours.
LIMITS = {"python": 3600.0, "create": 600.0, "install": 6 * 3600.0, "import": 900.0}
_HEARTBEAT = 20.0  # seconds of silence after which people are told that it still works
_KEPT = 500  # lines of what it said, from the start and from the end
_NEWS = ("Resolved", "Downloading", "Downloaded", "Prepared", "Installed", "Building")
# uv's error chain: "error: A / cause: B" (0.13), "error: A / Caused by: B" and "× A / ╰─▶ B" (before).
_LINK = re.compile(r"^\s*(?:error:|cause:|Caused by:|×|├─▶|╰─▶)\s*(.*)$")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_FAILED = {
    "python": "no Python that it runs on is here, and none could be downloaded",
    "create": "its environment couldn't be created",
    "install": "{} couldn't be installed",
    "import": "{} was installed but doesn't import",
}
_NEXT = {
    "python": "Install one, and run again.",
    "create": "Look at {}.",
    "install": "Check the network and pip's configuration (python -m pip config list), and run again.",
    "import": "A system library may be missing.",
}

_finding = threading.Lock()


class Failure(Exception):
    """A program that failed.

    Attributes:
        step: ``"python"`` (download it), ``"create"``, ``"install"`` or ``"import"``.
        reason: what it said, or how it ended, in one line.
        signal: the name of the one that killed it, e.g. ``"SIGKILL"``; "" where none did.
    """

    def __init__(self, step: str, reason: str, signal: str = "") -> None:
        super().__init__(reason)
        self.step = step
        self.reason = reason
        self.signal = signal


def find_uv() -> Path:
    """The program uv: from its package, which is a dependency of ours, else from PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    try:
        from uv import find_uv_bin

        with _finding:  # it asks sysconfig, which gives half-read answers to a second thread (seen on CPython 3.11)
            return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise FileNotFoundError("neither the package uv nor a program of that name was found")
    return Path(found)


def run(
    step: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    lock: int,
    say: Say,
    quiet: bool = False,
    stop: threading.Event | None = None,
) -> None:
    """Runs the program to its end, saying each step that it reports (or that it is still running).

    Args:
        step: as in `Failure`; `LIMITS` holds how long each may take.
        lock: a descriptor that the program inherits.
        quiet: say only heartbeats, for programs whose output is noise.
        stop: once set, the program is ended.

    Raises:
        Failure: it ended with an error, was ended because it never would, or couldn't be started.
        KeyboardInterrupt: by `stop`.
    """
    lines: list[str] = []
    started = time.monotonic()

    def follow(line: str | None) -> None:
        if line is None:
            say(f"still at it after {time.monotonic() - started:.0f} s")
            return
        lines.append(line)
        del lines[_KEPT:-_KEPT]
        if not quiet and line.strip().startswith(_NEWS):
            say(line.strip())

    program = Path(command[0]).name
    try:
        done = bounded.run(
            command, LIMITS[step], environment=environment, folder=folder, inherited=(lock,), follow=follow,
            heartbeat=_HEARTBEAT, stop=stop,
        )  # fmt: skip
    except OSError as error:
        raise Failure(step, f"{command[0]} can't be run ({error.strerror or error})") from None
    if done.stopped:
        raise Failure(step, f"{program} {done.stopped}")
    if done.status:
        how = death(done.status)
        raise Failure(step, _reason(program, done.status, lines), how if how.startswith("SIG") else "")


def _reason(program: str, status: int, lines: Sequence[str]) -> str:
    """Why it failed, in one line: its error, else how it ended. News of its progress are neither."""
    told = [line for line in lines if not line.strip().startswith(_NEWS)]
    killed = death(status).startswith("SIG")
    if not killed and any(_LINK.match(line) for line in told):
        return summary(told)
    return _PASSWORD.sub("", bounded.account(program, status, "\n".join(told), 400))[:400]


def summary(lines: Sequence[str]) -> str:
    """The first and the last link of uv's error chain; for another program its last line.

    At most 400 characters, and no password of an index.
    """
    chain: list[str] = []
    for line in lines:
        if link := _LINK.match(line):
            chain.append(link[1].strip())
        elif line.lstrip().startswith("hint:"):
            break
        elif chain and line.strip():
            chain[-1] = f"{chain[-1]} {line.strip(' │')}".strip()
    if not chain:
        chain = [line.strip() for line in lines if line.strip()][-1:]
    ends = chain if len(chain) < 2 else [chain[0], chain[-1]]
    return _PASSWORD.sub("", ": ".join(part.rstrip(":. ") for part in ends))[:400]


def explain(failure: Failure, framework: str, size: str, cache: Path) -> tuple[str, str]:
    """(reason, next step) for a failed step of making an environment."""
    said = failure.reason
    if "No space left" in said or "os error 28" in said or "Disk quota" in said:
        return (
            f"the disk is full ({said})",
            f"Free {size} or more for {cache} and uv's cache, or set XDG_CACHE_HOME and UV_CACHE_DIR to another disk.",
        )
    if "Hash mismatch" in said:
        return (
            f"a package isn't the one that was pinned ({said})",
            "The index or folder that pip's configuration names (python -m pip config list) serves another file.",
        )
    reason = f"{_FAILED[failure.step].format(framework)} ({said})"
    if failure.signal == "SIGKILL":
        return reason, "Free memory, and run again."
    return reason, _NEXT[failure.step].format(cache)

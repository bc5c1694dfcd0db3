"""Runs uv, passes on what it says, and turns its failures into one reason and one next step."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable, Iterator, Mapping, Sequence

Say = Callable[[str], None]

_HEARTBEAT = 20.0  # seconds of silence after which people are told that it still works
_NEWS = ("Resolved", "Downloading", "Downloaded", "Prepared", "Installed", "Building")
# uv's error chain: "error: A / cause: B" (0.13), "error: A / Caused by: B" and "× A / ╰─▶ B" (before).
_LINK = re.compile(r"^\s*(?:error:|cause:|Caused by:|×|├─▶|╰─▶)\s*(.*)$")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


_finding = threading.Lock()


class Failure(Exception):
    """A program that failed.

    Attributes:
        step: ``"python"`` (download it), ``"create"``, ``"install"`` or ``"import"``.
        reason: what it said, in one line.
    """

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step
        self.reason = reason


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
) -> None:
    """Runs the program to its end, saying each step that it reports (or that it is still running).

    Args:
        lock: a descriptor that the program inherits.
        quiet: say only heartbeats, for programs whose output is noise.

    Raises:
        Failure: it ended with an error, or couldn't be started.
    """
    lines: list[str] = []
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), pass_fds=(lock,),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise Failure(step, f"{command[0]} can't be run ({error.strerror or error})") from None
    with process:
        try:
            for line in _lines(process):
                if line is None:
                    say(f"still at it after {time.monotonic() - started:.0f} s")
                    continue
                lines.append(line)
                if not quiet and line.strip().startswith(_NEWS):
                    say(line.strip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise Failure(step, summary(lines) or f"ended with exit code {process.returncode}")


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str | None]:
    """What the program writes to stderr, line by line; None whenever it has been silent for a while."""
    assert process.stderr is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while True:
            if not selector.select(_HEARTBEAT):
                yield None
                continue
            chunk = os.read(process.stderr.fileno(), 65536)
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)
            if not chunk:
                yield rest.decode("utf-8", "replace")
                return


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
    if failure.step == "import":
        return f"{framework} was installed but doesn't import ({said})", "A system library may be missing."
    if failure.step == "python":
        return (
            f"no Python that it runs on is here, and none could be downloaded ({said})",
            "Install one, and run again.",
        )
    if failure.step == "create":
        return f"its environment couldn't be created ({said})", f"Look at {cache}."
    return (
        f"{framework} couldn't be installed ({said})",
        "Check the network and pip's configuration (python -m pip config list), and run again.",
    )

"""One worker process: its folder, its environment, what it wrote, and its end."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from xent.conformance.files.reading import open_file
from xent.conformance.implementations import Implementation
from xent.conformance.worker.journal import WORD
from xent.errors import NotStarted, UnreadableInput

from .journal import Entry, Journal
from .launch import environment

_GUARD = Path(__file__).with_name("guard.py")
_PATIENCE = 15.0  # seconds for the guard to end all that its worker started
_TROUBLE_BYTES = 16
# Cases are tiny and workers run side by side: with a thread a core each, torch took 60 ms for what takes it 0.8 ms
# alone. One thread also adds in the same order every time.
_THREADS = "1"
_NO_ROOM = 2**16  # bytes: less than a block or two of anything
_START, _END = 3000, 2000  # of a worker's stderr: C++ says the cause first, Python last
_MAX_OUTPUT = 64 * 2**20
_UNPRINTABLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]")


class Worker:
    """A running ``xent.conformance.worker`` under a guard, so that it can be ended with all that it started."""

    def __init__(self, folder: Path, name: str, interpreter: str, implementation: Implementation) -> None:
        """Starts it. Raises NotStarted when the interpreter can't be started, OSError for the folder."""
        self._folder = folder / name
        scratch = self._folder / "scratch"
        scratch.mkdir(parents=True)
        # Written now, so that a worker that finds the disk full can still say so in it.
        (self._folder / "trouble").write_bytes(b" " * _TROUBLE_BYTES)
        word = secrets.token_hex(16)
        self._journal = Journal(self._folder / "journal", word)
        self._ended = False
        if not os.access(interpreter, os.X_OK) or os.path.isdir(interpreter):
            raise _cannot_start(implementation, interpreter, "no executable file")
        # The streams stay open here: whatever the framework does to the files, these are the ones that it was given.
        with contextlib.ExitStack() as stack:
            self._streams = [_stream(self._folder / name) for name in ("stdout", "stderr")]
            stack.callback(self._close)
            worker = [interpreter, "-m", implementation.program, str(folder), implementation.module]
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), *worker],
                cwd=scratch,  # frameworks drop files where they run
                env={"OMP_NUM_THREADS": _THREADS, **environment(folder / "path"), WORD: word},
                stdin=subprocess.DEVNULL,
                stdout=self._streams[0],
                stderr=self._streams[1],
                start_new_session=True,
            )
            stack.pop_all()

    def go(self, recorded: Iterable[str]) -> None:
        """Tells the worker to begin, and which cases to pass over."""
        unfinished = self._folder / "go.unfinished"
        unfinished.write_text(json.dumps(sorted(recorded)), encoding="ascii")
        unfinished.replace(self._folder / "go")

    def exit_status(self) -> int | None:
        """As subprocess has it, negative for a signal; None while it runs."""
        return self._process.poll()

    def entries(self) -> Iterator[Entry]:
        """What the worker has written since the last call."""
        return self._journal.entries()

    def trouble(self) -> OSError | None:
        """The error of the disk that ended the worker; None where it ended for another reason."""
        try:
            with open_file(self._folder / "trouble", "a number", _TROUBLE_BYTES) as file:
                number = int(file.read() or b"0")
        except (UnreadableInput, OSError, ValueError):
            number = 0
        if not number and _is_full(self._folder):
            number = errno.ENOSPC
        return OSError(number, os.strerror(number)) if number else None

    def stderr_excerpt(self, since: int = 0, until: int | None = None) -> str:
        """What it wrote to stderr between these bytes, start and end, without colours and control characters."""
        stream = self._streams[1]
        size = os.fstat(stream).st_size
        if since > size:  # the file was trimmed
            since, until = 0, None
        end = size if until is None else min(until, size)
        start = _printable(os.pread(stream, min(_START, max(0, end - since)), since))
        since = min(since + _START, end)
        begin = max(since, end - 4 * _END)
        rest = _printable(os.pread(stream, max(0, end - begin), begin))
        if begin == since and len(start) + len(rest) <= _START + _END:
            return (start + rest).strip()
        return f"{start.strip()}\n[...]\n{rest.strip()[-_END:]}"

    def trim_output(self) -> None:
        """Keeps a framework that prints without end from filling the disk. (The worker appends, so this is safe.)"""
        for stream in self._streams:
            if os.fstat(stream).st_size > _MAX_OUTPUT:
                os.ftruncate(stream, 0)

    def kill(self) -> None:
        """Ends the worker and whatever it started, once: later its process id may be somebody else's."""
        if self._ended:
            return
        self._ended = True
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:  # somebody stopped the guard
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def close(self) -> None:
        """Ends it, and lets go of its streams."""
        self.kill()
        self._close()

    def _close(self) -> None:
        for stream in self._streams:
            os.close(stream)
        self._streams = []


def _printable(data: bytes) -> str:
    return _UNPRINTABLE.sub("", data.decode("utf-8", "replace"))


def _stream(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)


def _cannot_start(implementation: Implementation, interpreter: str, why: str) -> NotStarted:
    return NotStarted(
        implementation.id, f"the interpreter {interpreter} can't be started ({why})", "Name another with --python."
    )


def _is_full(folder: Path) -> bool:
    """Whether a program that ran in the folder had no room to write."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize < _NO_ROOM or (found.f_files > 0 and found.f_favail == 0)


def death(status: int) -> str:
    """How a worker ended, as a results file says it: a signal's name, or ``exit N``."""
    number = -status if status < 0 else status - 128  # a shell in between reports a signal as 128 + its number
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit {status}" if status >= 0 else f"SIG{number}"

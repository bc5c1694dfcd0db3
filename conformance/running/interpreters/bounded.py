"""Runs a program whose output is read: for a limited time, keeping a limited part of what it says, and ends all of it.

What answers may be anything: an interpreter that a user named prints for ever, hangs, floods stderr, or leaves a child
behind that holds its output open. None of that may hold up the caller or fill its memory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from xent.conformance.running.process import death

LIMIT = 64 * 2**20  # bytes that a program may print before it counts as one that never stops
KEPT = 2**20  # bytes at the end of each stream
_POLL = 0.01  # seconds
_LONGEST_LINE = 4096  # bytes, of those handed on while the program runs
_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
# What CPython's faulthandler writes of a process that dies tells where, not why.
_DUMP_STARTS = "Fatal Python error:"
_DUMP = re.compile(r"^(?:(?:Current thread|Thread) 0x|Extension modules:|  File \".*\s*\Z)", re.MULTILINE)
_HINTS = {
    "SIGKILL": "is memory short?",
    "SIGILL": "is it built for another processor?",
    "SIGBUS": "is one of its files cut off?",
}

Follow = Callable[["str | None"], None]


class Ended(NamedTuple):
    """How a program ended and what it said.

    Attributes:
        status: as subprocess has it, negative for a signal.
        stdout, stderr: the last `KEPT` bytes of each.
        stopped: why it was ended from here, a clause without its subject; "" where it ended by itself.
    """

    status: int
    stdout: bytes
    stderr: bytes
    stopped: str = ""

    @property
    def how(self) -> str:
        """A clause without its subject, e.g. ``"was killed by SIGSEGV"``."""
        return self.stopped or ending(self.status)

    def account(self, program: str) -> str:
        """One line on a failure: how it ended, and the last that it said where that tells more."""
        return f"{program} {self.stopped}" if self.stopped else account(program, self.status, self.stderr)


def run(
    command: Sequence[str],
    timeout: float,
    *,
    environment: Mapping[str, str] | None = None,
    folder: str | Path | None = os.sep,
    inherited: Sequence[int] = (),
    follow: Follow | None = None,
    heartbeat: float = 20.0,
    stop: threading.Event | None = None,
) -> Ended:
    """Runs the program in a session of its own, and ends it with its children when it is done or out of bounds.

    Args:
        command: the program and its arguments.
        timeout: seconds that it may take.
        environment: its environment; None for ours.
        folder: where it runs; None for where we stand. By default the root folder: a folder called "torch" where the
            user happens to stand is not the framework.
        inherited: descriptors that it gets.
        follow: called with each line of its stderr as it comes, and with None after a while of silence.
        heartbeat: that while, in seconds.
        stop: once set, the program is ended and this call raises KeyboardInterrupt: Ctrl-C reaches neither a thread
            nor another session.

    Raises:
        OSError: it can't be started.
    """
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=None if environment is None else dict(environment), pass_fds=tuple(inherited),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except ValueError as error:  # a null byte or half a surrogate pair, which no system call takes
        raise OSError(errno.EINVAL, str(error), str(command[0])) from None
    assert process.stdout is not None
    assert process.stderr is not None
    said, told = _Kept(process.stdout), _Kept(process.stderr, follow)
    try:
        stopped = _attend(process, (said, told), timeout, heartbeat, stop)
        _kill(process)  # whatever it left behind, before reading on: that could print without end
        for stream in (said, told):
            stream.drain()
        if follow is not None:
            told.finish()
    finally:
        _kill(process)
        status = process.wait()
        process.stdout.close()
        process.stderr.close()
    return Ended(status, bytes(said.end), bytes(told.end), stopped)


def _attend(
    process: subprocess.Popen[bytes],
    streams: Sequence[_Kept],
    timeout: float,
    heartbeat: float,
    stop: threading.Event | None,
) -> str:
    """Reads until the program has ended, or why it must be: see `Ended.stopped`."""
    began = heard = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.file, selectors.EVENT_READ, stream)
        while not _has_ended(process):
            for key, _ in selector.select(_POLL):
                heard = time.monotonic()
                if not key.data.read():
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if stop is not None and stop.is_set():
                raise KeyboardInterrupt
            if now - began > timeout:
                return f"didn't answer within {timeout:.0f} s"
            if sum(stream.size for stream in streams) > LIMIT:
                return f"printed more than {LIMIT // 2**20} MiB"
            if now - heard > heartbeat:
                heard = now
                for stream in streams:
                    stream.silence()
    return ""


class _Kept:
    """The end of one stream."""

    def __init__(self, file: IO[bytes], follow: Follow | None = None) -> None:
        os.set_blocking(file.fileno(), False)
        self.file = file
        self.size = 0
        self.end = bytearray()
        self._follow = follow
        self._line = bytearray()

    def read(self) -> bool:
        """Takes what is there; False at the end of the stream."""
        try:
            chunk = os.read(self.file.fileno(), 65536)
        except BlockingIOError:
            return True
        self.size += len(chunk)
        self.end += chunk
        del self.end[:-KEPT]
        if self._follow is not None:
            self._hand_on(chunk)
        return bool(chunk)

    def drain(self) -> None:
        """Takes what is left, and no more than a pipe holds: somebody else may still be writing into it."""
        before = self.size
        while self.size - before < KEPT:
            size = self.size
            if not self.read() or self.size == size:
                return

    def silence(self) -> None:
        if self._follow is not None:
            self._follow(None)

    def finish(self) -> None:
        """Hands on the last line, which need not have an end."""
        self._hand_on(b"\n" if self._line else b"")

    def _hand_on(self, chunk: bytes) -> None:
        assert self._follow is not None
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            self._line += line
            self._follow(one_line(self._line.decode("utf-8", "replace"), _LONGEST_LINE, indented=True))
            self._line.clear()
        self._line += rest
        del self._line[_LONGEST_LINE:]


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has; it stays a zombie where the system allows that, so that its id isn't somebody else's yet."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(process.pid, signal.SIGKILL)


def ending(status: int) -> str:
    """How a process of that status ended, a clause without its subject."""
    how = death(status)
    if not how.startswith("SIG"):
        return f"ended with exit code {status}"
    return f"was killed by {how}" + (f": {_HINTS[how]}" if how in _HINTS else "")


def account(program: str, status: int, stderr: bytes | str, limit: int = 200) -> str:
    """One line on a process that failed: how it ended, and the last that it said where that tells more."""
    said = last_line(stderr, limit)
    if status == 1 and said:  # how Python ends after an exception, which is that line
        return said
    how = f"{program} {ending(status)}"
    # A program that is killed from outside has nothing to say about it.
    return f"{how}: {said}" if said and death(status) not in (*_HINTS, "SIGTERM") else how


def last_line(output: bytes | str, limit: int = 200) -> str:
    """The last line that isn't blank, fit to be shown; "" where there is none."""
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    before, start, _ = text.partition(_DUMP_STARTS)
    if not start and _DUMP.search(text):
        return ""
    lines = (one_line(line, limit) for line in reversed(before.splitlines()))
    return next((line for line in lines if line), "")


def one_line(text: str, limit: int = 200, *, indented: bool = False) -> str:
    """Text from outside for a line of ours: no colours, control characters or half surrogate pairs, and not endless.

    Args:
        limit: characters.
        indented: keep the spaces that it begins with.
    """
    text = _ANSI.sub("", text[: 4 * limit])  # what is cut off first can't take long
    start = text[: len(text) - len(text.lstrip(" "))] if indented else ""
    shown = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return f"{start}{shown}"[:limit]

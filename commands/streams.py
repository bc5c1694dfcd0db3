"""The standard streams of a command: whatever they are, writing to them neither fails nor ends the command.

A character that the terminal's encoding lacks is written as an escape; a reader that has seen enough (`| head`) or a
stream that was closed (`>&-`) takes no more, and the command goes on to its own exit code.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any, Iterator


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """While it is entered, `sys.stdout` and `sys.stderr` are such streams. Also a decorator of a command's `main`."""
    _open_closed()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_lasting, before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # ValueError: closed meanwhile
                stream.flush()
        sys.stdout, sys.stderr = before


def _open_closed() -> None:
    """A descriptor that is free would be the next file's: evidence would be written among a child's output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest one that is free


def _lasting(stream: Any) -> Any:
    if stream is None:  # Python found the descriptor closed
        return open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")
    if stream in (sys.__stdout__, sys.__stderr__):
        stream.flush()
        return io.TextIOWrapper(
            io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False)),
            encoding=stream.encoding, errors="backslashreplace",
            line_buffering=stream.line_buffering, write_through=stream.write_through,
        )  # fmt: skip
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


class _Pipe(io.FileIO):
    """A descriptor that takes all it is given, until its reader is gone, and then drops it."""

    _gone = False

    def write(self, data: Any, /) -> int:
        if not self._gone:
            try:
                return super().write(data)
            except BrokenPipeError:
                self._gone = True
            except OSError:
                self._gone = True  # told of once: a second try at exit would only repeat it
                raise
        return memoryview(data).nbytes

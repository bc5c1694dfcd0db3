"""A run that is told to end (SIGTERM, SIGHUP) ends as by Ctrl-C: nothing is lost and nothing is left running."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def as_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread, once; those that are ignored (nohup) stay so."""
    told = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to that thread only
        told = []

    def interrupt(number: int, frame: object) -> None:
        for other in told:
            signal.signal(other, signal.SIG_IGN)  # what ends is not to be ended half-way
        raise KeyboardInterrupt

    for number in told:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in told:
            signal.signal(number, signal.SIG_DFL)

"""How much memory one call needs at its peak, over what was there before. Framework-side, Linux.

The peak is VmHWM of /proc/self/status, set back to the present with /proc/self/clear_refs. ru_maxrss won't do: it can't
be set back, so it still holds the peak of making the inputs; and a process starts with its parent's, through fork and
exec, so a small one under a big parent shows the parent's.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any, Callable


def extra_peak(call: Callable[[], Any]) -> int:
    """Bytes resident at the peak of the call, less those resident before. What the call returns counts.

    The kernel counts pages in batches, each core its own: expect it to be some 100 KB wrong.

    Raises:
        OSError: this system has no /proc, or doesn't let the peak be set back.
    """
    gc.collect()
    _trim()
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    before = _status("VmRSS")
    call()
    return max(_status("VmHWM") - before, 0)


def _trim() -> None:
    """Freed memory that malloc keeps would be used again by the call, unseen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)


def _status(name: str) -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")

"""How much memory a process of its own has needed."""

from __future__ import annotations

from pathlib import Path


def peak_kib() -> int:
    """The most that was resident, in KiB. (ru_maxrss is the parent's where that had more: fork and exec keep it.)"""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found)

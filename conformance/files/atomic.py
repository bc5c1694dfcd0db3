"""Writes a file whole or not at all. Runs in a worker too: standard library only, Python 3.8."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Iterable, Union

PathLike = Union[str, "os.PathLike[str]"]


def write_atomically(path: PathLike, data: Union[bytes, Iterable[bytes]]) -> None:
    """The file holds all of the data and is on the disk, or it is as it was. A symbolic link of that name is replaced.

    Args:
        data: the content, or its parts in order.

    Raises:
        OSError: the file can't be written.
    """
    folder, name = os.path.split(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name[:80]}.", dir=folder)  # a new file: no link is followed
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o666 & ~_umask())
            for part in (data,) if isinstance(data, bytes) else data:
                file.write(part)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    """What is masked of a new file's mode: read from /proc where there is one, since asking otherwise sets it."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return 0o022

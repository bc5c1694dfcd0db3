"""Opens what a name from outside stands for, if it is a file, and reads no more of it than was agreed.

A FIFO would block for ever, a device never ends, and a folder or a socket is a mistake: each is refused before a byte
is read, and a file that is too large before it is taken into memory.

Runs in a worker too: standard library only, Python 3.8.
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO, Union

from xent.errors import UnreadableInput

PathLike = Union[str, "os.PathLike[str]"]


def open_file(path: PathLike, what: str, limit: int, remedy: str = "Check the path.") -> BinaryIO:
    """The regular file of that name, opened for reading.

    Args:
        path: the file; a symbolic link is followed.
        what: what it should be, for the messages: "a vector file".
        limit: bytes that it may have.
        remedy: the next step, where the file isn't there or is something else.

    Raises:
        UnreadableInput: no such file, no permission, a folder, a pipe, a device, or larger than `limit`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise UnreadableInput(path, None, "no such file", remedy) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        cause = getattr(error, "strerror", None) or error
        raise UnreadableInput(path, None, f"can't be read ({cause})", "Check the path and its permissions.") from error
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise UnreadableInput(path, None, "is a folder", f"Name {what} in it.")
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableInput(path, None, f"is {_kind(found.st_mode)}, not a file", f"Name {what}.")
        if found.st_size > limit:
            raise _too_large(path, what, limit)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: PathLike, what: str, limit: int, remedy: str = "Check the path.") -> bytes:
    """All of it. Raises UnreadableInput as `open_file` does, also where it grows beyond `limit` while it is read."""
    with open_file(path, what, limit, remedy) as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise UnreadableInput(path, None, f"can't be read ({error.strerror or error})", remedy) from error
    if len(content) > limit:
        raise _too_large(path, what, limit)
    return content


def _too_large(path: PathLike, what: str, limit: int) -> UnreadableInput:
    size = f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit:,} bytes"
    return UnreadableInput(path, None, f"larger than the {size} that {what} may have", "Split it into several files.")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "something else")

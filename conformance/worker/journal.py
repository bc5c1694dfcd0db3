"""The worker's journal: a line for each thing that it does, for a supervisor to read while it is written.

It is opened for each line and closed after it: frameworks write to descriptors that they don't own, close them all,
fork and abort, and none of that may reach another case's record. Each line begins with the word that the supervisor
gave this worker, in an environment variable that is gone before anything else is imported: what somebody else writes
into the journal is not taken for the worker's.

Where the disk is full the journal can't say so: the worker then writes the error's number into ``trouble`` beside it,
whose bytes were there before, and ends. What couldn't be recorded is the harness's failure and never the framework's.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Dict

WORD = "XENT_JOURNAL"
_TROUBLE = 74  # EX_IOERR


class Journal:
    """The worker's own record of what it does, which only this process writes."""

    def __init__(self, folder: Path, word: str = "") -> None:
        self._word = word.encode("ascii")
        self.path = str(folder / "journal")
        self._streams = [(1, str(folder / "stdout")), (2, str(folder / "stderr"))]
        self._trouble = str(folder / "trouble")
        self.scratch = str(folder / "scratch")
        self._owner = os.getpid()

    def adopt(self) -> None:
        """From now on this process writes it: a fork of the one that made it."""
        self._owner = os.getpid()

    def append(self, entry: Dict[str, Any]) -> None:
        """Writes one line. A blank line goes first, in case something else wrote half a line."""
        if os.getpid() != self._owner:
            os._exit(0)  # a case forked, and its child came back from the case: it is not this worker
        data = b"\n" + self._word + json.dumps(entry, allow_nan=False).encode("ascii") + b"\n"
        try:
            self._reopen_standard_streams()
            with open(self.path, "ab", buffering=0) as file:
                while data:
                    data = data[file.write(data) :]
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Tells the supervisor why there will be no line, and ends."""
        with contextlib.suppress(OSError), open(self._trouble, "r+b", buffering=0) as file:
            file.write(str(error.errno or 0).encode("ascii"))
        os._exit(_TROUBLE)

    def stderr_size(self) -> int:
        """Where in the stderr file what is printed next begins."""
        try:
            return os.stat(self._streams[1][1]).st_size
        except OSError:
            return 0

    def _reopen_standard_streams(self) -> None:
        """Otherwise the journal could get a descriptor below 3, and with it all that is printed meanwhile."""
        for descriptor, path in [(0, os.devnull), *self._streams]:
            try:
                os.fstat(descriptor)
            except OSError:
                opened = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
                if opened != descriptor:
                    os.dup2(opened, descriptor)
                    os.close(opened)

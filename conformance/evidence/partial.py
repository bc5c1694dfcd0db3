"""The results file of a run under way, ``ID.jsonl.partial``: locked, appended to record by record, resumed from.

Evidence that a run can't go on from, because another version or another adapter made it, is moved into ``replaced/``
beside it before anything is written in its place.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xent.errors import Unavailable, UnreadableInput

from . import record_json, records, results
from .records import Footer, Header, Record
from .results import Results


@contextlib.contextmanager
def clear_write_errors(path: Path) -> Iterator[None]:
    """Turns an OSError (a full disk, a folder that can't be written) into the one message for it."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> UnreadableInput:
    """The one message for a full disk, or a folder that can't be written."""
    remedy = "Free some space, or choose another folder with --out; the run then goes on where it was."
    return UnreadableInput(path, None, f"can't be written ({error.strerror or error})", remedy)


class Partial:
    """The evidence so far. The lock on the file lasts until `close` and ends with the process, however that ends."""

    def __init__(self, folder: Path, implementation: str) -> None:
        """Raises Unavailable when another run has the file, UnreadableInput for one that can't be written."""
        self.final = folder / f"{implementation}.jsonl"
        self.path = folder / f"{implementation}.jsonl.partial"
        self.header: Header | None = None
        self.replaced: list[Path] = []
        self._kept: dict[str, tuple[Record, bytes]] = {}
        with clear_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = _open_locked(self.path, implementation)

    @property
    def recorded(self) -> Sequence[str]:
        """The ids of the cases that are recorded."""
        return list(self._kept)

    def begin(self, header: Header, reuse: bool) -> None:
        """Takes over the records of an earlier run with the same header (when it started apart), or starts anew.

        Args:
            header: without "started".
            reuse: takes a completed run's records too.
        """
        with clear_write_errors(self.path):
            self._begin(header, reuse)

    def _begin(self, header: Header, reuse: bool) -> None:
        os.ftruncate(self._descriptor, _whole_lines(self._descriptor))  # a line cut off by its writer's end
        for path in (self.path, self.final) if reuse else (self.path,):
            try:
                earlier = results.read_lines(path, keep=True)
            except UnreadableInput:
                if path == self.path and os.fstat(self._descriptor).st_size:
                    self._keep_copy()
                continue
            if _comparable(earlier.header) == _comparable(header):
                self.header = replace(earlier.header, implementation=header.implementation)
                self._kept = earlier.records
                if path == self.path:
                    return
                break
            if path == self.path and earlier.records:
                self._keep_copy()
        os.ftruncate(self._descriptor, 0)
        if self.header is None:
            started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            self.header = replace(header, started=started)
        _write(self._descriptor, results.line(record_json.header_data(self.header)))
        for _, line in self._kept.values():
            _write(self._descriptor, line)

    def _keep_copy(self) -> None:
        """Copies what stands in the partial file aside: the file itself is locked, and written next."""
        target = self._place_aside(self.path)
        with open(target, "xb") as copy:
            at = 0
            while data := os.pread(self._descriptor, 2**20, at):
                copy.write(data)
                at += len(data)
        self.replaced.append(target)

    def _move_aside(self) -> None:
        """Moves a completed file that this run didn't go on from aside; nothing that was recorded is overwritten."""
        if self.final.is_symlink() or not self.final.exists():
            return
        try:
            earlier = results.read(self.final)
        except UnreadableInput:
            pass
        else:
            assert self.header is not None  # begin() came first
            if _comparable(earlier.header) == _comparable(self.header):
                return  # the same cases on the same implementation, run again
        target = self._place_aside(self.final)
        self.final.rename(target)
        self.replaced.append(target)

    def _place_aside(self, path: Path) -> Path:
        folder = path.parent / "replaced"
        folder.mkdir(exist_ok=True)
        number = 1
        while (target := folder / f"{number}-{path.name}").exists():
            number += 1
        return target

    def add(self, record: Record, line: bytes) -> None:
        """Appends a record: `line` is what `record` was read from."""
        with clear_write_errors(self.path):
            _write(self._descriptor, line)
        self._kept[record.case] = (record, line)

    def finish(self, planned: Sequence[str], left_out: Mapping[str, int]) -> Results:
        """Makes ``ID.jsonl`` of the records, in the order of `planned`."""
        assert self.header is not None  # begin() came first
        kept = [self._kept[case] for case in planned]
        found = [record for record, _ in kept]
        implementation = replace(self.header.implementation, kernels=records.kernels_of(found))
        header = replace(self.header, implementation=implementation)
        footer = Footer(len(found), len(found), dict(left_out))
        with clear_write_errors(self.final):
            self._move_aside()
            results.write(self.final, header, (line for _, line in kept), footer)
            self.path.unlink()
        return Results(header, found, footer, self.final)

    def close(self) -> None:
        """Gives up the lock; a file without a record goes."""
        if not self._kept:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self._descriptor)


def _comparable(header: Header) -> Header:
    """What must be the same for two runs' records to stand in one file: all but what is known at the end or start."""
    return replace(header, started="", implementation=replace(header.implementation, kernels=""))


def _whole_lines(descriptor: int) -> int:
    """How many bytes of the file are whole lines, read from its end."""
    end = os.fstat(descriptor).st_size
    while end:
        begin = max(0, end - 65536)
        last = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if last >= 0:
            return begin + last + 1
        end = begin
    return 0


def _open_locked(path: Path, implementation: str) -> int:
    while True:
        try:
            # Never through a link: a name in a folder of evidence may have been made to point anywhere.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            if path.is_symlink():
                remedy = "Remove the link, or choose another folder with --out."
                raise UnreadableInput(path, None, "is a symbolic link, and evidence goes into files", remedy) from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UnreadableInput(path, None, "is no file", "Remove it, or choose another folder with --out.")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            remedy = "Wait for its end, or choose another folder with --out."
            raise Unavailable(implementation, f"another run is writing to {path}", remedy) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last owner finished and removed it between the two calls: open the new one


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]

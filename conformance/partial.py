"""The results file of a run under way, ``ID.jsonl.partial``: locked, appended to record by record, resumed from."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xent.errors import Unavailable, UnreadableInput

from . import results


@contextlib.contextmanager
def clear_write_errors(path: Path) -> Iterator[None]:
    """Turns an OSError (a full disk, a folder that can't be written) into the one message for it."""
    try:
        yield
    except OSError as error:
        remedy = "Free some space, or choose another folder with --out; the run then goes on where it was."
        raise UnreadableInput(path, None, f"can't be written ({error.strerror or error})", remedy) from error


class Partial:
    """The evidence so far. The lock on the file lasts until `close` and ends with the process, however that ends."""

    def __init__(self, folder: Path, implementation: str) -> None:
        """Raises Unavailable when another run has the file, UnreadableInput for one that can't be written."""
        self.final = folder / f"{implementation}.jsonl"
        self.path = folder / f"{implementation}.jsonl.partial"
        self.records: dict[str, dict[str, Any]] = {}
        self.header: dict[str, Any] = {}
        with clear_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = _open_locked(self.path, implementation)

    def begin(self, header: dict[str, Any], reuse: bool) -> None:
        """Takes over the records of an earlier run with the same header (when it started apart), or starts anew.

        Args:
            header: without "started".
            reuse: takes a completed run's records too.
        """
        with clear_write_errors(self.path):
            self._begin(header, reuse)

    def _begin(self, header: dict[str, Any], reuse: bool) -> None:
        os.ftruncate(self._descriptor, self.path.read_bytes().rfind(b"\n") + 1)  # a line cut off by its writer's end
        for path in (self.path, self.final) if reuse else (self.path,):
            try:
                earlier, records, _ = results.read_lines(path)
            except UnreadableInput:
                continue
            if _comparable(earlier) == _comparable(header):
                self.header, self.records = earlier, records
                if path == self.path:
                    return
        os.ftruncate(self._descriptor, 0)
        if not self.records:
            started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            self.header = {**header, "started": started}
        _write(self._descriptor, b"".join(map(results.line, [self.header, *self.records.values()])))

    def add(self, record: dict[str, Any]) -> None:
        """Appends a record."""
        with clear_write_errors(self.path):
            _write(self._descriptor, results.line(record))
        self.records[record["case"]] = record

    def finish(self, planned: list[str], left_out: Mapping[str, int]) -> results.Results:
        """Makes ``ID.jsonl`` of the records, in the order of `planned`."""
        records = [self.records[case] for case in planned]
        kernels = sorted({record["kernels"] for record in records if "kernels" in record}) or ["native"]
        header = {**self.header, "implementation": {**self.header["implementation"], "kernels": "+".join(kernels)}}
        footer: dict[str, Any] = {"complete": True, "planned": len(planned), "recorded": len(records)}
        if left_out:
            footer["left_out"] = dict(left_out)
        with clear_write_errors(self.final):
            results.write(self.final, header, records, footer)
            self.path.unlink()
        return results.with_defaults(header, records, footer, self.final)

    def close(self) -> None:
        """Gives up the lock; a file without a record goes."""
        if not self.records:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self._descriptor)


def _comparable(header: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same for two runs' records to stand in one file."""
    implementation = {**header["implementation"], "kernels": ""}  # known at the end only
    return {**header, "started": "", "implementation": implementation}


def _open_locked(path: Path, implementation: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
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

"""What a worker's journal says, as types, from lines that an adapter may have written over, forged or deleted.

A line that isn't exactly what the worker writes is passed over. The file is opened anew for each look, because the
framework's process may have removed it or put something else in its place; a pipe there must not block the supervisor.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xent.conformance.evidence import record_json, records, results
from xent.conformance.files.reading import open_file
from xent.conformance.files.strict_json import Place
from xent.conformance.protocol import limits
from xent.conformance.protocol.case import ID, ID_RULE
from xent.errors import UnreadableInput

_CHUNK = 16 * 2**20
_MOST = 2**40  # bytes of a journal: it is read in pieces, whatever its size
_MAX_CASES = 1_000_000


@dataclass(frozen=True)
class Hello:
    """The framework is ready: who it is, and what it will run. `left_out`: cases that it doesn't run, by reason."""

    header: Mapping[str, Any]
    planned: tuple[str, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class NotReady:
    """The framework can't run here: why, and the next step where one is known."""

    reason: str
    remedy: str | None


@dataclass(frozen=True)
class Begun:
    """A case begins; what it prints to stderr stands from this byte on."""

    case: str
    stderr: int


@dataclass(frozen=True)
class Recorded:
    """The record of a case, not checked yet but for its id, and the line that it stands in."""

    case: str
    content: Mapping[str, Any]
    line: bytes


@dataclass(frozen=True)
class Died:
    """The fork that ran the case ended with this status; its stderr ends at this byte."""

    status: int
    stderr: int


@dataclass(frozen=True)
class Ended:
    """Every case was run."""


Entry = Hello | NotReady | Begun | Recorded | Died | Ended


class Journal:
    """Follows a journal while it grows."""

    def __init__(self, path: Path, word: str = "") -> None:
        """`word`: what each of the worker's lines begins with; lines that don't are passed over."""
        self._path = path
        self._word = word.encode("ascii")
        self._inode = 0
        self._read = 0
        self._rest = b""

    def entries(self) -> Iterator[Entry]:
        """What has been written since the last call."""
        while data := self._more():
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > limits.LINE:
                self._rest = b""  # nothing that a worker writes; what follows of it won't parse
            for line in lines:
                if not line or not line.startswith(self._word):
                    continue
                if (entry := _entry(line[len(self._word) :])) is not None:
                    yield entry

    def _more(self) -> bytes:
        try:
            with open_file(self._path, "a journal", _MOST) as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode != self._inode:  # the first look, or somebody removed the file that was there
                    self._inode, self._read, self._rest = inode, 0, b""
                file.seek(self._read)
                data = file.read(_CHUNK)
        except (UnreadableInput, OSError):
            return b""
        self._read += len(data)
        return data


def _entry(line: bytes) -> Entry | None:
    place = Place("journal")
    try:
        content = results.parse(line, place)
        if not isinstance(content, dict):
            return None
        if "case" in content:
            return Recorded(place.match(content["case"], ID, ID_RULE), content, line + b"\n")
        for name, make in _KINDS.items():
            if name in content:
                return make(content, place)
    except UnreadableInput:
        pass
    return None


def _hello(content: Any, place: Place) -> Hello:
    fields = place.fields(content, ("hello",))["hello"]
    place = place.key("hello")
    names = ("name", "version", "device", "mode", "python", "platform", "packages", "adapter", "capabilities", "sample")
    fields = place.fields(fields, (*names, "planned", "left_out"))
    at = place.key("planned")
    planned = [at.item(i).match(case, ID, ID_RULE) for i, case in enumerate(at.items(fields["planned"], _MAX_CASES))]
    at = place.key("left_out")
    left_out = at.mapping(fields["left_out"], limits.PACKAGES)
    counts = {at.string(why, limits.NAME): at.key(why).count(number) for why, number in left_out.items()}
    return Hello({name: fields[name] for name in names}, tuple(planned), counts)


def header_of(hello: Hello, id: str, case_set: records.CaseSet, place: Place) -> records.Header:
    """The header of the worker's results. Raises UnreadableInput where the adapter made it say what none may say."""
    said = dict(hello.header)
    sample = said.pop("sample")
    implementation = {name: said.pop(name) for name in ("name", "version", "device", "mode")}
    content = {
        "schema": records.SCHEMA,
        "implementation": {"id": id, **implementation, "kernels": ""},
        "case_set": vars(case_set).copy(),
        "started": "",
        **said,
        **({} if sample is None else {"sample": sample}),
    }
    return record_json.header(content, place)


def _not_ready(content: Any, place: Place) -> NotReady:
    at = place.key("unavailable")
    fields = at.fields(place.fields(content, ("unavailable",))["unavailable"], ("reason", "remedy"))
    remedy = fields["remedy"]
    return NotReady(
        at.key("reason").string(fields["reason"], limits.TEXT),
        None if remedy is None else at.key("remedy").string(remedy, limits.TEXT),
    )


def _begun(content: Any, place: Place) -> Begun:
    fields = place.fields(content, ("begin", "stderr"))
    return Begun(place.match(fields["begin"], ID, ID_RULE), place.count(fields["stderr"]))


def _died(content: Any, place: Place) -> Died:
    fields = place.fields(content, ("died", "stderr"))
    status = fields["died"]
    if type(status) is not int or not -256 < status < 256:
        place.refuse("no exit status")
    return Died(status, place.count(fields["stderr"]))


def _ended(content: Any, place: Place) -> Ended:
    place.fields(content, ("end",))
    return Ended()


_KINDS: Mapping[str, Callable[[Any, Place], Entry]] = {
    "hello": _hello, "unavailable": _not_ready, "begin": _begun, "died": _died, "end": _ended,
}  # fmt: skip

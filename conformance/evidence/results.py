"""Results files, schema ``xent-results/2``: a header line, one line a case, a footer line, all JSON.

`records` says what the lines hold and checks them, `schemas/xent-results-2.json` says the same for other tools. Here
the file is read line by line within its limits, and written whole. Nothing in it is executed.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from xent.conformance.files import strict_json
from xent.conformance.files.atomic import write_atomically
from xent.conformance.files.reading import open_file
from xent.conformance.files.strict_json import Place
from xent.conformance.protocol import limits
from xent.conformance.protocol.arrays import HexText
from xent.errors import UnreadableInput

from . import record_json
from .records import Footer, Header, Record

MAX_FILE = 8 * 2**30
MAX_RECORDS = 1_000_000
_WHAT = "a results file (*.jsonl)"
_REMEDY = "Make it again with xent run."
# Arrays are most of a file; their numbers are decoded without making a text object of each first.
_HEX = re.compile(rb'(?<=[{,\s])"hex"\s*:\s*\[([^\[\]{}]*)\]')
_LONG = 100_000  # bytes of a line from which that pays


@dataclass(frozen=True)
class Results:
    """One implementation's evidence.

    Attributes:
        header: as in the file.
        records: one a case, in the file's order.
        footer: None where the run was not completed.
        path: of the file.
    """

    header: Header
    records: Sequence[Record]
    footer: Footer | None
    path: Path

    @property
    def complete(self) -> bool:
        """Whether every planned case is recorded."""
        return self.footer is not None

    @cached_property
    def by_case(self) -> Mapping[str, Record]:
        """The records by the id of their case."""
        return {record.case: record for record in self.records}


class Lines(NamedTuple):
    """A file's lines: as bytes, to be copied, and as what they say."""

    header: Header
    records: dict[str, tuple[Record, bytes]]
    footer: Footer | None


def line(content: Mapping[str, Any]) -> bytes:
    """A line of a results file."""
    return strict_json.dumps(content).encode("ascii") + b"\n"


def parse(data: bytes, place: Place) -> Any:
    """The JSON of one line; long lists of numbers stay `HexText`. Raises UnreadableInput."""
    if len(data) < _LONG:
        return strict_json.parse(data, place, "one JSON value a line")
    token = secrets.token_hex(16)  # nothing in the line can be mistaken for it
    spans: list[HexText] = []

    def keep(match: re.Match[bytes]) -> bytes:
        spans.append(HexText(memoryview(data)[match.start(1) : match.end(1)]))
        return f'"hex": "{token}{len(spans) - 1}"'.encode("ascii")

    return _put_back(strict_json.parse(_HEX.sub(keep, data), place, "one JSON value a line"), token, spans)


def _put_back(content: Any, token: str, spans: Sequence[HexText]) -> Any:
    """The content with every mark replaced by the numbers that it stands for. Arrays lie at most two objects deep."""
    for value in (content, *content.values()) if isinstance(content, dict) else ():
        for inner in (value, *value.values()) if isinstance(value, dict) else ():
            mark = inner.get("hex") if isinstance(inner, dict) else None
            if isinstance(mark, str) and mark.startswith(token):
                inner["hex"] = spans[int(mark[len(token) :])]
    return content


def read(path: str | os.PathLike[str]) -> Results:
    """Reads and checks a results file. Without its footer, or named ``.partial``, it is incomplete, not wrong.

    Raises:
        UnreadableInput: the file can't be opened, or a line of it is not what the schema says; with the line's number.
    """
    lines = read_lines(Path(path))
    return Results(lines.header, [record for record, _ in lines.records.values()], lines.footer, Path(path))


def open_results(path: Path) -> BinaryIO:
    """The file, opened for reading. Raises UnreadableInput for what can't be a results file."""
    return open_file(path, _WHAT, MAX_FILE, _REMEDY)


def read_lines(path: Path, keep: bool = False) -> Lines:
    """The checked lines as they stand in the file. Raises as `read` does.

    Args:
        keep: whether to keep the records' bytes too; else they are empty.
    """
    with open_results(path) as file:
        try:
            return _read(file, path, keep)
        except OSError as error:
            raise UnreadableInput(path, None, f"can't be read ({error.strerror or error})", _REMEDY) from error


def _read(file: BinaryIO, path: Path, keep: bool) -> Lines:
    header: Header | None = None
    footer: Footer | None = None
    found: dict[str, tuple[Record, bytes]] = {}
    number = 0
    while data := file.readline(limits.HEADER if header is None else limits.LINE):
        number += 1
        place = Place(path, f"line {number}")
        if not data.endswith(b"\n"):
            if path.suffix == ".partial" and header is not None and len(data) < limits.LINE:
                break  # its writer was killed in mid-line; the case will run again
            _unfinished(data, header, place)
        try:
            content = parse(data[:-1], place)
            if header is None:
                header = record_json.header(content, place)
            elif footer is not None:
                place.refuse("more lines follow the footer")
            elif isinstance(content, dict) and "complete" in content:
                footer = record_json.footer(content, place, len(found))
            else:
                one = record_json.record(content, place, header.implementation.kernels or "native")
                if one.case in found:
                    place.refuse(f"a second record of the case {one.case}")
                if len(found) == MAX_RECORDS:
                    place.refuse(f"has more than {MAX_RECORDS:,} records")
                found[one.case] = (one, data if keep else b"")
        except UnreadableInput as error:
            raise UnreadableInput(path, error.place, error.problem, error.remedy or _REMEDY) from error
    if header is None:
        raise UnreadableInput(path, None, "the file is empty", _REMEDY)
    return Lines(header, found, footer)


def _unfinished(data: bytes, header: Header | None, place: Place) -> None:
    limit = limits.HEADER if header is None else limits.LINE
    cut = len(data) >= limit
    place.refuse(f"the line is longer than {limit:,} bytes" if cut else "the file is truncated in this line", _REMEDY)


def write(path: str | os.PathLike[str], header: Header, lines: Iterable[bytes], footer: Footer) -> None:
    """Writes a complete results file, atomically. Raises OSError."""
    ends = line(record_json.header_data(header)), line(record_json.footer_data(footer))
    write_atomically(path, [ends[0], *lines, ends[1]])

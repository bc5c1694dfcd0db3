"""Results files, schema ``xent-results/1``: a header line, one line a case, a footer line, all JSON.

What a file holds is checked field by field when it is read (it may come from any machine); nothing in it is executed.
`schemas/xent-results-1.json` says the same for other tools.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence, Union

from xent.errors import UnreadableInput

from . import arrays
from .transport import write_atomically

SCHEMA = "xent-results/1"
OUTCOMES = ("value", "error", "crash", "timeout", "unsupported")
PHASES = ("construct", "forward", "backward")
MAX_HEADER = 100_000
MAX_LINE = 64_000_000  # two arrays of arrays.MAX_ELEMENTS in float64
_REMEDY = "Make it again with xent run."

PathLike = Union[str, "os.PathLike[str]"]
_Line = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """One implementation's evidence.

    Attributes:
        header: as in the file.
        records: one a case, in the file's order, with every field of the schema (`DEFAULTS` where the file has none).
        footer: None where the run was not completed.
        path: of the file.
    """

    header: dict[str, Any]
    records: Sequence[dict[str, Any]]
    footer: dict[str, Any] | None
    path: Path

    @property
    def complete(self) -> bool:
        """Whether every planned case is recorded."""
        return self.footer is not None

    @property
    def by_case(self) -> dict[str, dict[str, Any]]:
        """The records by the id of their case."""
        return {record["case"]: record for record in self.records}


DEFAULTS: Mapping[str, Any] = {
    "value": None, "gradient": None, "error": None, "signal": None, "stderr": "", "casts": (), "kernels": "native",
    "ms": None,
}  # fmt: skip


class _Field(NamedTuple):
    accepts: Callable[[Any], bool]
    what: str


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    """Text that can be printed: half a surrogate pair can't."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _matches(pattern: str) -> Callable[[Any], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


_TEXT = _Field(_is_text, "text")
_COUNT = _Field(_is_count, "a whole number from 0 on")
_SHA256 = _Field(_matches("[0-9a-f]{64}"), "64 hexadecimal digits")
_OBJECT = _Field(lambda value: isinstance(value, dict), "an object")
_ARRAY = _Field(lambda value: isinstance(value, dict), "an array (dtype, shape, hex)")
_GRADIENT = _Field(lambda value: value is None or isinstance(value, dict), "null or an array (dtype, shape, hex)")
_TEXTS = _Field(lambda value: isinstance(value, dict) and all(map(_is_text, value.values())), "an object of texts")
_COUNTS = _Field(lambda value: isinstance(value, dict) and all(map(_is_count, value.values())), "an object of counts")
_SIGNAL = _Field(_matches(r"SIG[A-Z0-9+]{1,20}|exit [0-9]{1,3}"), "a signal's name, such as SIGABRT, or exit N")
_MS = _Field(lambda value: type(value) in (int, float) and 0 <= value < 1e12, "milliseconds from 0 on")

_HEADER = {
    "schema": _TEXT, "implementation": _OBJECT, "python": _TEXT, "platform": _TEXT, "packages": _TEXTS,
    "case_set": _OBJECT, "started": _TEXT,
}  # fmt: skip
_IMPLEMENTATION = dict.fromkeys(("id", "name", "version", "device", "mode", "kernels"), _TEXT)
_CASE_SET = {"sha256": _SHA256, "count": _COUNT}
_ADAPTER = {"module": _TEXT, "sha256": _SHA256}
_FOOTER = {"complete": _Field(lambda value: value is True, "true"), "planned": _COUNT, "recorded": _COUNT}
_PHASE = _Field(lambda value: value in PHASES, f"one of {', '.join(PHASES)}")
_ERROR = {"type": _TEXT, "message": _TEXT, "phase": _PHASE}
_ALWAYS = {
    "case": _Field(_matches(r"[a-z0-9][a-z0-9._+/-]*"), "the id of a case"),
    "outcome": _Field(lambda value: value in OUTCOMES, f"one of {', '.join(OUTCOMES)}"),
}
_RAN = {"casts": _Field(_is_strings, "a list of texts"), "kernels": _TEXT, "ms": _MS}
_REQUIRED: dict[str, dict[str, _Field]] = {
    "value": {"value": _ARRAY}, "error": {"error": _OBJECT}, "crash": {"signal": _SIGNAL}, "timeout": {},
    "unsupported": {},
}  # fmt: skip
_OPTIONAL: dict[str, dict[str, _Field]] = {
    "value": {"gradient": _GRADIENT, **_RAN}, "error": _RAN, "crash": {"stderr": _TEXT}, "timeout": {"stderr": _TEXT},
    "unsupported": {},
}  # fmt: skip


_Fields = Mapping[str, _Field]


def _check(value: Any, place: str, required: _Fields, optional: _Fields | None = None) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{place} is not an object")
    known = {**required, **(optional or {})}
    for name in value:
        if name not in known:
            raise ValueError(f"{place} has the unknown field {str(name)[:60]!r}")
    for name in required:
        if name not in value:
            raise ValueError(f"{place} lacks the field {name!r}")
    for name, content in value.items():
        if not known[name].accepts(content):
            raise ValueError(f"{place}.{name} is {_short(content)}, not {known[name].what}")


def check_header(header: Any) -> None:
    """Raises ValueError, with the field, for anything but a header."""
    if not isinstance(header, dict) or "schema" not in header:
        raise ValueError("the first line is no header of a results file")
    if header["schema"] != SCHEMA:
        raise ValueError(f"the schema is {_short(header['schema'])}, and this version reads {SCHEMA!r}")
    _check(header, "header", _HEADER, {"adapter": _OBJECT})
    _check(header["implementation"], "header.implementation", _IMPLEMENTATION)
    _check(header["case_set"], "header.case_set", _CASE_SET)
    if "adapter" in header:
        _check(header["adapter"], "header.adapter", _ADAPTER)


def check_record(record: Any) -> None:
    """Raises ValueError, with the field, for anything but the record of a case."""
    if not isinstance(record, dict) or record.get("outcome") not in OUTCOMES:
        raise ValueError(f"not the record of a case: no outcome that is one of {', '.join(OUTCOMES)}")
    outcome = record["outcome"]
    _check(record, "record", {**_ALWAYS, **_REQUIRED[outcome]}, _OPTIONAL[outcome])
    if outcome == "error":
        _check(record["error"], "record.error", _ERROR)
    for name in ("value", "gradient"):
        if record.get(name) is not None:
            try:
                arrays.decode(record[name])
            except ValueError as error:
                raise ValueError(f"record.{name}.{error}") from error


def check_footer(footer: Any, recorded: int) -> None:
    """Raises ValueError for anything but the footer of a file with so many records."""
    _check(footer, "footer", _FOOTER, {"left_out": _COUNTS})
    if not footer["planned"] == footer["recorded"] == recorded:
        counts = f"planned {footer['planned']}, recorded {footer['recorded']}"
        raise ValueError(f"footer: {counts}, and the file has {recorded} records")


def implementation_id(header: Mapping[str, Any]) -> str:
    """The id that the implementation has on the command line and in reports, e.g. ``"mint-jit"``."""
    return str(header["implementation"]["id"])


def line(content: Mapping[str, Any]) -> bytes:
    """A line of a results file."""
    return json.dumps(content, allow_nan=False).encode("ascii") + b"\n"


def read(path: PathLike) -> Results:
    """Reads and checks a results file. Without its footer, or named ``.partial``, it is incomplete, not wrong.

    Raises:
        UnreadableInput: the file can't be opened, or a line of it is not what the schema says; with the line's number.
    """
    path = Path(path)
    header, records, footer = read_lines(path)
    return with_defaults(header, records.values(), footer, path)


def with_defaults(
    header: dict[str, Any], records: Iterable[_Line], footer: dict[str, Any] | None, path: Path
) -> Results:
    """The results of checked lines, every record with every field."""
    defaults = {**DEFAULTS, "kernels": header["implementation"]["kernels"] or DEFAULTS["kernels"]}
    return Results(header, [{**defaults, **record} for record in records], footer, path)


_Lines = tuple[dict[str, Any], dict[str, dict[str, Any]], Union[dict[str, Any], None]]


def read_lines(path: Path) -> _Lines:
    """The checked lines as they stand in the file: header, records by case, footer or None. Raises as `read` does."""
    try:
        with path.open("rb") as file:
            return _read(file, path)
    except OSError as error:
        raise UnreadableInput(path, None, f"can't be read ({error.strerror or error})") from error


def _read(file: Any, path: Path) -> _Lines:
    header: dict[str, Any] | None = None
    footer: dict[str, Any] | None = None
    records: dict[str, dict[str, Any]] = {}
    number = 0
    while data := file.readline(MAX_HEADER if header is None else MAX_LINE):
        number += 1
        if not data.endswith(b"\n") and path.suffix == ".partial" and header is not None:
            break  # its writer was killed in mid-line; the case will run again
        try:
            content = _parse(data, MAX_HEADER if header is None else MAX_LINE)
            if header is None:
                check_header(content)
                header = content
            elif footer is not None:
                raise ValueError("more lines follow the footer")
            elif isinstance(content, dict) and "complete" in content:
                check_footer(content, len(records))
                footer = content
            else:
                check_record(content)
                if content["case"] in records:
                    raise ValueError(f"a second record of the case {_short(content['case'])}")
                records[content["case"]] = content
        except ValueError as error:
            raise UnreadableInput(path, f"line {number}", str(error), _REMEDY) from error
    if header is None:
        raise UnreadableInput(path, None, "the file is empty", _REMEDY)
    return header, records, footer


def _parse(data: bytes, limit: int) -> Any:
    if not data.endswith(b"\n"):
        cut = len(data) >= limit
        raise ValueError(f"the line is longer than {limit:,} bytes" if cut else "the file is truncated in this line")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("not JSON that this schema has (nested too deeply)") from error
    except UnicodeDecodeError as error:
        raise ValueError("not JSON (not UTF-8 text)") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at column {error.colno})") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a field occurs twice in one object")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"not JSON ({name} is no JSON number)")


def write(path: PathLike, header: _Line, records: Iterable[_Line], footer: _Line) -> None:
    """Writes a complete results file, atomically. Raises OSError."""
    write_atomically(path, b"".join(map(line, [header, *records, footer])))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

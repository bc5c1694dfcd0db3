"""Reads JSON that somebody else wrote: bounded in size, strict, and with the place of every fault.

Python's parser takes NaN, 1e999 and repeated keys in its stride; here each comes out as a marker, so that the code that
walks the data can refuse it and name its place.

Runs in a worker too: standard library only, Python 3.8.
"""

from __future__ import annotations

import codecs
import difflib
import json
import math
import os
import re
from dataclasses import dataclass
from typing import Any, Dict, List, NoReturn, Optional, Pattern, Sequence, Tuple, Union

from xent.errors import UnreadableInput

from .reading import read_file

MAX_BYTES = 16 * 2**20  # a million numbers; parsed nonsense of this size stays below 1 GB
MAX_COUNT = 2**63 - 1
_MAX_DIGITS = 400  # float64 needs 309; int() refuses 4,300 with an error of its own
_LINE = re.compile(r"line \d+")
_SURROGATE = re.compile("[\ud800-\udfff]")
PathLike = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class NotANumber:
    """A number that the file spells and JSON, or float64, can't hold: NaN, Infinity, 1e999, thousands of digits."""

    spelling: str


class RepeatedKey(Dict[str, Any]):
    """An object in which a key stands twice."""

    key = ""


@dataclass(frozen=True)
class Place:
    """Where in which file: `vectors[3].input.data[2]`."""

    path: PathLike
    text: str = ""

    def key(self, name: str) -> Place:
        joint = ": " if _LINE.fullmatch(self.text) else "." if self.text else ""
        return Place(self.path, self.text + joint + name)

    def item(self, *indices: int) -> Place:
        return Place(self.path, self.text + "".join(f"[{index}]" for index in indices))

    def refuse(self, problem: str, remedy: Optional[str] = None) -> NoReturn:
        raise UnreadableInput(os.fspath(self.path), self.text or None, problem, remedy)

    def fields(self, value: Any, required: Sequence[str], optional: Sequence[str] = ()) -> Dict[str, Any]:
        """The object at this place, refused where a field is missing, unknown or written twice."""
        known = (*required, *optional)
        if not isinstance(value, dict):
            self.refuse(f"must be an object, got {shown(value)}", f"Its fields are {', '.join(known)}.")
        if isinstance(value, RepeatedKey):
            self.refuse(f"the field {shown(value.key)} stands twice", "Keep one of them.")
        for name in value:
            if name not in known:
                self.refuse(f"unknown field {shown(name)}", did_you_mean(name, known))
        for name in required:
            if name not in value:
                self.refuse(f'the field "{name}" is missing', f"Its fields are {', '.join(known)}.")
        return value

    def string(self, value: Any, limit: Optional[int] = None) -> str:
        """The text at this place, refused where no UTF-8 file could hold it, or of more than `limit` characters."""
        if not isinstance(value, str):
            self.refuse(f"must be text, got {shown(value)}")
        if _SURROGATE.search(value):
            self.refuse(f"holds half a surrogate pair: {shown(value)}", "Write the character itself.")
        if limit is not None and len(value) > limit:
            self.refuse(f"has {len(value):,} characters, more than {limit:,}")
        return value

    def match(self, value: Any, pattern: Pattern[str], what: str) -> str:
        """The text at this place, all of which the pattern matches; `what` says it in words."""
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.refuse(f"must be {what}, got {shown(value)}")
        return value

    def choice(self, value: Any, known: Sequence[str]) -> str:
        """One of the known words."""
        if not isinstance(value, str) or value not in known:
            self.refuse(f"must be one of {', '.join(known)}, got {shown(value)}")
        return value

    def boolean(self, value: Any) -> bool:
        """true or false, and nothing that merely counts as one."""
        if not isinstance(value, bool):
            self.refuse(f"must be true or false, got {shown(value)}")
        return value

    def count(self, value: Any) -> int:
        """A whole number from 0 on that fits int64."""
        if type(value) is not int or not 0 <= value <= MAX_COUNT:
            self.refuse(f"must be a whole number from 0 on, got {shown(value)}")
        return value

    def number(self, value: Any) -> float:
        """A finite number from 0 on, as JSON spells numbers."""
        if type(value) not in (int, float) or not 0 <= value < 1e308:
            self.refuse(f"must be a number of at least 0, got {shown(value)}")
        return float(value)

    def items(self, value: Any, limit: Optional[int] = None) -> List[Any]:
        """The list at this place, of at most `limit` items."""
        if not isinstance(value, list):
            self.refuse(f"must be a list, got {shown(value)}")
        if limit is not None and len(value) > limit:
            self.refuse(f"has {len(value):,} items, more than {limit:,}")
        return value

    def mapping(self, value: Any, limit: int) -> Dict[str, Any]:
        """The object at this place, with any names, each once, at most `limit` of them."""
        if not isinstance(value, dict):
            self.refuse(f"must be an object, got {shown(value)}")
        if isinstance(value, RepeatedKey):
            self.refuse(f"the field {shown(value.key)} stands twice", "Keep one of them.")
        if len(value) > limit:
            self.refuse(f"has {len(value):,} fields, more than {limit:,}")
        return value


def dumps(value: Any) -> str:
    """The value as JSON of one line, ASCII. Raises ValueError for a number that JSON can't hold."""
    return json.dumps(value, allow_nan=False)


def shown(value: Any) -> str:
    """The value as one short line of JSON, for a message."""
    if isinstance(value, NotANumber):
        text = value.spelling
    elif isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    else:
        text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A remedy for an unknown word: the nearest known one, or all of them where there are few."""
    close = difflib.get_close_matches(word[:200], known, n=1)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"Known: {', '.join(known)}." if len(known) <= 16 else ""


def load(path: PathLike, what: str) -> Any:
    """The JSON value in a file.

    Args:
        path: the file.
        what: what the file should be, for the messages: "a vector file".

    Raises:
        UnreadableInput: no such file, no regular file, unreadable, empty, larger than MAX_BYTES, not UTF-8, not JSON.
    """
    return parse(read_file(path, what, MAX_BYTES), Place(path), what)


def parse(content: bytes, place: Place, what: str) -> Any:
    """The JSON value in these bytes, which stand at `place`.

    Raises:
        UnreadableInput: empty, not UTF-8, not JSON, nested too deep. The caller has bounded the size.
    """
    text = _decode(content, place, what)
    if not text.strip():
        place.refuse("is empty" if place.text else "the file is empty", f"Expected {what}.")
    try:
        return json.loads(
            text, parse_constant=NotANumber, parse_float=_float, parse_int=_int, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        spot = f"line {error.lineno} column {error.colno}" if not place.text else f"{place.text} column {error.colno}"
        where = Place(place.path, spot)
        if not text[error.pos :].strip() or error.msg.startswith("Unterminated string"):
            where.refuse(f"ends in the middle ({error.msg})", "Is it complete? Copy or write it again.")
        where.refuse(f"not JSON ({error.msg})", f"Expected {what}; a JSON linter shows the spot.")
    except RecursionError:
        place.refuse("lists or objects nest too deep to be read", f"Expected {what}.")


def _decode(content: bytes, place: Place, what: str) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        place.refuse("is UTF-16, not UTF-8", "Save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place.refuse(f"not UTF-8 (byte {error.start} is 0x{content[error.start]:02x})", f"Expected {what} in UTF-8.")


def _float(spelling: str) -> Union[float, NotANumber]:
    value = float(spelling)
    return value if math.isfinite(value) else NotANumber(spelling)


def _int(spelling: str) -> Union[int, NotANumber]:
    return int(spelling) if len(spelling) <= _MAX_DIGITS else NotANumber(spelling)


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = RepeatedKey(found)
    seen = set()
    for key, _ in pairs:
        if key in seen:
            repeated.key = key
            break
        seen.add(key)
    return repeated

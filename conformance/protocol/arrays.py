"""ARRAY, the exact form of a floating array in a results file: ``{"dtype", "shape", "hex"}``.

Runs in a worker: standard library and NumPy only, Python 3.8, NumPy 1.19.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Sequence, Union

import numpy as np

from xent import dtypes

MAX_ELEMENTS = 2**22
"""Of one array: of a case, of a vector file, of a record, as written, read and judged. 4 million: a results file has
one line a case, and this is about 90 MB of it."""

MAX_TOGETHER = 2 * MAX_ELEMENTS
"""Of all arrays of one record: its line is then below `limits.LINE`."""

MAX_RANK = 32
"""What every NumPy holds."""

_TRAILING_ZEROS = re.compile(r"\.?0+p")
_NUMBER = r"-?0x[01](?:\.[0-9a-f]{1,13})?p[+-][0-9]{1,4}|-?inf|nan"
_HEX = re.compile(_NUMBER, re.ASCII)
_ENTRY = re.compile(rf'[ \t\r\n]*"({_NUMBER})"[ \t\r\n]*(,|\Z)'.encode("ascii"))


class HexText(NamedTuple):
    """What stands between the brackets of ``"hex": [...]``, not parsed yet: a million texts take 70 MB as objects."""

    text: memoryview


def check_shape(shape: Sequence[int]) -> None:
    """Raises ValueError for a shape that no array here may have; an extent of 0 makes no other one free.

    So bounds what comes of an empty array too: the losses of (2000000000, 0) logits are two thousand million.
    """
    if len(shape) > MAX_RANK:
        raise ValueError(f"{len(shape)} axes, more than {MAX_RANK}")
    size = 1
    for extent in shape:
        size *= max(extent, 1)
    if size > MAX_ELEMENTS:
        raise ValueError(f"{_short(list(shape))} is larger than the {MAX_ELEMENTS:,} elements that an array may have")


def encode(array: dtypes.Array) -> Dict[str, Any]:
    """The array as JSON-safe data, bit for bit except for the payload of a nan.

    Args:
        array: dtype in `dtypes.FLOATS` (bfloat16 in either form), any shape and memory order.

    Raises:
        ValueError: another dtype, or more than MAX_ELEMENTS elements.
    """
    if not dtypes.is_float(array):
        raise ValueError(f"dtype {dtypes.name(array)} is not one of {', '.join(dtypes.FLOATS)}")
    if array.size > MAX_ELEMENTS:
        raise ValueError(f"shape {array.shape} has {array.size:,} elements, more than {MAX_ELEMENTS:,}")
    check_shape(array.shape)
    values: List[float] = dtypes.to_float64(array).ravel().tolist()
    text = _TRAILING_ZEROS.sub("p", " ".join(map(float.hex, values)))  # one substitution for all: three times faster
    return {"dtype": dtypes.name(array), "shape": list(array.shape), "hex": text.split()}


def decode(data: Any) -> dtypes.Array:
    """The array that `encode` was given; ``hex`` may be a `HexText`.

    Raises:
        ValueError: anything that `encode` can't have written: it says in which part, e.g. ``hex[3]``.
    """
    if not isinstance(data, dict) or set(data) != {"dtype", "shape", "hex"}:
        raise ValueError("an array is an object with exactly dtype, shape and hex")
    if not isinstance(data["dtype"], str) or data["dtype"] not in dtypes.FLOATS:
        raise ValueError(f"dtype: {_short(data['dtype'])} is not one of {', '.join(dtypes.FLOATS)}")
    shape, texts = data["shape"], data["hex"]
    if not isinstance(shape, list) or not all(type(extent) is int and extent >= 0 for extent in shape):
        raise ValueError(f"shape: {_short(shape)} is not a list of integers from 0 on")
    try:
        check_shape(shape)
    except ValueError as error:
        raise ValueError(f"shape: {error}") from None
    if not isinstance(texts, (list, HexText)):
        raise ValueError(f"hex: {_short(texts)} is not a list")
    count = 1
    for extent in shape:
        count *= extent
    values = _numbers(texts, count, shape)
    array = dtypes.from_float64(values, data["dtype"])
    back = dtypes.to_float64(array)
    inexact = np.flatnonzero((back != values) & ~np.isnan(values))
    if inexact.size:
        at = int(inexact[0])
        raise ValueError(f"hex[{at}]: {float.hex(float(values[at]))} is not a number of {data['dtype']}")
    return array.reshape(shape)


def _numbers(texts: Union[List[Any], HexText], count: int, shape: List[int]) -> dtypes.Array:
    """The `count` numbers as float64. Raises ValueError where there are fewer or more, or one is malformed."""
    found = _entries(texts.text) if isinstance(texts, HexText) else texts
    length = None if isinstance(texts, HexText) else len(texts)
    if length is None or length == count:
        values = np.empty(count, dtype=np.float64)
        length = 0
        for text in found:
            if length < count:
                values[length] = _number(text, length)
            length += 1
        if length == count:
            return values
    raise ValueError(f"hex: {length} elements for shape {_short(shape)}, which has {count}")


def _entries(text: memoryview) -> Iterable[Any]:
    """The texts of a list, one at a time. Raises ValueError where it isn't a list of them."""
    at, index, comma = 0, 0, b""
    while at < len(text) or comma:
        match = _ENTRY.match(text, at)
        if match is None:
            rest = bytes(text[at : at + 40])
            if not comma and not rest.strip() and not bytes(text[at:]).strip():
                return
            raise ValueError(f"hex[{index}]: {_short(rest)} is not a hexadecimal float, nan, inf or -inf")
        yield match[1].decode("ascii")
        at, index, comma = match.end(), index + 1, match[2]


def _number(text: Any, index: int) -> float:
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError(f"hex[{index}]: {_short(text)} is not a hexadecimal float, nan, inf or -inf")
    try:
        return float.fromhex(text)
    except OverflowError as error:
        raise ValueError(f"hex[{index}]: {_short(text)} is beyond float64") from error


def _short(value: Any) -> str:
    text = repr(value[:20] if isinstance(value, list) else value)
    return text if len(text) <= 80 else text[:77] + "..."

"""ARRAY, the exact form of a floating array in a results file: ``{"dtype", "shape", "hex"}``.

Runs in a worker: standard library and NumPy only, Python 3.8, NumPy 1.19.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List

import numpy as np

from xent import dtypes

MAX_ELEMENTS = 1_000_000
"""A larger array is refused: a results file has one line a case, and this is about 25 MB of it."""

MAX_RANK = 32
"""What every NumPy holds."""

_TRAILING_ZEROS = re.compile(r"\.?0+p")
_HEX = re.compile(r"-?0x[01](\.[0-9a-f]+)?p[+-][0-9]{1,4}|-?inf|nan", re.ASCII)


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
    values: List[float] = dtypes.to_float64(array).ravel().tolist()
    text = _TRAILING_ZEROS.sub("p", " ".join(map(float.hex, values)))  # one substitution for all: three times faster
    return {"dtype": dtypes.name(array), "shape": list(array.shape), "hex": text.split()}


def decode(data: Any) -> dtypes.Array:
    """The array that `encode` was given.

    Raises:
        ValueError: anything that `encode` can't have written: it says in which part, e.g. ``hex[3]``.
    """
    if not isinstance(data, dict) or set(data) != {"dtype", "shape", "hex"}:
        raise ValueError("an array is an object with exactly dtype, shape and hex")
    if data["dtype"] not in dtypes.FLOATS:
        raise ValueError(f"dtype: {_short(data['dtype'])} is not one of {', '.join(dtypes.FLOATS)}")
    shape, texts = data["shape"], data["hex"]
    if not isinstance(shape, list) or not all(type(extent) is int and extent >= 0 for extent in shape):
        raise ValueError(f"shape: {_short(shape)} is not a list of integers from 0 on")
    if len(shape) > MAX_RANK:
        raise ValueError(f"shape: {len(shape)} axes, more than {MAX_RANK}")
    if not isinstance(texts, list):
        raise ValueError(f"hex: {_short(texts)} is not a list")
    count = 1
    for extent in shape:
        count *= extent
    if count != len(texts):
        raise ValueError(f"hex: {len(texts)} elements for shape {_short(shape)}, which has {count}")
    values = np.array([_number(text, index) for index, text in enumerate(texts)], dtype=np.float64)
    array = dtypes.from_float64(values, data["dtype"])
    back = dtypes.to_float64(array)
    inexact = np.flatnonzero((back != values) & ~np.isnan(values))
    if inexact.size:
        raise ValueError(f"hex[{inexact[0]}]: {_short(texts[inexact[0]])} is not a number of {data['dtype']}")
    return _reshape(array, shape)


def _reshape(array: dtypes.Array, shape: List[int]) -> dtypes.Array:
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError) as error:  # an empty array may claim extents that no array can have
        raise ValueError(f"shape: {_short(shape)} is more than an array can have") from error


def _number(text: Any, index: int) -> float:
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError(f"hex[{index}]: {_short(text)} is not a hexadecimal float, nan, inf or -inf")
    try:
        return float.fromhex(text)
    except OverflowError as error:
        raise ValueError(f"hex[{index}]: {_short(text)} is beyond float64") from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

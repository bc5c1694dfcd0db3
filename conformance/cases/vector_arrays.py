"""Arrays as vector files write them: a dtype and numbers in nested lists, decimal, rounded once."""

from __future__ import annotations

from typing import Any, List, NoReturn, Tuple

import numpy as np

from xent import dtypes
from xent.conformance.files import strict_json
from xent.conformance.files.strict_json import Place, shown
from xent.conformance.protocol.arrays import MAX_ELEMENTS, MAX_RANK, check_shape

_DTYPES = (*dtypes.FLOATS, *dtypes.INTEGERS)
_WORDS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_RAGGED = "Give every row the same shape."


def array(value: Any, place: Place) -> dtypes.Array:
    fields = place.fields(value, ("dtype", "data"), ("shape",))
    dtype = fields["dtype"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        remedy = strict_json.did_you_mean(dtype, _DTYPES) if isinstance(dtype, str) else f"Known: {', '.join(_DTYPES)}."
        place.key("dtype").refuse(f"unknown dtype {shown(dtype)}", remedy)
    data = place.key("data")
    shape, entries = flatten(fields["data"], data)
    if len(entries) > MAX_ELEMENTS:
        data.refuse(f"has {len(entries):,} entries, more than {MAX_ELEMENTS:,}", "Use a smaller case.")
    make = floats if dtype in dtypes.FLOATS else _integers
    array = make(entries, dtype, shape, data)
    if "shape" not in fields:
        return array
    written = _shape(fields["shape"], place.key("shape"))
    if fields["data"] == [] and 0 in written:
        return np.zeros(written, dtypes.dtype(dtype))
    if written != shape:
        place.key("shape").refuse(
            f"{list(written)} is not the shape of data, {list(shape)}",
            'Leave "shape" out: only an empty array that no list can show, such as [0, 5] with "data": [], needs it.',
        )
    return array


def _shape(value: Any, place: Place) -> Tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MAX_RANK:
        place.refuse(f"must be a list of at most {MAX_RANK} lengths, got {shown(value)}")
    for index, item in enumerate(value):
        number = isinstance(item, (int, float)) and not isinstance(item, bool)
        if not number or item != int(item) or not 0 <= item <= MAX_ELEMENTS:
            place.item(index).refuse(f"must be a length from 0 to {MAX_ELEMENTS:,}, got {shown(item)}")
    lengths = tuple(int(item) for item in value)
    try:
        check_shape(lengths)
    except ValueError as error:
        place.refuse(str(error), "Use smaller lengths.")
    return lengths


def flatten(data: Any, place: Place, at: Tuple[int, ...] = ()) -> Tuple[Tuple[int, ...], List[Any]]:
    """The shape of nested lists and their entries in order; entries are not looked at. `at`: the indices so far."""
    if not isinstance(data, list):
        return (), [data]
    if len(at) == MAX_RANK:
        place.refuse(f"data nests deeper than {MAX_RANK} lists", "No framework here takes such an array.")
    kinds = set(map(type, data))
    if list not in kinds:
        return (len(data),), data
    if len(kinds) > 1:
        odd = next(i for i, item in enumerate(data) if isinstance(item, list) != isinstance(data[0], list))
        other = "a list" if isinstance(data[0], list) else "a single value"
        place.item(*at, odd).refuse(f"ragged data: {shown(data[odd])} where [0] is {other}", _RAGGED)
    shape, first = flatten(data[0], place, (*at, 0))
    entries = list(first)
    for index in range(1, len(data)):
        row_shape, row = flatten(data[index], place, (*at, index))
        if row_shape != shape:
            problem = f"ragged data: shape {list(row_shape)} where [0] has shape {list(shape)}"
            place.item(*at, index).refuse(problem, _RAGGED)
        entries += row
    return (len(data), *shape), entries


def floats(entries: List[Any], dtype: str, shape: Tuple[int, ...], place: Place) -> dtypes.Array:
    values = np.empty(len(entries), np.float64)
    for index, entry in enumerate(entries):
        if type(entry) is float or type(entry) is int:  # not isinstance: bool is an int
            values[index] = _float64(entry, dtype, shape, index, place)
        elif isinstance(entry, str) and entry in _WORDS:
            values[index] = _WORDS[entry]
        else:
            remedy = 'Entries are numbers, or "nan", "inf", "-inf" in quotes.'
            _entry(place, shape, index).refuse(f"{shown(entry)} is no {dtype} number", remedy)
    array = dtypes.from_float64(values, dtype)
    beyond = np.flatnonzero(np.isfinite(values) & ~np.isfinite(dtypes.to_float64(array)))
    if beyond.size:
        _too_large(entries[beyond[0]], dtype, _entry(place, shape, int(beyond[0])))
    return array.reshape(shape)


def _float64(entry: Any, dtype: str, shape: Tuple[int, ...], index: int, place: Place) -> float:
    try:
        return float(entry)
    except OverflowError:
        _too_large(entry, dtype, _entry(place, shape, index))


def _too_large(entry: Any, dtype: str, place: Place) -> NoReturn:
    place.refuse(f"{shown(entry)} does not fit {dtype}", 'Write "inf" or "-inf" where you mean it.')


def _integers(entries: List[Any], dtype: str, shape: Tuple[int, ...], place: Place) -> dtypes.Array:
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    for index, entry in enumerate(entries):
        if type(entry) is not int:  # not isinstance: bool is an int
            whole = isinstance(entry, float) and entry.is_integer()
            remedy = f"Write {int(entry)}." if whole else "Entries are whole numbers."
            _entry(place, shape, index).refuse(f"{shown(entry)} is no integer, and dtype is {dtype}", remedy)
        if not low <= entry <= high:
            _entry(place, shape, index).refuse(f"{shown(entry)} does not fit {dtype}", f"It holds {low} to {high}.")
    return np.array(entries, dtype=dtype).reshape(shape)


def _entry(place: Place, shape: Tuple[int, ...], index: int) -> Place:
    return place.item(*(int(axis) for axis in np.unravel_index(index, shape))) if shape else place

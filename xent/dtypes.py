"""The dtypes of the specification by name, and bfloat16, which NumPy itself does not have.

bfloat16 is ml_dtypes' where that package is installed. Frameworks' own interpreters may lack it, and there bfloat16
travels as its bits in a structured dtype that carries the name: it slices, reshapes and copies like any other.
Every function takes either form.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Union, cast

import numpy as np

try:
    import ml_dtypes

    BFLOAT16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
except ImportError:
    BFLOAT16 = np.dtype([("bfloat16", "<u2")])


class Format(NamedTuple):
    """A floating format of IEEE 754's kind.

    Attributes:
        bits: a number takes.
        precision: bits of the significand, the hidden one included.
        lowest: exponent of the smallest normal number, 2**lowest.
        highest: exponent of the largest finite one, which is just below 2**(highest + 1).
    """

    bits: int
    precision: int
    lowest: int
    highest: int

    @property
    def roundoff(self) -> float:
        """The largest relative error of rounding to nearest."""
        return 2.0**-self.precision

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0 ** (1 - self.precision)) * 2.0**self.highest


FORMATS: Mapping[str, Format] = {
    "float16": Format(16, 11, -14, 15),
    "bfloat16": Format(16, 8, -126, 127),
    "float32": Format(32, 24, -126, 127),
    "float64": Format(64, 53, -1022, 1023),
}
FLOATS = tuple(FORMATS)
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]
else:
    Array = np.ndarray  # NumPy 1.19 has no np.ndarray[...]


def name(of: Union[np.dtype[Any], Array]) -> str:
    """The name of a dtype or of an array's dtype: ``"bfloat16"`` for either form, NumPy's name for the others."""
    return _name(cast("np.dtype[Any]", getattr(of, "dtype", of)))


@functools.lru_cache(maxsize=None)
def _name(dtype: np.dtype[Any]) -> str:
    if dtype == BFLOAT16 or dtype.names == ("bfloat16",):
        return "bfloat16"
    return str(dtype.name)


def dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of that name. Raises ValueError for a name that is neither in FLOATS nor in INTEGERS nor bool."""
    if name == "bfloat16":
        return BFLOAT16
    if name in FLOATS or name in INTEGERS or name == "bool":
        return np.dtype(name)
    raise ValueError(f"unknown dtype {name!r}: known are {', '.join((*FLOATS, *INTEGERS, 'bool'))}")


def is_float(array: Array) -> bool:
    """Whether the array's dtype is one of FLOATS."""
    return name(array) in FLOATS


def is_integer(array: Array) -> bool:
    """Whether the array's dtype is one of INTEGERS (bool is not)."""
    return name(array) in INTEGERS


def bits(array: Array) -> Array:
    """The bits of a floating array as unsigned integers, same shape. Raises ValueError for another dtype."""
    if not is_float(array):
        raise ValueError(f"bits() takes floating arrays, got {name(array)}")
    # asarray: a 0-d subclass or a scalar view would lose its shape. ascontiguousarray would make 0-d arrays 1-d.
    return np.array(array, order="C", copy=True, subok=False).view(f"uint{FORMATS[name(array)].bits}")


def from_bits(unsigned: Array, name: str) -> Array:
    """The floating array with these bits: the inverse of `bits`."""
    if name not in FORMATS:
        raise ValueError(f"unknown floating dtype {name!r}")
    return np.array(unsigned, dtype=f"uint{FORMATS[name].bits}", order="C", copy=True).view(dtype(name))


def to_float64(array: Array) -> Array:
    """The exact values of a floating array as float64, same shape."""
    values: Array = np.asarray(array)
    if name(array) == "bfloat16":
        values = (bits(array).astype(np.uint32) << np.uint32(16)).view(np.float32)
    with np.errstate(invalid="ignore"):  # a signalling nan is a nan
        return cast(Array, values.astype(np.float64))


def from_float64(array: Any, name: str) -> Array:
    """float64 values rounded ONCE, to nearest even, to the floating dtype of that name; overflow gives inf."""
    values = np.asarray(array, dtype=np.float64)
    if name != "bfloat16":
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return cast(Array, values.astype(dtype(name)))
    return from_bits(_bfloat16_bits(values), "bfloat16")


def unit_roundoff(name: str) -> float:
    """Half the distance from 1 to the next number above: 2^-11, 2^-8, 2^-24 or 2^-53."""
    return FORMATS[name].roundoff


def _bfloat16_bits(values: Array) -> Array:
    """bfloat16 bits of float64 values: through float32 rounded to ODD, so that the second rounding sees what fell."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single = values.astype(np.float32)
    nan = np.isnan(values)
    word = single.view(np.uint32).astype(np.int64)
    inexact = (single.astype(np.float64) != values) & ~nan
    beyond = inexact & (np.abs(single.astype(np.float64)) > np.abs(values))  # rounded away from zero: step back
    word = np.where(beyond, word - 1, word)
    word = np.where(inexact, word | 1, word)
    rounded = (word + 0x7FFF + ((word >> 16) & 1)) >> 16
    quiet = ((word >> 16) & 0x8000) | 0x7FC0
    return np.asarray(np.where(nan, quiet, rounded), dtype=np.uint16)


def to_data(array: Array) -> Any:
    """The array as JSON-safe nested lists: exact, with ``"nan"``, ``"inf"`` and ``"-inf"`` as text."""
    if is_float(array):
        return _spell(to_float64(array).tolist())
    return np.asarray(array).tolist()


def from_data(data: Any, name: str) -> Array:
    """The array of that dtype from nested lists as `to_data` makes them, each number rounded once.

    Raises:
        ValueError: an unknown dtype, ragged lists, or an integer that the dtype can't hold.
        TypeError: an entry that is no number.
    """
    target = dtype(name)
    if name in FLOATS:
        return from_float64(np.asarray(_unspell(data), dtype=np.float64), name)
    array = np.asarray(data)
    if array.size == 0:
        return array.astype(target)
    if array.dtype.kind == "O":
        raise ValueError(f"ragged lists, or integers beyond 64 bits, do not make an array of {name}")
    if array.dtype.kind not in ("b" if name == "bool" else "iu"):
        raise TypeError(f"an array of {name} takes {'booleans' if name == 'bool' else 'integers'}, got {array.dtype}")
    converted = array.astype(target)
    if not np.array_equal(converted, array):
        raise ValueError(f"a value is out of range for {name}")
    return converted


_WORDS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def _spell(value: Any) -> Any:
    if isinstance(value, list):
        return [_spell(item) for item in value]
    return value if np.isfinite(value) else ("nan" if value != value else "inf" if value > 0 else "-inf")


def _unspell(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_unspell(item) for item in value]
    if isinstance(value, str):
        if value not in _WORDS:
            raise ValueError(f'{value!r} is no number; text may be "nan", "inf" or "-inf"')
        return _WORDS[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value)

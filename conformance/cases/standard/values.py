"""Numbers for the standard cases: the same bits on every machine and with every version of NumPy.

Only NumPy's legacy generator is drawn from, whose stream is frozen, and only integers are drawn; what follows is exact
arithmetic (powers of two, differences) and one correct rounding to the dtype. Nothing here depends on a libm.
"""

from __future__ import annotations

import zlib
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

from xent import dtypes, shapes

Array = np.ndarray[Any, Any]
Random = np.random.RandomState

_SPREADS = (4, 4, 16, 128)  # at 128 exp overflows in float32: a missing max shift shows in every fourth case
_GRAIN = {"float64": 2**52}  # as many bits as float64 and float32 hold; the narrower dtypes round once
_CUTS = {"bfloat16": 2**8, "float16": 2**10}  # multiples of 1/_CUTS up to 1 are exact in the dtype


def random_of(id: str) -> Random:
    """The generator of one case: from its id alone, so that adding a case changes no other."""
    return Random(zlib.crc32(id.encode()))


def integers(random: Random, low: int, high: int, shape: Sequence[int]) -> Array:
    """int64 from [low, high)."""
    return np.asarray(random.randint(low, high, size=tuple(shape), dtype=np.int64))


def logits(random: Random, shape: Sequence[int], dtype: str) -> Array:
    """Logits within ±4, ±16 or ±128 (one spread a case), multiples of a power of two."""
    spread = _SPREADS[int(random.randint(len(_SPREADS)))]
    grain = _GRAIN.get(dtype, 2**22)
    return dtypes.from_float64(integers(random, -grain, grain + 1, shape) * (spread / grain), dtype)


def indices(random: Random, shape: Sequence[int], classes: int) -> Array:
    """Class indices; the last one is C - 1, so that the upper edge of the range is always used."""
    drawn = integers(random, 0, classes, shape)
    drawn.reshape(-1)[-1:] = classes - 1
    return drawn


def _normalised(random: Random, rows: int, classes: int, cuts: int) -> Array:
    edges = np.sort(integers(random, 0, cuts + 1, (rows, classes - 1)), axis=1)
    padded = np.concatenate([np.zeros((rows, 1), np.int64), edges, np.full((rows, 1), cuts, np.int64)], axis=1)
    return np.diff(padded, axis=1) / cuts


def _one_hot(random: Random, rows: int, classes: int, cuts: int) -> Array:
    return np.eye(classes)[integers(random, 0, classes, (rows,))]


def _unnormalised(random: Random, rows: int, classes: int, cuts: int) -> Array:
    return integers(random, 0, cuts + 1, (rows, classes)) / cuts


def _outside(random: Random, rows: int, classes: int, cuts: int) -> Array:
    return integers(random, -cuts // 4, cuts // 2 + 1, (rows, classes)) * (4 / cuts)


def _zero_rows(random: Random, rows: int, classes: int, cuts: int) -> Array:
    drawn = _normalised(random, rows, classes, cuts)
    drawn[::2] = 0
    return drawn


PROFILES: Dict[str, Callable[[Random, int, int, int], Array]] = {
    "normalised": _normalised,  # each row sums to exactly 1
    "one-hot": _one_hot,
    "unnormalised": _unnormalised,  # within [0, 1], rows sum to anything
    "outside": _outside,  # from -1 to 2, as the documents' own examples have them (S7)
    "zero-rows": _zero_rows,  # every second row holds zeros only
}


def probabilities(random: Random, shape: Sequence[int], dtype: str, profile: str) -> Array:
    """Class probabilities of input's shape, by one of PROFILES."""
    rows = int(np.prod(shapes.places(shape), dtype=np.int64))
    drawn = PROFILES[profile](random, rows, shape[shapes.class_axis(len(shape))], _CUTS.get(dtype, 2**20))
    return dtypes.from_float64(np.ascontiguousarray(shapes.from_rows(drawn, shape)), dtype)


def _positive(random: Random, classes: int) -> Array:
    return integers(random, 1, 65, (classes,)) / 16  # exact in every dtype


def _mixed_signs(random: Random, classes: int) -> Array:
    drawn = _positive(random, classes)
    drawn[::3] *= -0.25  # the positive ones outweigh them: selected weights do not cancel by accident
    return drawn


def _some_zero(random: Random, classes: int) -> Array:
    drawn = _positive(random, classes)
    drawn[::2] = 0
    return drawn


def _cancelling(random: Random, classes: int) -> Array:
    return np.where(np.arange(classes) % 2, -1.5, 1.5)


# name: (values in float64, dtype or None for input's)
WEIGHTS: Dict[str, Tuple[Optional[Callable[[Random, int], Array]], Optional[str]]] = {
    "unweighted": (None, None),
    "weighted": (_positive, None),
    "weighted-negative": (_mixed_signs, None),
    "weighted-some-zero": (_some_zero, None),
    "weighted-all-zero": (lambda random, classes: np.zeros(classes), None),
    "weighted-cancelling": (_cancelling, None),
    "weighted-float16": (_positive, "float16"),
    "weighted-bfloat16": (_positive, "bfloat16"),
    "weighted-float32": (_positive, "float32"),
    "weighted-float64": (_positive, "float64"),
}


def weight(random: Random, classes: int, name: str, dtype: str) -> Optional[Array]:
    """The weight of that name in WEIGHTS, or None; `dtype` is input's."""
    make, own = WEIGHTS[name]
    return None if make is None else dtypes.from_float64(make(random, classes), own or dtype)


def arranged(array: Array, layout: str) -> Array:
    """The same values with another order of the axes in memory: "contiguous", "transposed" or "channels-last"."""
    if layout == "contiguous":
        return array
    axes = list(range(array.ndim))
    order = axes[::-1] if layout == "transposed" else [0, *axes[2:], 1]
    return np.asarray(np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order)))

"""Hostile cases whose arguments are the point: weights, ignore_index, one-hot twins of class indices, many rows."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from xent import dtypes
from xent.conformance.cases.standard.plan import make
from xent.conformance.protocol.case import Case
from xent.spec import Arguments

_INF, _NAN = float("inf"), float("nan")


class Single(NamedTuple):
    """One case: what it catches, its data (a target of lists holds probabilities) and its arguments."""

    catches: str
    input: Any
    target: Any
    reduction: str = "none"
    weight: Optional[Sequence[float]] = None
    smoothing: float = 0.0
    dtype: str = "float32"
    ignore_index: int = -100


_LEVEL = [[0.25, 1.5, -2, 0.5], [1, -1, 2, 0]]
_HOT = [[0.0, 1, 0, 0], [0, 0, 0, 1]]
_SINGLES: Dict[str, Single] = {
    "zero-weight/minus-infinity": Single(
        "O1: weight 0 on a -inf target: nan, or the limit 0 (ours)",
        [[-_INF, 1, 2], [0, 1, 2]],
        [0, 1],
        weight=[0, 1, 1],
    ),
    "zero-weight/minus-infinity/smoothing-0.1": Single(
        "O1: the smooth part's coefficient of a -inf class is 0 too",
        [[-_INF, 1, 2], [0, 1, 2]],
        [1, 1],
        weight=[0, 1, 1],
        smoothing=0.1,
    ),
    "zero-weight/nan": Single(
        "S13: weight 0 does not make a nan row finite", [[_NAN, 1, 2], [0, 1, 2]], [0, 1], weight=[0, 1, 1]
    ),
    "zero-weight/selected/mean": Single(
        "S12: every selected weight is 0: 0/0", [[0, 1, 2], [2, 1, 0]], [0, 0], "mean", [0, 1, 2]
    ),
    "zero-weight/selected/mean/smoothing-0.1": Single(
        "S12: 0/0 with smoothing too", [[0, 1, 2], [2, 1, 0]], [0, 0], "mean", [0, 1, 2], 0.1
    ),
    "zero-weight/selected/sum": Single("S12: the sum is 0", [[0, 1, 2], [2, 1, 0]], [0, 0], "sum", [0, 1, 2]),
    "weights-beyond-float16": Single(
        "three float16 weights whose sum is beyond float16: the divisor must not be inf",
        [[0, 1], [1, 0], [2, 0]],
        [0, 0, 1],
        "mean",
        [6e4, 5e4],
        dtype="float16",
    ),
    "weights-unequal": Single(
        "a weight of 2^20 beside 2^-20: the mean divides by the selected weights, not by the rows",
        [[0, 1, 0], [1, 0, 2]],
        [0, 2],
        "mean",
        [2.0**20, 1, 2.0**-20],
    ),
    "ignored/far": Single("ignore_index far outside int32's classes", _LEVEL, [1, 10**6], "mean", ignore_index=10**6),
    "ignored/most-negative": Single("int64's smallest ignore_index", _LEVEL, [1, 2], "mean", ignore_index=-(2**63)),
    "one-hot-pair/none/indices": Single("equals its one-hot twin", _LEVEL, [1, 3]),
    "one-hot-pair/none/probabilities": Single("equals its twin with class indices", _LEVEL, _HOT),
    "one-hot-pair/sum/weighted/indices": Single("equals its one-hot twin", _LEVEL, [1, 3], "sum", [1, 2, 3, 0.5]),
    "one-hot-pair/sum/weighted/probabilities": Single(
        "equals its twin with class indices", _LEVEL, _HOT, "sum", [1, 2, 3, 0.5]
    ),
    "one-hot-pair/mean/weighted/indices": Single(
        "divides by the selected weights (S9)", _LEVEL, [1, 3], "mean", [1, 2, 3, 0.5]
    ),
    "one-hot-pair/mean/weighted/probabilities": Single(
        "divides by N, never by weights (S10): its twin differs", _LEVEL, _HOT, "mean", [1, 2, 3, 0.5]
    ),
}


def _singles() -> List[Case]:
    made = []
    for name, single in _SINGLES.items():
        soft = isinstance(single.target[0], list)
        target = dtypes.from_float64(single.target, single.dtype) if soft else np.array(single.target, dtype=np.int64)
        weight = None if single.weight is None else dtypes.from_float64(single.weight, single.dtype)
        made.append(
            make(
                f"hostile/{name}",
                Arguments(weight, single.ignore_index, single.reduction, single.smoothing),
                dtypes.from_float64(single.input, single.dtype),
                target,
                tags=(
                    "hostile",
                    *(["one-hot"] if soft else []),
                    *(["open-o1"] if single.catches.startswith("O1") else []),
                ),
                note=single.catches,
            )
        )
    return made


# rows, reduction, dtype, dtype of the target: all logits equal, so that the sum is N log C however long
_LEVEL_RUNS = (
    (8192, "sum", "float32", "int64"), (8192, "mean", "float32", "int32"), (4096, "sum", "float16", "int64"),
    (4096, "mean", "float16", "int64"), (600, "mean", "bfloat16", "int64"),
)  # fmt: skip


def _long() -> List[Case]:
    return [
        make(
            f"hostile/many-rows/{rows}/{reduction}/{dtype}/{target_dtype}",
            Arguments(None, -100, reduction, 0.0),
            dtypes.from_float64(np.full((rows, 2), 0.5), dtype),
            np.arange(rows).astype(target_dtype) % 2,
            tags=("hostile",),
            note="N log C: adding up in a narrow dtype stops short, counting rows in it too",
        )
        for rows, reduction, dtype, target_dtype in _LEVEL_RUNS
    ]


def cases() -> List[Case]:
    """All of them."""
    return [*_singles(), *_long()]

"""Inputs that catch a wrong loss: with bland random numbers no tolerance finds a missing max shift, a log of a softmax,
an epsilon inside the log or a wrong treatment of infinities.

Every number is written out and exact in the dtypes named, or rounded once; each table says what its rows catch.
"""

from __future__ import annotations

from itertools import product
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from xent import dtypes
from xent.conformance.cases.standard.plan import make
from xent.conformance.protocol.case import Case
from xent.spec import Arguments

_INF, _NAN = float("inf"), float("nan")
_ALL = ("float32", "float64", "float16", "bfloat16")
_WIDE = ("float32", "float64", "bfloat16")  # whose largest number is beyond 1e38

Rows = Sequence[Sequence[float]]


class Hostile(NamedTuple):
    """Logits of shape (N, C) and the class indices (N) that go with them, for the dtypes that can hold them."""

    catches: str
    rows: Rows
    target: Sequence[int]
    dtypes: Tuple[str, ...] = _ALL
    tags: Tuple[str, ...] = ()


def _gaps(gaps: Sequence[float], right: bool) -> Rows:
    """One logit a row above three others by a gap: class 1 where the target (1) is to be right, else class 2."""
    return [[0, gap, 0, -1] if right else [0, 0, gap, -1] for gap in gaps]


_HOSTILE: Dict[str, Hostile] = {
    "minus-infinity-elsewhere": Hostile(
        "S13: -inf is a class of probability 0; the loss stays finite where nothing weighs it (0 * -inf gives nan), "
        "and is inf with label smoothing",
        [[0, -_INF, 1, 2], [-_INF, 3, -_INF, -_INF], [0.5, 1, -_INF, 2], [-_INF, 0, 0, 4]],
        [0, 1, 3, 2],
    ),
    "minus-infinity-at-target": Hostile(
        "S13: the target's class has probability 0: inf, with a finite gradient",
        [[-_INF, 1, 2, 0], [1, 2, 3, 4], [0, 0, 0, -_INF]],
        [0, 2, 3],
    ),
    "minus-infinity-everywhere": Hostile(
        "a row of -inf only is 0/0: nan, and no other row's business", [[-_INF] * 4, [0, 1, 2, 3]], [1, 3]
    ),
    "plus-infinity": Hostile(
        "S13: +inf makes its row nan", [[_INF, 0, 1, 2], [0, 1, 2, _INF], [1, 1, 2, 3]], [0, 1, 2]
    ),
    "nan": Hostile("S13: nan makes its row nan", [[0, _NAN, 1, 2], [0, 1, 2, 3]], [0, 3]),
    "nan-ignored": Hostile(
        "S12: an ignored row contributes nothing whatever it holds, and its gradient is exactly 0",
        [[0, _NAN, 1, 2], [0, 1, 2, 3], [_INF, 0, 1, 2], [-_INF, 1, -_INF, 0]],
        [-100, 3, -100, -100],
    ),
    "huge": Hostile(
        "S13: large finite logits never overflow",
        [[1e38, -1e38, 0, 5e37], [-1e38, -1e38, -1e38, 1], [0, 1e38, 1e38, 1]],
        [0, 3, 2],
        _WIDE,
    ),
    "huge-float16": Hostile(
        "S13: 6e4 is near float16's end; sums and differences pass it",
        [[6e4, -5e3, 0, 3e4], [-6e4, -6e4, -6e4, 1], [0, 6e4, 6e4, 1], [6e4, 6e4, 6e4, 6e4]],
        [3, 3, 2, 1],
        ("float16", "float32"),
    ),
    "equal-huge": Hostile(
        "equal logits are log C exactly, however large; x - logsumexp(x) loses it",
        [[1e8] * 4, [-1e8] * 4, [2.0**26] * 4],
        [0, 1, 3],
        _WIDE,
    ),
    "largest": Hostile(
        "equal logits at bfloat16's largest number, near float32's",
        [[3.3895313892515355e38] * 4, [-3.3895313892515355e38] * 4],
        [2, 0],
        _WIDE,
    ),
    "far-from-zero": Hostile(
        "a missing max shift: exp overflows at 1000 and is 0 at -1000",
        [[1000, 1001, 999, 1000], [-1000, -1001, -999, -1000], [200, 199, -200, 0]],
        [0, 1, 1],
    ),
    "sure-and-right": Hostile(
        "a loss near 0: log(1 + small), never negative",
        _gaps([5, 10, 17, 40, 104, 1000], True),
        [1] * 6,
        tags=("sure",),
    ),
    "sure-and-wrong": Hostile(
        "a log of a softmax gives inf once the softmax is 0 (gap 104), an epsilon inside the log stops near 18 to 28",
        _gaps([5, 17, 20, 30, 104, 200, 1000, 1e4], False),
        [1] * 8,
        tags=("sure",),
    ),
    "tiny": Hostile(
        "subnormal and signed zeros: log C",
        [[0.0, -0.0, 2.0**-149, -(2.0**-149)], [2.0**-24, 0, -(2.0**-24), 0]],
        [1, 0],
        ("float32", "float64"),
    ),
    "ties": Hostile("two and three largest logits: log 2 and log 3", [[50, 50, -50, -60], [-7, 90, 90, 90]], [1, 2]),
    "edge-labels": Hostile(
        "the first and the last class, C - 1 itself included in the range",
        [[1, 2, 3, 4], [4, 3, 2, 1]],
        [0, 3],
        tags=("edge-labels",),
    ),
    "all-last": Hostile("a target of C - 1 only", [[0.5, 1, -1], [2, 0, 1]], [2, 2], tags=("edge-labels",)),
}

# reduction, label smoothing, dtype of the target, dtype of input: int32 for mindspore.nn, int64 for torch
_INDEX_RUNS = (
    ("none", 0.0, "int64", "float32"), ("mean", 0.0, "int64", "float32"), ("none", 0.1, "int64", "float32"),
    ("none", 0.0, "int32", "float32"), ("mean", 0.1, "int32", "float32"),
    ("none", 0.0, "int64", "float64"), ("none", 0.0, "int64", "float16"), ("none", 0.0, "int64", "bfloat16"),
)  # fmt: skip


def _indices() -> List[Case]:
    return [
        make(
            f"hostile/{name}/indices/{reduction}/smoothing-{smoothing:g}/{dtype}/{target_dtype}",
            Arguments(None, -100, reduction, smoothing),
            dtypes.from_float64(hostile.rows, dtype),
            np.array(hostile.target, dtype=target_dtype),
            tags=("hostile", *hostile.tags),
            note=hostile.catches,
        )
        for (name, hostile), (reduction, smoothing, target_dtype, dtype) in product(_HOSTILE.items(), _INDEX_RUNS)
        if dtype in hostile.dtypes
    ]


# whose gradient with respect to weight is asked for; exact in every dtype, and never 0, which singles.py has
_WEIGHT = (0.5, 2.0, 1.0, 0.25)
_WEIGHTED_RUNS = (("none", "int64"), ("mean", "int32"))


def _weighted_indices() -> List[Case]:
    return [
        make(
            f"hostile/{name}/indices/{reduction}/weighted/float32/{target_dtype}",
            Arguments(np.array(_WEIGHT[: len(hostile.rows[0])], np.float32), -100, reduction, 0.0),
            dtypes.from_float64(hostile.rows, "float32"),
            np.array(hostile.target, dtype=target_dtype),
            tags=("hostile", *hostile.tags),
            note=hostile.catches,
        )
        for (name, hostile), (reduction, target_dtype) in product(_HOSTILE.items(), _WEIGHTED_RUNS)
        if "float32" in hostile.dtypes
    ]


# name: (what it catches, logits, probabilities)
_SOFT: Dict[str, Tuple[str, Rows, Rows]] = {
    "minus-infinity-without-probability": (
        "O1: probability 0 on a -inf logit: nan, or the limit 0 (ours)",
        [[0, -_INF, 1, 2], [-_INF, 3, -_INF, -_INF]],
        [[0.5, 0, 0.25, 0.25], [0, 1, 0, 0]],
    ),
    "minus-infinity-with-probability": (
        "S13: probability on a class of probability 0: inf",
        [[0, -_INF, 1, 2], [0, 1, 2, 3]],
        [[0.5, 0.25, 0.25, 0], [0, 0, 0, 1]],
    ),
    "nan": ("S13: nan makes its row nan", [[0, _NAN, 1, 2], [0, 1, 2, 3]], [[0.5, 0, 0.25, 0.25], [0.25] * 4]),
    "plus-infinity": ("S13: +inf makes its row nan", [[_INF, 0, 1, 2], [0, 1, 2, 3]], [[1, 0, 0, 0], [0.25] * 4]),
    "huge": (
        "S13: large finite logits never overflow",
        [[1e38, -1e38, 0, 5e37], [1e38] * 4],
        [[0.75, 0, 0.25, 0], [0.25] * 4],
    ),
    "far-from-zero": (
        "a missing max shift",
        [[1000, 1001, 999, 1000], [-1000, -1001, -999, -1000]],
        [[0.125, 0.5, 0.25, 0.125], [0, 0, 1, 0]],
    ),
    "sure": (
        "a log of a softmax, an epsilon inside the log",
        [[0, 104, 0, 0], [0, 200, 0, 0], [30, 0, 0, 0]],
        [[0.5, 0.5, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]],
    ),
    "sums-to-two": (
        "rows that don't sum to 1: the gradient is (sum y) p - y, not p - y",
        [[0, 1, 2, 3], [3, 2, 1, 0]],
        [[0.5] * 4, [2, 0, 0, 0]],
    ),
    "negative": (
        "S7: probabilities outside [0, 1] are plain coefficients",
        [[0, 1, 2, 3], [3, 1, 1, 0]],
        [[-1, 1, 0.5, 0.5], [1.5, -0.5, 0, 0]],
    ),
    "nan-probability": (
        "a nan coefficient is nan, on its row only",
        [[0, 1, 2, 3], [3, 1, 1, 0]],
        [[0.5, _NAN, 0.5, 0], [0.25] * 4],
    ),
}
_SOFT_RUNS = (("none", 0.0), ("mean", 0.0), ("none", 0.1))


def _probabilities() -> List[Case]:
    return [
        make(
            f"hostile/{name}/probabilities/{reduction}/smoothing-{smoothing:g}/float32",
            Arguments(None, -100, reduction, smoothing),
            dtypes.from_float64(rows, "float32"),
            dtypes.from_float64(target, "float32"),
            tags=("hostile", "open-o1") if catches.startswith("O1") and smoothing == 0 else ("hostile",),
            note=catches,
        )
        for (name, (catches, rows, target)), (reduction, smoothing) in product(_SOFT.items(), _SOFT_RUNS)
    ]


def _weighted_probabilities() -> List[Case]:
    return [
        make(
            f"hostile/{name}/probabilities/mean/weighted/float32",
            Arguments(np.array(_WEIGHT, np.float32), -100, "mean", 0.0),
            dtypes.from_float64(rows, "float32"),
            dtypes.from_float64(target, "float32"),
            tags=("hostile", "open-o1") if catches.startswith("O1") else ("hostile",),
            note=catches,
        )
        for name, (catches, rows, target) in _SOFT.items()
    ]


def cases() -> List[Case]:
    """Class indices, then class probabilities; without weights and with them."""
    return [*_indices(), *_probabilities(), *_weighted_indices(), *_weighted_probabilities()]

"""The tables of factors that the plain standard cases come from."""

from __future__ import annotations

from itertools import product
from typing import Any, Iterator, List, Sequence

from xent.conformance.cases.factors import IGNORES
from xent.conformance.cases.standard.plan import Plan, build
from xent.conformance.protocol.case import Case

REDUCTIONS = ("none", "mean", "sum")
SMOOTHINGS = (0.0, 0.1, 1.0)
_WEIGHTS = ("unweighted", "weighted")
# mindspore.nn documents int32 labels and torch int64 ones: only half of such a pair of grids reaches each of them
_INT32_IGNORES = (
    "ignore-default-none", "ignore-default-some", "ignore-inside-some", "ignore-negative-some", "ignore-255-some",
    "ignore-inside-all",
)  # fmt: skip


def _plans(**factors: Any) -> Iterator[Plan]:
    """The product of the factors; a factor that is no list or tuple stands for itself."""
    names = list(factors)
    choices = [value if isinstance(value, (list, tuple)) else [value] for value in factors.values()]
    for combination in product(*choices):
        yield Plan(**dict(zip(names, combination, strict=True)))


def _turning(target_dtype: str, turns: Sequence[int]) -> Iterator[Plan]:
    """Ranks 1, 3, 4 and 5: every reduction, weight and smoothing, each with one way to ignore a turn, all in turn."""
    for rank in (1, 3, 4, 5):
        ways = [name for name in IGNORES if rank > 1 or not name.endswith("-some")]  # rank 1 has one row
        for i, (reduction, weight, smoothing) in enumerate(product(REDUCTIONS, _WEIGHTS, SMOOTHINGS)):
            for ignore in (ways[(5 * i + rank + turn) % len(ways)] for turn in turns):
                yield Plan("indices", rank, reduction, weight, ignore, smoothing, target_dtype=target_dtype)


def _indices() -> Iterator[Plan]:
    yield from _plans(
        kind="indices", rank=2, reduction=REDUCTIONS, weight=_WEIGHTS, ignore=[*IGNORES], smoothing=SMOOTHINGS,
        target_dtype="int64",
    )  # fmt: skip
    yield from _plans(
        kind="indices", rank=2, reduction=REDUCTIONS, weight=_WEIGHTS, ignore=_INT32_IGNORES, smoothing=[0.0, 0.1],
        target_dtype="int32",
    )  # fmt: skip
    yield from _turning("int64", turns=(0, 3))
    yield from _turning("int32", turns=(1,))


def _probabilities() -> Iterator[Plan]:
    yield from _plans(
        kind="probabilities", rank=[1, 2, 3, 4, 5], reduction=REDUCTIONS, weight=_WEIGHTS, smoothing=SMOOTHINGS,
        profile="normalised",
    )  # fmt: skip
    yield from _plans(
        kind="probabilities", rank=2, reduction=REDUCTIONS, weight=_WEIGHTS, smoothing=[0.0, 0.1],
        profile=["one-hot", "unnormalised", "outside", "zero-rows"], ignore="ignore-negative-none",
    )  # fmt: skip


def _dtypes() -> Iterator[Plan]:
    for dtype in ("float64", "float16", "bfloat16"):
        yield from _plans(
            kind="indices", rank=[2, 4], reduction=REDUCTIONS, weight=_WEIGHTS, ignore="ignore-default-some",
            smoothing=[0.0, 0.1], dtype=dtype, target_dtype="int64",
        )  # fmt: skip
        yield from _plans(
            kind="probabilities", rank=2, reduction=REDUCTIONS, weight=_WEIGHTS, smoothing=[0.0, 0.1], dtype=dtype,
        )  # fmt: skip
    yield from _plans(
        kind="indices", rank=2, reduction=REDUCTIONS, weight=_WEIGHTS, ignore="ignore-default-some",
        smoothing=[0.0, 0.1], dtype="float16", target_dtype="int32",
    )  # fmt: skip
    yield from _plans(
        kind="indices", rank=2, reduction=REDUCTIONS, weight=_WEIGHTS, target_dtype=["uint8", "int8", "int16"],
    )  # fmt: skip
    yield from _plans(kind="indices", reduction=REDUCTIONS, ignore="ignore-255-some", target_dtype=["uint8", "int16"])
    yield from _plans(kind="probabilities", reduction=["none", "mean"], target_dtype=["float64", "float16"])
    yield from _plans(kind="probabilities", reduction=["none", "mean"], dtype="float16", target_dtype="float32")


def _weights() -> Iterator[Plan]:
    special = ["weighted-negative", "weighted-some-zero", "weighted-all-zero", "weighted-cancelling"]
    even = (6, 4)  # so that as many rows have weight 1.5 as -1.5
    yield from _plans(
        kind="indices", reduction=REDUCTIONS, weight=special, smoothing=[0.0, 0.1], target_dtype="int64", shape=[even],
    )  # fmt: skip
    yield from _plans(kind="indices", reduction=REDUCTIONS, weight=special, target_dtype="int32", shape=[even])
    yield from _plans(kind="probabilities", reduction=REDUCTIONS, weight=special, shape=[even])
    mixed = [("float32", "float16"), ("float32", "bfloat16"), ("float32", "float64"), ("float16", "float32"),
             ("bfloat16", "float32"), ("float64", "float32")]  # fmt: skip
    for dtype, own in mixed:
        yield from _plans(
            kind=["indices", "probabilities"], reduction=["mean", "sum"], weight=f"weighted-{own}", dtype=dtype,
        )  # fmt: skip


def _layouts() -> Iterator[Plan]:
    yield from _plans(
        kind=["indices", "probabilities"], rank=[2, 3, 4, 5], reduction=REDUCTIONS, layout="transposed",
    )  # fmt: skip
    yield from _plans(
        kind=["indices", "probabilities"], rank=[4, 5], reduction=["none", "mean"], weight="weighted",
        layout="channels-last",
    )  # fmt: skip
    yield from _plans(
        kind="indices", rank=[2, 4], reduction=REDUCTIONS, layout="transposed", target_dtype="int32",
    )  # fmt: skip
    yield from _plans(
        kind=["indices", "probabilities"], rank=4, reduction=["none", "mean"],
        layout=["contiguous", "transposed"], target_layout="transposed", shape=[(2, 3, 4, 5)],
    )  # fmt: skip


def _sizes() -> Iterator[Plan]:
    """One class, many classes, no rows, and one image of a size that people have."""
    edges: List[Sequence[Any]] = [("none", 0.0), ("mean", 0.0), ("sum", 0.1)]
    for reduction, smoothing in edges:
        for target_dtype in ("int64", "int32"):
            factors = {"kind": "indices", "reduction": reduction, "smoothing": smoothing, "target_dtype": target_dtype}
            yield from _plans(**factors, shape=[(3, 1), (4, 1000), (2, 4096)])
            yield from _plans(**factors, shape=[(0, 3)])
        yield from _plans(
            kind="probabilities", reduction=reduction, smoothing=smoothing, shape=[(3, 1), (4, 1000), (0, 3)]
        )
    yield from _plans(
        kind="indices", rank=4, ignore="ignore-255-some", shape=[(1, 5, 24, 32)], reduction=["none", "mean"]
    )
    yield from _plans(
        kind=["indices", "probabilities"], rank=3, shape=[(0, 3, 2), (2, 3, 0)], reduction=["mean", "sum"]
    )


def cases() -> List[Case]:
    """All cases of the grid, in the order of the tables."""
    tables = (_indices, _probabilities, _dtypes, _weights, _layouts, _sizes)
    return [build(plan) for table in tables for plan in table()]

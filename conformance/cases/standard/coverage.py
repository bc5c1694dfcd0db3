"""Which clauses of the five documents a case tests: a table from tags, so that no case names a clause by hand."""

from __future__ import annotations

from functools import lru_cache
from typing import FrozenSet, Iterable, Iterator, List, Tuple

_TORCH, _LEGACY, _MINT, _ONEFLOW, _NN = "torch-2.8", "torch-1.8", "mint", "oneflow", "differences"
_MODERN = (_TORCH, _MINT, _ONEFLOW)
_FOUR = (_TORCH, _LEGACY, _MINT, _ONEFLOW)
_SIZED = (_TORCH, _LEGACY, _ONEFLOW)

# every one of the tags -> topic/aspect -> in these documents. The first rows say what only the plainest cases show,
# because a clause that every case claims to test says nothing about any of them.
_PLAIN = "rank2 float32 unweighted ignore-default smoothing-0 mean "
_SIMPLE = "rank2 float32 smoothing-0 "
_TABLE: Tuple[Tuple[str, str, Tuple[str, ...]], ...] = (
    (_PLAIN + "ignore-none", "criterion/meaning", _FOUR),
    (_PLAIN + "ignore-none", "criterion/torch", (_NN,)),
    (_PLAIN + "ignore-none", "criterion/same-function", (_NN,)),
    (_PLAIN + "ignore-none", "input/logits", _SIZED),
    (_PLAIN + "ignore-none", "input/log-probabilities", (_MINT,)),
    (_PLAIN + "ignore-none", "input/same", (_NN,)),
    (_PLAIN + "ignore-none", "target/same", (_NN,)),
    (_PLAIN + "ignore-none", "target-indices/both", (_NN,)),
    (_PLAIN + "ignore-none", "loss-indices/average", (_LEGACY,)),
    (_PLAIN, "target/kinds", (*_MODERN, _NN)),
    (_PLAIN, "weight/optional", _FOUR),
    (_SIMPLE + "indices", "reduction/type", _FOUR),
    (_SIMPLE + "indices", "reduction/values", _FOUR),
    (_SIMPLE + "indices", "reduction/same", (_NN,)),
    ("indices none smoothing-0", "reduction/none", _FOUR),
    ("indices mean smoothing-0", "reduction/mean", _FOUR),
    ("indices sum smoothing-0", "reduction/sum", _FOUR),
    ("indices none smoothing-0", "loss-indices/none", _FOUR),
    ("indices mean smoothing-0", "loss-indices/mean", _MODERN),
    ("indices sum smoothing-0", "loss-indices/sum", _MODERN),
    ("indices none smoothing-0 weight", "loss-indices/weighted", (_LEGACY,)),
    ("indices none smoothing-0 unweighted", "loss-indices/log-softmax-nll", (_TORCH, _ONEFLOW)),
    ("probabilities normalised", "target-probabilities/meaning", _MODERN),
    ("probabilities none", "loss-probabilities/none", _MODERN),
    ("probabilities mean", "loss-probabilities/mean", _MODERN),
    ("probabilities sum", "loss-probabilities/sum", _MODERN),
    ("probabilities normalised", "target-probabilities/range", (_TORCH, _ONEFLOW)),
    ("probabilities normalised", "target-probabilities/shape", _MODERN),
    ("probabilities normalised", "target-probabilities/dtype", (_TORCH, _MINT)),
    ("probabilities ignore-negative", "ignore-index/indices-only", (_TORCH, _ONEFLOW)),
    ("probabilities ignore-negative", "ignore-index/negative-with-probabilities", (_MINT,)),
    (_SIMPLE + "weight", "weight/optional", _FOUR),
    (_SIMPLE + "weight", "weight/one-dimensional", _SIZED),
    (_SIMPLE + "weight", "weight/size", _FOUR),
    (_SIMPLE + "weight", "weight/meaning", (_MINT,)),
    (_SIMPLE + "weight", "weight/same", (_NN,)),
    ("weight-float16", "weight/dtype", (_MINT,)),
    ("weight-bfloat16", "weight/dtype", (_MINT,)),
    ("weight-float64", "weight/dtype", (_MINT,)),
    ("rank1", "input/unbatched", (_TORCH, _MINT)),
    ("rank1", "input/shape", (_TORCH, _MINT)),
    ("rank1 capability", "input/shape", (_ONEFLOW,)),
    ("rank1 indices", "target-indices/unbatched", (_TORCH, _MINT)),
    ("rank1 indices", "target-indices/shape", (_TORCH, _MINT)),
    ("rank2 float32 indices unweighted none", "input/shape", _FOUR),
    ("rank2 float32 indices unweighted none", "input/shape-section", (_LEGACY,)),
    ("rank2 float32 indices unweighted none", "target-indices/shape", _FOUR),
    ("rank4", "input/images", (_TORCH,)),
    ("rank4 indices", "target-indices/shape", _FOUR),
    *(
        row
        for rank in ("rank3", "rank4", "rank5")
        for row in (
            (f"{rank} smoothing-0 indices", "input/k-dimensional", _FOUR),
            (f"{rank} smoothing-0 indices", "input/shape", _FOUR),
            (f"{rank} smoothing-0 indices", "input/shape-section", (_LEGACY,)),
            (f"{rank} smoothing-0 indices", "loss-indices/dimensions", _MODERN),
            (f"{rank} smoothing-0 probabilities", "loss-probabilities/dimensions", _MODERN),
        )
    ),
    ("indices edge-labels", "target-indices/range", _FOUR),
    ("indices int64 edge-labels", "target-indices/dtype", (_TORCH, _MINT)),
    ("indices int32 edge-labels", "target-indices/dtype", (_MINT,)),
    ("indices capability", "target-indices/dtype", (_TORCH, _MINT)),
    ("rank2 float32 ignore-some", "ignore-index/gradient", _FOUR),
    ("rank2 float32 ignore-all", "ignore-index/gradient", _FOUR),
    ("rank2 float32 ignore-some mean", "ignore-index/mean", _SIZED),
    ("rank2 float32 ignore-some", "ignore-index/type", _FOUR),
    ("rank2 float32 ignore-some", "ignore-index/same", (_NN,)),
    ("ignore-some ignore-255", "target-indices/ignore-index", _SIZED),
    ("ignore-some ignore-negative", "target-indices/ignore-index", _SIZED),
    (_SIMPLE + "ignore-none", "label-smoothing/zero", (_TORCH, _ONEFLOW)),
    ("rank2 float32 smoothing", "label-smoothing/type", _MODERN),
    ("rank2 float32 smoothing", "label-smoothing/range", (*_MODERN, _NN)),
    ("rank2 float32 smoothing", "label-smoothing/mixture", (_TORCH, _ONEFLOW)),
    ("rank2 float32 smoothing", "label-smoothing/meaning", (_MINT, _NN)),
    ("none smoothing-0", "output/shape-none", _SIZED),
    ("mean smoothing-0", "output/scalar", _SIZED),
    ("sum smoothing-0", "output/scalar", _SIZED),
    *((dtype, "output/dtype", (_MINT,)) for dtype in ("float16", "bfloat16", "float64")),
    *((dtype, "input/dtype", (_MINT,)) for dtype in ("float16", "bfloat16", "float64")),
    (_PLAIN, "input/dtype", (_MINT,)),
)  # fmt: skip


def _compiled() -> Iterator[Tuple[FrozenSet[str], List[str]]]:
    for tags, topic, documents in _TABLE:
        yield frozenset(tags.split()), [f"{document}/{topic}" for document in documents]


_RULES = tuple(_compiled())


def clauses(tags: Iterable[str]) -> Tuple[str, ...]:
    """The clauses that a case with these tags tests, sorted."""
    return _clauses(frozenset(tags))


@lru_cache(maxsize=None)  # hundreds of cases differ in their data only
def _clauses(have: FrozenSet[str]) -> Tuple[str, ...]:
    return tuple(sorted({clause for needed, found in _RULES if needed <= have for clause in found}))

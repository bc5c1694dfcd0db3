"""The cases that mint's unmodified loss runs on a CPU, under ms.jit.

At most 40, because each signature (shapes, dtypes, arguments) takes a second or two to compile. There only 2-D class
indices without label smoothing and class probabilities find all their kernels; the sample covers the factors of those.
"""

from __future__ import annotations

from typing import FrozenSet, Iterator

_REDUCTIONS = ("none", "mean", "sum")
_WEIGHTS = ("unweighted", "weighted")
_INDICES = (
    "mean/weighted/ignore-inside-some/smoothing-0/float32/int64",
    "sum/unweighted/ignore-255-some/smoothing-0/float32/int64",
    "mean/unweighted/ignore-negative-all/smoothing-0/float32/int64",
    "none/unweighted/ignore-default-none/smoothing-0/float32/int32",
    "mean/weighted/ignore-default-some/smoothing-0/float32/int32",
    "mean/unweighted/ignore-default-some/smoothing-0/float16/int64",
    "mean/unweighted/ignore-default-none/smoothing-0/float32/int64/4x1000",
)
_PROBABILITIES = (
    "rank1/mean/weighted", "rank1/none/unweighted", "rank3/mean/unweighted", "rank3/none/weighted",
    "rank4/mean/weighted", "rank5/mean/weighted",
)  # fmt: skip
_SIMPLE_PROBABILITIES = (
    "rank2/mean/unweighted/ignore-default-none/smoothing-0/float16",
    "rank3/mean/unweighted/ignore-default-none/smoothing-0/float32/input-transposed",
)
_HOSTILE = (
    "minus-infinity-elsewhere/indices/none/smoothing-0/float32/int64",
    "sure-and-right/indices/none/smoothing-0/float32/int64",
    "sure-and-wrong/indices/none/smoothing-0/float32/int64",
    "far-from-zero/indices/mean/smoothing-0/float32/int64",
    "far-from-zero/probabilities/none/smoothing-0/float32",
    "minus-infinity-without-probability/probabilities/none/smoothing-0/float32",
    "sums-to-two/probabilities/mean/smoothing-0/float32",
)


def _ids() -> Iterator[str]:
    for reduction in _REDUCTIONS:
        for weight in _WEIGHTS:
            # under "none" the CPU's kernel leaves ignored rows unwritten: one such case, its value is arbitrary
            rows = "none" if (reduction, weight) == ("none", "weighted") else "some"
            yield f"indices/rank2/{reduction}/{weight}/ignore-default-{rows}/smoothing-0/float32/int64"
            for smoothing in ("0", "0.1"):
                plain = f"ignore-default-none/smoothing-{smoothing}/float32/normalised"
                yield f"probabilities/rank2/{reduction}/{weight}/{plain}"
    yield from (f"indices/rank2/{rest}" for rest in _INDICES)
    yield from (f"probabilities/{rest}/ignore-default-none/smoothing-0.1/float32/normalised" for rest in _PROBABILITIES)
    yield from (f"probabilities/{rest}" for rest in _SIMPLE_PROBABILITIES)
    yield from (f"hostile/{rest}" for rest in _HOSTILE)


JIT_SAMPLE: FrozenSet[str] = frozenset(_ids())

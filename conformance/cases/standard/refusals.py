"""What the specification refuses because a document demands it: one or two cases a rule.

oneflow's process dies of some of these (a weight of the wrong length, a batch mismatch, no class at all; measured with
0.9.0): each costs a restarted worker, so they are not repeated for other dtypes.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from xent.conformance.protocol.case import Case
from xent.spec import Arguments

_THREE = ("torch-2.8", "mint", "oneflow")
_SIZED = ("torch-2.8", "torch-1.8", "oneflow")
_FOUR = ("torch-2.8", "torch-1.8", "mint", "oneflow")


def _logits(*shape: int, dtype: Any = np.float32) -> Any:
    return (np.arange(np.prod(shape, dtype=np.int64)).reshape(shape) % 7 - 3).astype(dtype)


def _indices(*values: int, dtype: Any = np.int64) -> Any:
    return np.array(values, dtype=dtype)


_INPUT, _TARGET, _SOFT = _logits(3, 4), _indices(0, 1, 3), np.full((3, 4), 0.25, np.float32)
_SHORT, _SHORT32 = _indices(0, 1), _indices(0, 1, dtype=np.int32)


class Refusal(NamedTuple):
    """A call that must be refused, the rule, and the clauses (topic, documents) that demand it."""

    rule: str
    arguments: Arguments
    input: Any = _INPUT
    target: Any = _TARGET
    clauses: Tuple[Tuple[str, Tuple[str, ...]], ...] = ()
    tags: Tuple[str, ...] = ()


_RANGE = (("label-smoothing/range", (*_THREE, "differences")),)
_SIZE = (("weight/size", _FOUR),)
_LABELS = (("target-indices/range", _FOUR),)
_SHAPE = (("target-indices/shape", _FOUR),)
_ONLY = (
    ("ignore-index/indices-only", ("torch-2.8", "oneflow")),
    ("ignore-index/negative-with-probabilities", ("mint",)),
)
_INDEX_DTYPE = (("target-indices/dtype", ("torch-2.8", "mint")),)
_RUN = ("capability",)  # what must be refused is what some document excludes: run it all the same

_REFUSALS: Dict[str, Refusal] = {
    "label-smoothing/above-1": Refusal("S4", Arguments(label_smoothing=1.1), clauses=_RANGE),
    "label-smoothing/below-0": Refusal("S4", Arguments(label_smoothing=-0.1), clauses=_RANGE),
    "label-smoothing/nan": Refusal("S4", Arguments(label_smoothing=float("nan")), clauses=_RANGE),
    "reduction/unknown": Refusal("S3", Arguments(reduction="avg"), clauses=(("reduction/values", _FOUR),)),
    "reduction/null": Refusal("S3", Arguments(reduction=None), clauses=(("reduction/type", _FOUR),)),
    "ignore-index/fraction": Refusal("S2", Arguments(ignore_index=1.5), clauses=(("ignore-index/type", _FOUR),)),
    "ignore-index/inside-with-probabilities": Refusal(
        "S8", Arguments(ignore_index=1), target=_SOFT, clauses=_ONLY, tags=_RUN
    ),
    "ignore-index/255-with-probabilities": Refusal(
        "S8", Arguments(ignore_index=255), target=_SOFT, clauses=_ONLY, tags=_RUN
    ),
    "weight/one-short": Refusal("S1", Arguments(np.ones(3, np.float32)), clauses=_SIZE),
    "weight/one-long": Refusal(
        "S1", Arguments(np.ones(5, np.float32)), target=_indices(0, 1, 3, dtype=np.int32), clauses=_SIZE
    ),
    "weight/two-dimensional": Refusal(
        "S1", Arguments(np.ones((1, 4), np.float32)), clauses=(("weight/one-dimensional", _SIZED), *_SIZE)
    ),
    "target/equal-to-c": Refusal("S6", Arguments(), target=_indices(0, 1, 4), clauses=_LABELS),
    "target/equal-to-c/int32": Refusal("S6", Arguments(), target=_indices(0, 1, 4, dtype=np.int32), clauses=_LABELS),
    "target/equal-to-c/smoothing": Refusal(
        "S6", Arguments(label_smoothing=0.1), target=_indices(0, 1, 4), clauses=_LABELS
    ),
    "target/minus-1": Refusal("S6", Arguments(), target=_indices(0, -1, 3), clauses=_LABELS),
    "target/minus-1/int32": Refusal("S6", Arguments(), target=_indices(0, -1, 3, dtype=np.int32), clauses=_LABELS),
    "target/large": Refusal("S6", Arguments(), target=_indices(0, 1, 10**9), clauses=_LABELS),
    "target/minus-100-not-ignored": Refusal(
        "S6", Arguments(ignore_index=255), target=_indices(0, 1, -100), clauses=_LABELS
    ),
    "target/images-in-another-order": Refusal(
        "S6", Arguments(), _logits(2, 4, 2, 3), np.zeros((2, 3, 2), np.int64), clauses=_SHAPE
    ),
    "target/images-in-another-order/int32": Refusal(
        "S6", Arguments(), _logits(2, 4, 2, 3), np.zeros((2, 3, 2), np.int32), clauses=_SHAPE
    ),
    "target/extra-axis": Refusal("S6", Arguments(), target=_TARGET[:, None], clauses=_SHAPE),
    "target/too-few": Refusal("S6", Arguments(), target=_SHORT, clauses=_SHAPE),
    "target/too-few/int32": Refusal("S6", Arguments(), target=_SHORT32, clauses=_SHAPE),
    "target/bool": Refusal("S6", Arguments(), target=_TARGET > 0, clauses=_INDEX_DTYPE, tags=_RUN),
    "target/probabilities-without-classes": Refusal(
        "S7", Arguments(), target=_SOFT[:, 0].copy(), clauses=(("target-probabilities/shape", _THREE),)
    ),
    "target/probabilities-one-class-short": Refusal(
        "S7", Arguments(), target=_SOFT[:, 1:].copy(), clauses=(("target-probabilities/shape", _THREE),)
    ),
    "input/integers": Refusal(
        "S5", Arguments(), _logits(3, 4, dtype=np.int64), clauses=(("input/dtype", ("mint",)),), tags=_RUN
    ),
    "input/no-classes": Refusal(  # O2 leaves the choice: whoever answers as S12 does agrees as well
        "S5", Arguments(), _logits(2, 0), _SHORT, clauses=(("target-indices/range", _FOUR),), tags=("open-o2",)
    ),
}


def cases() -> List[Case]:
    """All cases that must be refused."""
    return [
        Case(
            f"error/{name}",
            refusal.arguments,
            refusal.input,
            refusal.target,
            ("error", refusal.rule.lower(), *refusal.tags),
            tuple(sorted(f"{document}/{topic}" for topic, documents in refusal.clauses for document in documents)),
            gradients=(),
            note=f"{refusal.rule} demands a refusal",
        )
        for name, refusal in _REFUSALS.items()
    ]

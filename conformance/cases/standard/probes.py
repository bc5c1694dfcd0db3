"""One case for every value that some framework's document excludes, run even there: a document that lies is found.

The other half of a document's claim, what it allows, is what the rest of the standard cases test.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List

from xent import dtypes
from xent.conformance.cases.standard.plan import Plan, build
from xent.conformance.protocol.case import Case

_PLAIN = Plan("indices", target_dtype="int64", shape=(3, 4), tags=("capability",), prefix="capability")
_SOFT = replace(_PLAIN, kind="probabilities", target_dtype="")

# field of Capabilities: plans that hold, each, one value that the field may exclude
PROBES: Dict[str, List[Plan]] = {
    "input_dtypes": [
        *(replace(_PLAIN, dtype=dtype) for dtype in ("float16", "bfloat16", "float64")),
        *(replace(_PLAIN, dtype=dtype, target_dtype="int32") for dtype in ("float16", "bfloat16", "float64")),
        *(replace(_SOFT, dtype=dtype) for dtype in ("float16", "bfloat16", "float64")),
    ],
    # one of each kind and no more: oneflow's process dies of unbatched input
    "input_ranks": [replace(plan, rank=1, shape=(4,)) for plan in (_PLAIN, _SOFT)],
    "index_dtypes": [replace(_PLAIN, target_dtype=dtype) for dtype in dtypes.INTEGERS],
    "probability_dtypes": [replace(_SOFT, target_dtype=dtype) for dtype in ("float16", "bfloat16", "float64")],
    "weight_dtypes": [
        replace(plan, weight=f"weighted-{dtype}")
        for dtype in ("float16", "bfloat16", "float64")
        for plan in (_PLAIN, replace(_PLAIN, target_dtype="int32"), _SOFT)
    ],
    "target_kinds": [_SOFT],
    "label_smoothing": [
        replace(plan, smoothing=0.1) for plan in (_PLAIN, replace(_PLAIN, target_dtype="int32"), _SOFT)
    ],
}
# Likewise, but these ask for every gradient that there is; those above for the one with respect to input, so that they
# probe one entry and no other.
GRADIENT_PROBES: Dict[str, List[Plan]] = {
    "index_gradients": [replace(_PLAIN, weight="weighted", smoothing=smoothing) for smoothing in (0.0, 0.1)],
    "probability_gradients": [replace(_SOFT, weight="weighted")],
}


def cases() -> List[Case]:
    """All probes but that of a non-negative ignore_index with probabilities, which refusals.py holds (S8)."""
    probes = [replace(build(plan), gradients=("input",)) for plans in PROBES.values() for plan in plans]
    return probes + [build(plan) for plans in GRADIENT_PROBES.values() for plan in plans]

"""The factors by which cases differ, their levels, and the tags that say which level a case has.

A standard case is a choice of levels; the clauses that it tests and the rows of the matrix in which it counts follow
from its tags. A tag that stands nowhere here says where a case comes from, or what else is special about it.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Tuple

from xent import dtypes, shapes
from xent.dtypes import Array
from xent.spec import REDUCTIONS, Arguments

# which ignore_index (1 lies inside [0, C)), times which of the rows hold it
_IGNORE_INDICES = {"default": -100, "inside": 1, "negative": -1, "255": 255}
IGNORES: Dict[str, Tuple[int, str]] = {
    f"ignore-{which}-{rows}": (index, rows)
    for which, index in _IGNORE_INDICES.items()
    for rows in ("none", "some", "all")
}

# Every case has exactly one of each line's tags; of the last three those with class indices.
LEVELS: Mapping[str, Tuple[str, ...]] = {
    "target": ("indices", "probabilities"),
    "rank": tuple(f"rank{rank}" for rank in range(1, 9)),
    "input dtype": dtypes.FLOATS,
    "reduction": REDUCTIONS,
    "weight": ("unweighted", "weight"),
    "smoothing": ("smoothing-0", "smoothing"),
    "rows ignored": ("ignore-none", "ignore-some", "ignore-all"),
    "sign of ignore_index": ("ignore-negative", "ignore-non-negative"),
    "index dtype": dtypes.INTEGERS,
}


def tags_of(arguments: Arguments, input: Array, target: Array) -> List[str]:
    """The tags that the arguments and arrays of a case show, which the specification accepts."""
    found = [f"rank{input.ndim}", dtypes.name(input), arguments.reduction]
    assert arguments.reduction in REDUCTIONS, "a case that must be refused is made by refusals.py"
    if dtypes.is_float(target):
        found += ["probabilities", f"target-{dtypes.name(target)}"]
    else:
        ignored = target == arguments.ignore_index
        rows = "all" if ignored.all() and target.size else "some" if ignored.any() else "none"
        found += ["indices", dtypes.name(target), f"ignore-{rows}"]
    found += ["ignore-default"] if arguments.ignore_index == -100 else []
    found += ["ignore-non-negative" if arguments.ignore_index >= 0 else "ignore-negative"]
    found += ["ignore-255"] if arguments.ignore_index == 255 else []
    classes = input.shape[shapes.class_axis(input.ndim)]
    found += ["ignore-inside"] if 0 <= arguments.ignore_index < classes else []
    if arguments.weight is None:
        found += ["unweighted"]
    else:
        found += ["weight", f"weight-{dtypes.name(arguments.weight)}"]
    found += ["smoothing", f"smoothing-{arguments.label_smoothing:g}"] if arguments.label_smoothing else ["smoothing-0"]
    found += [] if input.flags.c_contiguous and target.flags.c_contiguous else ["non-contiguous"]
    found += [] if input.size else ["empty", "open-o2"]
    return found

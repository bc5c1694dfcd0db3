"""A plan: one standard case as a choice from tables. `build` makes the case, its id and its tags from the choice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from xent import dtypes, shapes
from xent.conformance.cases import factors
from xent.conformance.protocol.case import DIFFERENTIABLE, Case
from xent.spec import Arguments

from . import coverage, values

Array = np.ndarray[Any, Any]

SHAPES: Dict[int, Tuple[Tuple[int, ...], ...]] = {
    1: ((5,), (2,), (12,)),
    2: ((6, 4), (2, 5), (8, 12), (5, 3)),
    3: ((3, 4, 5), (2, 6, 3), (1, 3, 4)),
    4: ((2, 3, 4, 5), (2, 5, 3, 2), (1, 4, 2, 3)),
    5: ((2, 3, 2, 3, 2), (1, 4, 2, 2, 3)),
}


@dataclass(frozen=True)
class Plan:
    """The factors of a case; `rank`, or `shape` where the rank's own shapes will not do."""

    kind: str
    rank: int = 2
    reduction: str = "mean"
    weight: str = "unweighted"
    ignore: str = "ignore-default-none"
    smoothing: float = 0.0
    dtype: str = "float32"
    target_dtype: str = ""  # "" is int64, or input's dtype for probabilities
    profile: str = ""  # of values.PROFILES, for probabilities
    layout: str = "contiguous"
    target_layout: str = "contiguous"
    shape: Optional[Tuple[int, ...]] = None
    tags: Tuple[str, ...] = ()
    prefix: str = ""

    @property
    def id(self) -> str:
        """Every factor by name; the shape and the layouts only where they aren't the rank's own."""
        extra = [
            self.target_dtype or ("int64" if self.kind == "indices" else ""),
            self.profile,
            "x".join(map(str, self.shape)) if self.shape else "",
            "" if self.layout == "contiguous" else f"input-{self.layout}",
            "" if self.target_layout == "contiguous" else f"target-{self.target_layout}",
        ]
        parts = [self.prefix, self.kind, f"rank{self.rank}", self.reduction, self.weight, self.ignore]
        return "/".join(part for part in (*parts, f"smoothing-{self.smoothing:g}", self.dtype, *extra) if part)


def build(plan: Plan) -> Case:
    """The case of a plan; its data come from its id alone."""
    random = values.random_of(plan.id)
    choice = SHAPES[plan.rank][:1] if plan.layout != "contiguous" else SHAPES[plan.rank]
    shape = plan.shape or choice[int(random.randint(len(choice)))]
    classes = shape[shapes.class_axis(len(shape))]
    ignore_index, ignored = factors.IGNORES[plan.ignore]
    input = values.logits(random, shape, plan.dtype)
    if plan.kind == "probabilities":
        profile = plan.profile or "normalised"
        target = values.probabilities(random, shape, plan.target_dtype or plan.dtype, profile)
    else:
        positions = shapes.places(shape)
        alternate = plan.weight == "weighted-cancelling"  # as many rows of weight 1.5 as of -1.5
        drawn = np.arange(math.prod(positions)).reshape(positions) % 2 if alternate else None
        drawn = values.indices(random, positions, classes) if drawn is None else drawn
        target = _ignoring(drawn, classes, ignore_index, ignored).astype(plan.target_dtype or "int64")
    weight = values.weight(random, classes, plan.weight, plan.dtype)
    arguments = Arguments(weight, ignore_index, plan.reduction, plan.smoothing)
    arrange = values.arranged
    tags = plan.tags + ((plan.profile or "normalised",) if plan.kind == "probabilities" else ())
    return make(
        plan.id,
        arguments,
        arrange(input, plan.layout),
        arrange(target, plan.target_layout),
        tags=tags,
        # selected weights that cancel divide by 0 (S12): no gradient is defined there
        differentiable=(plan.weight, plan.kind, plan.reduction) != ("weighted-cancelling", "indices", "mean"),
    )


def _ignoring(drawn: Array, classes: int, ignore_index: int, rows: str) -> Array:
    """Class indices of which none, every third (the first among them) or all equal ignore_index."""
    target = np.where(drawn == ignore_index, (drawn + 1) % classes, drawn)
    chosen = {"none": slice(0, 0), "some": slice(None, None, 3), "all": slice(None)}[rows]
    flat = target.reshape(-1)
    flat[chosen] = ignore_index
    return np.asarray(flat.reshape(drawn.shape))


def make(
    id: str, arguments: Arguments, input: Array, target: Array, *, tags: Sequence[str] = (),
    differentiable: bool = True, note: str = "",
) -> Case:  # fmt: skip
    """A case that the specification accepts, with the tags that its arrays and arguments show, and its clauses.

    It asks for every gradient that there is: with respect to input, class probabilities, and a weight that is given.
    """
    found = factors.tags_of(arguments, input, target)
    tags = tuple(dict.fromkeys((*found, *tags)))
    has = {"input": True, "target": dtypes.is_float(target), "weight": arguments.weight is not None}
    gradients = tuple(name for name in DIFFERENTIABLE if has[name] and differentiable)
    return Case(id, arguments, input, target, tags, coverage.clauses(tags), gradients, note=note)

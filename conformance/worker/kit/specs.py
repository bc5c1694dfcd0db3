"""Specs, inputs and targets that an adapter's own capabilities allow: what the probes call it with."""

from __future__ import annotations

import inspect
import random
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities
from xent.spec import REDUCTIONS, Arguments, CrossEntropySpec

WEIGHTS: Dict[str, Tuple[float, ...]] = {
    "float16": (0.5, -1.25, 65504.0, 2.0**-24),
    "bfloat16": (0.5, -1.25, 3.3895313892515355e38, 2.0**-133),
    "float32": (0.1, -1.25, 3.4028234663852886e38, 2.0**-149),
    "float64": (0.1, -1.25, 1.7976931348623157e308, 5e-324),
}
"""The largest and the smallest of each dtype, and what another dtype would round or overflow."""

_IGNORE_INDICES = (255, 0, -1, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63))
_SMOOTHINGS = (0.1, 1.0, 5e-324, 1 - 2.0**-53)
_RANDOM_SPECS = 60
_SHAPE = (6, 4, 2, 3, 2)
KINDS = ("indices", "probabilities")


def allowed(capabilities: Capabilities, field: str, values: Sequence[Any]) -> Tuple[Any, ...]:
    """Of these values those that the entry of that name doesn't exclude, in their order."""
    entry = getattr(capabilities, field)
    return tuple(value for value in values if entry is None or value in entry.allowed)


def weight_dtypes(capabilities: Capabilities) -> Tuple[str, ...]:
    """The dtypes that a weight may have; none where there is no weight."""
    return allowed(capabilities, "weight_dtypes", dtypes.FLOATS)


def weight_of(dtype: str) -> dtypes.Array:
    """A weight of four classes with that dtype's extremes."""
    return dtypes.from_float64(WEIGHTS[dtype], dtype)


def specs(capabilities: Capabilities) -> Iterator[CrossEntropySpec]:
    """Specs within the capabilities: the default, each argument alone, then all of them at random."""
    reductions = allowed(capabilities, "reductions", ("mean", *REDUCTIONS))
    base = reductions[0]
    weights = [None, *map(weight_of, weight_dtypes(capabilities))]
    ignore_indices = [-100, *(_IGNORE_INDICES if "some" in allowed(capabilities, "ignored_rows", ("some",)) else ())]
    smoothings = [0.0, *(_SMOOTHINGS if allowed(capabilities, "label_smoothing", ("nonzero",)) else ())]
    yield CrossEntropySpec(reduction=base)
    for reduction in reductions[1:]:
        yield CrossEntropySpec(reduction=reduction)
    for weight in weights[1:]:
        yield CrossEntropySpec(weight, reduction=base)
    for ignore_index in ignore_indices[1:]:
        yield CrossEntropySpec(ignore_index=ignore_index, reduction=base)
    for smoothing in smoothings[1:]:
        yield CrossEntropySpec(reduction=base, label_smoothing=smoothing)
    pick = random.Random(1)
    for _ in range(_RANDOM_SPECS):
        yield CrossEntropySpec(*(pick.choice(list(some)) for some in (weights, ignore_indices, reductions, smoothings)))


def kinds_of(function: Any, capabilities: Capabilities) -> Tuple[Dict[str, str], ...]:
    """The keywords to call `to_native` or `source` with: one for each kind of target where the loss depends on it."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ({},)
    if "target_kind" not in parameters:
        return ({},)
    return tuple({"target_kind": kind} for kind in allowed(capabilities, "target_kinds", KINDS))


class Call(NamedTuple):
    """A call of a loss that the adapter's capabilities allow."""

    spec: Union[CrossEntropySpec, Arguments]
    input: dtypes.Array
    target: dtypes.Array


def arguments_of(spec: Union[CrossEntropySpec, Arguments]) -> Arguments:
    """The four arguments, which may then be replaced by what no spec allows."""
    return Arguments(spec.weight, spec.ignore_index, spec.reduction, spec.label_smoothing)


def plain(
    capabilities: Capabilities, *, rank: Optional[int] = None, dtype: Optional[str] = None, weight: Optional[str] = None
) -> Call:
    """The plainest call: 6 rows of 4 classes in float32, class indices, the mean; each else what is allowed first.

    Args:
        rank: of input; None for 2, or what is allowed.
        dtype: of input; None for float32, or what is allowed.
        weight: its dtype; None for no weight.
    """
    rank = rank or (allowed(capabilities, "input_ranks", (2, 3, 4, 5, 1)) or (2,))[0]
    dtype = dtype or (allowed(capabilities, "input_dtypes", ("float32", "float64", *dtypes.FLOATS)) or ("float32",))[0]
    shape = _SHAPE[:rank] if rank > 1 else (4,)
    random_of = np.random.RandomState(rank)
    input = dtypes.from_float64(random_of.randint(-64, 65, shape) / 16.0, dtype)
    reduction = allowed(capabilities, "reductions", ("mean", *REDUCTIONS))[0]
    spec = CrossEntropySpec(
        None if weight is None else dtypes.from_float64([0.5, 1.0, 1.5, 0.25], weight), reduction=reduction
    )
    kinds: List[str] = [*allowed(capabilities, "target_kinds", KINDS), "indices"]
    if kinds[0] == "indices":
        own = (allowed(capabilities, "index_dtypes", ("int64", *dtypes.INTEGERS)) or ("int64",))[0]
        places = shape[:1] + shape[2:] if rank > 1 else ()
        return Call(spec, input, np.asarray(random_of.randint(0, 4, places)).astype(own))
    own = dtype if dtype in (allowed(capabilities, "probability_dtypes", dtypes.FLOATS) or (dtype,)) else "float32"
    return Call(spec, input, dtypes.from_float64(_eighths(random_of, shape), own))


def _eighths(random_of: Any, shape: Tuple[int, ...]) -> dtypes.Array:
    """Probabilities over 4 classes, exact in every dtype: 1/8, 1/8, 1/4 and 1/2 in some order of the classes."""
    axis = min(1, len(shape) - 1)
    places = tuple(size for i, size in enumerate(shape) if i != axis)
    rows = np.array([random_of.permutation([0.125, 0.125, 0.25, 0.5]) for _ in range(int(np.prod(places, dtype=int)))])
    return np.moveaxis(rows.reshape((*places, 4)), -1, axis)

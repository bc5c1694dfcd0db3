"""Rules S1 (length of weight) and S5 to S8 on one input and target, as findings in the order in which they count."""

from __future__ import annotations

from typing import Any, Iterator, Optional, Tuple

import numpy as np

from . import dtypes, hints
from .refusals import Finding, finding, shown

_INT64 = np.iinfo(np.int64)


def is_array(value: Any) -> bool:
    """Whether the rules take it for an array: the mask of a masked one would be lost."""
    return isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray)


def input_findings(input: Any, target: Any = None) -> Iterator[Finding]:
    """S5 (dtype, shape). The target is only looked at for a hint."""
    if not is_array(input):
        message = f"input must be a NumPy array of {', '.join(dtypes.FLOATS)}; got {shown(input)}"
        hint = hints.conversion("input", input, "numpy.asarray")
        yield finding("S5", "input", input, message, "torch-2.8/input/shape", "type", hint)
    elif not dtypes.is_float(input):
        message = f"input must be a NumPy array of {', '.join(dtypes.FLOATS)}; got {shown(input)}"
        form = (dtypes.name(target), target.shape) if is_array(target) else (None, None)
        hint = hints.input_dtype(dtypes.name(input), input.shape, *form)
        yield finding("S5", "input", input, message, "torch-2.8/input/shape", "type", hint)
    elif input.ndim == 0:
        message = "input must have shape (C), (N, C) or (N, C, d1, ..., dK); got shape ()"
        yield finding("S5", "input", input, message, "torch-2.8/input/shape", "value")
    elif input.shape[min(1, input.ndim - 1)] == 0:
        message = f"input must have at least one class; got C = 0 in shape {input.shape}"
        yield finding("S5", "input", input, message, "torch-2.8/input/shape", "value")


def weight_findings(weight: Optional[dtypes.Array], shape: Tuple[int, ...]) -> Iterator[Finding]:
    """S1 (length), for input of that shape."""
    classes = shape[min(1, len(shape) - 1)]
    if weight is not None and weight.shape != (classes,):
        message = f"weight has {weight.size} values for C = {classes} classes of input {shape}"
        hint = hints.weight_length(weight.size, shape)
        yield finding("S1", "weight", weight, message, "torch-2.8/weight/size", "value", hint)


def target_findings(ignore_index: int, shape: Tuple[int, ...], target: Any) -> Iterator[Finding]:
    """S6, S7, S8, for input of that shape. Values are looked at last, and only if a caller asks for that finding."""
    kinds = "integers (class indices) or floats (class probabilities)"
    if not is_array(target):
        message = f"target must be a NumPy array of {kinds}; got {shown(target)}"
        hint = hints.conversion("target", target, "numpy.asarray")
        yield finding("S6", "target", target, message, "torch-2.8/target-indices/dtype", "type", hint)
    elif dtypes.is_float(target):
        yield from _probability_findings(ignore_index, shape, target)
    elif dtypes.is_integer(target):
        yield from _index_findings(ignore_index, shape, target)
    else:
        message = f"target must be a NumPy array of {kinds}; got {shown(target)}"
        hint = hints.target_dtype(dtypes.name(target), target.shape, shape)
        yield finding("S6", "target", target, message, "torch-2.8/target-indices/dtype", "type", hint)


def _probability_findings(ignore_index: int, shape: Tuple[int, ...], target: dtypes.Array) -> Iterator[Finding]:
    if target.shape != shape:
        message = f"class probabilities must have input's shape {shape}; target has shape {target.shape}"
        hint = hints.probability_shape(shape, target.shape)
        yield finding("S7", "target", target, message, "torch-2.8/target-probabilities/shape", "value", hint)
        return
    if ignore_index >= 0:
        message = f"ignore_index must be negative with class probabilities; got {ignore_index}"
        clause = "mint/ignore-index/negative-with-probabilities"
        hint = "leave it out: class probabilities ignore no rows"
        yield finding("S8", "ignore_index", ignore_index, message, clause, "value", hint)
    values = dtypes.to_float64(target)
    if not ((values >= 0) & (values <= 1)).all():
        message = f"class probabilities should lie in [0, 1]; target spans {values.min()} to {values.max()}"
        clause = "torch-2.8/target-probabilities/range"
        yield finding("S7", "target", target, message, clause, "value", severity="warning")


def _index_findings(ignore_index: int, shape: Tuple[int, ...], target: dtypes.Array) -> Iterator[Finding]:
    expected = hints.places(shape)
    if target.shape != expected:
        message = f"class indices for input {shape} must have shape {expected}; target has shape {target.shape}"
        hint = hints.index_shape(shape, target.shape)
        yield finding("S6", "target", target, message, "torch-2.8/target-indices/shape", "value", hint)
        return
    classes = shape[min(1, len(shape) - 1)]
    wide = target.astype(np.int64)
    beyond = target > np.uint64(_INT64.max) if dtypes.name(target) == "uint64" else np.zeros((), dtype=bool)
    ignored = (wide == ignore_index) & ~beyond
    bad = ((wide < 0) | (wide >= classes)) & ~ignored
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0]) if target.ndim else ()
        place = f"target[{', '.join(map(str, at))}]" if at else "target"
        message = (
            f"{place} is {target[at]}, outside [0, {classes}) and not ignore_index {ignore_index}"
            f" ({int(bad.sum())} of {target.size} class indices are)"
        )
        hint = hints.labels(target, bad, ignored, classes, ignore_index)
        yield finding("S6", "target", target, message, "torch-2.8/target-indices/range", "index", hint)

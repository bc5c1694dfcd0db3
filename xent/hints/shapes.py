"""Hints from shapes and dtypes alone."""

from __future__ import annotations

import math
from typing import Optional, Tuple

from .. import dtypes

Shape = Tuple[int, ...]

_CAST_LABELS = "are these class indices? cast to an integer dtype"


def input_dtype(dtype: str, shape: Optional[Shape], target_dtype: Optional[str], target: Optional[Shape]) -> str:
    """For an input that isn't floating. Shapes and the target's dtype are None where they aren't known."""
    if not _is_integral(dtype):
        return ""
    if target_dtype in dtypes.FLOATS and target and shape in (target, places(target)):
        return "are input and target in each other's place? the logits go first"
    return "logits are floating: cast input to float32"


def weight_dtype(dtype: str) -> str:
    """For a weight that isn't floating."""
    return "cast it to float32" if _is_integral(dtype) else ""


def target_dtype(dtype: str, target: Optional[Shape], input: Optional[Shape]) -> str:
    """For a target that is neither integer nor floating. Shapes are None where they aren't known."""
    if dtype.lower() in ("bool", "bool_"):
        if target is not None and target == input:
            return _one_hot()
        return "cast to an integer dtype"
    if dtype.startswith("str"):
        return "number the classes, as numpy.unique(target, return_inverse=True) does"
    return ""


def places(input: Shape) -> Shape:
    """The shape of the class indices for that input: (), (N) or (N, d1, ..., dK)."""
    return (input[0], *input[2:]) if len(input) > 1 else ()


def index_shape(input: Shape, target: Shape) -> str:
    """For class indices of another shape than `places`."""
    expected = places(input)
    if target == input and len(input) > 1:
        return _one_hot()
    if len(input) > 2 and target == _moved_last(input):
        return f"{_one_hot()}: their class axis is last"
    if len(input) == 1:
        return _index_shape_of_one_row(input, target)
    if len(input) > 2 and input[-1] > 1 and target == input[:-1]:
        return _classes_last(input)
    if len(input) > 2 and input[-1] > 1 and target == (math.prod(input[:-1]),) != (math.prod(expected),):
        return f"target is flat: is the class axis of input last? reshape input to {(*target, input[-1])}"
    return _rows(expected, target) or _of_images(input, target) or _without_batch(input, target)


def probability_shape(input: Shape, target: Shape) -> str:
    """For class probabilities of another shape than input."""
    if target == places(input):
        return _CAST_LABELS
    if len(input) == len(target) > 2 and target in (_moved_last(input), _moved_first(input)):
        return "is the class axis last in one of them? move it to axis 1"
    if len(input) == len(target) == 2 and target == input[::-1]:
        return "is target transposed, (C, N)?"
    if (1, *target) == input or target == (1, *input):
        return f"the batch axis is missing in one of them: reshape target to {input}"
    if len(input) == len(target) > 1 and places(target) == places(input) and target[1] > 1:
        return f"target has {target[1]} classes, input {input[1]}"
    if len(target) > 1 and places(target) == input:
        return "are input and target in each other's place? the logits go first"
    meant = index_shape(input, target)
    return f"{_CAST_LABELS}; {meant}" if meant else ""


def linear_target_shape(rows: Shape, classes: int, target: Shape, probabilities: bool) -> str:
    """For a target that doesn't fit logits (*rows, classes), with their class axis last."""
    if probabilities and target == rows:
        return _CAST_LABELS
    if not probabilities and target == (*rows, classes):
        return _one_hot()
    meant = _rows(rows, target)
    return f"{_CAST_LABELS}; {meant}" if meant and probabilities else meant


def linear_weight_shape(input: Shape, linear_weight: Shape) -> str:
    """For a layer's weight that doesn't fit its input (..., H)."""
    if len(linear_weight) == 2 and input and linear_weight[0] == input[-1] != linear_weight[1]:
        return "is it transposed? it is the layer's weight, (C, H)"
    return ""


def weight_shape(shape: Shape) -> str:
    """For a weight that isn't 1-D."""
    if len(shape) == 2 and 1 in shape and max(shape) > 1:
        return f"squeeze it to shape ({max(shape)},)"
    if len(shape) > 1:
        return (
            "are these logits? they go into the loss's call, CrossEntropyLoss(...)(input, target); weights of single"
            " places go on the losses of reduction='none'"
        )
    return ""


def weight_length(size: int, input: Shape) -> str:
    """For a weight of another length than C."""
    if size == 1:
        return "a weight is one value a class; one factor for all of them goes on the loss"
    if len(input) > 2 and size == input[-1]:
        return _classes_last(input)
    if len(input) > 1 and size == input[0]:
        return "a weight is one value a class; values of single rows go on the losses of reduction='none'"
    return ""


def _is_integral(dtype: str) -> bool:
    return dtype in dtypes.INTEGERS or dtype.lower() in ("bool", "bool_")


def _moved_last(shape: Shape) -> Shape:
    """With the class axis last instead of axis 1."""
    return (shape[0], *shape[2:], shape[1])


def _moved_first(shape: Shape) -> Shape:
    """With the last axis as axis 1, where the class axis belongs."""
    return (shape[0], shape[-1], *shape[1:-1])


def _one_hot() -> str:
    return "are these one-hot labels? use argmax or cast to float for class probabilities"


def _classes_last(input: Shape) -> str:
    return f"is the class axis last? move it to axis 1, which makes input {_moved_first(input)}"


def _index_shape_of_one_row(input: Shape, target: Shape) -> str:
    if set(target) == {1} and input != (1,):
        return f"input {input} is a single row, without a batch: squeeze target to shape ()"
    if len(target) != 1:
        return ""
    rows = f"input {input} is a single row, without a batch: {target[0]} rows have shape ({target[0]}, C)"
    return f"{rows}; {_one_hot()}" if target == input else rows


def _rows(expected: Shape, target: Shape) -> str:
    """The same rows in another form."""
    if [size for size in target if size != 1] == [size for size in expected if size != 1] and target != expected:
        how = "squeeze" if len(target) > len(expected) else "reshape"
        return f"{how} target to shape {expected}"
    if len(target) == len(expected) > 1 and sorted(target) == sorted(expected):
        return "the axes of target are in another order: transpose it"
    if min(len(target), len(expected)) == 1 and math.prod(target) == math.prod(expected) > 0:
        return f"reshape target to {expected}"
    return ""


def _of_images(input: Shape, target: Shape) -> str:
    """For logits (N, C, H, W)."""
    count, height, width = places(input) if len(input) == 4 else (0, 0, 0)
    if len(target) == 4 and target in [(count, height, width, n) for n in (3, 4)] + [
        (count, n, height, width) for n in (3, 4)
    ]:
        return "is target an image in colour? it needs one class index a pixel"
    if len(target) == 3 and count > 0 and 0 not in (height, width) and target[0] == count:
        factors = {target[1] / height, target[2] / width}
        if len(factors) == 1 and (factor := factors.pop()).is_integer() and factor > 1:
            return f"are the logits smaller by {factor:.0f}? resize them to {target[1:]}"
    return ""


def _without_batch(input: Shape, target: Shape) -> str:
    if target == ():
        return "a target of shape () is for input (C), a single row"
    if target == input[1:]:
        if len(input) == 2:
            return f"is input transposed, (C, N)? it must be {input[::-1]}"
        return f"is the batch axis missing? reshape input to {(1, *input)} and target to {(1, *target)}"
    return ""

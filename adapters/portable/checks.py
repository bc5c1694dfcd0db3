"""What the portable losses check before their framework's kernels run: rules S1 to S8 on shapes, dtypes and arguments.

The rules and their messages are xent.spec's. Here they meet tensors, of which only shapes and the names of dtypes are
needed: where the rules hold the answer comes out of a cache (less than a microsecond for shapes seen before), and only
a refusal builds stand-ins of that shape and dtype, which take no memory, for xent.spec to word.
"""

from __future__ import annotations

import numbers
import reprlib
from functools import lru_cache
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from xent import dtypes, findings, hints
from xent.errors import SpecError, SpecTypeError, SpecValueError
from xent.refusals import error_of, worded
from xent.spec import CrossEntropySpec

Shape = Tuple[int, ...]

_RULES = {"weight": ("S1", "torch-2.8/weight/size"), "target": ("S6", "torch-2.8/target-indices/dtype")}
_INPUT_RULE = ("S5", "torch-2.8/input/shape")  # of input and of the layer: linear_weight, linear_bias


class Form(NamedTuple):
    """What the forms of input and target say about a call.

    Attributes:
        probabilities: whether the target holds class probabilities.
        classes: C.
        places: the shape of the losses before reduction: (), (N) or (N, d1, ..., dK).
    """

    probabilities: bool
    classes: int
    places: Shape


def arguments(ignore_index: Any, reduction: Any, label_smoothing: Any) -> CrossEntropySpec:
    """The spec of these three arguments, weight None (S2, S3, S4); made once for each combination.

    Raises:
        SpecError: as CrossEntropySpec does.
    """
    try:
        return _arguments(ignore_index, reduction, label_smoothing)
    except TypeError:  # an argument that can't be a key of the cache, or one that the rules refuse
        pass
    return CrossEntropySpec(None, ignore_index, reduction, label_smoothing)


@lru_cache(maxsize=256, typed=True)  # typed: True is not 1, and 0.0 is not 0
def _arguments(ignore_index: Any, reduction: Any, label_smoothing: Any) -> CrossEntropySpec:
    return CrossEntropySpec(None, ignore_index, reduction, label_smoothing)


def form_of(
    input: Shape,
    input_dtype: str,
    target: Shape,
    target_dtype: str,
    weight: Optional[Shape],
    weight_dtype: Optional[str],
    ignore_index: int,
) -> Form:
    """S1 (dtype, one dimension, length), S5, S6, S7 and S8 without looking at a single value.

    Args:
        input, target, weight: shapes, as tuples of int; weight is None where there is none.
        input_dtype, target_dtype, weight_dtype: names, ``"float32"``. A dtype that the specification does not know
            may have any name.
        ignore_index: validated (S2).

    Raises:
        SpecTypeError: a dtype that the rules refuse.
        SpecValueError: a shape that they refuse, or a non-negative ignore_index with class probabilities.
    """
    classes = input[1] if len(input) > 1 else input[0] if input else 0
    places = (input[0], *input[2:]) if len(input) > 1 else ()
    probabilities = target_dtype in dtypes.FLOATS
    if (
        classes > 0
        and input_dtype in dtypes.FLOATS
        and (target == input and ignore_index < 0 if probabilities else target == places)
        and (probabilities or target_dtype in dtypes.INTEGERS)
        and (weight is None or (weight == (classes,) and weight_dtype in dtypes.FLOATS))
    ):
        return Form(probabilities, classes, places)
    raise _refusal(input, input_dtype, target, target_dtype, weight, weight_dtype, ignore_index)


cached_form_of = lru_cache(maxsize=1024)(form_of)
"""`form_of` through a cache: for shapes that are plain tuples (a compiler's symbolic shapes are no keys)."""


def kind_error(argument: str, value: Any, tensor: str, make: str) -> SpecTypeError:
    """What to raise for an argument that is no tensor of the framework.

    Args:
        argument: its name.
        value: what was given: another framework's tensor, a NumPy array, a list, ...
        tensor: what is needed, ``"torch.Tensor"``.
        make: what makes one of NumPy arrays, lists and numbers, ``"torch.as_tensor"``.
    """
    rule, clause = _RULES.get(argument, _INPUT_RULE)
    received = f"{type(value).__module__}.{type(value).__qualname__}"
    described = received
    if isinstance(value, (str, numbers.Number)):
        described = f"{received} {reprlib.repr(value)}"
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        described = f"{received} of {value.dtype}, shape {tuple(value.shape)}"
    hint = (hints.weight_kind(value) if argument == "weight" else "") or hints.conversion(argument, value, make)
    message = worded(f"{argument} must be a {tensor}; got {described}", rule, clause, hint)
    return SpecTypeError(message, argument=argument, received=received, rule=rule, clause=clause)


def expect_floating(argument: str, dtype: str) -> None:
    """Raises the SpecTypeError of S5 for a dtype that what makes logits can't have."""
    if dtype not in dtypes.FLOATS:
        raise _dtype_error(argument, dtype, hints.input_dtype(dtype, None, None, None))


def layer_error(argument: str, must: str, received: str, input: Shape, linear_weight: Shape) -> SpecValueError:
    """What to raise where the shapes or dtypes of linear_cross_entropy's layer don't fit each other.

    Args:
        argument: the one to blame.
        must: the rule, ``"must have shape (C, H) with input (..., H)"``.
        received: the forms of all of them.
        input, linear_weight: their shapes.
    """
    rule, clause = _INPUT_RULE
    hint = hints.linear_weight_shape(input, linear_weight)
    message = worded(f"{argument} {must}; got {received}", rule, clause, hint)
    return SpecValueError(message, argument=argument, received=received, rule=rule, clause=clause)


def linear_target_error(rows: Shape, classes: int, target: Shape, probabilities: bool) -> SpecValueError:
    """What to raise for a target that doesn't fit the logits (*rows, classes) of linear_cross_entropy."""
    rule, kind = ("S7", "probabilities") if probabilities else ("S6", "indices")
    clause, received = f"torch-2.8/target-{kind}/shape", f"shape {target}"
    expected = (*rows, classes) if probabilities else rows
    hint = hints.linear_target_shape(rows, classes, target, probabilities)
    message = f"class {kind} for these logits must have shape {expected}; target has {received}"
    message = worded(message, rule, clause, hint)
    return SpecValueError(message, argument="target", received=received, rule=rule, clause=clause)


def refuse_labels(input: Shape, target: dtypes.Array, ignore_index: int) -> None:
    """Raises the SpecIndexError of S6 for class indices that a framework's own test found out of range.

    Args:
        input: the shape of the logits.
        target: the class indices, copied to NumPy: the call ends here, so the copy costs nobody.
        ignore_index: validated (S2).
    """
    for finding in findings.target_findings(ignore_index, input, target):
        raise error_of(finding)


def refuse_weight(weight: dtypes.Array) -> None:
    """Raises the SpecError of S1 for a weight, copied to NumPy, that a framework's own test found not to be finite."""
    CrossEntropySpec(weight)


def _refusal(
    input: Shape,
    input_dtype: str,
    target: Shape,
    target_dtype: str,
    weight: Optional[Shape],
    weight_dtype: Optional[str],
    ignore_index: int,
) -> SpecError:
    if weight is not None:
        if weight_dtype not in dtypes.FLOATS:
            return _dtype_error("weight", str(weight_dtype), hints.weight_dtype(str(weight_dtype)))
        if len(weight) != 1:
            refuse_weight(_stand_in(weight, str(weight_dtype)))
    if input_dtype not in dtypes.FLOATS:
        return _dtype_error("input", input_dtype, hints.input_dtype(input_dtype, input, target_dtype, target))
    if target_dtype not in dtypes.FLOATS + dtypes.INTEGERS:
        return _dtype_error("target", target_dtype, hints.target_dtype(target_dtype, target, input))
    for finding in findings.input_findings(_stand_in(input, input_dtype)):
        return error_of(finding)
    if weight is not None:
        for finding in findings.weight_findings(_stand_in(weight, str(weight_dtype)), input):
            return error_of(finding)
    found = findings.target_findings(ignore_index, input, _stand_in(target, target_dtype))
    return error_of(next(found))  # a form that all the rules allow never gets here


def _stand_in(shape: Shape, dtype: str) -> dtypes.Array:
    """Zeros of that shape and dtype, in the memory of one."""
    return np.broadcast_to(np.zeros((), dtype=dtypes.dtype(dtype)), shape)


def _dtype_error(argument: str, dtype: str, hint: str) -> SpecTypeError:
    rule, clause = _RULES.get(argument, _INPUT_RULE)
    allowed = ", ".join(dtypes.FLOATS[:-1]) + " or " + dtypes.FLOATS[-1]
    if argument == "target":
        allowed = f"integer (class indices) or {allowed} (class probabilities)"
    return SpecTypeError(
        worded(f"{argument} must have dtype {allowed}; got {dtype}", rule, clause, hint),
        argument=argument,
        received=f"a tensor of {dtype}",
        rule=rule,
        clause=clause,
    )

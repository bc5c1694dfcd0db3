"""What counts as right for one case: the oracle's answer with its bound, a demanded refusal, and the open points.

Where the documents leave a choice, every answer that they leave counts:

- O1, a coefficient that is 0 (class probability or weight) on a -inf logit: the limit 0, or nan, in the row's value and
  gradient, and so in its mean or sum.
- O2, N = 0: S12, or a refusal. C = 0: a refusal, or what S12 gives: 0 for none and sum, nan for the mean, or 0 where
  class probabilities divide an empty sum by a number of rows.
- O3, when arguments are checked: a refusal counts at construction and at the call.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Optional, Tuple

import numpy as np

import xent.reference
from xent import dtypes
from xent.dtypes import Array
from xent.errors import SpecError, XentWarning
from xent.spec import CrossEntropySpec

from . import bound
from .bound import Bound
from .case import Case


@dataclass(frozen=True)
class Answer:
    """What counts as right for a value or a gradient.

    Attributes:
        dtype: of the result (S14).
        exact: long double, not rounded to the dtype.
        bound: float64, the shape of `exact`: how far a good implementation may be; inf where nothing is determined.
        or_nan, or_zero: where nan, or 0, counts too.
        why: the open point behind `or_nan` and `or_zero`.
    """

    dtype: str
    exact: Array
    bound: Array
    or_nan: Array
    or_zero: Array
    why: str = ""

    @cached_property
    def rounded(self) -> Array:
        """The exact answer rounded to the dtype, as float64. Only for messages and ulps: float16 may round twice."""
        with np.errstate(over="ignore", under="ignore"):
            return dtypes.to_float64(dtypes.from_float64(self.exact.astype(np.float64), self.dtype))


@dataclass(frozen=True)
class Answers:
    """What counts as right for a case.

    Attributes:
        refusal: why the specification demands a refusal; None where it doesn't.
        or_refusal: the open point by which a refusal counts as well; empty where it doesn't.
        value: None where a refusal is demanded.
        gradient: None also where the case doesn't ask for it.
    """

    refusal: Optional[str] = None
    or_refusal: str = ""
    value: Optional[Answer] = None
    gradient: Optional[Answer] = None


def answers(case: Case) -> Answers:
    """What counts as right for this case. It runs the oracle, so keep the result where several evidences are judged."""
    arguments, input, target = case.arguments, case.input, case.target
    empty_classes = input.ndim > 0 and input.shape[min(1, input.ndim - 1)] == 0
    try:
        if empty_classes and arguments.weight is not None and np.shape(arguments.weight) == (0,):
            arguments = arguments._replace(weight=None)  # a weight of length C is what S1 asks for
        spec = CrossEntropySpec(*arguments)
    except SpecError as error:
        return Answers(refusal=str(error))
    if empty_classes:
        return _without_classes(spec, input, target, case.gradient)
    for finding in spec.check(None, input, target):
        if finding.severity == "error":
            return Answers(refusal=finding.message)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XentWarning)  # S7's advice is for callers, not for a judge
        exact = xent.reference.exact(spec, input, target, case.gradient)
    in_value, in_gradient = _zero_on_closed(spec, input, target)
    value = _answer(input, exact.value, bound.value_bound(spec, input, target), in_value)
    gradient = None
    if case.gradient and exact.gradient is not None:
        gradient = _answer(input, exact.gradient, bound.gradient_bound(spec, input, target), in_gradient)
    return Answers(None, "O2, N = 0" if input.size == 0 else "", value, gradient)


def _answer(input: Array, exact: Array, limit: Bound, or_nan: Array) -> Answer:
    why = "O1, a coefficient of 0 on a logit of -inf" if or_nan.any() else ""
    return Answer(dtypes.name(input), np.asarray(exact), limit.total, or_nan, np.zeros_like(or_nan), why)


def _zero_on_closed(spec: CrossEntropySpec, input: Array, target: Array) -> Tuple[Array, Array]:
    """Where O1 leaves a choice: masks of the value's shape and of the gradient's."""
    axis = min(1, input.ndim - 1)
    closed = np.isneginf(dtypes.to_float64(input))
    places = input.shape[:axis] + input.shape[axis + 1 :]
    rows = np.zeros(places, dtype=bool)
    if closed.any():
        along = [1] * input.ndim
        along[axis] = -1
        weight = np.ones(input.shape[axis]) if spec.weight is None else dtypes.to_float64(spec.weight)
        unweighted = weight.reshape(along) == 0
        if dtypes.is_float(target):
            smooth = spec.label_smoothing / input.shape[axis]
            zero = unweighted | ((1 - spec.label_smoothing) * dtypes.to_float64(target) + smooth == 0)
        else:
            indices = np.expand_dims(target.astype(np.int64), axis)
            picked = np.arange(input.shape[axis]).reshape(along) == indices
            zero = unweighted & (picked | (spec.label_smoothing > 0)) & (indices != spec.ignore_index)
        rows = (closed & zero).any(axis=axis)
    in_value = rows if spec.reduction == "none" else np.asarray(rows.any())
    return np.asarray(in_value), np.broadcast_to(np.expand_dims(rows, axis), input.shape)


def _without_classes(spec: CrossEntropySpec, input: Array, target: Array, gradient: bool) -> Answers:
    """C = 0: the specification's other rules, then O2."""
    places = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    # One class more has the same rules for everything but the class indices: none of them can be right.
    probabilities = dtypes.is_float(target)
    stand_in = np.zeros((*places[:1], 1, *places[1:]) if places else (1,), dtype=dtypes.dtype(dtypes.name(input)))
    if probabilities:
        if target.shape != input.shape:
            return Answers(
                refusal=f"class probabilities must have input's shape {input.shape}, not {target.shape} (S7)"
            )
        found = spec.check(None, stand_in, np.zeros(stand_in.shape, dtype=target.dtype))
    else:
        found = spec.check(None, stand_in, target)
        if not found and (target != spec.ignore_index).any():
            return Answers(refusal="with C = 0 every class index is out of range (S6)")
    for finding in found:
        if finding.severity == "error":
            return Answers(refusal=finding.message)
    why, name = "O2, C = 0", dtypes.name(input)
    mean = spec.reduction == "mean"
    value = np.zeros(places if spec.reduction == "none" else (), dtype=np.longdouble)
    zero, no = np.zeros(value.shape), np.zeros(value.shape, dtype=bool)
    answer = Answer(name, value + np.nan if mean else value, zero, no, no | (mean and probabilities), why)
    none = np.zeros(input.shape)
    empty = Answer(name, none.astype(np.longdouble), none, none.astype(bool), none.astype(bool))
    return Answers(None, why, answer, empty if gradient else None)

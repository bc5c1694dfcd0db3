"""What counts as right for one case: the oracle's answer with its bound, a demanded refusal, and the open points.

Where the documents leave a choice, every answer that they leave counts:

- O1, a coefficient that is 0 (class probability or weight) on a -inf logit: the limit 0, or nan, in the row's value and
  gradient, and so in its mean or sum.
- O2, N = 0: S12, or a refusal. C = 0: a refusal, or what S12 gives: 0 for none and sum, nan for the mean, or 0 where
  class probabilities divide an empty sum by a number of rows.
- O3, when arguments are checked: a refusal counts at construction and at the call.

The gradients with respect to class probabilities and weight inherit O1. A class probability of 0 on a -inf logit has an
infinite derivative, or nan; the gradient by weight of that class is what the other rows give, or nan, and so is every
part of it that holds a mean which may be nan. A factor of 0 meets nan and inf there in two ways more, and both answers
count: a row that is nan on a class that it puts no weight on (nan, or what the other rows give), and a mean that is
infinite or nan on the weight of a class that no row has (nan, or 0).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Mapping, Optional, Tuple

import numpy as np

import xent.reference
from xent import dtypes, shapes
from xent.conformance.protocol.case import Case
from xent.dtypes import Array
from xent.errors import SpecError, XentWarning
from xent.reference import Exact
from xent.spec import CrossEntropySpec

from . import bound
from .bound import Bound
from .open_points import Zeros


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
        gradients: with respect to "target" and "weight", where the case asks for them and has them.
    """

    refusal: Optional[str] = None
    or_refusal: str = ""
    value: Optional[Answer] = None
    gradient: Optional[Answer] = None
    gradients: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def parts(self) -> Mapping[str, Answer]:
        """All of them by the names that verdicts have for them."""
        named = {"value": self.value, "gradient": self.gradient}
        others = {f"gradient of {name}": answer for name, answer in self.gradients.items()}
        return {**{name: answer for name, answer in named.items() if answer is not None}, **others}


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
        return _without_classes(spec, case)
    for finding in spec.check(None, input, target):
        if finding.severity == "error":
            return Answers(refusal=finding.message)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XentWarning)  # S7's advice is for callers, not for a judge
        return _by_the_oracle(case, spec)


def _by_the_oracle(case: Case, spec: CrossEntropySpec) -> Answers:
    input, target, axis = case.input, case.target, min(1, case.input.ndim - 1)
    exact = xent.reference.exact(spec, input, target, case.gradient, case.others)
    zeros, dtype = Zeros.of(spec, input, target), dtypes.name(input)
    rows = zeros.rows.reshape(input.shape[:axis] + input.shape[axis + 1 :])
    in_value = rows if spec.reduction == "none" else np.asarray(rows.any())
    value = _answer(dtype, exact.value, bound.value_bound(spec, input, target), in_value)
    gradient, others = None, {}
    if exact.gradient is not None:
        in_gradient = np.broadcast_to(np.expand_dims(rows, axis), input.shape)
        gradient = _answer(dtype, exact.gradient, bound.gradient_bound(spec, input, target), in_gradient)
    if "target" in exact.gradients:
        others["target"] = _of_target(spec, input, target, exact.gradients["target"], zeros)
    if "weight" in exact.gradients:
        others["weight"] = _of_weight(spec, input, target, exact, zeros)
    return Answers(None, "O2, N = 0" if input.size == 0 else "", value, gradient, others)


_ON_CLOSED = "O1, a coefficient of 0 on a logit of -inf"
_ON_NAN = "a coefficient of 0 on a row that is nan"


def _answer(dtype: str, exact: Array, limit: Bound, or_nan: Array, or_zero: Optional[Array] = None) -> Answer:
    zero = np.zeros_like(or_nan) if or_zero is None else or_zero
    why = _ON_CLOSED if or_nan.any() else _ON_NAN if zero.any() else ""
    return Answer(dtype, np.asarray(exact), limit.total, or_nan, zero, why)


def _of_target(spec: CrossEntropySpec, input: Array, target: Array, exact: Array, zeros: Zeros) -> Answer:
    def shaped(mask: Array) -> Array:
        return shapes.from_rows(mask, input.shape)

    limit = bound.target_gradient_bound(spec, input, target)
    return _answer(dtypes.name(target), exact, limit, shaped(zeros.target_or_nan), shaped(zeros.target_or_zero))


def _of_weight(spec: CrossEntropySpec, input: Array, target: Array, exact: Exact, zeros: Zeros) -> Answer:
    assert spec.weight is not None  # only then it is asked for
    dtype = dtypes.name(spec.weight)
    numbers, limit = exact.gradients["weight"], bound.weight_gradient_bound(spec, input, target)
    or_nan = zeros.weight_or_nan(exact.value)
    if zeros.invalid.any():
        gone = np.expand_dims(zeros.invalid.reshape(shapes.places(input.shape)), shapes.class_axis(input.ndim))
        others = np.where(gone, np.zeros((), input.dtype), input)
        rest = xent.reference.exact(spec, others, target, False, ("weight",)).gradients["weight"]
        numbers = np.where(zeros.spared, rest, numbers)
        limit = Bound(np.where(zeros.spared, bound.weight_gradient_bound(spec, others, target).total, limit.total), {})
        if not or_nan.any():
            return replace(_answer(dtype, numbers, limit, zeros.spared), why=_ON_NAN)
        or_nan = or_nan | zeros.spared
    return _answer(dtype, numbers, limit, or_nan)


def _without_classes(spec: CrossEntropySpec, case: Case) -> Answers:
    """C = 0: the specification's other rules, then O2."""
    input, target = case.input, case.target
    places = shapes.places(input.shape)
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
    others = {"target": _empty(target, input.shape)} if "target" in case.others else {}
    if "weight" in case.others:
        others["weight"] = _empty(np.asarray(case.arguments.weight), (0,))
    return Answers(None, why, answer, _empty(input, input.shape) if case.gradient else None, others)


def _empty(like: Array, shape: Tuple[int, ...]) -> Answer:
    """The gradient of nothing."""
    none = np.zeros(shape)
    return Answer(dtypes.name(like), none.astype(np.longdouble), none, none.astype(bool), none.astype(bool))

"""The oracle: rules S9 to S14 in NumPy, forward and gradients, from the inputs as already rounded to their dtype.

Results are correctly rounded: ONE rounding of the exact number, to nearest even, to the output dtype, with overflow and
subnormals as IEEE has them. Every element is computed in long double with a rigorous error bound (given a C library
whose exp and log1p are within 8 ulp), and where that bound leaves the rounding in doubt, by mpmath. mpmath works on at
most `BUDGET` logits a call (some 4 s). Beyond it the long double result stands: in float16, bfloat16 and float32
about one number in 10^8 is ever in doubt; of float64 results one in 50 is, and those are within 1 ulp unless the number
itself is the small difference of large ones. Where long double is no wider than float64 (Windows, macOS on Arm)
nearly all float64 results need mpmath, so beyond the budget they are good to some 50 ulp. A training environment may
lack mpmath; a number in doubt then raises `xent.errors.MissingPackage`, never a rounding that is a guess.

What S9 to S14 leave to be said:
- The gradient of the summed result is 0 in ignored rows, always; nan in rows that are nan (S13).
- Where ``mean`` divides by 0 it has no derivative: the gradient is nan in every row not ignored, also where the
  value is infinite because selected weights cancel. Whether they cancel is decided on the exact sum.
- At a -inf logit the gradient is the limit, minus the coefficient of that class: finite, also where the loss is inf.
- O1: a coefficient of 0 takes a -inf logit out of value and gradient. The derivatives with respect to that
  coefficient's own probability or weight are infinite there unless its other factors are 0.
- nan and infinite class probabilities (a warning under S7) propagate as in IEEE arithmetic.
- Every result that is 0 is +0, one that underflows from below too.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Collection, Mapping, NamedTuple

import numpy as np

from .. import dtypes
from ..dtypes import Array
from ..errors import SpecTypeError
from ..spec import CrossEntropySpec
from .bounds import Approximation, total
from .derivatives import form_of_weight, of_probabilities, of_weight
from .oracle import BUDGET, Oracle
from .problem import Problem
from .rounding import rounded
from .rows import coefficients, gradients, softmax, weighed
from .sums import joined, losses, per_row, reduced

__all__ = ["BUDGET", "Exact", "exact", "gradient", "gradient_target", "gradient_weight", "value"]


class Exact(NamedTuple):
    """Long doubles, not rounded to any dtype.

    Attributes:
        value: the loss, shape () or, without reduction, the target's index shape.
        gradient: of the summed loss with respect to input, input's shape; None where not asked for.
        gradients: those with respect to "target" (its shape) and "weight" (C), where asked for.
    """

    value: Array
    gradient: Array | None
    gradients: Mapping[str, Array]


def value(spec: CrossEntropySpec, input: Array, target: Array) -> Array:
    """The loss (S9 to S14), in input's dtype; shape () or, for ``reduction="none"``, the target's index shape.

    Args:
        spec: the arguments.
        input: logits (C), (N, C) or (N, C, d1, ..., dK) of float16, bfloat16 (either form), float32 or float64.
        target: class indices (), (N) or (N, d1, ..., dK), or class probabilities of input's shape.

    Raises:
        SpecError: what S1 and S5 to S8 refuse.
        MissingPackage: the rounding is in doubt and mpmath isn't installed (also an ImportError).
    """
    problem = Problem.of(spec, input, target)
    name, numbers = dtypes.name(input), reduced(problem, losses(problem))
    oracle = Oracle(problem, name)
    if problem.reduction == "none":
        result = np.empty((problem.rows, 1), dtype=dtypes.dtype(name))
        each = Approximation(numbers.value[None], numbers.error[None])
        oracle.round(result, slice(0, problem.rows), each, lambda row, _: row.loss())
        return _in_form_of(input, result.reshape(problem.places))
    result, certain = rounded(numbers, name)
    if not certain.all() and oracle.affords(problem.rows):
        result = oracle.number(oracle.sum_of_losses)
    return _in_form_of(input, result)


def gradient(spec: CrossEntropySpec, input: Array, target: Array) -> Array:
    """The gradient of the summed result of `value` with respect to input, in input's shape and dtype.

    Args and Raises: those of `value`.
    """
    problem = Problem.of(spec, input, target)
    name, divisor = dtypes.name(input), problem.divisor()
    oracle = Oracle(problem, name)
    result = np.empty((problem.rows, problem.classes), dtype=dtypes.dtype(name))
    for rows in problem.chunks():
        chunk, a = softmax(problem, rows), coefficients(problem, rows, problem.weight)
        numbers = per_row(divisor, gradients(chunk, a), chunk.ignored)
        oracle.round(result, rows, numbers, lambda row, c: row.gradient(c))
    return _in_form_of(input, problem.like_input(result))


def gradient_target(spec: CrossEntropySpec, input: Array, target: Array) -> Array:
    """The gradient of the summed result with respect to class probabilities, in target's shape and dtype.

    Args and Raises: those of `value`; SpecTypeError for class indices.
    """
    problem = Problem.of(spec, input, target)
    _expect_probabilities(problem, target)
    name, divisor = dtypes.name(target), problem.divisor()
    oracle = Oracle(problem, name)
    weight = np.ones(problem.classes) if problem.weight is None else problem.weight
    keep = 1 - Fraction(problem.smoothing)
    result = np.empty((problem.rows, problem.classes), dtype=dtypes.dtype(name))
    for rows in problem.chunks():
        numbers = of_probabilities(problem, softmax(problem, rows), divisor)
        oracle.round(result, rows, numbers, lambda row, c: row.surprise(c).times(keep * Fraction(float(weight[c]))))
    return _in_form_of(target, problem.like_input(result))


def gradient_weight(spec: CrossEntropySpec, input: Array, target: Array) -> Array:
    """The gradient of the summed result with respect to weight, shape (C), in weight's dtype; either kind of target.

    With class indices ``mean`` divides by a sum of weights, which is differentiated too.

    Args and Raises: those of `value`; SpecTypeError where the spec has no weight.
    """
    problem, like = Problem.of(spec, input, target), _expect_weight(spec)
    name = dtypes.name(like)
    oracle = Oracle(problem, name)
    result, certain = rounded(of_weight(problem, problem.divisor()), name)
    if not certain.all() and oracle.affords(problem.rows):
        for c in np.flatnonzero(~certain).tolist():
            result[c] = oracle.number(form_of_weight(problem, oracle, c))
    return _in_form_of(like, result)


def exact(spec: CrossEntropySpec, input: Array, target: Array, gradient: bool, others: Collection[str] = ()) -> Exact:
    """Value and gradients as long doubles, not rounded: for the judge. No mpmath: a relative error of about 1e-18 of
    the terms that add up (where long double is wider than float64).

    Args:
        gradient: whether the gradient with respect to input is wanted.
        others: of "target" and "weight", what else is.

    Args and Raises otherwise: those of `value`, `gradient_target` and `gradient_weight`.
    """
    problem = Problem.of(spec, input, target)
    if "target" in others:
        _expect_probabilities(problem, target)
    divisor = problem.divisor()
    parts, slopes, of_target = [], [], []
    for rows in problem.chunks():
        chunk, a = softmax(problem, rows), coefficients(problem, rows, problem.weight)
        parts.append(total(weighed(chunk, a)))
        if gradient:
            slopes.append(per_row(divisor, gradients(chunk, a), chunk.ignored).value.T)
        if "target" in others:
            of_target.append(of_probabilities(problem, chunk, divisor).value.T)
    numbers = reduced(problem, joined(parts)).value
    result = numbers.reshape(problem.places if problem.reduction == "none" else ())
    empty = np.zeros((0, problem.classes), dtype=np.longdouble)
    found = {}
    if "target" in others:
        found["target"] = problem.like_input(np.concatenate([empty, *of_target]))
    if "weight" in others:
        _expect_weight(spec)
        found["weight"] = of_weight(problem, divisor).value
    return Exact(result, problem.like_input(np.concatenate([empty, *slopes])) if gradient else None, found)


def _expect_probabilities(problem: Problem, target: Array) -> None:
    if problem.labels is not None:
        raise SpecTypeError(
            "class indices have no gradient; target must be class probabilities",
            argument="target", received=str(target.dtype), rule="S7", clause="torch-2.8/target-probabilities/shape",
        )  # fmt: skip


def _expect_weight(spec: CrossEntropySpec) -> Array:
    if spec.weight is None:
        raise SpecTypeError(
            "weight is None, which has no gradient; give a weight of ones",
            argument="weight", received="None", rule="S1", clause="torch-2.8/weight/size",
        )  # fmt: skip
    return spec.weight


def _in_form_of(model: Array, result: Array) -> Array:
    """An array, 0-d ones too, no zero of it -0, with bfloat16 in the form that came in: ml_dtypes' or the structured
    bits."""
    bits = dtypes.bits(result)
    bits[bits << bits.dtype.type(1) == 0] = 0  # all but the sign
    result = dtypes.from_bits(bits, dtypes.name(result))
    return result.view(model.dtype) if model.dtype.names else result

"""The oracle: rules S9 to S14 in NumPy, forward and gradients, from the inputs as already rounded to their dtype.

Results are correctly rounded: ONE rounding of the exact number, to nearest even, to the output dtype, with overflow and
subnormals as IEEE has them. Every element is computed in long double with a rigorous error bound (given a C library
whose exp and log1p are within 8 ulp), and where that bound leaves the rounding in doubt, by mpmath. mpmath works on at
most `BUDGET` logits a call (some 4 s). Beyond it the long double result stands: in float16, bfloat16 and float32
about one number in 10^8 is ever in doubt; of float64 results one in 50 is, and those are within 1 ulp unless the number
itself is the small difference of large ones. Where long double is no wider than float64 (Windows, macOS on Arm)
nearly all float64 results need mpmath, so beyond the budget they are good to some 50 ulp.

What S9 to S14 leave to be said:
- The gradient of the summed result is 0 in ignored rows, always; nan in rows that are nan (S13).
- Where ``mean`` divides by 0 it has no derivative: the gradient is nan in every row not ignored, also where the
  value is infinite because selected weights cancel. Whether they cancel is decided on the exact sum.
- At a -inf logit the gradient is the limit, minus the coefficient of that class: finite, also where the loss is inf.
- O1: a coefficient of 0 takes a -inf logit out of value and gradient. The derivatives with respect to that
  coefficient's own probability or weight are infinite there unless its other factors are 0.
- nan and infinite class probabilities (a warning under S7) propagate as in IEEE arithmetic.
- A result that is exactly 0 is +0.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .. import dtypes
from ..dtypes import Array
from ..errors import SpecTypeError
from ..spec import CrossEntropySpec
from .bounds import Approximation, total
from .oracle import BUDGET, Oracle
from .precise import added
from .problem import Problem
from .rounding import rounded
from .rows import coefficients, gradients, softmax, surprises, weighed
from .sums import class_sums, difference, joined, losses, per_row, reduced, scaled

__all__ = ["BUDGET", "Exact", "exact", "gradient", "gradient_target", "gradient_weight", "value"]


class Exact(NamedTuple):
    """Long doubles, not rounded to any dtype.

    Attributes:
        value: the loss, shape () or, without reduction, the target's index shape.
        gradient: of the summed loss with respect to input, input's shape; None where not asked for.
    """

    value: Array
    gradient: Array | None


def value(spec: CrossEntropySpec, input: Array, target: Array) -> Array:
    """The loss (S9 to S14), in input's dtype; shape () or, for ``reduction="none"``, the target's index shape.

    Args:
        spec: the arguments.
        input: logits (C), (N, C) or (N, C, d1, ..., dK) of float16, bfloat16 (either form), float32 or float64.
        target: class indices (), (N) or (N, d1, ..., dK), or class probabilities of input's shape.

    Raises:
        SpecError: what S1 and S5 to S8 refuse.
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
    if problem.labels is not None:
        raise SpecTypeError(
            "class indices have no gradient; target must be class probabilities",
            argument="target", received=str(target.dtype), rule="S7", clause="torch-2.8/target-probabilities/shape",
        )  # fmt: skip
    name, divisor = dtypes.name(target), problem.divisor()
    oracle = Oracle(problem, name)
    weight = np.ones(problem.classes) if problem.weight is None else problem.weight
    keep = 1 - Fraction(problem.smoothing)
    factors = (1 - np.longdouble(problem.smoothing)) * weight.astype(np.longdouble)
    result = np.empty((problem.rows, problem.classes), dtype=dtypes.dtype(name))
    for rows in problem.chunks():
        chunk = softmax(problem, rows)
        numbers = per_row(divisor, scaled(surprises(chunk), factors[:, None]), chunk.ignored)
        numbers.value[:, chunk.invalid], numbers.error[:, chunk.invalid] = np.nan, 0
        oracle.round(result, rows, numbers, lambda row, c: row.surprise(c).times(keep * Fraction(float(weight[c]))))
    return _in_form_of(target, problem.like_input(result))


def gradient_weight(spec: CrossEntropySpec, input: Array, target: Array) -> Array:
    """The gradient of the summed result with respect to weight, shape (C), in weight's dtype; either kind of target.

    With class indices ``mean`` divides by a sum of weights, which is differentiated too.

    Args and Raises: those of `value`; SpecTypeError where the spec has no weight.
    """
    problem = Problem.of(spec, input, target)
    if spec.weight is None:
        raise SpecTypeError(
            "weight is None, which has no gradient; give a weight of ones",
            argument="weight", received="None", rule="S1", clause="torch-2.8/weight/size",
        )  # fmt: skip
    name, divisor = dtypes.name(spec.weight), problem.divisor()
    oracle = Oracle(problem, name)
    numbers = class_sums(problem)
    shares = np.zeros(problem.classes, dtype=np.int64)  # d divisor / d weight
    if problem.reduction == "mean" and problem.labels is not None:
        shares = problem.counts()
        numbers = difference(numbers, scaled(reduced(problem, losses(problem)), shares))
    column = Approximation(numbers.value[:, None], numbers.error[:, None])
    numbers = per_row(divisor, column, np.zeros(1, dtype=bool))
    result, certain = rounded(Approximation(numbers.value[:, 0], numbers.error[:, 0]), name)
    if not certain.all() and oracle.affords(problem.rows):
        for c in np.flatnonzero(~certain).tolist():
            form = added(oracle.row(n).surprise(c).times(oracle.row(n).probability(c)) for n in oracle.selected)
            if shares[c]:
                form = added([form, oracle.sum_of_losses.times(-int(shares[c]) / oracle.divisor)])
            result[c] = oracle.number(form)
    return _in_form_of(spec.weight, result)


def exact(spec: CrossEntropySpec, input: Array, target: Array, gradient: bool) -> Exact:
    """Value and gradient as long doubles, not rounded: for the judge. No mpmath: a relative error of about 1e-18 of the
    terms that add up (where long double is wider than float64).

    Args and Raises: those of `value`.
    """
    problem = Problem.of(spec, input, target)
    divisor = problem.divisor()
    parts, slopes = [], []
    for rows in problem.chunks():
        chunk, a = softmax(problem, rows), coefficients(problem, rows, problem.weight)
        parts.append(total(weighed(chunk, a)))
        if gradient:
            slopes.append(per_row(divisor, gradients(chunk, a), chunk.ignored).value.T)
    numbers = reduced(problem, joined(parts)).value
    result = numbers.reshape(problem.places if problem.reduction == "none" else ())
    if not gradient:
        return Exact(result, None)
    empty = np.zeros((0, problem.classes), dtype=np.longdouble)
    return Exact(result, problem.like_input(np.concatenate([empty, *slopes])))


def _in_form_of(model: Array, result: Array) -> Array:
    """An array, 0-d ones too, with bfloat16 in the form that came in: ml_dtypes' or the structured bits."""
    return result.view(model.dtype) if model.dtype.names else np.asarray(result)

"""The bounds of the gradients of the summed result, elementwise; k is 1/D for the mean, else 1.

**Input**: ``k (W p_c - a_c)``, ``W = sum a_c``. An implementation that keeps log p and takes its exp turns B_c, an
absolute error of log p_c, into a relative error of p_c; exp adds one ulp: ``k W p_c (B_c + 2u)`` (*softmax*; dividing
exp(x_c - m) by s stays below it, section 5 of the paper that the package names). The roundings of a_c and of adding up
W follow as for the value (*coefficients*, *sum over classes*); the product with p_c, the subtraction, k's own rounding
and the product with k: ``4 u k (W p_c + A_c)`` (*products*); the error of D: *weight sum*.

**Target**, class probabilities: ``k (1 - e) w_c l_c``. B_c times the factor; the roundings of 1 - e (e itself counts
``u e |w_c| l_c``), of a wider weight, and of the products with both (*coefficients*); k's own and the product with it
(*products*); the error of D, which is a count (*weight sum*).

**Weight**: ``k q_c``, ``q_c = sum_n y'_c l_c`` with the smoothed target y' of each row. B_c adds up over rows weighted
with Y_c, the sum of the absolute parts of y'_c, and ``T_c = sum_n Y_c l_c`` measures the roundings of y'_c and its
product (*coefficients*), of adding the n rows that count (*sum over rows*, ``n u T_c``) and k's (*products*).
The mean over class indices divides by weights too, and its derivative is ``k (q_c - r_c L)``: L is the mean itself, r_c
the number of rows of class c. L has come out with the error of its own bound before the output rounding, ``k r_c B_L``
(*mean*). Whether L is subtracted once or from each row before they are added, the sums pass through ``T_c + r_c |L|``
at most, so that is what *sum over rows*, *products* and *weight sum* count with; of the products there are four: r_c
times L, the subtraction (or the squaring of D), k's own rounding and the product with it.
A class that no row puts weight on has bound 0: whatever the arithmetic, it adds nothing, unless the mean divides by 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, Tuple

import numpy as np

from xent import dtypes, shapes
from xent.dtypes import Array
from xent.spec import CrossEntropySpec

from .rows import Bound, Rows, coefficients_of, counting, divisor_of, rows_of, smallest_normal, with_output_rounding
from .value import reduced_terms, row_terms


def gradient_bound(spec: CrossEntropySpec, input: Array, target: Array) -> Bound:
    """The bound on ``|gradient - exact gradient|`` with respect to input: its shape. Conditions of `value_bound`."""
    with np.errstate(all="ignore"):
        rows = rows_of(spec, input, target)
        terms, u_gradient, exact_zero = _input_terms(spec, rows)
        return _like_input(with_output_rounding(terms, u_gradient, rows, exact_zero, rows.dtype), rows, input)


def target_gradient_bound(spec: CrossEntropySpec, input: Array, target: Array) -> Bound:
    """The same with respect to class probabilities: target's shape. Conditions of `value_bound`; target is floating."""
    with np.errstate(all="ignore"):
        rows = rows_of(spec, input, target)
        terms, u_gradient, exact_zero = _target_terms(spec, rows)
        dtype = dtypes.name(target)
        return _like_input(with_output_rounding(terms, u_gradient, rows, exact_zero, dtype), rows, input)


def weight_gradient_bound(spec: CrossEntropySpec, input: Array, target: Array) -> Bound:
    """The same with respect to weight: shape (C). Conditions of `value_bound`; the spec has a weight."""
    assert spec.weight is not None
    with np.errstate(all="ignore"):
        rows = rows_of(spec, input, target)
        terms, u_gradient, exact_zero = _weight_terms(spec, rows)
        return with_output_rounding(terms, u_gradient, rows, exact_zero, dtypes.name(spec.weight))


def _like_input(bound: Bound, rows: Rows, input: Array) -> Bound:
    """(R, C) in input's shape."""

    def shaped(term: Array) -> Array:
        return shapes.from_rows(term, input.shape)

    return Bound(shaped(bound.total), {name: shaped(term) for name, term in bound.terms.items()})


def _input_terms(spec: CrossEntropySpec, rows: Rows) -> Tuple[Dict[str, Array], Array, Array]:
    """Terms, u times the gradient, and where it is exactly 0: arrays of shape (R, C)."""
    signed, size, moved, roundings = coefficients_of(spec, rows, dense=True)
    u, p = rows.u, rows.p
    total = size.sum(axis=1, keepdims=True)
    u_log_p = rows.u_shift + rows.u_log
    of_log_p = rows.u_shift + 2 * rows.u_log + rows.u_spread + (p.shape[1] + 1) * u + u_log_p
    share = total * p
    gradient = signed.sum(axis=1, keepdims=True) * p - signed
    summed = 1 if rows.picked is not None and not spec.label_smoothing else p.shape[1]
    divisor, error, _ = divisor_of(spec, rows)
    k = 1 / abs(divisor) if divisor else np.inf
    terms = {
        "softmax": k * np.where(p > 0, share * (of_log_p + 2 * u), 0.0),
        "coefficients": k * u * (roundings * (share + size) + moved + moved.sum(axis=1, keepdims=True) * p),
        "sum over classes": k * (summed - 1) * u * share,
        "products": 4 * k * u * (share + size),
        "weight sum": k * np.abs(gradient) * (error / (1 - error) if error < 1 else np.inf),
        "underflow": smallest_normal(rows) * (k * (total + 1) + 1) + np.zeros_like(p),
    }
    exact_zero = ~rows.selected[:, np.newaxis] | ((rows.u_shift == np.inf) & (size == 0)) | ~np.isfinite(rows.u_log)
    return _determined(terms, k * gradient, divisor, error), u * k * gradient, exact_zero


def _target_terms(spec: CrossEntropySpec, rows: Rows) -> Tuple[Dict[str, Array], Array, Array]:
    """Terms, u times the gradient, and where it is exactly 0: arrays of shape (R, C)."""
    smoothing = float(spec.label_smoothing)
    divisor, error, _ = divisor_of(spec, rows)
    k = 1 / abs(divisor) if divisor else np.inf
    factor = np.broadcast_to(np.abs(rows.weight) * (1 - smoothing), rows.p.shape)
    of_log_p, u_log_p = _of_log_p(rows, factor > 0)
    u_loss = k * factor * u_log_p
    roundings = rows.weight_roundings + 2 * (smoothing > 0)
    terms = {
        **{name: k * factor * term for name, term in of_log_p.items()},
        "coefficients": roundings * u_loss + k * np.abs(rows.weight) * smoothing * u_log_p,
        "products": 2 * (spec.reduction == "mean") * u_loss,
        "weight sum": u_loss / rows.u * error,
        "underflow": smallest_normal(rows) * (k * (factor + 1) + 1),
    }
    return _determined(terms, u_loss, divisor, error), u_loss, (factor == 0) | ~np.isfinite(rows.u_log)


def _weight_terms(spec: CrossEntropySpec, rows: Rows) -> Tuple[Dict[str, Array], Array, Array]:
    """Terms, u times the gradient, and where it is exactly 0: arrays of shape (C,)."""
    bare = replace(rows, weight=np.ones_like(rows.weight), weight_roundings=0)
    signed, size, moved, roundings = coefficients_of(spec, bare, dense=True)
    of_log_p, u_log_p = _of_log_p(rows, counting(size, signed, rows.u_shift))
    u_sums, u_sizes = (signed * u_log_p).sum(axis=0), (size * u_log_p).sum(axis=0)
    count = (size > 0).sum(axis=0)
    divisor, error, _ = divisor_of(spec, rows)
    k, products = (1 / abs(divisor) if divisor else np.inf), 2 if spec.reduction == "mean" else 0
    terms = {name: k * (size * term).sum(axis=0) for name, term in of_log_p.items()}
    terms["coefficients"] = k * (roundings * u_sizes + (moved * u_log_p).sum(axis=0))
    if rows.picked is not None and spec.reduction == "mean":
        shares = np.bincount(rows.picked[rows.selected, 0], minlength=len(rows.weight))
        of_mean, u_mean = reduced_terms(spec, rows, *row_terms(rows, coefficients_of(spec, rows, dense=False)))
        terms["mean"] = k * shares * sum(of_mean.values())
        u_sums = u_sums - np.where(shares > 0, shares * u_mean, 0.0)
        u_sizes, products = u_sizes + np.where(shares > 0, shares * np.abs(u_mean), 0.0), 4
    terms["sum over rows"] = k * count * u_sizes
    terms["products"] = products * k * u_sizes
    terms["weight sum"] = k * u_sizes / rows.u * (error / (1 - error) if error < 1 else np.inf)
    terms["underflow"] = smallest_normal(rows) * (k * (count + 1) + 1)
    exact_zero = (count == 0) & (divisor != 0)  # else 0/0, which has no derivative even by what it doesn't hold
    return _determined(terms, u_sums, divisor, error), k * u_sums, exact_zero


def _of_log_p(rows: Rows, live: Array) -> Tuple[Dict[str, Array], Array]:
    """The six terms of B_c and u l_c, (R, C): 0 where a class has no coefficient (O1)."""
    u_log_p = np.where(live, rows.u_shift + rows.u_log, 0.0)
    terms = {
        "shift": np.where(live, rows.u_shift, 0.0),
        "log": np.where(live, 2 * rows.u_log, 0.0),
        "exponentials": np.where(live, rows.u_spread, 0.0),
        "class sum": np.where(live, (rows.p.shape[1] - 1) * rows.u, 0.0),
        "exp and log": np.where(live, 2 * rows.u, 0.0),
        "result": u_log_p,
    }
    return terms, u_log_p


def _determined(terms: Dict[str, Array], exact: Array, divisor: float, error: float) -> Dict[str, Array]:
    """The terms, 0 where the exact answer is nan or inf; or, where the weights that divide cancel, inf."""
    if divisor != 0 and error < 1:
        return {name: np.where(np.isfinite(exact), term, 0.0) for name, term in terms.items()}
    undetermined = {name: np.zeros_like(term) for name, term in terms.items()}
    undetermined["weight sum"] += np.inf
    return undetermined

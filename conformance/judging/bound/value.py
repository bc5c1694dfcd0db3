"""The bound of the value.

A row's loss is ``sum_c a_c l_c``, ``a_c = w_c ((1 - e) y_c + e/C)`` (S9 to S11). With A_c the sum of the absolute parts
of a_c, the six terms of B_c add up weighted with A_c, and ``T = sum_c A_c l_c`` measures what is left: the roundings of
the products in a_c (*coefficients*), of adding classes (*sum over classes*) and of adding n rows, ``n u sum T`` (*sum
over rows*). The mean divides all by |D|; its weights' sum D adds its own relative error (*weight sum*; none where the
weights add up exactly in any order, as equal weights and counts do), and the division one rounding (*division*).
"""

from __future__ import annotations

from typing import Dict, Tuple

import numpy as np

from xent.dtypes import Array
from xent.spec import CrossEntropySpec

from .rows import (
    Bound,
    Coefficients,
    Rows,
    coefficients_of,
    counting,
    divisor_of,
    rows_of,
    smallest_normal,
    with_output_rounding,
)


def value_bound(spec: CrossEntropySpec, input: Array, target: Array) -> Bound:
    """The bound on ``|value - exact value|``: shape () for mean and sum, the shape of the class indices for none.

    `spec.check(None, input, target)` must have found no error (S1, S5 to S8).
    """
    with np.errstate(all="ignore"):
        rows = rows_of(spec, input, target)
        coefficients = coefficients_of(spec, rows, dense=False)
        terms, u_losses, u_sizes = row_terms(rows, coefficients)
        if spec.reduction == "none":
            u_value = u_losses
            terms["underflow"] = np.full(u_losses.shape, smallest_normal(rows))
        else:
            terms, u_value = reduced_terms(spec, rows, terms, u_losses, u_sizes)
        none_selected = ~rows.selected if spec.reduction == "none" else np.asarray(not rows.selected.any())
        bound = with_output_rounding(terms, u_value, rows, none_selected, rows.dtype)
    shape = rows.shape if spec.reduction == "none" else ()
    return Bound(bound.total.reshape(shape), {name: term.reshape(shape) for name, term in bound.terms.items()})


def row_terms(rows: Rows, coefficients: Coefficients) -> Tuple[Dict[str, Array], Array, Array]:
    """Terms of each row's loss, 0 where it is nan, inf or ignored; u times the losses; u T: arrays of shape (R,)."""
    signed, size, moved, roundings = coefficients
    u_shift, classes = rows.u_shift, rows.p.shape[1]
    if size.shape[1] < classes:
        assert rows.picked is not None  # only class indices have fewer coefficients than classes
        u_shift = np.take_along_axis(u_shift, rows.picked, axis=1)
    live = counting(size, signed, u_shift)
    u_shift = np.where(live, u_shift, 0.0)
    u_loss = np.where(live, u_shift + rows.u_log, 0.0)
    total, u_size = size.sum(axis=1), (size * u_loss).sum(axis=1)
    terms = {
        "shift": (size * u_shift).sum(axis=1),
        "log": 2 * total * rows.u_log[:, 0],
        "exponentials": total * rows.u_spread[:, 0],
        "class sum": total * ((classes - 1) * rows.u),
        "exp and log": total * (2 * rows.u),
        "result": u_size,
        "coefficients": roundings * u_size + (moved * u_loss).sum(axis=1),
        "sum over classes": (size.shape[1] - 1) * u_size,
    }
    u_losses = (signed * u_loss).sum(axis=1)
    finite = np.isfinite(u_losses) & rows.selected
    return {name: np.where(finite, term, 0.0) for name, term in terms.items()}, u_losses, u_size


def reduced_terms(
    spec: CrossEntropySpec, rows: Rows, row_terms: Dict[str, Array], u_losses: Array, u_sizes: Array
) -> Tuple[Dict[str, Array], Array]:
    """Terms of the sum or the mean, and u times its value, all of shape ()."""
    losses = np.where(rows.selected, u_losses, 0.0)
    u_sum, count = losses.sum(), int(rows.selected.sum())
    terms = {name: term.sum() for name, term in row_terms.items()}
    terms["sum over rows"] = count * np.where(rows.selected, u_sizes, 0.0).sum()
    terms["underflow"] = np.asarray(count * smallest_normal(rows))
    divisor, error, size = divisor_of(spec, rows)
    if not np.isfinite(u_sum) or (size == 0 and spec.reduction == "mean"):
        return {name: np.zeros(()) for name in terms}, np.asarray(np.nan)
    if spec.reduction == "sum":
        return {name: np.asarray(term) for name, term in terms.items()}, u_sum
    if divisor == 0 or error >= 1:
        # S / 0 is an infinity (S12) whose sign is that of S, where the weights cancel exactly and S has one.
        signed = error == 0 and sum(terms.values()) < abs(u_sum) / rows.u and not spec.label_smoothing
        terms = {name: np.zeros(()) for name in terms}
        terms["weight sum"] = np.asarray(0.0 if signed else np.inf)
        return terms, np.asarray(np.nan)
    terms = {name: np.asarray(term / abs(divisor)) for name, term in terms.items()}
    u_mean = np.asarray(u_sum / divisor)
    terms["weight sum"] = np.abs(u_mean) / rows.u * (error / (1 - error))
    terms["division"] = np.abs(u_mean)
    return terms, u_mean

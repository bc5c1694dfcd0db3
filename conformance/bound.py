"""How far a good implementation's answer may lie from the exact one: derived from the arithmetic, not picked.

Rounding is modelled as usual, ``fl(a op b) = (a op b)(1 + d) + t`` with ``|d| <= u``, and ``|t|`` at most the
smallest normal number where the operation underflows (a kernel may flush subnormals). u is the unit roundoff of the
dtype in which a good implementation COMPUTES: float32 for float16, bfloat16 and float32, float64 for float64 (S14).
Terms are of first order in u. For one row, with ``m = max x``, ``s = sum exp(x_i - m)``, ``p = softmax(x)``, ``l_c =
-log p_c``:

**log p_c** comes out as ``(x_c - m) - log s``:

- the subtraction of the maximum: ``u |x_c - m|`` (term *shift*);
- each ``exp(x_i - m)`` of a rounded argument has the relative error ``u |x_i - m|``, which reaches s weighted by p_i:
  ``u sum p_i |x_i - m|`` (*exponentials*), exp's own rounding and that of the log of a number near 1: ``2 u`` (*exp
  and log*);
- adding up s in any order: ``(C - 1) u`` (*class sum*); log turns relative errors of s into absolute ones;
- log's own rounding and that of its uses: ``2 u log s`` (*log*); the last subtraction: ``u l_c`` (*result*).

These six sum to B_c, the error of l_c. It is the analysis of the shifted log-sum-exp of Blanchard, Higham and Higham
(IMA J. Numer. Anal. 41, 2021; section 4), kept per row instead of maximised over it; summation: Higham, Accuracy and
Stability of Numerical Algorithms, chapter 4.

**Value.** A row's loss is ``sum_c a_c l_c``, ``a_c = w_c ((1 - e) y_c + e/C)`` (S9 to S11). With A_c the sum of the
absolute parts of a_c, the six terms add up weighted with A_c, and ``T = sum_c A_c l_c`` measures what is left: the
roundings of the products in a_c (*coefficients*), of adding classes (*sum over classes*) and of adding n rows, ``n u
sum T`` (*sum over rows*). The mean divides all by |D|; its weights' sum D adds its own relative error (*weight sum*;
none where the weights add up exactly in any order, as equal weights and counts do), and the division one rounding
(*division*).

**Gradient**, elementwise: ``g_c = k (W p_c - a_c)``, ``W = sum a_c``, k = 1/D for the mean, else 1. An implementation
that keeps log p and takes its exp turns B_c, an absolute error of log p_c, into a relative error of p_c; exp adds one
ulp: ``k W p_c (B_c + 2u)`` (*softmax*; dividing exp(x_c - m) by s stays below it, section 5 of the same paper). The
roundings of a_c and of adding up W follow as for the value (*coefficients*, *sum over classes*); the product with
p_c, the subtraction, k's own rounding and the product with k: ``4 u k (W p_c + A_c)`` (*products*); the error of D:
*weight sum*.

Both add *underflow* and half an ulp of the output dtype, subnormal spacing included (*output rounding*). Rows that
ignore_index excludes have bound 0: their value and gradient are exactly 0 (S12).

A total of inf says that the answer is NOT DETERMINED, and anything agrees: the sum of weights that divides cancels so
far that rounding decides it, or it is 0 and the gradient of a division by 0 is asked for. Where the exact answer is
nan or inf the bound is 0: what counts is the place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

from xent import dtypes
from xent.dtypes import Array
from xent.spec import CrossEntropySpec

# precision in bits, exponents (as frexp counts them) of the smallest normal and the largest finite number
_FORMATS = {
    "float16": (11, -13, 16),
    "bfloat16": (8, -125, 128),
    "float32": (24, -125, 128),
    "float64": (53, -1021, 1024),
}

_SMALLEST = 5e-324  # float64's smallest half ulp is no float64


class Bound(NamedTuple):
    """An error bound with its parts.

    Attributes:
        total: float64, the shape of the value or the gradient; inf where the answer is not determined.
        terms: name -> float64 array of that shape; they sum to `total`.
    """

    total: Array
    terms: Dict[str, Array]


def ulp(dtype: str, exponent: Array) -> Array:
    """The spacing of a dtype's numbers in ``[2^(exponent - 1), 2^exponent)``, as frexp counts; subnormals too."""
    precision, lowest, highest = _FORMATS[dtype]
    return np.asarray(np.ldexp(1.0, np.clip(exponent, lowest, highest) - precision))


def value_bound(spec: CrossEntropySpec, input: Array, target: Array) -> Bound:
    """The bound on ``|value - exact value|``: shape () for mean and sum, the shape of the class indices for none.

    `spec.check(None, input, target)` must have found no error (S1, S5 to S8).
    """
    with np.errstate(all="ignore"):
        rows = _rows(spec, input, target)
        coefficients = _coefficients(spec, rows, dense=False)
        terms, u_losses, u_sizes = _row_terms(rows, coefficients)
        terms = {name: np.where(np.isfinite(u_losses) & rows.selected, term, 0.0) for name, term in terms.items()}
        if spec.reduction == "none":
            u_value = u_losses
            terms["underflow"] = np.full(u_losses.shape, _smallest_normal(rows))
        else:
            terms, u_value = _reduced(spec, rows, terms, u_losses, u_sizes)
        none_selected = ~rows.selected if spec.reduction == "none" else np.asarray(not rows.selected.any())
        bound = _with_output_rounding(terms, u_value, rows, exact_zero=none_selected)
    shape = rows.shape if spec.reduction == "none" else ()
    return Bound(bound.total.reshape(shape), {name: term.reshape(shape) for name, term in bound.terms.items()})


def gradient_bound(spec: CrossEntropySpec, input: Array, target: Array) -> Bound:
    """The bound on ``|gradient - exact gradient|``, elementwise: input's shape. Conditions as for `value_bound`."""
    with np.errstate(all="ignore"):
        rows = _rows(spec, input, target)
        terms, u_gradient, exact_zero = _gradient_terms(spec, rows)
        bound = _with_output_rounding(terms, u_gradient, rows, exact_zero)

    def shaped(term: Array) -> Array:
        classes_last = term.reshape((*rows.shape, rows.p.shape[1]))
        return np.moveaxis(classes_last, -1, 1) if input.ndim > 1 else classes_last

    return Bound(shaped(bound.total), {name: shaped(term) for name, term in bound.terms.items()})


@dataclass(frozen=True)
class _Rows:
    """The problem as R rows of C classes. Magnitudes of logits carry the factor u, so that huge ones don't overflow.

    u_shift (R, C): u (m - x). p (R, C): softmax. u_log (R, 1): u log s. u_spread (R, 1): u sum p |x - m|.
    weight (C,): float64, ones where there is none. selected (R,): not ignored. picked (R, 1): each row's class index,
    0 where ignored, None for class probabilities. probabilities (R, C): None for class indices. conversions: roundings
    of weight and target to the dtype of computation. shape: of the losses before reduction.
    """

    dtype: str
    u: float
    u_shift: Array
    p: Array
    u_log: Array
    u_spread: Array
    weight: Array
    selected: Array
    picked: Optional[Array]
    probabilities: Optional[Array]
    conversions: int
    shape: Tuple[int, ...]


class _Coefficients(NamedTuple):
    """Of l_c in each row's loss, for the K classes that may have one (K = 1, the picked class, or K = C).

    signed, size (R, K): a_c and A_c. moved (R, K): what label smoothing takes from each class, e |w_c y_c|.
    roundings: of the products in each a_c l_c.
    """

    signed: Array
    size: Array
    moved: Array
    roundings: int


def _rows(spec: CrossEntropySpec, input: Array, target: Array) -> _Rows:
    dtype = dtypes.name(input)
    u = dtypes.unit_roundoff("float64" if dtype == "float64" else "float32")
    x = _classes_last(dtypes.to_float64(input))
    top = x.max(axis=1, keepdims=True, initial=-np.inf)
    shift = top - x  # nan where both are infinite, and with it all of the row (S13); inf at a class of probability 0
    exponentials = np.exp(-shift)
    total = exponentials.sum(axis=1, keepdims=True)
    p = exponentials / total
    conversions = 0
    weight = np.ones(x.shape[1])
    if spec.weight is not None:
        weight = dtypes.to_float64(spec.weight)
        conversions += dtypes.unit_roundoff(dtypes.name(spec.weight)) < u
    picked = probabilities = None
    if dtypes.is_float(target):
        probabilities = _classes_last(dtypes.to_float64(target))
        selected = np.ones(len(x), dtype=bool)
        conversions += dtypes.unit_roundoff(dtypes.name(target)) < u
    else:
        indices = target.reshape(-1).astype(np.int64)
        selected = indices != spec.ignore_index
        picked = np.where(selected, indices, 0)[:, np.newaxis]
    return _Rows(
        dtype=dtype,
        u=u,
        u_shift=u * top - u * x,
        p=p,
        u_log=u * np.log(total),
        u_spread=u * np.where(p > 0, p * shift, 0.0).sum(axis=1, keepdims=True),
        weight=weight,
        selected=selected,
        picked=picked,
        probabilities=probabilities,
        conversions=conversions,
        shape=input.shape[:1] + input.shape[2:] if input.ndim > 1 else (),
    )


def _classes_last(array: Array) -> Array:
    """(C), (N, C) or (N, C, d1, ..., dK) as (R, C)."""
    if array.ndim == 1:
        return array[np.newaxis]
    rows = array.size // array.shape[1] if array.shape[1] else 0
    return np.moveaxis(array, 1, -1).reshape(rows, array.shape[1])


def _coefficients(spec: CrossEntropySpec, rows: _Rows, dense: bool) -> _Coefficients:
    smoothing = float(spec.label_smoothing)
    roundings = rows.conversions + (spec.weight is not None)
    if rows.probabilities is not None:
        plain, size = rows.weight * rows.probabilities, _size(rows.weight, rows.probabilities)
        roundings += 1  # the product of probability and log p
    else:
        assert rows.picked is not None  # one of the two kinds of target
        plain = np.where(rows.selected[:, np.newaxis], rows.weight[rows.picked], 0.0)
        if dense or smoothing:
            spread = np.zeros(rows.p.shape)
            np.put_along_axis(spread, rows.picked, plain, axis=1)
            plain = spread
        size = np.abs(plain)
    if not smoothing:
        return _Coefficients(plain, size, np.zeros_like(plain), roundings)
    share = np.where(rows.selected[:, np.newaxis], smoothing / rows.p.shape[1], 0.0)
    roundings += 4  # e/C: e itself and the division; the product with it; adding the smooth part to the other
    signed = (1 - smoothing) * plain + rows.weight * share
    return _Coefficients(signed, (1 - smoothing) * size + _size(rows.weight, share), smoothing * size, roundings)


def _size(one: Array, other: Array) -> Array:
    """|one * other|, never underflowing to 0, for whether a class has a coefficient decides between 0 and inf."""
    return np.where((one != 0) & (other != 0), np.maximum(np.abs(one * other), _SMALLEST), 0.0)


def _row_terms(rows: _Rows, coefficients: _Coefficients) -> Tuple[Dict[str, Array], Array, Array]:
    """Terms of each row's loss, u times the losses, and u T: arrays of shape (R,)."""
    signed, size, moved, roundings = coefficients
    u_shift, classes = rows.u_shift, rows.p.shape[1]
    if size.shape[1] < classes:
        assert rows.picked is not None  # only class indices have fewer coefficients than classes
        u_shift = np.take_along_axis(u_shift, rows.picked, axis=1)
    live = size > 0  # 0 times the inf of a class of probability 0 counts as the limit, 0 (O1)
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
    return terms, (signed * u_loss).sum(axis=1), u_size


def _divisor(spec: CrossEntropySpec, rows: _Rows) -> Tuple[float, float, float]:
    """What the reduction divides by, the relative error that a good implementation's has, and the sum of its sizes."""
    if spec.reduction != "mean":
        return 1.0, 0.0, 1.0
    if rows.picked is None or spec.weight is None:
        count = float(rows.selected.sum())
        return count, 0.0 if count * rows.u <= 1 else rows.u, count
    weights = rows.weight[rows.picked[rows.selected, 0]]
    divisor, size = float(weights.sum(dtype=np.longdouble)), float(np.abs(weights).sum())
    quantum = np.exp2(np.ceil(np.log2(size))) * rows.u if size else 1.0  # sums of multiples of it round nowhere
    if size == 0 or (weights % quantum == 0).all():
        return divisor, 0.0, size
    return divisor, len(weights) * rows.u * size / abs(divisor) if divisor else np.inf, size


def _reduced(
    spec: CrossEntropySpec, rows: _Rows, row_terms: Dict[str, Array], u_losses: Array, u_sizes: Array
) -> Tuple[Dict[str, Array], Array]:
    """Terms of the sum or the mean, and u times its value, all of shape ()."""
    losses = np.where(rows.selected, u_losses, 0.0)
    u_sum, count = losses.sum(), int(rows.selected.sum())
    terms = {name: term.sum() for name, term in row_terms.items()}
    terms["sum over rows"] = count * np.where(rows.selected, u_sizes, 0.0).sum()
    terms["underflow"] = np.asarray(count * _smallest_normal(rows))
    divisor, error, size = _divisor(spec, rows)
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


def _gradient_terms(spec: CrossEntropySpec, rows: _Rows) -> Tuple[Dict[str, Array], Array, Array]:
    """Terms, u times the gradient, and where it is exactly 0: arrays of shape (R, C)."""
    signed, size, moved, roundings = _coefficients(spec, rows, dense=True)
    u, p = rows.u, rows.p
    total = size.sum(axis=1, keepdims=True)
    u_log_p = rows.u_shift + rows.u_log
    of_log_p = rows.u_shift + 2 * rows.u_log + rows.u_spread + (p.shape[1] + 1) * u + u_log_p
    share = total * p
    gradient = signed.sum(axis=1, keepdims=True) * p - signed
    summed = 1 if rows.picked is not None and not spec.label_smoothing else p.shape[1]
    divisor, error, _ = _divisor(spec, rows)
    k = 1 / abs(divisor) if divisor else np.inf
    terms = {
        "softmax": k * np.where(p > 0, share * (of_log_p + 2 * u), 0.0),
        "coefficients": k * u * (roundings * (share + size) + moved + moved.sum(axis=1, keepdims=True) * p),
        "sum over classes": k * (summed - 1) * u * share,
        "products": 4 * k * u * (share + size),
        "weight sum": k * np.abs(gradient) * (error / (1 - error) if error < 1 else np.inf),
        "underflow": _smallest_normal(rows) * (k * (total + 1) + 1) + np.zeros_like(p),
    }
    if divisor == 0 or error >= 1:
        terms = {name: np.zeros_like(p) for name in terms}
        terms["weight sum"] += np.inf
    exact_zero = ~rows.selected[:, np.newaxis] | ((rows.u_shift == np.inf) & (size == 0)) | ~np.isfinite(rows.u_log)
    return terms, u * k * gradient, exact_zero


def _smallest_normal(rows: _Rows) -> float:
    return float(np.finfo(np.float64 if rows.dtype == "float64" else np.float32).tiny)


def _with_output_rounding(terms: Dict[str, Array], u_exact: Array, rows: _Rows, exact_zero: Array) -> Bound:
    """Adds the rounding to the output dtype, sets the bound to 0 where the answer is exact, and sums up.

    Args:
        u_exact: u times the exact answer; where it isn't finite the place is all that counts, unless a term is inf.
        exact_zero: where the answer is exactly 0, whatever the arithmetic (or the row is nan).
    """
    so_far = np.asarray(sum(terms.values()))
    _, exponent = np.frexp(np.abs(u_exact) + rows.u * np.where(np.isfinite(so_far), so_far, 0.0))
    exponent = exponent + (53 if rows.dtype == "float64" else 24)  # u times the exact answer, without the u
    half_ulp = np.maximum(ulp(rows.dtype, exponent) / 2, _SMALLEST)
    void = exact_zero | (~np.isfinite(u_exact) & ~np.isinf(so_far))
    terms = {**terms, "output rounding": half_ulp}
    terms = {name: np.where(void, 0.0, term) for name, term in terms.items()}
    return Bound(np.asarray(sum(terms.values())), terms)

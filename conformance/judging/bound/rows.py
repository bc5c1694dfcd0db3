"""What the bounds are made of: the problem as rows of classes, the coefficients of its losses, the last rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

from xent import dtypes, shapes
from xent.dtypes import Array
from xent.spec import CrossEntropySpec

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
    _, precision, lowest, highest = dtypes.FORMATS[dtype]
    return np.asarray(np.ldexp(1.0, np.clip(exponent, lowest + 1, highest + 1) - precision))


@dataclass(frozen=True)
class Rows:
    """The problem as R rows of C classes. Magnitudes of logits carry the factor u, so that huge ones don't overflow.

    u_shift (R, C): u (m - x). p (R, C): softmax. u_log (R, 1): u log s. u_spread (R, 1): u sum p |x - m|.
    weight (C,): float64, ones where there is none. selected (R,): not ignored. picked (R, 1): each row's class index,
    0 where ignored, None for class probabilities. probabilities (R, C): None for class indices. weight_roundings: those
    that a weight brings to a product, converting a wider one to the dtype of computation and the product itself.
    target_conversions: roundings of target to that dtype. shape: of the losses before reduction.
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
    weight_roundings: int
    target_conversions: int
    shape: Tuple[int, ...]


class Coefficients(NamedTuple):
    """Of l_c in each row's loss, for the K classes that may have one (K = 1, the picked class, or K = C).

    signed, size (R, K): a_c and A_c. moved (R, K): what label smoothing takes from each class, e |w_c y_c|.
    roundings: of the products in each a_c l_c.
    """

    signed: Array
    size: Array
    moved: Array
    roundings: int


def rows_of(spec: CrossEntropySpec, input: Array, target: Array) -> Rows:
    dtype = dtypes.name(input)
    u = dtypes.unit_roundoff("float64" if dtype == "float64" else "float32")
    x = shapes.rows(dtypes.to_float64(input))
    top = x.max(axis=1, keepdims=True, initial=-np.inf)
    shift = top - x  # nan where both are infinite, and with it all of the row (S13); inf at a class of probability 0
    exponentials = np.exp(-shift)
    total = exponentials.sum(axis=1, keepdims=True)
    p = exponentials / total
    weight_roundings = target_conversions = 0
    weight = np.ones(x.shape[1])
    if spec.weight is not None:
        weight = dtypes.to_float64(spec.weight)
        weight_roundings = 1 + (dtypes.unit_roundoff(dtypes.name(spec.weight)) < u)
    picked = probabilities = None
    if dtypes.is_float(target):
        probabilities = shapes.rows(dtypes.to_float64(target))
        selected = np.ones(len(x), dtype=bool)
        target_conversions = int(dtypes.unit_roundoff(dtypes.name(target)) < u)
    else:
        indices = target.reshape(-1).astype(np.int64)
        selected = indices != spec.ignore_index
        picked = np.where(selected, indices, 0)[:, np.newaxis]
    return Rows(
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
        weight_roundings=weight_roundings,
        target_conversions=target_conversions,
        shape=shapes.places(input.shape),
    )


def coefficients_of(spec: CrossEntropySpec, rows: Rows, dense: bool) -> Coefficients:
    smoothing = float(spec.label_smoothing)
    roundings = rows.weight_roundings + rows.target_conversions
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
        return Coefficients(plain, size, np.zeros_like(plain), roundings)
    share = np.where(rows.selected[:, np.newaxis], smoothing / rows.p.shape[1], 0.0)
    roundings += 4  # e/C: e itself and the division; the product with it; adding the smooth part to the other
    signed = (1 - smoothing) * plain + rows.weight * share
    return Coefficients(signed, (1 - smoothing) * size + _size(rows.weight, share), smoothing * size, roundings)


def counting(size: Array, signed: Array, u_shift: Array) -> Array:
    """Which coefficients have a share in the loss: 0 times the inf of a class of probability 0 counts as the limit, 0
    (O1), also where a smoothed probability cancels to 0."""
    return np.asarray((size > 0) & ((signed != 0) | np.isfinite(u_shift)))


def _size(one: Array, other: Array) -> Array:
    """|one * other|, never underflowing to 0, for whether a class has a coefficient decides between 0 and inf."""
    return np.where((one != 0) & (other != 0), np.maximum(np.abs(one * other), _SMALLEST), 0.0)


def divisor_of(spec: CrossEntropySpec, rows: Rows) -> Tuple[float, float, float]:
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


def smallest_normal(rows: Rows) -> float:
    return float(np.finfo(np.float64 if rows.dtype == "float64" else np.float32).tiny)


def with_output_rounding(terms: Dict[str, Array], u_exact: Array, rows: Rows, exact_zero: Array, dtype: str) -> Bound:
    """Adds the rounding to the output dtype, sets the bound to 0 where the answer is exact, and sums up.

    Args:
        u_exact: u times the exact answer; where it isn't finite the place is all that counts, unless a term is inf.
        exact_zero: where the answer is exactly 0, whatever the arithmetic (or the row is nan).
        dtype: the output's.
    """
    so_far = np.asarray(sum(terms.values()))
    _, exponent = np.frexp(np.abs(u_exact) + rows.u * np.where(np.isfinite(so_far), so_far, 0.0))
    exponent = exponent + (53 if rows.dtype == "float64" else 24)  # u times the exact answer, without the u
    half_ulp = np.maximum(ulp(dtype, exponent) / 2, _SMALLEST)
    void = exact_zero | (~np.isfinite(u_exact) & ~np.isinf(so_far))
    terms = {**terms, "output rounding": half_ulp}
    terms = {name: np.where(void, 0.0, term) for name, term in terms.items()}
    return Bound(np.asarray(sum(terms.values())), terms)

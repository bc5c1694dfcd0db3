"""The bounds of the gradients by target and weight: careful implementations keep within them, and they aren't idle."""

from __future__ import annotations

import math
from typing import Any, List, Tuple

import numpy as np
import pytest
from careful_gradients import LOG_SOFTMAX, REGIMES, SUMS, draws

import xent.reference
from xent import dtypes
from xent.conformance.judging.bound import (
    Bound,
    gradient_bound,
    target_gradient_bound,
    value_bound,
    weight_gradient_bound,
)
from xent.spec import CrossEntropySpec

Array = Any
U = 2.0**-24
IDLE = 50
"""No regime's worst real error lies further below its bound than by this factor."""


def _in_bounds(got: Array, exact: Array, bound: Bound, dtype: str) -> Array:
    """Errors in bounds where the exact answer is finite and determined; a nan there is infinitely wrong."""
    with np.errstate(all="ignore"):
        rounded = dtypes.to_float64(dtypes.from_float64(got.astype(np.float64), dtype))
        error = np.abs(rounded - exact)
        fair = np.isfinite(exact.astype(np.float64)) & np.isfinite(bound.total)
        ratio = np.where(error == 0, 0, np.where(np.isnan(error), np.inf, error / bound.total))[fair]
    return np.asarray(ratio, dtype=np.float64)


@pytest.mark.filterwarnings("ignore")  # probabilities outside [0, 1] (S7)
@pytest.mark.parametrize("regime", REGIMES)
def test_careful_implementations_keep_within_the_bounds_and_use_them(regime: str) -> None:
    worst = {"target": 0.0, "weight": 0.0}
    for call in draws(regime, REGIMES.index(regime)):
        spec, x, target = call.spec, call.x, call.target
        soft = dtypes.is_float(target)
        exact = xent.reference.exact(spec, x, target, False, ("target", "weight") if soft else ("weight",)).gradients
        bounds = {"weight": weight_gradient_bound(spec, x, target)}
        if soft:
            bounds["target"] = target_gradient_bound(spec, x, target)
        for wide, apart in ((False, True), (False, False), (True, True)):
            for log_softmax in LOG_SOFTMAX:
                for sums in SUMS:
                    found = dict(zip(("target", "weight"), call.computed(log_softmax, sums, wide, apart), strict=True))
                    for part, bound in bounds.items():
                        ratios = _in_bounds(found[part], exact[part], bound, dtypes.name(x))
                        largest = float(ratios.max(initial=0.0))
                        assert largest <= 1, (regime, part, log_softmax, sums, wide, apart, largest, spec, x, target)
                        if not wide:
                            worst[part] = max(worst[part], largest)
    print(f"{regime}: {worst}")
    assert min(worst.values()) > 1 / IDLE, worst


# The formulas by hand


def _of_log_p(row: List[float], c: int) -> Tuple[float, float]:
    """B_c and l_c of one row, in plain Python."""
    top = max(row)
    total = sum(math.exp(v - top) for v in row)
    loss = top - row[c] + math.log(total)
    spread = sum(math.exp(v - top) / total * (top - v) for v in row)
    return U * (top - row[c] + 2 * math.log(total) + spread + (len(row) - 1) + 2 + loss), loss


ROWS = [[3.0, -1.0, 0.5], [0.0, 1.0, 2.0]]
X = np.array(ROWS, np.float32)
WEIGHT = np.array([0.5, -2.0, 3.0], np.float32)


def test_the_gradient_by_target_by_hand() -> None:
    soft, e = np.full((2, 3), 0.25, np.float32), 0.125
    found = target_gradient_bound(CrossEntropySpec(WEIGHT, label_smoothing=e), X, soft)
    for n, row in enumerate(ROWS):
        for c in range(3):
            error, loss = _of_log_p(row, c)
            size = abs(float(WEIGHT[c]))
            # B_c; the weight's product, 1 - e and its product; e itself; two products with 1/N
            wanted = (size * (1 - e) * (error + (3 + 2) * U * loss) + U * e * size * loss) / 2
            half_ulp = np.spacing(np.float32(size * (1 - e) * loss / 2)) / 2
            assert found.total[n, c] == pytest.approx(wanted + half_ulp, rel=1e-6)


def test_the_gradient_by_weight_by_hand() -> None:
    found = weight_gradient_bound(CrossEntropySpec(WEIGHT, reduction="sum"), X, np.array([1, 1])).total
    (one, first), (other, second) = _of_log_p(ROWS[0], 1), _of_log_p(ROWS[1], 1)
    half_ulp = np.spacing(np.float32(first + second)) / 2
    assert found.tolist() == pytest.approx([0, one + other + 2 * U * (first + second) + half_ulp, 0], rel=1e-6)


def test_the_gradient_of_a_weighted_mean_carries_the_error_of_the_mean() -> None:
    spec, target = CrossEntropySpec(np.array([0.5, 2.0, 4.0], np.float32)), np.array([1, 2])
    found = weight_gradient_bound(spec, X, target)
    mean = value_bound(spec, X, target)
    losses = [_of_log_p(ROWS[0], 1), _of_log_p(ROWS[1], 2)]
    value = (2 * losses[0][1] + 4 * losses[1][1]) / 6
    of_mean = float(mean.total - mean.terms["output rounding"])
    for c, (error, loss) in zip((1, 2), losses, strict=True):
        wanted = (error + of_mean + (1 + 4) * U * (loss + value)) / 6
        assert found.total[c] == pytest.approx(wanted + found.terms["output rounding"][c], rel=1e-6)
    assert found.total[0] == 0


# What both share with the other bounds


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 3, 1, 5), (0, 3), (2, 3, 0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_shapes_and_terms(reduction: str, shape: Tuple[int, ...], smoothing: float) -> None:
    rng = np.random.default_rng(1)
    x, soft = rng.standard_normal(shape).astype(np.float32), rng.random(shape).astype(np.float32)
    places = shape[:1] + shape[2:] if len(shape) > 1 else ()
    spec = CrossEntropySpec(WEIGHT, reduction=reduction, label_smoothing=smoothing)
    for found, expected in (
        (target_gradient_bound(spec, x, soft), shape),
        (weight_gradient_bound(spec, x, soft), (3,)),
        (weight_gradient_bound(spec, x, np.asarray(rng.integers(0, 3, places))), (3,)),
    ):
        assert found.total.shape == expected
        assert found.total.dtype == np.float64
        assert all(term.shape == expected and (term >= 0).all() for term in found.terms.values())
        total = sum(found.terms.values())
        assert np.allclose(total, found.total, rtol=1e-14, atol=0)


def test_each_place_has_its_own_bound() -> None:
    """Classes on axis 1: a wrong layout of rows would mix the places."""
    x = np.zeros((2, 3, 4), np.float32)
    x[1, 2, 3] = 50
    found = target_gradient_bound(CrossEntropySpec(reduction="none"), x, np.full(x.shape, 0.5, np.float32)).total
    assert found[1, 0, 3] > found[0, 0, 0]
    assert (np.delete(found, 1, axis=0) == found[0, 0, 0]).all()
    assert (found[1, :, :3] == found[0, 0, 0]).all()


def test_the_output_is_rounded_to_the_dtype_of_what_it_is_the_gradient_of() -> None:
    x = np.zeros((1, 3), np.float32)  # log 3 = 1.0986
    spec = CrossEntropySpec(np.ones(3, np.float16), reduction="sum")
    soft = dtypes.from_float64(np.ones((1, 3)), "bfloat16")
    assert target_gradient_bound(spec, x, soft).terms["output rounding"].tolist() == [[2.0**-8] * 3]
    assert weight_gradient_bound(spec, x, soft).terms["output rounding"].tolist() == [2.0**-11] * 3
    wide = CrossEntropySpec(np.ones(3), reduction="sum")
    assert weight_gradient_bound(wide, x, soft).terms["output rounding"].tolist() == [2.0**-53] * 3


def test_what_no_arithmetic_changes_is_exact() -> None:
    soft = np.full((2, 3), 0.5, np.float32)
    unweighted = CrossEntropySpec(np.array([0, 1, 1], np.float32), reduction="sum")
    assert (target_gradient_bound(unweighted, X, soft).total > 0).tolist() == [[False, True, True]] * 2
    assert not target_gradient_bound(CrossEntropySpec(label_smoothing=1.0), X, soft).total.any()
    spec = CrossEntropySpec(WEIGHT, reduction="sum")
    assert (weight_gradient_bound(spec, X, np.array([1, -100])).total > 0).tolist() == [False, True, False]
    assert not weight_gradient_bound(spec, X, np.array([-100, -100])).total.any()


def test_the_mean_of_nothing_leaves_its_gradient_by_weight_undetermined() -> None:
    spec = CrossEntropySpec(WEIGHT)
    assert (weight_gradient_bound(spec, X, np.array([-100, -100])).total == np.inf).all()
    assert (weight_gradient_bound(spec, X[:0], np.zeros(0, int)).total == np.inf).all()
    unselected = CrossEntropySpec(np.array([0, 1, 1], np.float32))
    assert (weight_gradient_bound(unselected, X, np.array([0, 0])).total == np.inf).all()


def test_infinite_and_nan_answers_are_a_matter_of_place() -> None:
    x = np.array([[-np.inf, 0.0, 1.0], [np.nan, 0.0, 1.0]], np.float32)
    soft = np.full((2, 3), 0.5, np.float32)
    found = target_gradient_bound(CrossEntropySpec(WEIGHT), x, soft).total
    assert found[0, 0] == 0
    assert (found[0, 1:] > 0).all()
    assert not found[1].any()
    for target in (soft[:1], np.array([0])):
        assert weight_gradient_bound(CrossEntropySpec(WEIGHT, reduction="sum"), x[:1], target).total[0] == 0
    assert not weight_gradient_bound(CrossEntropySpec(WEIGHT), x[:1], np.array([0])).total.any()


@pytest.mark.filterwarnings("ignore")  # a probability of -1 (S7)
def test_a_smoothed_probability_that_cancels_to_0_takes_minus_infinity_out() -> None:
    x, soft = np.array([[0.0, 0.0, -np.inf]], np.float32), np.array([[0.0, 0.0, -1.0]], np.float32)
    spec = CrossEntropySpec(WEIGHT, reduction="none", label_smoothing=0.75)  # 0.25 * -1 + 0.75 / 3
    assert np.isfinite(xent.reference.value(spec, x, soft)).all()
    assert 0 < value_bound(spec, x, soft).total[0] < 1e-6
    assert (weight_gradient_bound(spec, x, soft).total > 0).tolist() == [True, True, True]


def test_weights_that_cancel_leave_the_gradient_of_the_mean_undetermined() -> None:
    x, target = np.array([[0, 1, 2], [0, 1, 2], [0, 1, 2]], np.float32), np.array([0, 1, 2])
    for weights in ([0.1, 0.2, -0.3], [1, 2, -3]):
        spec = CrossEntropySpec(np.array(weights, np.float32))
        assert (weight_gradient_bound(spec, x, target).total == np.inf).all()


def test_huge_logits_keep_a_finite_bound() -> None:
    for dtype, size in (("float64", 1.7e308), ("float32", 3e38)):
        x = dtypes.from_float64([[size, -size, 0.0]], dtype)
        soft, weight = np.array([[0.5, 0.25, 0.25]], x.dtype), np.full(3, 0.25, x.dtype)
        spec = CrossEntropySpec(weight)
        assert (target_gradient_bound(spec, x, soft).total < size).all()
        assert (weight_gradient_bound(spec, x, soft).total < size).all()


def test_ignored_rows_that_are_nan_count_nothing() -> None:
    x = np.array([[np.nan, 3, 1], [4, 5, 0]], np.float32)
    spec = CrossEntropySpec(np.array([1, 2, 0.5], np.float32))
    alone = weight_gradient_bound(spec, x[1:], np.array([1])).total
    assert weight_gradient_bound(spec, x, np.array([-100, 1])).total.tolist() == alone.tolist()
    assert (gradient_bound(spec, x, np.array([-100, 1])).total[0] == 0).all()

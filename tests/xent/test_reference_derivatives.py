"""The oracle's gradients with respect to class probabilities and weight, and where they have none."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from reference_cases import W, X, Y, f32, of, same

from xent import dtypes, reference
from xent.errors import SpecTypeError, XentWarning
from xent.spec import CrossEntropySpec as Spec

INF, NAN = math.inf, math.nan


# Derivatives with respect to target and weight


def difference(compute: object, at: np.ndarray) -> np.ndarray:
    """Central differences of a scalar function of a float64 array."""
    found = np.zeros_like(at)
    for i in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[i] = 1e-5
        found[i] = (compute(at + step) - compute(at - step)) / 2e-5  # type: ignore[operator]  # a callable
    return found


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradients_are_the_derivatives(reduction: str, smoothing: float) -> None:
    x, w, p = X.astype(np.float64), W.astype(np.float64), np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1]])

    def loss(x: np.ndarray, w: np.ndarray, y: np.ndarray) -> float:
        return float(reference.value(Spec(w, 2, reduction, smoothing) if y is Y else spec(w), x, y).sum())

    def spec(w: np.ndarray) -> Spec:
        return Spec(w, -100, reduction, smoothing)

    assert np.allclose(reference.gradient(spec(w), x, p), difference(lambda v: loss(v, w, p), x), atol=1e-9)
    assert np.allclose(reference.gradient_target(spec(w), x, p), difference(lambda v: loss(x, w, v), p), atol=1e-9)
    assert np.allclose(reference.gradient_weight(spec(w), x, p), difference(lambda v: loss(x, v, p), w), atol=1e-9)
    ignoring = Spec(w, 2, reduction, smoothing)
    assert np.allclose(reference.gradient(ignoring, x, Y), difference(lambda v: loss(v, w, Y), x), atol=1e-9)
    assert np.allclose(reference.gradient_weight(ignoring, x, Y), difference(lambda v: loss(x, v, Y), w), atol=1e-9)


def test_gradients_have_the_dtype_of_what_they_are_gradients_of() -> None:
    p = of("bfloat16", np.full((3, 3), 0.25))
    assert dtypes.name(reference.gradient_target(Spec(W), X, p)) == "bfloat16"
    assert dtypes.name(reference.gradient_weight(Spec(W.astype(np.float16)), X, p)) == "float16"


def test_gradients_of_what_has_none_are_refused() -> None:
    with pytest.raises(SpecTypeError, match="class indices"):
        reference.gradient_target(Spec(), X, Y)
    with pytest.raises(SpecTypeError, match="weight is None"):
        reference.gradient_weight(Spec(), X, Y)


def test_gradient_target_at_a_closed_class_is_infinite_unless_its_weight_is_0() -> None:
    x, p = f32([[-INF, 0, 0], [-INF, 0, NAN]]), f32([[0, 1, 0], [0, 1, 0]])
    got = reference.gradient_target(Spec(reduction="sum"), x, p)
    assert same(got[0], [INF, np.float32(math.log(2)), np.float32(math.log(2))])
    assert np.isnan(got[1]).all()
    assert reference.gradient_target(Spec(f32([0, 1, 1]), reduction="sum"), x, p)[0, 0] == 0


def test_gradient_weight_beside_a_closed_class_that_no_target_puts_weight_on() -> None:
    x, y = np.array([[1, 0, 0.5], [-INF, 0, 1]]), np.array([0, 1])
    got = reference.gradient_weight(Spec(np.array([1.0, 0, 0])), x, y)
    # The mean is row 0's loss whatever its own weight; row 1 would add (its loss less the mean) a unit of weight.
    losses = np.log(np.exp([1, 0, 0.5]).sum()) - 1, np.log1p(math.e)
    assert got[[0, 2]].tolist() == [0, 0]
    assert math.isclose(got[1], losses[1] - losses[0], rel_tol=1e-15)


def test_gradient_weight_of_a_closed_class_is_infinite_where_a_target_puts_weight_on_it() -> None:
    x, y = np.array([[-INF, 0.0], [0, 0]]), np.array([0, 1])
    assert same(reference.gradient_weight(Spec(np.array([0.0, 1])), x, y), [INF, 0])  # the mean is log 2, of row 1
    assert same(reference.gradient_weight(Spec(np.array([0.0, 1]), reduction="sum"), x, y), [INF, math.log(2)])
    smooth = Spec(np.array([0.0, 1]), label_smoothing=0.5)
    assert reference.gradient_weight(smooth, x, np.array([1, 1]))[0] == INF


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_zero_is_negative(reduction: str) -> None:
    """Divided by a negative sum of weights, times a negative weight, and underflowed from below."""
    x, p = np.array([[3.0, -INF, 0], [-INF, 1, 200]]), np.array([[1.0, 0, 0], [0, 0, 1]])
    for y in (p, np.array([0, 2]), np.array([0, -100])):
        for weight in ([-1.0, -2, -0.5], [-1.0, 0, 0], [1.0, -1, 1]):
            for dtype in (np.float64, np.float16):
                spec, logits = Spec(np.array(weight, dtype), reduction=reduction), x.astype(dtype)
                found = [reference.value(spec, logits, y), reference.gradient(spec, logits, y)]
                found += [reference.gradient_weight(spec, logits, y)]
                found += [reference.gradient_target(spec, logits, y.astype(dtype))] if y is p else []
                for array in found:
                    assert not np.signbit(array[array == 0]).any(), (spec, array)


def test_the_mean_over_one_row_does_not_depend_on_its_weight() -> None:
    assert same(reference.gradient_weight(Spec(W), X[:1], Y[:1]), [0, 0, 0])


def test_nan_and_infinite_probabilities_propagate() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XentWarning)
        got = reference.value(Spec(reduction="none"), X, f32([[NAN, 0, 0], [INF, 0, 0], [1, 0, 0]]))
    assert np.isnan(got[0])
    assert got[1] == INF
    assert np.isfinite(got[2])

"""The oracle rounds once, knows its error bounds, and says so exactly."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from reference_cases import W, X, Y, f32, same

from xent import dtypes, reference
from xent.errors import SpecError, SpecTypeError, XentWarning
from xent.reference import rows
from xent.reference.bounds import Approximation, compensated, long_double, pairwise, total
from xent.reference.problem import Problem
from xent.reference.rounding import nearest, nearest_float, rounded
from xent.spec import CrossEntropySpec as Spec

INF, NAN = math.inf, math.nan


# One rounding


def test_a_tie_is_broken_by_what_lies_far_below_it() -> None:
    # 16777217 + exp(-16777217): float32 has 16777216 and 16777218.
    assert same(reference.value(Spec(), f32([16777216, -1]), np.array(1)), 16777218)
    weight = np.array([1 + 2.0**-24, 1.0])  # a gradient of -weight + exp(-200): just above the tie
    assert same(reference.gradient(Spec(weight, reduction="sum"), f32([0, 200]), np.array(0))[0], -1)
    weight = np.array([1 + 3 * 2.0**-24, 1.0])  # the tie itself would go to -1 - 2^-22
    got = reference.gradient(Spec(weight, reduction="sum"), f32([0, 200]), np.array(0))[0]
    assert same(got, -1 - 2.0**-23)
    weight = np.array([2 + 2.0**-22, 1.0, 1.0])  # weight * (1/2 - exp(-1e30) - 1), with two largest logits
    got = reference.gradient(Spec(weight, reduction="sum"), f32([1e30, 1e30, 0]), np.array(0))[0]
    assert same(got, -1 - 2.0**-23)
    weight = np.array([2 + 2.0**-23, 1.0, 1.0])  # the same on a tie: away from 1, since p is a little less than 1/2
    got = reference.gradient(Spec(weight, reduction="sum"), f32([1e30, 1e30, 0]), np.array(0))[0]
    assert same(got, -1 - 2.0**-23)


def test_exact_results_do_not_search_for_ever() -> None:
    assert same(reference.value(Spec(), np.ones((4, 1)), np.zeros(4, int)), 0)
    assert same(reference.gradient(Spec(), np.ones((4, 1)), np.zeros(4, int)), np.zeros((4, 1)))
    uniform = np.full((2, 4), 0.25)
    assert same(reference.gradient(Spec(), np.zeros((2, 4)), uniform), np.zeros((2, 4)))
    x = np.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])  # losses that cancel: 3 + L - (2 + L), and 3 + L - (3 + L)
    assert same(reference.value(Spec(np.array([1.0, -1, 1]), reduction="sum"), x, np.array([0, 1])), 1)
    with pytest.warns(XentWarning):
        assert same(reference.value(Spec(reduction="sum"), x, np.array([[1.0, 0, 0], [-1.0, 0, 0]])), 0)


@pytest.mark.parametrize("name", dtypes.FLOATS)
def test_long_doubles_and_fractions_round_once_to_nearest_even(name: str) -> None:
    rng = np.random.default_rng(3)
    numbers = np.concatenate(
        [rng.normal(size=300), 2.0 ** rng.integers(-160, 130, 300), 2.0 ** -rng.integers(130, 1074, 99)]
    )
    coarse = dtypes.to_float64(dtypes.from_float64(numbers, name)).astype(np.longdouble)
    with np.errstate(over="ignore"):
        ends = np.nextafter(coarse.astype(np.float64), np.inf) if name == "float64" else None
    halves = coarse * (1 + np.longdouble(dtypes.unit_roundoff(name)))  # ties, and their neighbours in long double
    if ends is not None:
        halves = (coarse + ends) / 2
    for values in (numbers.astype(np.longdouble), halves, np.nextafter(halves, np.inf), np.nextafter(halves, -np.inf)):
        near = dtypes.to_float64(nearest(values, name))
        for value, got in zip(values[np.isfinite(values)], near[np.isfinite(values)], strict=True):
            assert got == nearest_float(fraction(value), name), (name, value)


def fraction(number: np.longdouble) -> Fraction:
    """A long double exactly (80 bits at most): its two halves as floats, far from float64's ends."""
    part, exponent = np.frexp(number)
    high = float(part)
    return (Fraction(high) + Fraction(float(part - high))) * Fraction(2) ** int(exponent)


def test_fractions_round_to_subnormals_and_infinity() -> None:
    assert nearest_float(Fraction(3, 2**26), "float16") == 2.0**-24  # 0.75 of the smallest
    assert nearest_float(Fraction(1, 2**25), "float16") == 0  # half of it: even
    assert nearest_float(Fraction(-65520), "float16") == -INF
    assert nearest_float(Fraction(65519), "float16") == 65504
    assert nearest_float(Fraction(10) ** 400, "float64") == INF
    assert nearest_float(Fraction(1, 10**400), "float64") == 0
    assert nearest_float(Fraction(1, 3), "float64") == 1 / 3


def test_a_bound_that_spans_a_boundary_is_not_certain() -> None:
    tie = np.array([1 + 2.0**-24, 1 + 2.0**-30], dtype=np.longdouble)
    _, certain = rounded(Approximation(tie, np.full(2, 1e-18, dtype=np.longdouble)), "float32")
    assert certain.tolist() == [False, True]


# Bounds


def test_error_bounds_hold_and_are_not_idle() -> None:
    rng = np.random.default_rng(5)
    largest = 0.0
    for _ in range(40):
        x = rng.normal(size=(3, 6)) * rng.choice([1, 10, 100])
        p = rng.dirichlet(np.ones(6), 3)
        problem = Problem.of(Spec(rng.uniform(-1, 2, 6), label_smoothing=0.1), x, p)
        chunk = rows.softmax(problem, slice(0, 3))
        a = rows.coefficients(problem, slice(0, 3), problem.weight)
        loss, slope = total(rows.weighed(chunk, a)), rows.gradients(chunk, a)
        with mpmath.workprec(800):
            for n in range(3):
                row = [mpmath.mpf(v) for v in x[n].tolist()]
                whole = mpmath.log(mpmath.fsum(map(mpmath.exp, row)))
                e = mpmath.mpf(0.1)
                exact = [(1 - e) * mpmath.mpf(v) + e / 6 for v in p[n].tolist()]
                exact = [mpmath.mpf(w) * v for w, v in zip(problem.weight.tolist(), exact, strict=True)]
                pairs = [(loss.value[n], loss.error[n], sum(v * (whole - z) for v, z in zip(exact, row, strict=True)))]
                for j in range(6):
                    pairs.append(
                        (slope.value[j, n], slope.error[j, n], sum(exact) * mpmath.exp(row[j] - whole) - exact[j])
                    )
                for got, bound, true in pairs:
                    high = float(got)
                    off = abs(mpmath.mpf(high) + mpmath.mpf(float(got - high)) - true)
                    assert off <= float(bound)
                    largest = max(largest, float(off / float(bound)))
    assert 0.01 < largest <= 1


def test_sums_know_what_they_lose() -> None:
    rng = np.random.default_rng(7)
    for size in (1, 2, 3, 7, 100):
        terms = (rng.normal(size=size) * 10.0 ** rng.integers(-12, 12, size)).astype(np.longdouble)
        exact = sum((Fraction(float(v)) for v in terms.tolist()), Fraction(0))
        found = compensated(terms[:, None])
        off = abs(exact - Fraction(float(found.high[0])) - Fraction(float(found.high[0] - float(found.high[0]))))
        low = Fraction(float(found.low[0]))
        assert abs(off - abs(low)) <= Fraction(float(found.error[0])) + abs(low) / 2**52
        assert abs(float(pairwise(terms)) - float(exact)) <= 1e-15 * float(np.abs(terms).sum())
    assert compensated(np.eye(5, dtype=np.longdouble)).error.tolist() == [0] * 5
    assert float(long_double(Fraction(1, 3))) == 1 / 3
    assert long_double(Fraction(10) ** 300 / 3).astype(float) == 1e300 / 3


# exact


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_exact_is_what_value_and_gradient_round(reduction: str) -> None:
    spec = Spec(W, reduction=reduction, label_smoothing=0.1)
    found = reference.exact(spec, X, Y, True)
    assert found.value.dtype == np.longdouble
    assert found.gradient is not None
    assert same(found.value.astype(np.float32), reference.value(spec, X, Y))
    assert same(found.gradient.astype(np.float32), reference.gradient(spec, X, Y))
    assert reference.exact(spec, X, Y, False).gradient is None
    deep, labels = np.zeros((2, 3, 2, 2), np.float32), np.zeros((2, 2, 2), int)
    assert reference.exact(spec, deep, labels, True).gradient.shape == deep.shape  # type: ignore[union-attr]  # given


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_exact_has_the_gradients_of_target_and_weight_too(reduction: str) -> None:
    spec, deep = Spec(W, reduction=reduction, label_smoothing=0.1), np.ones((2, 3, 4), np.float32)
    soft = f32(np.full((2, 3, 4), 0.25))
    found = reference.exact(spec, deep, soft, False, ("target", "weight")).gradients
    assert found["target"].shape == deep.shape
    assert same(found["target"].astype(np.float32), reference.gradient_target(spec, deep, soft))
    assert same(found["weight"].astype(np.float32), reference.gradient_weight(spec, deep, soft))
    assert reference.exact(spec, X, Y, True).gradients == {}
    with pytest.raises(SpecTypeError, match="class indices"):
        reference.exact(spec, X, Y, True, ("target",))
    with pytest.raises(SpecTypeError, match="weight is None"):
        reference.exact(Spec(), X, Y, True, ("weight",))


def test_exact_of_nothing_selected_and_of_no_rows() -> None:
    found = reference.exact(Spec(), X, np.full(3, -100), True)
    assert np.isnan(found.value)
    assert not found.gradient.any()  # type: ignore[union-attr]  # given
    assert reference.exact(Spec(), np.zeros((0, 3), np.float32), np.zeros(0, int), True).gradient is not None


def test_refusals_come_from_the_spec() -> None:
    for compute in (reference.value, reference.gradient):
        with pytest.raises(SpecError):
            compute(Spec(W[:2]), X, Y)
    with pytest.raises(SpecError):
        reference.exact(Spec(W[:2]), X, Y, False)


def test_mpmath_is_imported_only_in_doubt() -> None:
    import subprocess
    import sys
    from pathlib import Path

    script = (
        "import sys, numpy as np; from xent import reference as r; from xent.spec import CrossEntropySpec as S\n"
        "x = np.arange(6, dtype='f4').reshape(2, 3); r.gradient(S(), x, np.zeros(2, int))\n"
        "print('mpmath' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_beyond_the_budget_the_long_double_result_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    from xent.reference import oracle

    x = np.random.default_rng(0).normal(size=(400, 5)) * 3
    y = np.zeros(400, int)
    best = (
        reference.value(Spec(reduction="none"), x, y),
        reference.gradient(Spec(), x, y),
        reference.value(Spec(), x, y),
    )
    monkeypatch.setattr(oracle, "BUDGET", 0)
    monkeypatch.setattr(oracle, "PreciseRow", None)  # would raise
    near = (
        reference.value(Spec(reduction="none"), x, y),
        reference.gradient(Spec(), x, y),
        reference.value(Spec(), x, y),
    )
    for a, b in zip(best, near, strict=True):
        assert (np.abs(a - b) <= np.spacing(np.abs(a))).all()

"""xent.reference rule by rule: S9 to S14 and the open points O1 and O2, on cases with a known answer."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from xent import dtypes, reference
from xent.errors import SpecError, SpecIndexError, SpecTypeError, SpecValueError, XentWarning
from xent.reference import rows
from xent.reference.bounds import Approximation, compensated, long_double, pairwise, total
from xent.reference.problem import Problem
from xent.reference.rounding import nearest, nearest_float, rounded
from xent.spec import CrossEntropySpec as Spec

INF, NAN = math.inf, math.nan
STRUCTURED = np.dtype([("bfloat16", "<u2")])


def f32(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def of(name: str, values: object) -> np.ndarray:
    return dtypes.from_float64(np.asarray(values, dtype=np.float64), name)


def same(got: np.ndarray, wanted: object) -> bool:
    numbers, expected = dtypes.to_float64(got), np.asarray(wanted, dtype=np.float64)
    return numbers.shape == expected.shape and np.array_equal(numbers, expected, equal_nan=True)


X = f32([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [3.0, 1.0, -2.0]])
Y = np.array([0, 2, 1])
LOGP = X.astype(float) - np.log(np.exp(X.astype(float)).sum(axis=1, keepdims=True))
W = f32([0.5, 2.0, 3.0])


# S9


def test_s9_indices_none_is_minus_weighted_log_p() -> None:
    got = reference.value(Spec(W, reduction="none"), X, Y)
    assert np.allclose(got, -W[Y] * LOGP[np.arange(3), Y], rtol=1e-7, atol=0)


def test_s9_mean_divides_by_the_weights_of_the_selected_rows() -> None:
    got = reference.value(Spec(W, ignore_index=2), X, Y)  # row 1 is ignored
    wanted = -(W[0] * LOGP[0, 0] + W[1] * LOGP[2, 1]) / (W[0] + W[1])
    assert math.isclose(got, wanted, rel_tol=1e-7)


def test_s9_equal_logits_give_log_c_whatever_the_weights() -> None:
    assert same(reference.value(Spec(W), np.zeros((3, 3), np.float32), Y), np.float32(math.log(3)))


def test_s9_negative_weights_are_weights() -> None:
    assert same(reference.value(Spec(-W), X, Y), reference.value(Spec(W), X, Y))
    assert same(reference.value(Spec(-W, reduction="sum"), X, Y), -reference.value(Spec(W, reduction="sum"), X, Y))


def test_s9_ignore_index_may_be_a_class() -> None:
    got = reference.value(Spec(ignore_index=0, reduction="none"), X, Y)
    assert got[0] == 0
    assert (got[1:] > 0).all()


@pytest.mark.parametrize("name", dtypes.INTEGERS)
def test_s9_every_integer_dtype_holds_class_indices(name: str) -> None:
    assert same(reference.value(Spec(), X, Y.astype(name)), reference.value(Spec(), X, Y))


def test_s6_uint64_beyond_int64_is_refused_and_does_not_wrap_to_ignore_index() -> None:
    target = np.array([0, 2**64 - 100, 1], dtype=np.uint64)
    with pytest.raises(SpecIndexError):
        reference.value(Spec(), X, target)


# S10


def test_s10_probabilities_mean_divides_by_rows_never_by_weights() -> None:
    p = f32([[0.2, 0.3, 0.5]] * 3)
    whole = -(W * LOGP * p).sum()
    assert math.isclose(reference.value(Spec(W), X, p), whole / 3, rel_tol=1e-7)
    assert math.isclose(reference.value(Spec(W), X[0], p[0]), -(W * LOGP * p)[0].sum(), rel_tol=1e-7)
    deep, target = np.zeros((2, 3, 4, 5), np.float32), np.full((2, 3, 4, 5), 1.0, np.float32)
    assert same(reference.value(Spec(), deep, target), np.float32(3 * math.log(3)))


def test_s10_probabilities_outside_0_1_warn_and_count() -> None:
    with pytest.warns(XentWarning):
        got = reference.value(Spec(), np.zeros(2, np.float32), f32([-1, 3]))
    assert same(got, np.float32(2 * math.log(2)))


# S11


def test_s11_indices_smooth_part() -> None:
    e = 0.1
    each = -(1 - e) * W[Y] * LOGP[np.arange(3), Y] + (e / 3) * (-W * LOGP).sum(axis=1)
    assert np.allclose(reference.value(Spec(W, reduction="none", label_smoothing=e), X, Y), each, rtol=2e-7)
    kept = [0, 2]
    got = reference.value(Spec(W, ignore_index=2, label_smoothing=e), X, Y)
    assert math.isclose(got, each[kept].sum() / W[Y[kept]].sum(), rel_tol=1e-7)


def test_s11_label_smoothing_1_forgets_the_label() -> None:
    spec = Spec(reduction="none", label_smoothing=1.0)
    assert same(reference.value(spec, X, Y), reference.value(spec, X, Y[::-1]))


def test_s11_smoothed_one_hot_probabilities_equal_smoothed_indices() -> None:
    spec = Spec(reduction="sum", label_smoothing=0.3)
    assert same(reference.value(spec, X, np.eye(3, dtype=np.float32)[Y]), reference.value(spec, X, Y))


# S12


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_s12_nothing_selected(smoothing: float) -> None:
    ignored = np.full(3, -100)
    bad = f32([[NAN, 0, 0], [INF, 0, 0], [-INF, -INF, -INF]])
    for x in (X, bad):
        assert np.isnan(reference.value(Spec(label_smoothing=smoothing), x, ignored))
        assert same(reference.value(Spec(reduction="sum", label_smoothing=smoothing), x, ignored), 0)
        assert same(reference.value(Spec(reduction="none", label_smoothing=smoothing), x, ignored), [0, 0, 0])
        for reduction in ("none", "mean", "sum"):
            spec = Spec(reduction=reduction, label_smoothing=smoothing)
            assert same(reference.gradient(spec, x, ignored), np.zeros((3, 3)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_s12_every_selected_weight_0(smoothing: float) -> None:
    spec = Spec(f32([0, 0, 1]), label_smoothing=smoothing)
    target = np.array([0, 1, -100])
    assert np.isnan(reference.value(spec, X, target))
    assert same(reference.gradient(spec, X, target), [[NAN] * 3, [NAN] * 3, [0] * 3])


def test_s12_cancelling_weights_divide_as_ieee_does() -> None:
    x, target = f32([[1, 0], [1, 0]]), np.array([0, 1])  # losses 0.31 and 1.31
    assert same(reference.value(Spec(f32([1, -1])), x, target), -INF)
    assert same(reference.value(Spec(f32([-1, 1])), x, target), INF)
    assert np.isnan(reference.value(Spec(f32([1, -1])), np.zeros((2, 2), np.float32), target))
    assert same(reference.gradient(Spec(f32([1, -1])), x, target), [[NAN, NAN], [NAN, NAN]])


def test_s12_weights_that_nearly_cancel_are_summed_exactly() -> None:
    weight, x = np.array([1e30, 1.0, -1e30]), np.zeros((3, 3))
    assert same(reference.value(Spec(weight), x, np.array([0, 1, 2])), math.log(3))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_o2_no_rows(smoothing: float) -> None:
    x, target = np.zeros((0, 3), np.float32), np.zeros(0, np.int64)
    for y in (target, x):
        assert np.isnan(reference.value(Spec(label_smoothing=smoothing), x, y))
        assert same(reference.value(Spec(reduction="sum", label_smoothing=smoothing), x, y), 0)
        assert reference.value(Spec(reduction="none", label_smoothing=smoothing), x, y).shape == (0,)
        assert reference.gradient(Spec(label_smoothing=smoothing), x, y).shape == (0, 3)
    assert np.isnan(reference.value(Spec(), np.zeros((2, 3, 0), np.float32), np.zeros((2, 0), np.int64)))
    assert same(reference.gradient_weight(Spec(W, reduction="sum"), x, target), [0, 0, 0])


def test_o2_no_classes_is_refused() -> None:
    for shape, target in (((2, 0), np.full(2, -100)), ((0,), np.array(-100)), ((0, 0), np.zeros(0, np.int64))):
        with pytest.raises(SpecValueError):
            reference.value(Spec(), np.zeros(shape, np.float32), target)


def test_s12_ignored_rows_have_gradient_0_beside_rows_that_are_nan() -> None:
    x = f32([[NAN, 0, 0], [NAN, 0, 0], [0, 0, 0]])
    got = reference.gradient(Spec(reduction="sum"), x, np.array([-100, 0, 0]))
    assert same(got[0], [0, 0, 0])
    assert np.isnan(got[1]).all()
    assert same(got[2], f32([-2 / 3, 1 / 3, 1 / 3]))


# S13 and O1


def test_s13_minus_inf_is_a_class_of_probability_0() -> None:
    x = f32([-INF, 1.0, 2.0])
    assert same(reference.value(Spec(), x, np.array(1)), np.float32(math.log1p(math.e)))
    assert reference.gradient(Spec(), x, np.array(1))[0] == 0
    assert same(reference.value(Spec(), x, np.array(0)), INF)
    assert same(reference.gradient(Spec(), x, np.array(0))[0], -1)  # the limit
    assert same(reference.value(Spec(label_smoothing=0.1), x, np.array(1)), INF)


def test_o1_zero_coefficients_take_minus_inf_out() -> None:
    x = f32([-INF, 1.0, 2.0])
    finite = np.float32(math.log1p(math.e))
    assert same(reference.value(Spec(), x, f32([0, 1, 0])), finite)
    assert same(reference.value(Spec(f32([0, 1, 1]), label_smoothing=0.0), x, f32([1, 1, 0])), finite)
    assert np.isfinite(reference.value(Spec(f32([0, 1, 1]), label_smoothing=0.1), x, np.array(1)))
    assert same(reference.value(Spec(f32([0, 1, 1]), reduction="sum"), x, np.array(0)), 0)
    assert same(reference.gradient(Spec(f32([0, 1, 1]), reduction="sum"), x, np.array(0)), [0, 0, 0])
    assert reference.gradient(Spec(), x, f32([0, 1, 0]))[0] == 0


@pytest.mark.parametrize("row", [[NAN, 0, 0], [INF, 0, 0], [INF, INF, 0], [INF, -INF, 0], [-INF] * 3])
def test_s13_rows_that_are_nan(row: list[float]) -> None:
    x = f32([row, [0, 0, 0]])
    for target in (np.array([2, 0]), f32([[0, 0, 1], [1, 0, 0]]), f32([[0, 0, 0], [1, 0, 0]])):
        assert same(reference.value(Spec(reduction="none"), x, target), [NAN, np.float32(math.log(3))])
        assert np.isnan(reference.value(Spec(), x, target))
        got = reference.gradient(Spec(reduction="sum"), x, target)
        assert np.isnan(got[0]).all()
        assert np.isfinite(got[1]).all()


def test_s13_one_finite_logit_is_certain() -> None:
    x = f32([-INF, 7.0, -INF])
    assert same(reference.value(Spec(), x, np.array(1)), 0)
    assert same(reference.gradient(Spec(), x, np.array(1)), [0, 0, 0])
    got = reference.value(Spec(), x, np.array(1))
    assert not np.signbit(got)


@pytest.mark.parametrize(("name", "large"), [("float16", 65504.0), ("bfloat16", 3.3e38), ("float32", 3.4e38)])
def test_s13_large_logits_do_not_overflow(name: str, large: float) -> None:
    x = of(name, [large, large, -large])
    assert same(reference.value(Spec(), x, np.array(0)), of(name, math.log(2)))
    assert same(reference.value(Spec(), x, np.array(2)), INF)  # 2 * large is beyond the dtype
    assert same(reference.gradient(Spec(), x, np.array(2)), [0.5, 0.5, -1])


def test_s13_a_small_weight_brings_a_distance_beyond_float64_back() -> None:
    x = np.array([1.7e308, -1.7e308])
    assert same(reference.value(Spec(), x, np.array(1)), INF)
    got = reference.value(Spec(np.array([1.0, 0.25]), reduction="sum"), x, np.array(1))
    assert same(got, 0.5 * 1.7e308)


def test_sure_predictions_keep_their_relative_accuracy() -> None:
    x = np.array([[60.0, 0.0], [700.0, 0.0]])
    assert same(reference.value(Spec(reduction="none"), x, np.zeros(2, int)), [math.exp(-60), math.exp(-700)])
    assert same(reference.gradient(Spec(reduction="sum"), x, np.zeros(2, int))[:, 0], [-math.exp(-60), -math.exp(-700)])
    assert same(reference.value(Spec(), f32([100.0, 0]), np.array(0)), np.float32(math.exp(-100)))  # subnormal


# S14


@pytest.mark.parametrize("name", dtypes.FLOATS)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 3, 1, 2), (1, 3, 2, 1, 2)])
def test_s14_dtypes_and_shapes(name: str, shape: tuple[int, ...]) -> None:
    x = of(name, np.zeros(shape))
    places = () if len(shape) == 1 else (shape[0], *shape[2:])
    for target in (np.zeros(places, int), x):
        for reduction, wanted in (("none", places), ("mean", ()), ("sum", ())):
            got = reference.value(Spec(reduction=reduction), x, target)
            assert isinstance(got, np.ndarray)
            assert (dtypes.name(got), got.shape) == (name, wanted)
            slope = reference.gradient(Spec(reduction=reduction), x, target)
            assert (dtypes.name(slope), slope.shape) == (name, shape)


def test_s14_bfloat16_in_both_forms() -> None:
    x = of("bfloat16", X)
    bits = dtypes.bits(x).view(STRUCTURED)
    p = of("bfloat16", np.full((3, 3), 0.25))
    for target, other in ((Y, Y), (p, dtypes.bits(p).view(STRUCTURED))):
        for spec in (Spec(W), Spec(W, reduction="none")):
            for compute in (reference.value, reference.gradient):
                got = compute(spec, bits, other)
                assert got.dtype == STRUCTURED
                assert np.array_equal(dtypes.bits(got), dtypes.bits(compute(spec, x, target)))


def test_weight_of_another_dtype_counts_exactly() -> None:
    weight = np.array([1 / 3, 1.0, 1.0])
    got = reference.value(Spec(weight, reduction="sum"), of("float16", [0, 0, 0]), np.array(0))
    assert same(got, np.float16(math.log(3) / 3))
    assert same(reference.gradient(Spec(weight, reduction="sum"), f32([0, 0, 0]), np.array(0))[1], np.float32(1 / 9))


def test_non_contiguous_and_big_endian_inputs_are_the_same_numbers() -> None:
    x = np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4) % 5)
    y = np.arange(8).reshape(2, 4) % 3
    spec = Spec(W)
    for other, labels in (
        (x[:, :, ::-1][:, :, ::-1], y),
        (x.astype(">f4"), y.astype(">i8")),
        (x, np.asfortranarray(y)),
    ):
        assert same(reference.gradient(spec, other, labels), reference.gradient(spec, np.ascontiguousarray(x), y))
        assert same(reference.value(spec, other, labels), reference.value(spec, np.ascontiguousarray(x), y))


def test_results_beyond_the_dtype_are_infinite_as_rounding_has_it() -> None:
    x = of("float16", np.tile([0.0, 20000.0], (4, 1)))
    assert same(reference.value(Spec(reduction="sum"), x, np.zeros(4, int)), INF)
    assert same(reference.value(Spec(reduction="sum"), x[:3], np.zeros(3, int)), 60000)
    edge = np.array([[65504.0, 0.0], [16.0, 0.0]])  # 65520: half way to 65536, so infinite; a little less is not
    assert same(reference.value(Spec(reduction="sum"), of("float16", edge), np.ones(2, int)), INF)
    edge[1] = [15.98, 0.0]
    assert same(reference.value(Spec(reduction="sum"), of("float16", edge), np.ones(2, int)), 65504)


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


def test_the_mean_over_one_row_does_not_depend_on_its_weight() -> None:
    assert same(reference.gradient_weight(Spec(W), X[:1], Y[:1]), [0, 0, 0])


def test_nan_and_infinite_probabilities_propagate() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XentWarning)
        got = reference.value(Spec(reduction="none"), X, f32([[NAN, 0, 0], [INF, 0, 0], [1, 0, 0]]))
    assert np.isnan(got[0])
    assert got[1] == INF
    assert np.isfinite(got[2])


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

"""xent.reference rule by rule: S9 to S14 and the open points O1 and O2, on cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from reference_cases import LOGP, STRUCTURED, W, X, Y, f32, of, same

from xent import dtypes, reference
from xent.errors import SpecIndexError, SpecValueError, XentWarning
from xent.spec import CrossEntropySpec as Spec

INF, NAN = math.inf, math.nan


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

"""The mint adapters, in MindSpore's own interpreter, and the stand-ins' arithmetic, which needs none."""

from __future__ import annotations

import numpy as np
import pytest

from xent.adapters import load
from xent.adapters.mint import kernels
from xent.conformance.cases import clauses
from xent.errors import Unavailable

CHECKS = {"check_mint.py": 35, "check_mint_jit.py": 7}
FLOAT32 = np.dtype(np.float32)


@pytest.mark.parametrize("script", CHECKS)
def test_adapter_in_mindspore(script, native_checks):
    checks = native_checks("mindspore", script)
    failed = {check: message for check, message in checks.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(checks) == CHECKS[script], sorted(checks)


def test_capabilities_are_the_documents_and_cite_known_clauses():
    capabilities = load("xent.adapters.mint").capabilities
    entries = {name: entry for name, entry in vars(capabilities).items() if entry is not None}
    assert entries.pop("index_gradients").allowed == ("input",)  # a stated limit: the document does not speak of it
    assert {entry.clause for entry in entries.values()} <= set(clauses.load())
    assert {name: entry.allowed for name, entry in entries.items()} == {
        "input_dtypes": ("float16", "float32"),
        "index_dtypes": ("int32", "int64"),
        "probability_dtypes": ("float16", "float32"),
        "weight_dtypes": ("float16", "float32"),
        "probability_ignore_index": ("negative",),
    }
    assert load("xent.adapters.mint.jit").capabilities is capabilities


def rows(*values):
    return np.array(values, np.float32)


def test_log_softmax_is_correctly_rounded():
    inputs = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32) * 5
    wide = inputs.astype(np.longdouble)
    exact = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    assert (kernels.log_softmax(inputs, 1) == exact.astype(np.float32)).all()
    turned = np.moveaxis(inputs.reshape(5, 10, 7), -1, 1)
    assert (
        kernels.log_softmax(turned, 1) == np.moveaxis(kernels.log_softmax(inputs, 1).reshape(5, 10, 7), -1, 1)
    ).all()


def test_log_softmax_of_what_is_not_finite():
    given = rows([1, -np.inf, 2], [1, np.inf, 2], [np.nan, 1, 2], [-np.inf] * 3, [3e38, -3e38, 0])
    result = kernels.log_softmax(given, 1)
    assert result[0, 1] == -np.inf
    assert np.isfinite(result[0, [0, 2]]).all()
    assert np.isnan(result[1:4]).all()
    assert result[4].tolist() == [0, -np.inf, -rows(3e38)[0]]
    assert kernels.log_softmax(np.zeros((2, 3, 0), FLOAT32), 1).shape == (2, 3, 0)


def test_log_softmax_gradient_uses_the_rounded_output():
    output = np.array([[-1.117, -0.396]], np.float16)
    gradient = kernels.log_softmax_gradient(output, np.array([[0, 1]], np.float16), 1)
    exact = [-np.exp(np.float64(output[0, 0])), 1 - np.exp(np.float64(output[0, 1]))]
    assert gradient.tolist() == [[np.float16(number) for number in exact]]


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 3, 2, 5)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nll_loss_and_its_gradient(shape, reduction):
    generator = np.random.default_rng(1)
    log_p = generator.standard_normal(shape)
    places = () if len(shape) == 1 else shape[:1] + shape[2:]
    target = np.asarray(generator.integers(0, 3, places))
    if places:
        target.flat[1] = -1
    weight = np.array([0.5, -2.0, 3.0])
    expected, total = np.zeros(places), 0.0
    for at in np.ndindex(*places):
        if target[at] != -1:
            index = (*at[:1], target[at], *at[1:])
            expected[at] = -weight[target[at]] * log_p[index]
            total += weight[target[at]]
    expected = {"none": expected, "sum": expected.sum(), "mean": expected.sum() / total}[reduction]
    loss, divisor = kernels.nll_loss(log_p, target, weight, reduction, -1)
    np.testing.assert_allclose(loss, expected, 1e-14)
    assert loss.shape == np.shape(expected)
    assert divisor == pytest.approx(total)

    slope = generator.standard_normal(loss.shape)
    gradient = kernels.nll_loss_gradient(log_p, target, weight, reduction, -1, divisor, slope)
    assert gradient.shape == shape
    for index in np.ndindex(*shape):
        step = np.zeros(shape)
        step[index] = 2.0**-10  # the loss is linear in its input, so any step is exact
        up, _ = kernels.nll_loss(log_p + step, target, weight, reduction, -1)
        assert gradient[index] == pytest.approx(((up - loss) * slope).sum() * 2.0**10, abs=1e-9)


def test_nothing_selected_is_0_over_0_and_its_gradient_exactly_0():
    log_p, target, weight = np.full((2, 3), -np.inf, FLOAT32), np.array([7, 7]), np.ones(3, FLOAT32)
    for reduction, value in (("none", [0, 0]), ("sum", 0), ("mean", np.nan)):
        loss, total = kernels.nll_loss(log_p, target, weight, reduction, 7)
        np.testing.assert_array_equal(loss, value)
        assert total == 0
        gradient = kernels.nll_loss_gradient(log_p, target, weight, reduction, 7, total, np.ones_like(loss))
        assert gradient.tolist() == [[0, 0, 0]] * 2


def test_a_weight_of_0_on_minus_infinity_is_nan_as_ieee_has_it():
    loss, _ = kernels.nll_loss(rows([-np.inf, 0]), np.array([0]), rows(0, 1), "none", -100)
    assert np.isnan(loss).all()


def test_the_total_weight_reaches_the_gradient_in_inputs_dtype():
    log_p, target = np.zeros((4096, 1), np.float16), np.zeros(4096, np.int64)
    weight = np.array([17], np.float16)  # 4096 * 17 is beyond float16
    loss, total = kernels.nll_loss(log_p - 1, target, weight, "mean", -100)
    assert (loss, total) == (1, np.inf)
    gradient = kernels.nll_loss_gradient(log_p, target, weight, "mean", -100, total, np.ones((), np.float16))
    assert not gradient.any()


@pytest.mark.parametrize("ignore_index", [2**31, 2**32 + 1, 2**63 - 1, -(2**31) - 1, -(2**32) + 2, -(2**63)])
def test_an_ignore_index_of_64_bits_ignores_itself_alone(ignore_index):
    log_p, weight = rows([-1, -2, -3], [-4, -5, -6]), rows(1, 2, 4)
    target = np.array([2, ignore_index])
    loss, total = kernels.nll_loss(log_p, target, weight, "sum", ignore_index)
    assert (loss, total) == (12, 4)
    gradient = kernels.nll_loss_gradient(log_p, target, weight, "sum", ignore_index, total, np.ones((), FLOAT32))
    assert gradient.tolist() == [[0, 0, -4], [0, 0, 0]]


def test_a_class_that_is_not_there_gets_no_result():
    for wrong in (3, -1, -100):
        with pytest.raises(Unavailable, match=f"class index {wrong} lies outside"):
            kernels.nll_loss(rows([0, 0, 0]), np.array([wrong]), np.ones(3, FLOAT32), "sum", 9)

"""The derived bound: the design's formula, what it must not be, and the real torch within it in every regime."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest

from xent import dtypes
from xent.conformance.judging.answers import answers
from xent.conformance.judging.bound import gradient_bound, value_bound
from xent.conformance.judging.compare import measure
from xent.conformance.protocol import arrays, case_file
from xent.conformance.protocol.case import Case
from xent.spec import Arguments, CrossEntropySpec

U = 2.0**-24
ROOT = Path(__file__).resolve().parents[2]


def _case(name: str, x: Any, t: Any, dtype: str = "float32", weight: Any = None, **arguments: Any) -> Case:
    if weight is not None:
        arguments["weight"] = dtypes.from_float64(weight, dtype)
    if np.asarray(t).dtype.kind == "f":
        t = dtypes.from_float64(t, dtype)
    return Case(name, Arguments(**arguments), dtypes.from_float64(x, dtype), np.asarray(t))


def _regime(name: str, seed: int) -> List[Case]:
    """Some dozens of cases of one kind, seeded."""
    rng = np.random.default_rng(seed)
    cases: List[Case] = []

    def add(x: Any, t: Any, **arguments: Any) -> None:
        for reduction in ("none", "mean", "sum"):
            cases.append(_case(f"{name}/{len(cases)}", x, t, reduction=reduction, **arguments))

    for _ in range(8):
        n, c = int(rng.choice([1, 4, 60])), int(rng.choice([2, 3, 10, 100]))
        x, t = rng.standard_normal((n, c)), rng.integers(0, c, n)
        weight, soft = rng.uniform(0.1, 2, c), rng.dirichlet(np.ones(c), n)
        picked = (np.arange(n), t)
        if name == "bland":
            add(x, t)
        elif name == "large-logits":
            add(100 * x + rng.choice([-1e4, 1e4]), t)
        elif name == "huge-logits":
            add(1e30 * x, t)
        elif name == "sure":
            x[picked] = 30
            add(x, t)
        elif name == "wrong-and-sure":
            x[picked] = -60
            add(x, t)
        elif name == "1000-classes":
            add(rng.choice([1, 10]) * rng.standard_normal((16, 1000)), rng.integers(0, 1000, 16))
        elif name == "32000-classes" and len(cases) < 6:
            add(rng.choice([1, 10]) * rng.standard_normal((4, 32000)), rng.integers(0, 32000, 4), label_smoothing=0.1)
        elif name == "20000-rows" and len(cases) < 6:
            add(rng.standard_normal((20000, 3)), rng.integers(0, 3, 20000), weight=[*weight[:2].tolist(), 1.7])
        elif name == "weights":
            add(x, t, weight=weight)
            add(5 * x, t, weight=weight * rng.choice([-1, 1], c) if c > 9 else weight)
        elif name == "smoothing":
            add(3 * x, t, label_smoothing=0.1)
            add(3 * x, t, label_smoothing=1.0, weight=weight)
        elif name == "probabilities":
            add(3 * x, soft, ignore_index=-1)
            add(3 * x, 4 * soft - 1, weight=weight, label_smoothing=0.3)
        elif name == "ignored-rows":
            t[0] = -100
            add(3 * x, t, weight=weight, label_smoothing=0.2)
        elif name == "float64":
            add(rng.choice([1, 50]) * x, t, dtype="float64", weight=weight, label_smoothing=0.1)
            add(3 * x, soft, dtype="float64")
    return cases


REGIMES = (
    "bland", "large-logits", "huge-logits", "sure", "wrong-and-sure", "1000-classes", "32000-classes", "20000-rows",
    "weights", "smoothing", "probabilities", "ignored-rows", "float64",
)  # fmt: skip


@pytest.fixture(scope="session")
def torch_records(
    framework_python: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Dict[str, Dict[str, Any]]:
    """What the real torch returned for every regime's cases: one process."""
    folder = tmp_path_factory.mktemp("torch")
    cases = [case for seed, name in enumerate(REGIMES) for case in _regime(name, seed)]
    case_file.write(folder / "cases.safetensors", cases)
    command = [framework_python("torch"), str(Path(__file__).with_name("evaluate_cases.py")), "xent.adapters.torch"]
    done = subprocess.run(
        [*command, str(folder / "cases.safetensors"), str(folder / "out.jsonl")],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return {record["case"]: record for record in map(json.loads, (folder / "out.jsonl").read_text().splitlines())}


@pytest.mark.xdist_group("bounds of torch")
@pytest.mark.parametrize("name", REGIMES)
def test_torch_is_within_the_bound(
    name: str, torch_records: Dict[str, Dict[str, Any]], record_property: Callable[[str, object], None]
) -> None:
    worst = {"value": 0.0, "gradient": 0.0}
    for case in _regime(name, REGIMES.index(name)):
        right, record = answers(case), torch_records[case.id]
        for part, answer in (("value", right.value), ("gradient", right.gradient)):
            assert answer is not None
            found = measure(arrays.decode(record[part]), answer)
            assert not found.faults, (case.id, part, found.text)
            assert found.bounds is not None
            worst[part] = max(worst[part], found.bounds)
    record_property("bounds", worst)
    print(f"{name}: {worst}")
    assert max(worst.values()) < 1, worst
    # A vacuous bound would pass as well.
    assert worst["gradient"] > 0.02, worst


def _formula(x: np.ndarray, y: int) -> float:
    """The design's B for one row, in plain Python."""
    m = max(x)
    s = sum(math.exp(v - m) for v in x)
    loss = m + math.log(s) - x[y]
    spread = sum(math.exp(v - m) / s * abs(v - m) for v in x)
    return U * (abs(x[y] - m) + 2 * abs(math.log(s)) + spread + (len(x) - 1) + 2 + abs(loss))


@pytest.mark.parametrize("y", [0, 1, 2, 3])
def test_one_row_is_the_designs_formula(y: int) -> None:
    x = np.array([[3.0, -1.0, 0.5, -20.0]], np.float32)
    found = value_bound(CrossEntropySpec(reduction="none"), x, np.array([y]))
    loss = np.float32(np.log(np.exp(x[0].astype(float)).sum()) - x[0, y])
    assert found.total[0] == pytest.approx(_formula(x[0].astype(float), y) + np.spacing(loss) / 2, rel=1e-12)


def test_weight_smoothing_and_sum_add_up() -> None:
    x = np.array([[3.0, -1.0, 0.5], [0.0, 1.0, 2.0]], np.float32)
    weight = np.array([0.5, -2.0, 3.0], np.float32)
    total = float(value_bound(CrossEntropySpec(weight, reduction="sum"), x, np.array([1, 2])).total)
    parts = 2 * _formula(x[0].astype(float), 1) + 3 * _formula(x[1].astype(float), 2)
    losses = np.log(np.exp(x.astype(float)).sum(1)) - x[[0, 1], [1, 2]]
    weighed = 2 * losses[0] + 3 * losses[1]
    # the row terms; a rounding for each product; N u sum |w l|; half an ulp of the sum
    by_hand = parts + U * weighed + 2 * U * weighed + np.spacing(np.float32(abs(-2 * losses[0] + 3 * losses[1]))) / 2
    assert total == pytest.approx(by_hand, rel=1e-12)


def test_the_mean_divides_and_rounds_once_more() -> None:
    x, target = np.array([[3.0, -1.0, 0.5], [0.0, 1.0, 2.0]], np.float32), np.array([1, 2])
    mean, total = (value_bound(CrossEntropySpec(reduction=reduction), x, target) for reduction in ("mean", "sum"))
    before = float(total.total - total.terms["output rounding"]) / 2
    value = (np.log(np.exp(x.astype(float)).sum(1)) - x[[0, 1], [1, 2]]).mean()
    by_hand = before + U * value + np.spacing(np.float32(value)) / 2
    assert float(mean.total) == pytest.approx(by_hand, rel=1e-12)


def test_the_gradient_of_one_row_by_hand() -> None:
    x, y = np.array([[3.0, -1.0, 0.5, -20.0]], np.float32), 1
    found = gradient_bound(CrossEntropySpec(reduction="none"), x, np.array([y])).total[0]
    row = x[0].astype(float)
    p = np.exp(row - 3) / np.exp(row - 3).sum()
    for c in range(4):
        picked = float(c == y)
        softmax = p[c] * (_formula(row, c) + 2 * U)
        products = 4 * U * (p[c] + picked)
        half_ulp = np.spacing(np.float32(abs(p[c] - picked))) / 2
        assert found[c] == pytest.approx(softmax + products + half_ulp, rel=1e-12)


def test_a_coefficient_that_underflows_is_still_one() -> None:
    """It decides between an exact 0 and -inf's share, and the oracle's long doubles don't underflow there."""
    x, target = np.array([[-np.inf, 0.0]]), np.array([[0.5, 0.5]])
    spec = CrossEntropySpec(np.array([5e-324, 1.0]), reduction="none")
    assert (gradient_bound(spec, x, target).total > 0).all()
    unweighted = CrossEntropySpec(np.array([0.0, 1.0]), reduction="none")
    assert (gradient_bound(unweighted, x, target).total > 0).tolist() == [[False, True]]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 3, 1, 5), (0, 3), (2, 3, 0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["indices", "probabilities"])
def test_shapes_and_terms(reduction: str, shape: tuple, smoothing: float, kind: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape).astype(np.float32)
    places = shape[:1] + shape[2:] if len(shape) > 1 else ()
    target = rng.integers(0, 3, places) if kind == "indices" else rng.random(shape).astype(np.float32)
    spec = CrossEntropySpec(np.array([1, 0.3, 2], np.float32), reduction=reduction, label_smoothing=smoothing)
    for found, expected in (
        (value_bound(spec, x, np.asarray(target)), places if reduction == "none" else ()),
        (gradient_bound(spec, x, np.asarray(target)), shape),
    ):
        assert found.total.shape == expected
        assert found.total.dtype == np.float64
        assert np.allclose(sum(found.terms.values()), found.total, rtol=1e-14, atol=0)
        assert all(term.shape == expected and (term >= 0).all() for term in found.terms.values())
        assert (found.total > 0).all() or 0 in shape


def test_each_place_has_its_own_bound() -> None:
    """Classes on axis 1: a wrong layout of rows would mix the places."""
    x = np.zeros((2, 3, 4), np.float32)
    x[1, 2, 3] = 50
    found = value_bound(CrossEntropySpec(reduction="none"), x, np.zeros((2, 4), int)).total
    assert found[1, 3] > found.flat[0]
    assert (np.delete(found.ravel(), 7) == found.flat[0]).all()
    slopes = gradient_bound(CrossEntropySpec(reduction="none"), x, np.zeros((2, 4), int)).total
    assert slopes[1, 1, 3] < slopes[0, 1, 0] / 1000  # p is e^-50 there


def test_ignored_rows_are_exact() -> None:
    x = np.array([[1, 2], [np.nan, 3], [4, 5]], np.float32)
    target = np.array([0, -100, 1])
    for smoothing in (0.0, 0.3):
        spec = CrossEntropySpec(reduction="none", label_smoothing=smoothing)
        assert (value_bound(spec, x, target).total > 0).tolist() == [True, False, True]
        assert (gradient_bound(spec, x, target).total > 0).tolist() == [[True] * 2, [False] * 2, [True] * 2]
    everything = np.full(3, -100)
    assert value_bound(CrossEntropySpec(reduction="sum"), x, everything).total == 0
    assert value_bound(CrossEntropySpec(reduction="mean"), x, everything).total == 0
    assert not gradient_bound(CrossEntropySpec(reduction="mean"), x, everything).total.any()


def test_infinite_and_nan_answers_are_a_matter_of_place() -> None:
    x = np.array([[-np.inf, 0.0, 1.0], [np.nan, 0.0, 1.0]], np.float32)
    assert value_bound(CrossEntropySpec(reduction="none"), x, np.array([0, 1])).total.tolist() == [0, 0]
    assert value_bound(CrossEntropySpec(), x, np.array([1, 1])).total == 0
    slopes = gradient_bound(CrossEntropySpec(reduction="none"), x, np.array([1, 1])).total
    assert slopes[0, 0] == 0  # a class of probability 0 that nothing puts weight on: exactly 0
    assert (slopes[0, 1:] > 0).all()
    assert not slopes[1].any()


def test_weights_that_add_up_exactly_have_no_error() -> None:
    x, target = np.zeros((3, 3), np.float32), np.array([0, 1, 2])

    def weight_sum(*weights: float) -> float:
        return float(value_bound(CrossEntropySpec(np.array(weights, np.float32)), x, target).terms["weight sum"])

    assert weight_sum(2, 2, 2) == 0
    assert weight_sum(0.5, 3, 1) == 0
    assert 0 < weight_sum(0.1, 0.2, 0.4) < 1e-6


def test_weights_that_cancel_leave_the_mean_undetermined() -> None:
    x, target = np.array([[0, 1, 2], [0, 1, 2], [0, 1, 2]], np.float32), np.array([0, 1, 2])
    close = CrossEntropySpec(np.array([0.1, 0.2, -0.3], np.float32))
    assert value_bound(close, x, target).total == np.inf
    assert (gradient_bound(close, x, target).total == np.inf).all()
    exact = CrossEntropySpec(np.array([1, 2, -3], np.float32))
    assert value_bound(exact, x, target).total == 0  # an infinity of known sign
    assert (gradient_bound(exact, x, target).total == np.inf).all()


def test_huge_logits_keep_a_finite_bound() -> None:
    for dtype, size in (("float64", 1.7e308), ("float32", 3e38)):
        x = dtypes.from_float64([[size, -size, 0.0]], dtype)
        found = value_bound(CrossEntropySpec(reduction="none"), x, np.array([1]))
        assert 0 < found.total[0] < size
        assert np.isfinite(gradient_bound(CrossEntropySpec(reduction="none"), x, np.array([1])).total).all()


@pytest.mark.parametrize(
    ("dtype", "spacing"), [("float16", 2.0**-10), ("bfloat16", 2.0**-7), ("float32", 2.0**-23), ("float64", 2.0**-52)]
)
def test_output_rounding_is_half_an_ulp(dtype: str, spacing: float) -> None:
    x = dtypes.from_float64([[0.0, 0.0, 0.0]], dtype)  # log 3 = 1.0986
    term = value_bound(CrossEntropySpec(reduction="none"), x, np.array([1])).terms["output rounding"]
    assert term.tolist() == [spacing / 2]


def test_output_rounding_of_subnormals() -> None:
    x = dtypes.from_float64([[0.0, -14.0]], "float16")
    term = gradient_bound(CrossEntropySpec(reduction="none"), x, np.array([0])).terms["output rounding"]
    assert term.tolist() == [[2.0**-25, 2.0**-25]]


def test_low_precision_is_computed_in_float32() -> None:
    """All but the last rounding carries float32's unit roundoff (S14)."""
    x = [[0.25, -1.0, 3.0]]
    of = {}
    for dtype in ("float16", "bfloat16", "float32"):
        found = value_bound(CrossEntropySpec(reduction="none"), dtypes.from_float64(x, dtype), np.array([1]))
        of[dtype] = float(found.total[0] - found.terms["output rounding"][0])
    assert of["float16"] == pytest.approx(of["float32"], rel=1e-9)
    assert of["bfloat16"] == pytest.approx(of["float32"], rel=1e-9)


def test_a_wider_weight_or_target_is_rounded_once_more() -> None:
    x = np.array([[0.25, -1.0, 3.0]], np.float32)
    narrow, wide = (np.full(3, 0.1, dtype) for dtype in (np.float32, np.float64))
    soft = np.array([[0.5, 0.25, 0.25]])

    def coefficients(weight: Any, target: Any) -> float:
        return float(
            value_bound(CrossEntropySpec(weight), x, target).terms["coefficients"]
            / value_bound(CrossEntropySpec(weight), x, target).terms["result"]
        )

    assert coefficients(narrow, np.array([1])) == pytest.approx(1)
    assert coefficients(wide, np.array([1])) == pytest.approx(2)
    assert coefficients(narrow, soft.astype(np.float32)) == pytest.approx(2)
    assert coefficients(wide, soft) == pytest.approx(4)

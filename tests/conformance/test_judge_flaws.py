"""Deliberately wrong implementations of the loss in NumPy are caught, right ones never, whatever the case."""

from __future__ import annotations

from typing import Dict, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import INF, a_value, right_answer, verdict_of

from xent import dtypes
from xent.conformance.judging.answers import answers
from xent.conformance.judging.compare import measure
from xent.conformance.judging.verdicts import Verdict
from xent.conformance.protocol.case import Case
from xent.spec import Arguments, CrossEntropySpec


def _kernel(spec: CrossEntropySpec, x: np.ndarray, t: np.ndarray, flaw: str) -> Tuple[np.ndarray, np.ndarray]:
    """The loss of class indices in float32, right but for one flaw."""
    f = np.float16 if flaw == "float16 accumulation" else np.float32
    n, c = x.shape
    x = x.astype(f)
    with np.errstate(all="ignore"):
        top = f(0) if flaw == "no max shift" else x.max(1, keepdims=True)
        exponentials = np.exp(x - top)
        p = exponentials / exponentials.sum(1, keepdims=True)
        log_p = x - top - np.log(exponentials.sum(1, keepdims=True))
        if flaw == "log of softmax":
            log_p = np.log(p)
        if flaw == "epsilon in log":
            log_p = np.log(p + f(1e-8))
        weight = np.ones(c, f) if spec.weight is None or flaw == "weights ignored" else spec.weight.astype(f)
        ignored = t == spec.ignore_index
        label = np.where(ignored, 0, t)
        e, rows = f(spec.label_smoothing), np.arange(n)
        a = np.zeros((n, c), f)
        a[rows, label] = (f(1) - e) * weight[label]
        a += (e if flaw == "smoothing not divided" else e / f(c)) * weight
        a[ignored] = 0
        losses = -np.where(a != 0, a * log_p, f(0)).sum(1, dtype=f)
        selected = weight[label] * ~ignored
        divisor = f(1)
        if spec.reduction == "mean":
            divisor = f(n) if flaw == "mean divides by N" else selected.sum(dtype=f)
        gradient = (a.sum(1, keepdims=True) * p - a) / divisor
        if flaw == "gradient off by a factor":
            gradient = gradient * f(1.5)
        gradient[ignored] = 1e-30 if flaw == "ignored rows leak" else 0
        value = losses if spec.reduction == "none" else losses.sum(dtype=f) / divisor
        if flaw == "all ignored is 0" and ignored.all():
            value = np.zeros_like(value)
    return np.asarray(value, np.float32), gradient.astype(np.float32)


_RNG = np.random.default_rng(7)
_BLAND = _RNG.standard_normal((6, 5)).astype(np.float32)
_LABELS = np.array([0, 1, -100, 3, 4, 2])
_SURE = np.array([[60, 0, 0, 0, 0], [0, 40, 0, 0, 0], [0, 0, 90, 0, 0]], np.float32)
_SPECS: Dict[str, Tuple[CrossEntropySpec, np.ndarray, np.ndarray]] = {
    "bland": (CrossEntropySpec(), _BLAND, _LABELS),
    "smoothed": (CrossEntropySpec(label_smoothing=0.1), _BLAND, _LABELS),
    "weighted": (CrossEntropySpec(np.array([1, 2, 0.5, 3, 1], np.float32), reduction="sum"), _BLAND, _LABELS),
    "large": (CrossEntropySpec(reduction="none"), _BLAND * 200, _LABELS),
    "wrong and sure": (CrossEntropySpec(reduction="none"), _SURE, np.array([1, 2, 0])),
    "sure": (CrossEntropySpec(reduction="none"), _SURE / 4, np.array([0, 1, 2])),
    "all ignored": (CrossEntropySpec(), _BLAND, np.full(6, -100)),
    "none": (CrossEntropySpec(reduction="none"), _BLAND, _LABELS),
}


def _judged(where: str, flaw: str) -> Verdict:
    spec, x, t = _SPECS[where]
    case = Case("a-case", Arguments(spec.weight, spec.ignore_index, spec.reduction, spec.label_smoothing), x, t)
    value, gradient = _kernel(spec, x, t, flaw)
    return verdict_of(case, a_value(value, gradient))


class TestWrongImplementations:
    @pytest.mark.parametrize("where", _SPECS)
    def test_the_right_one_agrees(self, where: str) -> None:
        """So what the others are caught at is their flaw."""
        verdict = _judged(where, "")
        assert verdict.verdict == "agrees", verdict.reason

    @pytest.mark.parametrize(
        ("flaw", "where", "verdict", "parts"),
        [
            ("no max shift", "large", "deviates", ("value", "gradient", "nan")),
            ("log of softmax", "bland", "agrees", ()),  # bland inputs catch nothing
            ("log of softmax", "large", "deviates", ("value", "nan")),
            ("epsilon in log", "wrong and sure", "deviates", ("value",)),
            ("epsilon in log", "bland", "agrees", ()),
            ("all ignored is 0", "all ignored", "deviates", ("value", "nan")),
            ("weights ignored", "weighted", "deviates", ("value", "gradient")),
            ("mean divides by N", "bland", "deviates", ("value", "gradient")),
            ("smoothing not divided", "smoothed", "deviates", ("value", "gradient")),
            ("gradient off by a factor", "none", "deviates", ("gradient",)),
            ("ignored rows leak", "none", "deviates", ("gradient",)),
            ("float16 accumulation", "bland", "imprecise", ("value", "gradient")),
        ],
    )
    def test_a_flaw_is_caught_where_it_shows(self, flaw: str, where: str, verdict: str, parts: Tuple[str, ...]) -> None:
        found = _judged(where, flaw)
        assert (found.verdict, found.parts) == (verdict, parts), found.reason


@st.composite
def _problems(draw: st.DrawFn) -> Case:
    dtype = draw(st.sampled_from(dtypes.FLOATS))
    n, c = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    logits = st.one_of(st.floats(-5, 5), st.floats(-200, 200), st.sampled_from([-INF, 1e4, -1e4, 0.0]))
    x = draw(st.lists(st.lists(logits, min_size=c, max_size=c), min_size=n, max_size=n))
    reduction = draw(st.sampled_from(["none", "mean", "sum"]))
    weight = draw(st.none() | st.lists(st.floats(0, 4), min_size=c, max_size=c))
    smoothing = draw(st.sampled_from([0.0, 0.1, 1.0]))
    if draw(st.booleans()):
        t = np.array(draw(st.lists(st.sampled_from([-100, *range(c)]), min_size=n, max_size=n)))
    else:
        row = st.lists(st.floats(0, 1), min_size=c, max_size=c)
        t = dtypes.from_float64(draw(st.lists(row, min_size=n, max_size=n)), dtype)
    array = None if weight is None else dtypes.from_float64(weight, dtype)
    return Case("a-case", Arguments(array, -100, reduction, smoothing), dtypes.from_float64(x, dtype), t)


@settings(max_examples=150, deadline=None)
@given(_problems())
def test_a_correctly_rounded_answer_always_agrees(case: Case) -> None:
    verdict = verdict_of(case, a_value(*right_answer(case), dtypes.name(case.input)))
    assert verdict.verdict == "agrees", verdict.reason


@settings(max_examples=150, deadline=None)
@given(_problems(), st.booleans(), st.data())
def test_three_bounds_off_never_agrees(case: Case, in_gradient: bool, data: st.DataObject) -> None:
    right = answers(case)
    answer = right.gradient if in_gradient else right.value
    assert answer is not None
    fair = np.isfinite(answer.rounded) & np.isfinite(answer.bound)
    if not fair.any():
        return
    at = tuple(data.draw(st.sampled_from(np.argwhere(fair).tolist())))
    name = dtypes.name(case.input)
    off = np.array(answer.rounded)
    off[at] += 3 * answer.bound[at] or 1.0
    wrong = dtypes.from_float64(off, name)
    if dtypes.to_float64(wrong)[at] - float(answer.exact[at]) <= 1.01 * answer.bound[at]:
        return  # rounding to the dtype brought it back
    found = measure(wrong, answer)
    assert (found.bounds or 0) > 1 or found.faults, found.text
    value, gradient = right_answer(case)
    value, gradient = (value, off) if in_gradient else (off, gradient)
    assert verdict_of(case, a_value(value, gradient, name)).verdict in ("imprecise", "deviates")

"""The judge on the gradients with respect to class probabilities and weight."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Dict, Optional

import numpy as np
import pytest
from hostile_calls import calls
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import INF, NAN, an_error, verdict_of
from second_oracle import Drawn

import xent.reference
from xent import dtypes
from xent.adapters import Capabilities, Entry
from xent.conformance.evidence.records import Record
from xent.conformance.judging.answers import answers
from xent.conformance.protocol.case import Case, Expected
from xent.spec import Arguments, CrossEntropySpec

Array = Any
X = np.array([[1.0, 2.0, 3.0], [0.0, 0.5, -1.0]], np.float32)
INDICES = np.array([0, 1])
SOFT = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], np.float32)
WEIGHT = np.array([1, 2, 0.5], np.float32)
ALL = ("input", "target", "weight")
LIMITED = Capabilities(
    index_gradients=Entry(("input",), "no kernel (measured)"),
    probability_gradients=Entry(("input",), "none (measured)"),
)


def a_case(x: Array = X, target: Array = SOFT, weight: Optional[Array] = WEIGHT, **more: Any) -> Case:
    gradients = more.pop("gradients", ALL)
    tags, expected = more.pop("tags", ()), more.pop("expected", None)
    arguments = Arguments(weight, -100, more.pop("reduction", "mean"), more.pop("label_smoothing", 0.0))
    return Case("a-case", arguments, np.asarray(x), np.asarray(target), tags, (), gradients, expected)


def right(case: Case, **changes: Array) -> Record:
    """What the oracle says, with other numbers for the gradients named; None takes one away."""
    spec = CrossEntropySpec(*case.arguments)
    gradients: Dict[str, Array] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # probabilities outside [0, 1] (S7)
        value = xent.reference.value(spec, case.input, case.target)
        slope = xent.reference.gradient(spec, case.input, case.target) if case.gradient else None
        if "target" in case.others:
            gradients["target"] = xent.reference.gradient_target(spec, case.input, case.target)
        if "weight" in case.others:
            gradients["weight"] = xent.reference.gradient_weight(spec, case.input, case.target)
    for name, array in changes.items():
        gradients[name] = array
    left = {name: array for name, array in gradients.items() if array is not None}
    return Record("a-case", "value", value, slope, left)


def of_weight(case: Case) -> Array:
    record = right(case)
    assert record.gradients is not None
    return np.array(record.gradients["weight"])


class TestParts:
    @pytest.mark.parametrize("target", [SOFT, INDICES])
    @pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
    def test_the_right_ones_agree_and_are_told(self, target: Array, reduction: str) -> None:
        case = a_case(target=target, reduction=reduction)
        verdict = verdict_of(case, right(case))
        assert verdict.verdict == "agrees", verdict.reason
        assert "gradient of weight within" in verdict.reason
        assert ("gradient of target within" in verdict.reason) == (target is SOFT)

    @pytest.mark.parametrize("name", ["target", "weight"])
    def test_a_wrong_one_deviates_by_its_own_part(self, name: str) -> None:
        case = a_case()
        array = {"target": SOFT, "weight": WEIGHT}[name]
        verdict = verdict_of(case, right(case, **{name: np.zeros_like(array)}))
        assert (verdict.verdict, verdict.parts) == ("deviates", (f"gradient of {name}",))
        assert f"gradient of {name} 0.0 for " in verdict.reason
        assert verdict.error_in_bounds is not None
        assert verdict.error_in_bounds > 1024

    def test_missing_digits_are_imprecise(self) -> None:
        case = a_case()
        slope = of_weight(case)
        slope[0] += 5 * answers(case).gradients["weight"].bound[0]
        verdict = verdict_of(case, right(case, weight=slope))
        assert (verdict.verdict, verdict.parts) == ("imprecise", ("gradient of weight",))

    @pytest.mark.parametrize(
        ("slope", "fault"), [(np.zeros((3, 1), np.float32), "shape"), (None, "dtype"), (np.full(3, NAN), "nan")]
    )
    def test_shape_dtype_and_nan_are_faults(self, slope: Optional[Array], fault: str) -> None:
        case = a_case()
        wrong = of_weight(case).astype(np.float64) if slope is None else slope
        verdict = verdict_of(case, right(case, weight=wrong))
        assert verdict.verdict == "deviates"
        assert {"gradient of weight", fault} <= set(verdict.parts)

    def test_each_has_the_dtype_of_what_it_is_the_gradient_of(self) -> None:
        case = a_case(weight=WEIGHT.astype(np.float16), target=SOFT.astype(np.float64))
        found = answers(case).gradients
        assert (found["weight"].dtype, found["target"].dtype) == ("float16", "float64")
        assert verdict_of(case, right(case)).verdict == "agrees"

    def test_a_case_that_asks_for_less_is_judged_on_less(self) -> None:
        case = a_case(gradients=("input",))
        verdict = verdict_of(case, replace(right(a_case()), gradients={"weight": np.zeros(3, np.float32)}))
        assert verdict.verdict == "agrees"
        assert "weight" not in verdict.reason

    def test_only_the_gradient_by_weight_may_be_asked_for(self) -> None:
        case = a_case(gradients=("weight",))
        assert verdict_of(case, right(case)).verdict == "agrees"
        assert verdict_of(case, right(case, weight=-of_weight(case))).parts == ("gradient of weight",)

    def test_what_a_call_does_not_have_is_not_asked_for(self) -> None:
        case = a_case(target=INDICES, weight=None)
        assert case.others == ()
        assert verdict_of(case, replace(right(case), gradients=None)).verdict == "agrees"

    def test_a_refusal_that_is_demanded_stays_one(self) -> None:
        case = a_case(target=np.array([0, 7]))
        assert answers(case).gradients == {}
        assert verdict_of(case, an_error()).verdict == "agrees"
        assert verdict_of(case, replace(right(a_case()), gradients=None)).verdict == "accepts"

    def test_beside_a_print_they_are_judged_by_the_oracle(self) -> None:
        value = right(a_case()).value
        assert value is not None
        case = a_case(expected=Expected(value=np.array(float(value)), atol=1e-3), gradients=("weight",))
        assert verdict_of(case, right(case)).verdict == "agrees"
        assert verdict_of(case, right(case, weight=-of_weight(case))).parts == ("gradient of weight",)

    @pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0,), (2, 3, 0)])
    def test_of_nothing(self, shape: tuple) -> None:
        classes = shape[min(1, len(shape) - 1)]
        empty, weight = np.zeros(shape, np.float32), np.ones(classes, np.float32)
        found = answers(a_case(empty, empty, weight, reduction="sum"))
        assert found.gradients["target"].exact.shape == shape
        assert found.gradients["weight"].exact.tolist() == [0] * classes


class TestWhatIsNotThere:
    def test_a_plug_in_that_returns_none_of_them_is_judged_on_the_rest(self) -> None:
        case = a_case()
        for gradients in (None, {}):
            verdict = verdict_of(case, replace(right(case), gradients=gradients))
            assert verdict.verdict == "agrees"
            assert "the gradient with respect to target was not returned" in verdict.reason
            assert "the gradient with respect to weight was not returned" in verdict.reason
        wrong = replace(right(case), gradients=None, value=np.float32(9))
        assert verdict_of(case, wrong).verdict == "deviates"

    def test_one_that_is_missing_beside_another_deviates(self) -> None:
        case = a_case()
        verdict = verdict_of(case, right(case, weight=None))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("gradient of weight",))
        assert "no gradient of weight was returned" in verdict.reason

    @pytest.mark.parametrize("target", [SOFT, INDICES])
    def test_one_that_is_not_offered_is_no_fault_and_is_told_with_its_reason(self, target: Array) -> None:
        case = a_case(target=target)
        record = replace(right(case), gradients=None)
        verdict = verdict_of(case, record, LIMITED)
        assert verdict.verdict == "agrees"
        assert "there is no gradient with respect to weight" in verdict.reason
        assert "(measured)" in verdict.reason
        assert "was not returned" not in verdict.reason
        assert verdict_of(case, replace(record, value=np.float32(9)), LIMITED).verdict == "deviates"

    def test_what_is_offered_is_judged_beside_what_is_not(self) -> None:
        half = Capabilities(probability_gradients=Entry(("input", "target"), "weight is a constant"))
        case = a_case()
        assert verdict_of(case, right(case, weight=None), half).verdict == "agrees"
        wrong = right(case, weight=None, target=np.zeros_like(SOFT))
        assert verdict_of(case, wrong, half).parts == ("gradient of target",)

    def test_a_probe_tells_what_a_limit_hides(self) -> None:
        case = a_case(target=INDICES, tags=("capability",))
        zeros = verdict_of(case, right(case, weight=np.zeros_like(WEIGHT)), LIMITED)
        assert (zeros.verdict, zeros.parts) == ("unsupported", ())
        assert "no kernel (measured)" in zeros.reason
        assert "it returned a wrong value" in zeros.reason
        assert "gradient of weight 0.0 for" in zeros.reason
        refused = verdict_of(case, an_error("backward", "no derivative"), LIMITED)
        assert refused.verdict == "unsupported"
        assert "it refused it: ValueError: no derivative" in refused.reason
        lied = verdict_of(case, right(case), LIMITED)
        assert lied.verdict == "unsupported"
        assert "yet it returned the right value" in lied.reason
        assert verdict_of(case, right(case), Capabilities()).verdict == "agrees"

    def test_an_error_in_the_backward_pass_of_what_is_offered_rejects(self) -> None:
        verdict = verdict_of(a_case(), an_error("backward"))
        assert (verdict.verdict, verdict.parts) == ("rejects", ("gradient", "error"))


def judged(case: Case, name: str, *numbers: Array) -> list:
    """The verdicts on these arrays for a gradient."""
    like = {"target": case.target, "weight": case.arguments.weight}[name]
    return [verdict_of(case, right(case, **{name: np.asarray(array, like.dtype)})).verdict for array in numbers]


class TestOpenPoints:
    """-inf is CLOSED: a class of probability 0."""

    CLOSED = np.array([[-INF, 1.0, 2.0], [0.0, 0.5, -1.0]], np.float32)

    def test_a_probability_of_0_on_a_closed_class_has_an_infinite_derivative_or_nan(self) -> None:
        case = a_case(self.CLOSED, np.array([[0, 0.5, 0.5], [1, 0, 0]], np.float32), reduction="sum")
        slopes = np.array(right(case).gradients["target"])  # type: ignore[index]  # asked for
        assert slopes[0, 0] == INF
        nan, zero = slopes.copy(), slopes.copy()
        nan[0, 0], zero[0, 0] = NAN, 0
        assert judged(case, "target", slopes, nan, zero) == ["agrees", "agrees", "deviates"]
        assert "O1" in answers(case).gradients["target"].why

    def test_another_probability_there_leaves_no_choice(self) -> None:
        case = a_case(self.CLOSED, np.array([[0.5, 0.5, 0], [1, 0, 0]], np.float32), reduction="sum")
        nan = np.array(right(case).gradients["target"])  # type: ignore[index]  # asked for
        nan[0, 0] = NAN
        assert judged(case, "target", nan) == ["deviates"]

    @pytest.mark.parametrize("more", [{"weight": np.array([0, 1, 1], np.float32)}, {"label_smoothing": 1.0}])
    def test_a_factor_of_0_on_a_closed_class_gives_0_or_nan(self, more: Dict[str, Any]) -> None:
        case = a_case(self.CLOSED, SOFT, reduction="sum", **more)
        nan = np.array(right(case).gradients["target"])  # type: ignore[index]  # asked for
        assert nan[0, 0] == 0
        nan[0, 0] = NAN
        assert judged(case, "target", nan) == ["agrees"]

    def test_by_weight_a_probability_of_0_on_a_closed_class_gives_the_other_rows_or_nan(self) -> None:
        case = a_case(self.CLOSED, np.array([[0, 0.5, 0.5], [1, 0, 0]], np.float32), reduction="sum")
        nan = of_weight(case)
        assert nan[0] == pytest.approx(np.log(np.exp([0.0, 0.5, -1]).sum()))
        nan[0] = NAN
        zero = np.where(np.isnan(nan), 0, nan)
        elsewhere = of_weight(case)
        elsewhere[1] = NAN
        assert judged(case, "weight", nan, zero, elsewhere) == ["agrees", "deviates", "deviates"]

    def test_by_weight_class_indices_leave_no_choice(self) -> None:
        case = a_case(self.CLOSED, np.array([1, 0]), reduction="sum")
        nan = of_weight(case)
        nan[0] = NAN
        assert judged(case, "weight", of_weight(case), nan) == ["agrees", "deviates"]

    def test_by_weight_a_mean_that_may_be_nan_makes_it_all_so(self) -> None:
        weight = np.array([0, 1, 1], np.float32)
        case = a_case(self.CLOSED, np.array([0, 1]), weight)
        slope = of_weight(case)
        assert slope[0] == INF
        nan = np.full(3, NAN)
        assert judged(case, "weight", slope, nan) == ["agrees", "agrees"]
        sums = a_case(self.CLOSED, np.array([0, 1]), weight, reduction="sum")
        assert judged(sums, "weight", of_weight(sums), nan) == ["agrees", "deviates"]

    def test_by_weight_an_infinite_mean_on_a_class_that_no_row_has_is_0_or_nan(self) -> None:
        case = a_case(self.CLOSED, np.array([0, 1]))
        slope = of_weight(case)
        assert slope[2] == 0
        slope[2] = NAN
        assert judged(case, "weight", slope) == ["agrees"]

    @pytest.mark.parametrize("reduction", ["sum", "none"])
    def test_by_weight_a_row_that_is_nan_reaches_its_own_class_or_all(self, reduction: str) -> None:
        x = np.array([[NAN, 1.0, 2.0], [0.0, 0.5, -1.0]], np.float32)
        case = a_case(x, np.array([0, 1]), reduction=reduction)
        spared = np.array([NAN, np.log(np.exp([0.0, 0.5, -1]).sum()) - 0.5, 0])
        wrong = np.array([NAN, 2.0, 0])
        assert judged(case, "weight", np.full(3, NAN), spared, wrong, np.zeros(3)) == [
            "agrees", "agrees", "deviates", "deviates",
        ]  # fmt: skip
        assert "nan" in answers(case).gradients["weight"].why

    def test_by_weight_a_mean_that_is_nan_reaches_every_class_that_a_row_has(self) -> None:
        x = np.array([[NAN, 1.0, 2.0], [0.0, 0.5, -1.0]], np.float32)
        case = a_case(x, np.array([0, 1]))
        assert judged(case, "weight", [NAN, NAN, 0], [NAN] * 3, [NAN, 0, 0]) == ["agrees", "agrees", "deviates"]

    def test_in_a_row_that_is_nan_a_factor_of_0_gives_nan_or_0(self) -> None:
        x = np.array([[NAN, 1.0, 2.0], [0.0, 0.5, -1.0]], np.float32)
        case = a_case(x, SOFT, np.array([0, 1, 1], np.float32), reduction="sum")
        slope = np.array(right(case).gradients["target"])  # type: ignore[index]  # asked for
        assert np.isnan(slope[0]).all()
        zero, both = slope.copy(), slope.copy()
        zero[0, 0] = both[0, 1] = 0
        assert judged(case, "target", zero, both) == ["agrees", "deviates"]


def _drawn(case: Drawn) -> Case:
    spec = case.spec
    arguments = Arguments(spec.weight, spec.ignore_index, spec.reduction, spec.label_smoothing)
    return Case("a-case", arguments, case.input, case.target, gradients=ALL)


@settings(max_examples=300, deadline=None)
@given(calls())
def test_the_oracle_always_agrees_with_itself(drawn: Drawn) -> None:
    case = _drawn(drawn)
    verdict = verdict_of(case, right(case))
    assert verdict.verdict == "agrees", verdict.reason


@settings(max_examples=300, deadline=None)
@given(calls(), st.data())
def test_three_bounds_off_never_agrees(drawn: Drawn, data: st.DataObject) -> None:
    case = _drawn(drawn)
    found = answers(case).gradients
    if not found:
        return
    name = data.draw(st.sampled_from(sorted(found)))
    answer = found[name]
    fair = np.isfinite(answer.rounded) & np.isfinite(answer.bound)
    if not fair.any():
        return
    at = tuple(data.draw(st.sampled_from(np.argwhere(fair).tolist())))
    off = np.array(answer.rounded)
    off[at] += 3 * answer.bound[at] or 1.0
    wrong = dtypes.from_float64(off, answer.dtype)
    if abs(dtypes.to_float64(wrong)[at] - float(answer.exact[at])) <= 1.01 * answer.bound[at]:
        return  # rounding to the dtype brought it back
    assert verdict_of(case, right(case, **{name: wrong})).verdict in ("imprecise", "deviates")

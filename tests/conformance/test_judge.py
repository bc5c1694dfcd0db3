"""The judge: every verdict, the open points, prints, and deliberately wrong implementations of the loss in NumPy."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xent.reference
from xent import dtypes
from xent.adapters import Capabilities, Entry
from xent.conformance import arrays
from xent.conformance.answers import Answers, answers
from xent.conformance.case import Case, Expected
from xent.conformance.compare import measure
from xent.conformance.judge import VERDICTS, Verdict, judge, judge_all
from xent.spec import Arguments, CrossEntropySpec

INF, NAN = np.inf, np.nan
X = np.array([[1.0, 2.0, 3.0], [0.0, 0.5, -1.0]], np.float32)
T = np.array([0, 1])


def _case(x: Any = X, t: Any = T, expected: Optional[Expected] = None, gradient: bool = True, **arguments: Any) -> Case:
    return Case("a-case", Arguments(**arguments), np.asarray(x), np.asarray(t), expected=expected, gradient=gradient)


def _value(value: Any, gradient: Any = None, dtype: str = "float32", **more: Any) -> Dict[str, Any]:
    record = {"case": "a-case", "outcome": "value", "value": arrays.encode(dtypes.from_float64(value, dtype)), **more}
    record["gradient"] = None if gradient is None else arrays.encode(dtypes.from_float64(gradient, dtype))
    return record


def _right(case: Case) -> Tuple[np.ndarray, np.ndarray]:
    spec = CrossEntropySpec(*case.arguments)
    value = xent.reference.value(spec, case.input, case.target)
    return dtypes.to_float64(value), dtypes.to_float64(xent.reference.gradient(spec, case.input, case.target))


def _error(phase: str = "forward", message: str = "no such thing") -> Dict[str, Any]:
    return {"case": "a-case", "outcome": "error", "error": {"type": "ValueError", "message": message, "phase": phase}}


def _judge(case: Case, record: Optional[Dict[str, Any]], capabilities: Optional[Capabilities] = None) -> Verdict:
    return judge(case, record, capabilities, "torch")


NO_FLOAT32 = Capabilities(input_dtypes=Entry(("float64",), "mint/input/dtype"))


class TestVerdicts:
    def test_a_correctly_rounded_answer_agrees(self) -> None:
        for reduction in ("none", "mean", "sum"):
            case = _case(reduction=reduction)
            verdict = _judge(case, _value(*_right(case)))
            assert verdict.verdict == "agrees"
            assert verdict.parts == ()
            assert verdict.error_in_bounds is not None
            assert verdict.error_in_bounds < 0.5
            assert verdict.error_in_ulps == 0

    def test_what_no_stand_in_can_tell_is_no_evidence_even_where_a_refusal_is_demanded(self) -> None:
        record = _error(message="mint: what Ascend does with class index 7 is not documented.")
        record["error"]["type"] = "xent.errors.Unavailable"
        for target in (T, np.array([0, 7])):
            verdict = _judge(_case(t=target), record)
            assert (verdict.verdict, verdict.parts) == ("no evidence", ())
            assert "not documented" in verdict.reason

    def test_missing_digits_are_imprecise_up_to_1024_bounds(self) -> None:
        case = _case(reduction="none")
        value, gradient = _right(case)
        answer = answers(case).value
        assert answer is not None
        for bounds, expected in ((0.9, "agrees"), (1.4, "imprecise"), (1000, "imprecise"), (1050, "deviates")):
            off = value + np.array([0, bounds * answer.bound[1]])
            verdict = _judge(case, _value(off, gradient))
            assert verdict.verdict == expected, bounds
            assert verdict.parts == (() if expected == "agrees" else ("value",))
            assert verdict.error_in_bounds == pytest.approx(bounds, rel=0.3)
        assert "value" in verdict.reason.lower()
        assert "bounds" in verdict.reason
        assert "at index (1,)" in verdict.reason

    def test_the_gradient_is_judged_too(self) -> None:
        case = _case()
        value, gradient = _right(case)
        verdict = _judge(case, _value(value, gradient * 1.0001))
        assert (verdict.verdict, verdict.parts) == ("imprecise", ("gradient",))
        verdict = _judge(case, _value(value, gradient * 2))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("gradient",))

    def test_a_gradient_that_is_missing_deviates(self) -> None:
        case = _case()
        verdict = _judge(case, _value(_right(case)[0]))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("gradient",))
        assert "no gradient" in verdict.reason

    def test_a_gradient_that_was_not_asked_for_is_not_judged(self) -> None:
        case = _case(gradient=False)
        assert _judge(case, _value(_right(case)[0])).verdict == "agrees"

    def test_shape_and_dtype_deviate(self) -> None:
        case = _case(reduction="sum")
        value, gradient = _right(case)
        verdict = _judge(case, _value([value], gradient))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("value", "shape"))
        assert "shape (1,) for ()" in verdict.reason
        wide = _value(value, gradient)
        wide["value"] = arrays.encode(np.asarray(value, np.float64))
        verdict = _judge(case, {**wide, "casts": ["input float32 -> float64"]})
        assert (verdict.verdict, verdict.parts) == ("deviates", ("value", "dtype"))
        assert "dtype float64 for float32" in verdict.reason
        assert "input float32 -> float64" in verdict.reason

    @pytest.mark.parametrize("wrong", [NAN, INF, -INF])
    def test_nan_and_inf_in_other_places_deviate(self, wrong: float) -> None:
        case = _case(reduction="none")
        value, gradient = _right(case)
        verdict = _judge(case, _value([value[0], wrong], gradient))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("value", "nan"))
        assert "at index (1,)" in verdict.reason

    def test_a_number_for_nan_or_inf_deviates(self) -> None:
        nothing = _case(t=[-100, -100])
        zeros = np.zeros((2, 3))
        assert _judge(nothing, _value(NAN, zeros)).verdict == "agrees"
        assert _judge(nothing, _value(0.0, zeros)).parts == ("value", "nan")
        impossible = _case(x=np.array([[-INF, 0, 0]], np.float32), t=[0], reduction="none")
        slopes = _right(impossible)[1]
        assert _judge(impossible, _value([INF], slopes)).verdict == "agrees"
        assert _judge(impossible, _value([-INF], slopes)).parts == ("value", "nan")
        assert _judge(impossible, _value([3e38], slopes)).parts == ("value", "nan")

    def test_rejects(self) -> None:
        verdict = _judge(_case(), _error(message="\x1b[31m\n\nboo\n  unsupported here \n"))
        assert (verdict.verdict, verdict.parts) == ("rejects", ("error",))
        assert verdict.reason.endswith("ValueError: unsupported here.")

    def test_an_error_in_the_backward_pass_rejects(self) -> None:
        verdict = _judge(_case(), _error("backward"))
        assert (verdict.verdict, verdict.parts) == ("rejects", ("gradient", "error"))

    @pytest.mark.parametrize(
        "case",
        [
            _case(t=np.array([0, 3])),
            _case(t=np.array([0, -1])),
            _case(label_smoothing=1.1),
            _case(reduction="Mean"),
            _case(weight=np.ones(2, np.float32)),
            _case(t=X, ignore_index=1),
            _case(x=X.astype(np.int64)),
        ],
    )
    def test_a_demanded_refusal(self, case: Case) -> None:
        assert _judge(case, _error("construct")).verdict == "agrees"
        assert _judge(case, _error("forward")).verdict == "agrees"
        verdict = _judge(case, _value(1.5, X))
        assert (verdict.verdict, verdict.parts) == ("accepts", ("error",))
        assert "1.5" in verdict.reason
        assert _judge(case, _error("backward")).verdict == "accepts"
        assert _judge(case, {"outcome": "crash", "signal": "SIGABRT"}).verdict == "crashes"
        assert _judge(case, {"outcome": "timeout"}).verdict == "hangs"
        # where the document excludes it as well, the refusal is still what is asked for
        everything = Capabilities(input_ranks=Entry((1,), "oneflow/input/shape"))
        assert _judge(case, _error(), everything).verdict == "agrees"
        assert _judge(case, _value(1.5, X), everything).verdict == "accepts"

    def test_crashes_and_hangs(self) -> None:
        crash = _judge(_case(), {"outcome": "crash", "signal": "SIGSEGV", "stderr": "warning\nF1122 check failed\n"})
        assert crash.verdict == "crashes"
        assert crash.reason == "The process died (SIGSEGV): F1122 check failed."
        assert _judge(_case(), {"outcome": "timeout"}).verdict == "hangs"

    def test_unsupported(self) -> None:
        verdict = _judge(_case(), {"outcome": "unsupported"}, NO_FLOAT32)
        assert verdict.verdict == "unsupported"
        assert "mint/input/dtype" in verdict.reason
        assert _judge(_case(), {"outcome": "unsupported"}).verdict == "unsupported"

    def test_a_probe_tells_whether_the_document_lies(self) -> None:
        case = _case()
        value, gradient = _right(case)
        for record, text in (
            (_error(), "it refused it: ValueError: no such thing"),
            (_value(value, gradient), "yet it returned the right value"),
            (_value(value * 1.0001, gradient), "yet it returned a value that lacks digits"),
            (_value(value * 2, gradient), "it returned a wrong value"),
            ({"outcome": "crash", "signal": "SIGABRT"}, "the process died (SIGABRT)"),
            ({"outcome": "timeout"}, "time limit"),
        ):
            verdict = _judge(case, record, NO_FLOAT32)
            assert (verdict.verdict, verdict.parts) == ("unsupported", ())
            assert "mint/input/dtype" in verdict.reason
            assert text in verdict.reason

    def test_no_evidence(self) -> None:
        assert _judge(_case(), None).verdict == "no evidence"
        told = judge(_case(), None, None, "torch", missing="there is no Ascend device")
        assert told.reason == "There is no Ascend device."

    def test_kernels_are_told(self) -> None:
        case = _case()
        assert _judge(case, _value(*_right(case), kernels="stand-in")).kernels == "stand-in"
        assert _judge(case, _value(*_right(case))).kernels == "native"


class TestOpenPoints:
    ZERO_WEIGHT = _case(
        x=np.array([[-INF, 0, 0], [1, 2, 3]], np.float32),
        t=[0, 1],
        weight=np.array([0, 1, 1], np.float32),
        reduction="none",
    )
    ZERO_PROBABILITY = _case(
        x=np.array([[-INF, 0, 0], [1, 2, 3]], np.float32),
        t=np.array([[0, 0.5, 0.5], [0, 1, 0]], np.float32),
        reduction="none",
    )

    @pytest.mark.parametrize("case", [ZERO_WEIGHT, ZERO_PROBABILITY])
    def test_o1_nan_or_the_limit(self, case: Case) -> None:
        value, gradient = _right(case)
        assert np.isfinite(value).all()
        assert _judge(case, _value(value, gradient)).verdict == "agrees"
        nan_row = np.array([[NAN] * 3, gradient[1]])
        assert _judge(case, _value([NAN, value[1]], gradient)).verdict == "agrees"
        assert _judge(case, _value([NAN, value[1]], nan_row)).verdict == "agrees"
        assert _judge(case, _value([value[0], NAN], gradient)).parts == ("value", "nan")
        assert _judge(case, _value([INF, value[1]], gradient)).parts == ("value", "nan")
        assert _judge(case, _value(value, nan_row[::-1])).parts == ("gradient", "nan")
        total = Case("a-case", case.arguments._replace(reduction="sum"), case.input, case.target)
        assert _judge(total, _value(value.sum(), gradient)).verdict == "agrees"
        assert _judge(total, _value(NAN, gradient)).verdict == "agrees"

    def test_o1_is_about_coefficients_only(self) -> None:
        """A -inf logit that the target doesn't name has no coefficient: nan is wrong there, smoothing being 0."""
        case = _case(x=np.array([[-INF, 0, 0]], np.float32), t=[1], reduction="none")
        assert _judge(case, _value([NAN], _right(case)[1])).parts == ("value", "nan")
        unnamed = _case(x=case.input, t=[1], reduction="none", weight=np.array([0, 1, 1], np.float32))
        assert _judge(unnamed, _value([NAN], _right(unnamed)[1])).parts == ("value", "nan")
        smoothed = Case("a-case", unnamed.arguments._replace(label_smoothing=0.1), case.input, case.target)
        assert _judge(smoothed, _value([NAN], _right(smoothed)[1])).verdict == "agrees"
        ignored = Case("a-case", smoothed.arguments, case.input, np.array([-100]))
        assert _judge(ignored, _value([NAN], np.zeros((1, 3)))).parts == ("value", "nan")

    def test_o2_no_rows(self) -> None:
        case = _case(x=np.zeros((0, 3), np.float32), t=np.zeros(0, int))
        assert _judge(case, _value(NAN, np.zeros((0, 3)))).verdict == "agrees"
        assert _judge(case, _value(0.0, np.zeros((0, 3)))).verdict == "deviates"
        refused = _judge(case, _error())
        assert refused.verdict == "agrees"
        assert "O2" in refused.reason

    def test_o2_no_classes(self) -> None:
        x = np.zeros((2, 0), np.float32)
        soft = _case(x=x, t=x)
        assert _judge(soft, _error()).verdict == "agrees"
        assert _judge(soft, _value(NAN, x)).verdict == "agrees"
        assert _judge(soft, _value(0.0, x)).verdict == "agrees"
        assert _judge(soft, _value(1.0, x)).verdict == "deviates"
        ignored = _case(x=x, t=[-100, -100])
        assert _judge(ignored, _value(NAN, x)).verdict == "agrees"
        assert _judge(ignored, _value(0.0, x)).verdict == "deviates"
        assert _judge(_case(x=x, t=[0, 0]), _value(0.0, x)).verdict == "accepts"
        assert _judge(_case(x=x, t=np.zeros((2, 1), np.float32)), _value(0.0, x)).verdict == "accepts"
        assert _judge(_case(x=x, t=x, weight=np.ones(3, np.float32)), _value(0.0, x)).verdict == "accepts"
        none = _case(x=x, t=[-100, -100], reduction="none", weight=np.ones(0, np.float32))
        assert _judge(none, _value([0.0, 0.0], x)).verdict == "agrees"


class TestOverflow:
    def test_an_answer_that_rounds_to_inf_within_the_bound(self) -> None:
        largest = 65504.0
        case = _case(x=np.array([[-largest, 0]], np.float16), t=[0], reduction="none")
        slopes = _right(case)[1]
        assert _judge(case, _value([largest], slopes, "float16")).verdict == "agrees"
        # half an ulp (16) and the float32 errors are all that is granted, so inf, 65520 on, is just in reach
        assert _judge(case, _value([INF], slopes, "float16")).verdict == "agrees"
        assert _judge(case, _value([-INF], slopes, "float16")).parts == ("value", "nan")
        far = _case(x=np.array([[-65000, 0]], np.float16), t=[0], reduction="none")
        assert _judge(far, _value([INF], slopes, "float16")).parts == ("value", "nan")
        beyond = _case(x=np.array([[-60000, 60000]], np.float16), t=[0], reduction="none")  # 120,000 rounds to inf
        assert _judge(beyond, _value([INF], slopes, "float16")).verdict == "agrees"
        assert _judge(beyond, _value([largest], slopes, "float16")).parts == ("value", "nan")

    def test_where_rounding_decides_everything_agrees(self) -> None:
        close = _case(x=np.zeros((3, 3), np.float32), t=[0, 1, 2], weight=np.array([0.1, 0.2, -0.3], np.float32))
        for anything in (NAN, INF, -INF, 12.5):
            assert _judge(close, _value(anything, np.full((3, 3), anything))).verdict == "agrees"
        exact = _case(x=np.array([[0, 9], [0, 9]], np.float32), t=[0, 1], weight=np.array([1, -1], np.float32))
        assert _judge(exact, _value(INF, np.full((2, 2), NAN))).verdict == "agrees"
        assert _judge(exact, _value(-INF, np.full((2, 2), NAN))).parts == ("value", "nan")


class TestPrints:
    def test_the_print_and_its_tolerance_decide(self) -> None:
        printed = float(np.round(_right(_case())[0], 4))
        case = _case(expected=Expected(value=np.array(printed), atol=5e-5), gradient=False)
        assert _judge(case, _value(printed + 4e-5)).verdict == "agrees"
        off = _judge(case, _value(printed + 1e-4))
        assert (off.verdict, off.parts) == ("deviates", ("value",))
        assert off.error_in_bounds == pytest.approx(2, rel=0.01)
        assert "tolerances of the print" in off.reason
        ulp = float(np.spacing(np.float32(printed)))
        assert off.error_in_ulps == pytest.approx((printed + 1e-4 - _right(case)[0]) / ulp, rel=0.01)

    def test_what_is_not_printed_is_judged_by_the_oracle(self) -> None:
        value, gradient = _right(_case())
        case = _case(expected=Expected(value=np.asarray(np.round(value, 4)), atol=5e-5))
        assert _judge(case, _value(value, gradient)).verdict == "agrees"
        assert _judge(case, _value(value, gradient * 1.01)).parts == ("gradient",)
        printed = _case(
            expected=Expected(value=np.asarray(np.round(value, 4)), gradient=np.round(gradient, 3), atol=2e-3)
        )
        assert _judge(printed, _value(value, gradient * 1.001)).verdict == "agrees"

    def test_a_printed_gradient_that_is_not_asked_for_is_not_judged(self) -> None:
        value, gradient = _right(_case())
        case = _case(expected=Expected(value=np.asarray(value), gradient=gradient, atol=5e-5), gradient=False)
        assert _judge(case, _value(value)).verdict == "agrees"

    def test_a_wrong_print_is_told(self) -> None:
        value = _right(_case())[0]
        case = _case(expected=Expected(value=np.asarray(value + 1), atol=5e-5), gradient=False)
        assert "the print itself is wrong" in _judge(case, _value(value)).reason
        assert _judge(case, _value(value)).verdict == "deviates"
        assert _judge(case, _value(value + 1)).verdict == "agrees"
        right = _case(expected=Expected(value=np.asarray(value), atol=5e-5), gradient=False)
        assert "print itself" not in _judge(right, _value(value)).reason

    def test_a_print_that_is_nan(self) -> None:
        case = _case(t=[-100, -100], expected=Expected(value=np.array(NAN)), gradient=False)
        assert _judge(case, _value(NAN)).verdict == "agrees"
        assert _judge(case, _value(0.0)).verdict == "deviates"

    def test_raises(self) -> None:
        case = _case(expected=Expected(raises=True))
        agreed = _judge(case, _error())
        assert agreed.verdict == "agrees"
        assert "the specification demands no refusal" in agreed.reason
        assert _judge(case, _value(1.0, X)).verdict == "accepts"
        both = _case(t=[0, 7], expected=Expected(raises=True))
        assert "demands no refusal" not in _judge(both, _error()).reason

    def test_a_printed_value_where_the_specification_refuses(self) -> None:
        case = _case(t=[0, 7], expected=Expected(value=np.array(1.0), atol=0.1), gradient=False)
        verdict = _judge(case, _value(1.05))
        assert verdict.verdict == "agrees"
        assert "the specification demands a refusal" in verdict.reason
        assert _judge(case, _error()).verdict == "rejects"


class TestAll:
    def test_one_verdict_for_each_case_and_implementation(self) -> None:
        cases = [Case(f"case-{i}", Arguments(), X, T) for i in range(3)]
        right = _value(*_right(_case()))
        records = {"torch": {"case-0": right, "case-2": _error()}, "mint": {}}
        verdicts = judge_all(cases, records, {"torch": None}, {"mint": "mindspore is not installed"})
        assert [(v.case, v.implementation) for v in verdicts] == [
            (case.id, name) for case in cases for name in ("torch", "mint")
        ]
        found = {(v.case, v.implementation): v for v in verdicts}
        assert found["case-0", "torch"].verdict == "agrees"
        assert found["case-1", "torch"].verdict == "no evidence"
        assert found["case-2", "torch"].verdict == "rejects"
        assert found["case-1", "mint"].reason == "Mindspore is not installed."
        assert all(v.verdict in VERDICTS and v.reason.endswith(".") for v in verdicts)

    def test_the_oracle_runs_once_a_case(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []

        def counted(case: Case) -> Answers:
            calls.append(case.id)
            return answers(case)

        monkeypatch.setattr("xent.conformance.judge.answers", counted)
        right = _value(*_right(_case()))
        judge_all([_case()], {name: {"a-case": right} for name in ("a", "b", "c")}, {}, {})
        assert calls == ["a-case"]


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
    return _judge(case, _value(value, gradient))


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
    verdict = _judge(case, _value(*_right(case), dtypes.name(case.input)))
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
    value, gradient = _right(case)
    value, gradient = (value, off) if in_gradient else (off, gradient)
    assert _judge(case, _value(value, gradient, name)).verdict in ("imprecise", "deviates")

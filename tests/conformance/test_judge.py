"""The judge: every verdict, the open points, overflow and prints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judging import INF, NAN, T, X, a_case, a_value, an_error, right_answer, verdict_of

from xent import dtypes
from xent.adapters import Capabilities, Entry
from xent.conformance.evidence.records import Record
from xent.conformance.judging.answers import Answers, answers
from xent.conformance.judging.judge import judge, judge_all
from xent.conformance.judging.verdicts import VERDICTS
from xent.conformance.protocol.case import Case, Expected
from xent.spec import Arguments

NO_FLOAT32 = Capabilities(input_dtypes=Entry(("float64",), "mint/input/dtype"))


class TestVerdicts:
    def test_a_correctly_rounded_answer_agrees(self) -> None:
        for reduction in ("none", "mean", "sum"):
            case = a_case(reduction=reduction)
            verdict = verdict_of(case, a_value(*right_answer(case)))
            assert verdict.verdict == "agrees"
            assert verdict.parts == ()
            assert verdict.error_in_bounds is not None
            assert verdict.error_in_bounds < 0.5
            assert verdict.error_in_ulps == 0

    def test_what_no_stand_in_can_tell_is_no_evidence_even_where_a_refusal_is_demanded(self) -> None:
        told = "mint: what Ascend does with class index 7 is not documented."
        record = an_error(message=told, type="xent.errors.Unavailable")
        for target in (T, np.array([0, 7])):
            verdict = verdict_of(a_case(t=target), record)
            assert (verdict.verdict, verdict.parts) == ("no evidence", ())
            assert "not documented" in verdict.reason

    def test_missing_digits_are_imprecise_up_to_1024_bounds(self) -> None:
        case = a_case(reduction="none")
        value, gradient = right_answer(case)
        answer = answers(case).value
        assert answer is not None
        for bounds, expected in ((0.9, "agrees"), (1.4, "imprecise"), (1000, "imprecise"), (1050, "deviates")):
            off = value + np.array([0, bounds * answer.bound[1]])
            verdict = verdict_of(case, a_value(off, gradient))
            assert verdict.verdict == expected, bounds
            assert verdict.parts == (() if expected == "agrees" else ("value",))
            assert verdict.error_in_bounds == pytest.approx(bounds, rel=0.3)
        assert "value" in verdict.reason.lower()
        assert "bounds" in verdict.reason
        assert "at index (1,)" in verdict.reason

    def test_the_gradient_is_judged_too(self) -> None:
        case = a_case()
        value, gradient = right_answer(case)
        verdict = verdict_of(case, a_value(value, gradient * 1.0001))
        assert (verdict.verdict, verdict.parts) == ("imprecise", ("gradient",))
        verdict = verdict_of(case, a_value(value, gradient * 2))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("gradient",))

    def test_a_gradient_that_is_missing_deviates(self) -> None:
        case = a_case()
        verdict = verdict_of(case, a_value(right_answer(case)[0]))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("gradient",))
        assert "no gradient" in verdict.reason

    def test_a_gradient_that_was_not_asked_for_is_not_judged(self) -> None:
        case = a_case(gradient=False)
        assert verdict_of(case, a_value(right_answer(case)[0])).verdict == "agrees"

    def test_shape_and_dtype_deviate(self) -> None:
        case = a_case(reduction="sum")
        value, gradient = right_answer(case)
        verdict = verdict_of(case, a_value([value], gradient))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("value", "shape"))
        assert "shape (1,) for ()" in verdict.reason
        wide = replace(a_value(value, gradient), value=np.asarray(value, np.float64))
        verdict = verdict_of(case, replace(wide, casts=("input float32 -> float64",)))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("value", "dtype"))
        assert "dtype float64 for float32" in verdict.reason
        assert "input float32 -> float64" in verdict.reason

    @pytest.mark.parametrize("wrong", [NAN, INF, -INF])
    def test_nan_and_inf_in_other_places_deviate(self, wrong: float) -> None:
        case = a_case(reduction="none")
        value, gradient = right_answer(case)
        verdict = verdict_of(case, a_value([value[0], wrong], gradient))
        assert (verdict.verdict, verdict.parts) == ("deviates", ("value", "nan"))
        assert "at index (1,)" in verdict.reason

    def test_a_number_for_nan_or_inf_deviates(self) -> None:
        nothing = a_case(t=[-100, -100])
        zeros = np.zeros((2, 3))
        assert verdict_of(nothing, a_value(NAN, zeros)).verdict == "agrees"
        assert verdict_of(nothing, a_value(0.0, zeros)).parts == ("value", "nan")
        impossible = a_case(x=np.array([[-INF, 0, 0]], np.float32), t=[0], reduction="none")
        slopes = right_answer(impossible)[1]
        assert verdict_of(impossible, a_value([INF], slopes)).verdict == "agrees"
        assert verdict_of(impossible, a_value([-INF], slopes)).parts == ("value", "nan")
        assert verdict_of(impossible, a_value([3e38], slopes)).parts == ("value", "nan")

    def test_rejects(self) -> None:
        verdict = verdict_of(a_case(), an_error(message="\x1b[31m\n\nboo\n  unsupported here \n"))
        assert (verdict.verdict, verdict.parts) == ("rejects", ("error",))
        assert verdict.reason.endswith("ValueError: unsupported here.")

    def test_an_error_in_the_backward_pass_rejects(self) -> None:
        verdict = verdict_of(a_case(), an_error("backward"))
        assert (verdict.verdict, verdict.parts) == ("rejects", ("gradient", "error"))

    @pytest.mark.parametrize(
        "case",
        [
            a_case(t=np.array([0, 3])),
            a_case(t=np.array([0, -1])),
            a_case(label_smoothing=1.1),
            a_case(reduction="Mean"),
            a_case(weight=np.ones(2, np.float32)),
            a_case(t=X, ignore_index=1),
            a_case(x=X.astype(np.int64)),
        ],
    )
    def test_a_demanded_refusal(self, case: Case) -> None:
        assert verdict_of(case, an_error("construct")).verdict == "agrees"
        assert verdict_of(case, an_error("forward")).verdict == "agrees"
        verdict = verdict_of(case, a_value(1.5, X))
        assert (verdict.verdict, verdict.parts) == ("accepts", ("error",))
        assert "1.5" in verdict.reason
        assert verdict_of(case, an_error("backward")).verdict == "accepts"
        assert verdict_of(case, Record("a-case", "crash", signal="SIGABRT")).verdict == "crashes"
        assert verdict_of(case, Record("a-case", "timeout")).verdict == "hangs"
        # where the document excludes it as well, the refusal is still what is asked for
        everything = Capabilities(input_ranks=Entry((1,), "oneflow/input/shape"))
        assert verdict_of(case, an_error(), everything).verdict == "agrees"
        assert verdict_of(case, a_value(1.5, X), everything).verdict == "accepts"

    def test_crashes_and_hangs(self) -> None:
        crash = verdict_of(
            a_case(), Record("a-case", "crash", signal="SIGSEGV", stderr="warning\nF1122 check failed\n")
        )
        assert crash.verdict == "crashes"
        assert crash.reason == "The process died (SIGSEGV): F1122 check failed."
        assert verdict_of(a_case(), Record("a-case", "timeout")).verdict == "hangs"

    def test_unsupported(self) -> None:
        verdict = verdict_of(a_case(), Record("a-case", "unsupported"), NO_FLOAT32)
        assert verdict.verdict == "unsupported"
        assert "mint/input/dtype" in verdict.reason
        assert verdict_of(a_case(), Record("a-case", "unsupported")).verdict == "unsupported"

    def test_a_probe_tells_whether_the_document_lies(self) -> None:
        case = a_case()
        value, gradient = right_answer(case)
        for record, text in (
            (an_error(), "it refused it: ValueError: no such thing"),
            (a_value(value, gradient), "yet it returned the right value"),
            (a_value(value * 1.0001, gradient), "yet it returned a value that lacks digits"),
            (a_value(value * 2, gradient), "it returned a wrong value"),
            (Record("a-case", "crash", signal="SIGABRT"), "the process died (SIGABRT)"),
            (Record("a-case", "timeout"), "time limit"),
        ):
            verdict = verdict_of(case, record, NO_FLOAT32)
            assert (verdict.verdict, verdict.parts) == ("unsupported", ())
            assert "mint/input/dtype" in verdict.reason
            assert text in verdict.reason

    def test_no_evidence(self) -> None:
        assert verdict_of(a_case(), None).verdict == "no evidence"
        told = judge(a_case(), None, None, "torch", missing="there is no Ascend device")
        assert told.reason == "There is no Ascend device."

    def test_kernels_are_told(self) -> None:
        case = a_case()
        assert verdict_of(case, a_value(*right_answer(case), kernels="stand-in")).kernels == "stand-in"
        assert verdict_of(case, a_value(*right_answer(case))).kernels == "native"


class TestOpenPoints:
    ZERO_WEIGHT = a_case(
        x=np.array([[-INF, 0, 0], [1, 2, 3]], np.float32),
        t=[0, 1],
        weight=np.array([0, 1, 1], np.float32),
        reduction="none",
    )
    ZERO_PROBABILITY = a_case(
        x=np.array([[-INF, 0, 0], [1, 2, 3]], np.float32),
        t=np.array([[0, 0.5, 0.5], [0, 1, 0]], np.float32),
        reduction="none",
    )

    @pytest.mark.parametrize("case", [ZERO_WEIGHT, ZERO_PROBABILITY])
    def test_o1_nan_or_the_limit(self, case: Case) -> None:
        value, gradient = right_answer(case)
        assert np.isfinite(value).all()
        assert verdict_of(case, a_value(value, gradient)).verdict == "agrees"
        nan_row = np.array([[NAN] * 3, gradient[1]])
        assert verdict_of(case, a_value([NAN, value[1]], gradient)).verdict == "agrees"
        assert verdict_of(case, a_value([NAN, value[1]], nan_row)).verdict == "agrees"
        assert verdict_of(case, a_value([value[0], NAN], gradient)).parts == ("value", "nan")
        assert verdict_of(case, a_value([INF, value[1]], gradient)).parts == ("value", "nan")
        assert verdict_of(case, a_value(value, nan_row[::-1])).parts == ("gradient", "nan")
        total = Case("a-case", case.arguments._replace(reduction="sum"), case.input, case.target)
        assert verdict_of(total, a_value(value.sum(), gradient)).verdict == "agrees"
        assert verdict_of(total, a_value(NAN, gradient)).verdict == "agrees"

    def test_o1_is_about_coefficients_only(self) -> None:
        """A -inf logit that the target doesn't name has no coefficient: nan is wrong there, smoothing being 0."""
        case = a_case(x=np.array([[-INF, 0, 0]], np.float32), t=[1], reduction="none")
        assert verdict_of(case, a_value([NAN], right_answer(case)[1])).parts == ("value", "nan")
        unnamed = a_case(x=case.input, t=[1], reduction="none", weight=np.array([0, 1, 1], np.float32))
        assert verdict_of(unnamed, a_value([NAN], right_answer(unnamed)[1])).parts == ("value", "nan")
        smoothed = Case("a-case", unnamed.arguments._replace(label_smoothing=0.1), case.input, case.target)
        assert verdict_of(smoothed, a_value([NAN], right_answer(smoothed)[1])).verdict == "agrees"
        ignored = Case("a-case", smoothed.arguments, case.input, np.array([-100]))
        assert verdict_of(ignored, a_value([NAN], np.zeros((1, 3)))).parts == ("value", "nan")

    def test_o2_no_rows(self) -> None:
        case = a_case(x=np.zeros((0, 3), np.float32), t=np.zeros(0, int))
        assert verdict_of(case, a_value(NAN, np.zeros((0, 3)))).verdict == "agrees"
        assert verdict_of(case, a_value(0.0, np.zeros((0, 3)))).verdict == "deviates"
        refused = verdict_of(case, an_error())
        assert refused.verdict == "agrees"
        assert "O2" in refused.reason

    def test_o2_no_classes(self) -> None:
        x = np.zeros((2, 0), np.float32)
        soft = a_case(x=x, t=x)
        assert verdict_of(soft, an_error()).verdict == "agrees"
        assert verdict_of(soft, a_value(NAN, x)).verdict == "agrees"
        assert verdict_of(soft, a_value(0.0, x)).verdict == "agrees"
        assert verdict_of(soft, a_value(1.0, x)).verdict == "deviates"
        ignored = a_case(x=x, t=[-100, -100])
        assert verdict_of(ignored, a_value(NAN, x)).verdict == "agrees"
        assert verdict_of(ignored, a_value(0.0, x)).verdict == "deviates"
        assert verdict_of(a_case(x=x, t=[0, 0]), a_value(0.0, x)).verdict == "accepts"
        assert verdict_of(a_case(x=x, t=np.zeros((2, 1), np.float32)), a_value(0.0, x)).verdict == "accepts"
        assert verdict_of(a_case(x=x, t=x, weight=np.ones(3, np.float32)), a_value(0.0, x)).verdict == "accepts"
        none = a_case(x=x, t=[-100, -100], reduction="none", weight=np.ones(0, np.float32))
        assert verdict_of(none, a_value([0.0, 0.0], x)).verdict == "agrees"


class TestOverflow:
    def test_an_answer_that_rounds_to_inf_within_the_bound(self) -> None:
        largest = 65504.0
        case = a_case(x=np.array([[-largest, 0]], np.float16), t=[0], reduction="none")
        slopes = right_answer(case)[1]
        assert verdict_of(case, a_value([largest], slopes, "float16")).verdict == "agrees"
        # half an ulp (16) and the float32 errors are all that is granted, so inf, 65520 on, is just in reach
        assert verdict_of(case, a_value([INF], slopes, "float16")).verdict == "agrees"
        assert verdict_of(case, a_value([-INF], slopes, "float16")).parts == ("value", "nan")
        far = a_case(x=np.array([[-65000, 0]], np.float16), t=[0], reduction="none")
        assert verdict_of(far, a_value([INF], slopes, "float16")).parts == ("value", "nan")
        beyond = a_case(x=np.array([[-60000, 60000]], np.float16), t=[0], reduction="none")  # 120,000 rounds to inf
        assert verdict_of(beyond, a_value([INF], slopes, "float16")).verdict == "agrees"
        assert verdict_of(beyond, a_value([largest], slopes, "float16")).parts == ("value", "nan")

    def test_where_rounding_decides_everything_agrees(self) -> None:
        close = a_case(x=np.zeros((3, 3), np.float32), t=[0, 1, 2], weight=np.array([0.1, 0.2, -0.3], np.float32))
        for anything in (NAN, INF, -INF, 12.5):
            assert verdict_of(close, a_value(anything, np.full((3, 3), anything))).verdict == "agrees"
        exact = a_case(x=np.array([[0, 9], [0, 9]], np.float32), t=[0, 1], weight=np.array([1, -1], np.float32))
        assert verdict_of(exact, a_value(INF, np.full((2, 2), NAN))).verdict == "agrees"
        assert verdict_of(exact, a_value(-INF, np.full((2, 2), NAN))).parts == ("value", "nan")


class TestPrints:
    def test_the_print_and_its_tolerance_decide(self) -> None:
        printed = float(np.round(right_answer(a_case())[0], 4))
        case = a_case(expected=Expected(value=np.array(printed), atol=5e-5), gradient=False)
        assert verdict_of(case, a_value(printed + 4e-5)).verdict == "agrees"
        off = verdict_of(case, a_value(printed + 1e-4))
        assert (off.verdict, off.parts) == ("deviates", ("value",))
        assert off.error_in_bounds == pytest.approx(2, rel=0.02)
        assert "tolerances of the print" in off.reason
        ulp = float(np.spacing(np.float32(printed)))
        assert off.error_in_ulps == pytest.approx((printed + 1e-4 - right_answer(case)[0]) / ulp, rel=0.01)

    def test_what_is_not_printed_is_judged_by_the_oracle(self) -> None:
        value, gradient = right_answer(a_case())
        case = a_case(expected=Expected(value=np.asarray(np.round(value, 4)), atol=5e-5))
        assert verdict_of(case, a_value(value, gradient)).verdict == "agrees"
        assert verdict_of(case, a_value(value, gradient * 1.01)).parts == ("gradient",)
        printed = a_case(
            expected=Expected(value=np.asarray(np.round(value, 4)), gradient=np.round(gradient, 3), atol=2e-3)
        )
        assert verdict_of(printed, a_value(value, gradient * 1.001)).verdict == "agrees"

    def test_a_printed_gradient_that_is_not_asked_for_is_not_judged(self) -> None:
        value, gradient = right_answer(a_case())
        case = a_case(expected=Expected(value=np.asarray(value), gradient=gradient, atol=5e-5), gradient=False)
        assert verdict_of(case, a_value(value)).verdict == "agrees"

    def test_a_wrong_print_is_told(self) -> None:
        value = right_answer(a_case())[0]
        case = a_case(expected=Expected(value=np.asarray(value + 1), atol=5e-5), gradient=False)
        assert "the print itself is wrong" in verdict_of(case, a_value(value)).reason
        assert verdict_of(case, a_value(value)).verdict == "deviates"
        assert verdict_of(case, a_value(value + 1)).verdict == "agrees"
        right = a_case(expected=Expected(value=np.asarray(value), atol=5e-5), gradient=False)
        assert "print itself" not in verdict_of(right, a_value(value)).reason

    @pytest.mark.parametrize(
        ("dtype", "printed", "atol"),
        [("float32", 0.7244379, 5e-8), ("float64", 0.72443793962779612768, 0), ("float16", 0.7244, 5e-5),
         ("bfloat16", 0.7244, 5e-5), ("float16", 0.7244379396, 5e-11), ("float32", 0.72443793962779612768, 0)],
    )  # fmt: skip
    def test_a_right_print_of_more_digits_than_the_dtype_has_is_no_wrong_one(self, dtype, printed, atol) -> None:
        x = dtypes.from_float64(np.array([[2, 1, 0, -1, 0.5]]), dtype)  # the exact value is 0.72443793962779612768
        expected = Expected(value=np.array(printed), atol=atol)
        case = a_case(x=x, t=[0], label_smoothing=0.1, expected=expected, gradient=False)
        verdict = verdict_of(case, a_value(right_answer(case)[0], dtype=dtype))
        assert verdict.verdict == "agrees", verdict.reason
        assert "print itself" not in verdict.reason
        wrong = replace(case, expected=Expected(value=np.array(0.7254), atol=5e-5))
        told = verdict_of(wrong, a_value(0.5, dtype=dtype))
        assert told.verdict == "deviates"
        assert "it says 0.7254, and the exact value is 0.724437939628" in told.reason
        assert "0.5 for 0.7254" in told.reason

    def test_a_print_that_is_nan(self) -> None:
        case = a_case(t=[-100, -100], expected=Expected(value=np.array(NAN)), gradient=False)
        assert verdict_of(case, a_value(NAN)).verdict == "agrees"
        assert verdict_of(case, a_value(0.0)).verdict == "deviates"

    def test_raises(self) -> None:
        case = a_case(expected=Expected(raises=True))
        agreed = verdict_of(case, an_error())
        assert agreed.verdict == "agrees"
        assert "the specification demands no refusal" in agreed.reason
        assert verdict_of(case, a_value(1.0, X)).verdict == "accepts"
        both = a_case(t=[0, 7], expected=Expected(raises=True))
        assert "demands no refusal" not in verdict_of(both, an_error()).reason

    def test_a_printed_value_where_the_specification_refuses(self) -> None:
        case = a_case(t=[0, 7], expected=Expected(value=np.array(1.0), atol=0.1), gradient=False)
        verdict = verdict_of(case, a_value(1.05))
        assert verdict.verdict == "agrees"
        assert "the specification demands a refusal" in verdict.reason
        assert verdict_of(case, an_error()).verdict == "rejects"


class TestAll:
    def test_one_verdict_for_each_case_and_implementation(self) -> None:
        cases = [Case(f"case-{i}", Arguments(), X, T) for i in range(3)]
        right = a_value(*right_answer(a_case()))
        records = {"torch": {"case-0": right, "case-2": an_error()}, "mint": {}}
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

        monkeypatch.setattr("xent.conformance.judging.judge.answers", counted)
        right = a_value(*right_answer(a_case()))
        judge_all([a_case()], {name: {"a-case": right} for name in ("a", "b", "c")}, {}, {})
        assert calls == ["a-case"]

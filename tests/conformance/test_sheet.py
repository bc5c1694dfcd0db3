"""A case's sheet: the numbers are those of the judge, and a reader finds them first, whole and at any width."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from judging import INF, NAN
from sheets import column, exact_record, numbers_of, sheet_of, sheet_of_columns, text_of

from xent.adapters import Capabilities, Entry
from xent.commands import show
from xent.conformance.cases import clauses
from xent.conformance.evidence.records import AdapterSource, Raised, Record
from xent.conformance.protocol.case import Case, Expected
from xent.conformance.report import escape, sheet
from xent.errors import UnreadableInput
from xent.spec import Arguments

X = np.array([[1.0, 2.0, 3.0], [0.0, 0.5, -1.0]], np.float32)
T = np.array([0, 1])
SOFT = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], np.float32)
WEIGHT = np.array([1, 2, 0.5], np.float32)
CLAUSE = "torch-2.8/loss-indices/none"
MEAN = Case("a/mean", Arguments(), X, T)
NONE = Case("a/none", Arguments(reduction="none"), X, T, ("indices", "mine"), (CLAUSE, "no/such/clause"))
ALL = Case("a/all", Arguments(WEIGHT), X, SOFT, gradients=("input", "target", "weight"))
LARGE = Case(
    "a/large", Arguments(reduction="none"), np.linspace(-9, 9, 60, dtype=np.float32).reshape(20, 3), np.arange(20) % 3
)


def moved(record: Record, by: float, *at: int) -> Record:
    """The record with one number of its value further off."""
    assert record.value is not None
    value = record.value.copy()
    value[at] += np.float32(by)
    return replace(record, value=value)


def rights(case: Case) -> dict[str, Record]:
    """So many right answers that implementations are rows, and not columns."""
    return {f"right{number}": exact_record(case) for number in range(4)}


def row(text: str, name: str) -> list[str]:
    """The cells of the first row of that name."""
    return next(line.split()[1:] for line in text.splitlines() if line.split()[:1] == [name])


def test_an_array_in_a_few_words():
    array = np.asfortranarray(np.array([[1, NAN, -INF], [INF, INF, -2.5]], np.float32))
    found = sheet.Summary.of(array)
    assert (found.dtype, found.shape, found.contiguous) == ("float32", (2, 3), False)
    assert (found.least, found.largest, found.nan, found.inf, found.minus_inf) == (-2.5, 1.0, 1, 2, 1)
    assert sheet.Summary.of(np.array([3, -4], np.int8)).least == -4
    assert sheet.Summary.of(np.zeros((0, 3))).largest is None


def test_a_part_says_how_far_off_it_is_and_where_its_worst_element_lies():
    shown = sheet_of(NONE, right=exact_record(NONE), off=moved(exact_record(NONE), 1e-3, 1))
    right, off = shown.implementations
    assert [part.name for part in right.parts] == ["value", "gradient"]
    assert off.parts[0].measure.at == (1,)
    assert off.parts[0].measure.bounds == off.verdict.error_in_bounds > 1024
    assert off.verdict.verdict == "deviates"
    assert right.parts[0].measure.bounds < 1
    told = off.to_dict()["parts"][0]
    assert told["at"] == [1]
    assert told["got"] - told["exact"] == pytest.approx(1e-3, rel=1e-3)
    assert told["bounds"] == pytest.approx(abs(told["got"] - told["exact"]) / told["bound"])


def test_a_misplaced_nan_is_the_worst_element():
    record = moved(exact_record(NONE), 1.0, 0)
    record.value[1] = NAN
    (part, _) = sheet_of(NONE, off=record).implementations[0].parts
    assert part.measure.at == (1,)
    assert part.measure.faults == ("nan",)


def test_every_part_that_is_asked_for_has_its_exact_answer_and_its_bound_with_terms():
    shown = sheet_of(ALL, right=exact_record(ALL))
    assert [part.name for part in shown.parts] == ["value", "gradient", "gradient of target", "gradient of weight"]
    for part in shown.parts:
        np.testing.assert_allclose(sum(part.bound.terms.values()), part.answer.bound)
        assert part.bound.total[part.largest] == part.bound.total.max()
    told = shown.to_dict()
    for name, expected in (("value", ()), ("gradient", (2, 3))):
        assert told[name]["shape"] == list(expected)
        largest = told[name]["terms"]["largest"]
        assert sum(largest["terms"].values()) == pytest.approx(largest["total"])
        assert np.shape(told[name]["terms"]["each"]["output rounding"]) == expected
    assert set(told["gradients"]) == {"target", "weight"}
    big = replace(LARGE, input=np.zeros((40, 3), np.float32), target=np.zeros(40, np.int64))
    terms = sheet_of(big, right=exact_record(big)).to_dict()["gradient"]["terms"]
    assert terms["each"] is None
    assert terms["largest"]["total"] > 0


def test_the_json_is_the_whole_sheet_and_strict():
    off = replace(exact_record(ALL), casts=("weight -> float32",), ms=1.5, kernels="stand-in")
    told = sheet_of_columns(ALL, [column("torch:cpu", off, id="torch"), column("gone")]).to_dict()
    back = json.loads(escape.to_json(told), parse_constant=pytest.fail)
    assert set(back) >= {
        "case",
        "spec",
        "input",
        "target",
        "refusal",
        "value",
        "gradient",
        "gradients",
        "implementations",
    }
    assert back["spec"]["weight"] == {"dtype": "float32", "data": [1.0, 2.0, 0.5]}
    assert back["input"]["dtype"] == "float32"
    assert back["summary"]["target"]["largest"] == 1.0
    assert back["asked"] == ["input", "target", "weight"]
    found = back["implementations"]["torch:cpu"]
    assert set(found) >= {"verdict", "record", "script", "parts", "id", "version"}
    assert (found["id"], found["record"]["kernels"], found["record"]["ms"]) == ("torch", "stand-in", 1.5)
    names = ["value", "gradient", "gradient of target", "gradient of weight"]
    assert [part["part"] for part in found["parts"]] == names
    gone = back["implementations"]["gone"]
    assert (gone["record"], gone["parts"], gone["version"]) == (None, [], "not run")
    assert gone["verdict"]["verdict"] == "no evidence"


def test_a_clause_that_no_document_has_stays_an_id():
    known, unknown = sheet_of(NONE, right=exact_record(NONE)).clauses
    assert known.clause == clauses.load()[CLAUSE]
    assert known.to_dict()["text"] == clauses.load()[CLAUSE].text
    assert unknown.to_dict() == {"id": "no/such/clause"}


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("case", [MEAN, NONE, ALL, LARGE], ids=lambda case: case.id)
def test_numbers_come_first_and_fit_and_nothing_is_cut(case, width):
    names = {
        f"{name}{kind}": exact_record(case, ms=1.0) for name in ("torch", "mint", "mindspore") for kind in ("", "+xent")
    }
    text = text_of(sheet_of(case, **names), width)
    numbers = numbers_of(text)
    assert max(map(len, numbers.splitlines())) <= width
    assert "…" not in numbers
    order = ("spec", "input", "answers", "the bound", "about it", "tags" if case.tags else "took", "reproduce it")
    places = [re.search(rf"^{words}", text, re.MULTILINE).start() for words in order]
    assert places == sorted(places)
    for name in names:
        assert row(numbers, name)[0] == "agrees"


def test_one_number_stands_beside_the_exact_one_and_its_bound():
    text = text_of(sheet_of(MEAN, **rights(MEAN), off=moved(exact_record(MEAN), 1e-5)))
    exact = float(row(text, "exact")[0])
    bound = float(row(text, "bound")[1])
    assert exact == pytest.approx(float(exact_record(MEAN).value), rel=1e-6)
    verdict, value, bounds, *_ = row(text, "off")
    assert verdict == "imprecise"
    assert value.endswith("!")
    assert float(bounds.rstrip("!")) == pytest.approx((float(value[:-1]) - exact) / bound, rel=0.01)
    assert "!" not in " ".join(row(text, "right0"))


def test_few_elements_stand_side_by_side_and_those_that_are_off_are_marked():
    text = text_of(sheet_of(NONE, **rights(NONE), off=moved(exact_record(NONE), 1e-3, 1)))
    elements = text.split("value: every element")[1].split("gradient:")[0]
    assert row(elements, "[0]") == ["[1]"]
    first, second = row(elements, "off")
    assert (first[-1] == "!", second[-1] == "!") == (False, True)
    assert elements.count("!") == 1


def test_of_many_elements_each_ones_worst_is_shown():
    off = moved(moved(exact_record(LARGE), 1e-4, 3), 1e-2, 7)
    text = text_of(sheet_of(LARGE, **rights(LARGE), off=off))
    worst = text.split("value: the worst element of each")[1].split("gradient:")[0]
    assert "(20 in all)" in worst
    cells = next(line.split() for line in worst.splitlines() if line.startswith("off ") and "!" in line)
    assert cells[1:3] == ["2!", "[7]"]
    assert float(cells[3].rstrip("!")) - float(cells[4]) == pytest.approx(1e-2, rel=1e-3)
    assert next(line.split() for line in worst.splitlines() if line.startswith("right0"))[1] == "."


def test_the_bound_has_its_terms_row_for_row_where_the_value_is_small_and_no_row_of_zeros():
    text = text_of(sheet_of(NONE, right=exact_record(NONE))).split("the bound:")[1].split("about it")[0]
    assert len(row(text, "total")) == 3  # two rows of the value, and the gradient's largest
    mean = text_of(sheet_of(MEAN, right=exact_record(MEAN))).split("the bound:")[1]
    assert "sum over rows" in mean
    assert "weight sum" not in mean
    assert row(text, "shift")[1] == "."  # the second row's class is its maximum
    assert float(row(text, "shift")[0]) == pytest.approx(2 * 2.0**-24, rel=0.01)  # u |x - m|
    total = [float(cell) for cell in row(text, "total")[:2]]
    np.testing.assert_allclose(total, sheet_of(NONE).parts[0].answer.bound, rtol=0.01)


def test_a_reason_that_is_only_numbers_is_left_to_the_table_and_a_shared_one_stands_once():
    error = Record("a/mean", "error", error=Raised("ValueError", "not that", "forward"))
    text = numbers_of(text_of(sheet_of(MEAN, right=exact_record(MEAN), one=error, two=error)))
    assert text.count("not that") == 1
    assert "one, two: Refused at the call" in text
    assert "right: " not in text.split("about it")[0]
    limited = Capabilities(probability_gradients=Entry(("input", "target"), "none (measured)"))
    record = replace(exact_record(ALL), gradients={"target": exact_record(ALL).gradients["target"]})
    text = text_of(sheet_of_columns(ALL, [column("limited", record, capabilities=limited)]))
    assert "limited: with class probabilities there is no gradient with respect to weight" in " ".join(text.split())
    assert "Value within" not in text


def test_a_refusal_an_open_point_and_a_print_are_told_before_the_answers():
    refused = Case("a/refused", Arguments(label_smoothing=2.0), X, T, gradients=())
    died = Record("a/refused", "crash", signal="SIGSEGV", stderr="first line\nlast line")
    wrong, error = Record("a/refused", "value", np.float32(1.5)), Record("a/refused", "timeout")
    text = numbers_of(text_of(sheet_of(refused, died=died, wrong=wrong, hung=error, lost=None, more=None)))
    assert "refuses" in text.split("answers")[0]
    assert row(text, "died") == ["crashes", "SIGSEGV"]
    assert row(text, "wrong") == ["accepts", "1.5"]
    assert row(text, "hung") == ["hangs", "no", "end"]
    assert row(text, "lost") == ["no", "evidence"]
    assert "last line" in text
    assert "the bound:" not in text

    closed = np.array([[0, -INF, 1]], np.float32)
    point = Case("a/open", Arguments(reduction="sum"), closed, np.array([[0.5, 0, 0.5]], np.float32))
    text = text_of(sheet_of(point, right=exact_record(point)))
    assert "value, gradient: O1, a coefficient of 0 on a logit of -inf: nan counts too" in " ".join(text.split())

    printed = replace(MEAN, expected=Expected(np.float64(1.45), atol=0.01))
    text = text_of(sheet_of(printed, right=exact_record(printed)))
    assert "value, atol 0.01, rtol 0: 1.45" in text.split("answers")[0]
    assert "tolerances" in text
    assert sheet_of(printed, right=exact_record(printed)).to_dict()["value"]["printed"] == 1.45


def test_calls_without_rows_or_classes_have_a_sheet_too():
    for x, target in ((np.zeros((0, 3), np.float32), np.zeros(0, int)), (np.zeros((2, 0), np.float32), T - 100)):
        for reduction in ("none", "mean", "sum"):
            case = Case("a/empty", Arguments(reduction=reduction, ignore_index=-100), x, np.full(target.shape, -100))
            shown = sheet_of(case, gone=None)
            assert "may refuse" in text_of(shown)
            json.loads(escape.to_json(shown.to_dict()))


def test_the_texts_of_clauses_come_when_they_are_asked_for():
    shown = sheet_of(NONE, right=exact_record(NONE))
    short, long = text_of(shown), text_of(shown, clauses=True)
    assert CLAUSE in short
    assert "no/such/clause" in short
    assert clauses.load()[CLAUSE].place not in " ".join(short.split())
    assert clauses.load()[CLAUSE].place in " ".join(long.split())


def test_scripts_come_last_and_a_shared_one_stands_once():
    columns = [column(f"numpy:{device}", exact_record(MEAN), id="numpy", adapter=None) for device in ("cpu", "npu")]
    stranger = AdapterSource("somebody.elses", 64 * "0")
    columns += [column("theirs", exact_record(MEAN), adapter=stranger), column("odd", exact_record(MEAN), adapter=None)]
    text = text_of(sheet_of_columns(MEAN, columns))
    assert text.count("import xent.adapters.numpy as adapter") == 1
    assert "reproduce it in numpy:cpu's, numpy:npu's interpreter" in text
    assert text.count("import somebody.elses as adapter") == 1  # named, never imported
    assert "odd's interpreter" not in text
    lines = [line for line in text.splitlines() if line.startswith("input = ")]
    assert len(lines) == 2  # what is pasted is not wrapped
    assert all(line.endswith(', "float32")') for line in lines)


def test_a_portable_loss_stands_after_its_frameworks_own_and_an_unknown_label_is_refused():
    found = [column(label) for label in ("mint+xent", "mint-jit", "torch+xent", "mint", "torch")]
    order = ["torch", "torch+xent", "mint", "mint+xent", "mint-jit"]
    assert [one.label for one in show.choose(found, None, Path("report"))] == order
    assert [one.label for one in show.choose(found, ["torch+xent", "mint"], Path("report"))] == ["torch+xent", "mint"]
    with pytest.raises(UnreadableInput, match=r"no evidence of 'trch' in report.*There is mint\+xent, mint-jit"):
        show.choose(found, ["trch"], Path("report"))


def test_verdicts_of_other_cases_are_passed_over_and_a_missing_one_is_an_error():
    shown = sheet_of(MEAN, right=exact_record(MEAN))
    verdict = shown.implementations[0].verdict
    other = replace(verdict, case="a/other", verdict="crashes")
    one = column("right", exact_record(MEAN))
    assert sheet.build(MEAN, [one], [verdict, other]).implementations[0].verdict is verdict
    with pytest.raises(KeyError):
        sheet.build(MEAN, [one], [other])

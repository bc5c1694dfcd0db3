"""The clauses: quoted from the documents, complete, and each with a case, a test or a reason."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from xent.conformance import clauses
from xent.conformance.case import Case
from xent.conformance.clauses import Clause
from xent.spec import Arguments, CrossEntropySpec

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ROOT.parent / "shared" / "documents"

# What the documents say beyond their normative sentences, in runs of more than five words: motives, introductions of
# the formulas, the files' own LaTeX and links, the examples' set-up, and the site's navigation.
NOT_NORMATIVE = (
    "source https github com pytorch pytorch blob torch modules loss",
    "useful when training classification problem with classes",
    "this particularly useful when you have unbalanced training set",
    "the unreduced with reduction set none loss for this case can described log exp exp ignore index",
    "then ignore index reduction mean reduction sum",
    "sum text reduction text sum end cases ignore index reduction mean reduction sum",
    "torch logsoftmax html torch logsoftmax torch logsoftmax",
    "torch nllloss html torch nllloss torch nllloss",
    "the unreduced with reduction set none loss for this case can described log exp exp",
    "text reduction text sum end cases reduction mean reduction sum note",
    "tensors html torch tensor torch tensor",
    "https docs python org library functions html bool python",
    "https docs python org library functions html int python",
    "https docs python org library stdtypes html str python",
    "https docs python org library functions html",
    "examples example target with class indices loss crossentropyloss",
    "the loss can described loss class log exp class jexp class log jexp text",
    "right the case the weight argument being specified",
    (
        "access comprehensive developer documentation for pytorch view docs get depth tutorials for beginners "
        "and advanced developers view tutorials find development resources and get your questions answered "
        "view resources"
    ),
    "the loss with reduction none can described",
    "sum text reduction text sum end cases end split",
    "text reduction text sum end cases end split",
    "import mindspore import numpy case indices labels",
    "the unreduced with reduction set none loss for this case can described",
    "text reduction text sum end cases end split parameters",
    "where begin split begin aligned text",
    "end aligned end split for example import oneflow flow import numpy input flow tensor dtype flow",
    "target flow tensor array dtype flow int",
    (
        "differences with torch crossentropyloss view source gitee https mindspore website obs north "
        "myhuaweicloud com website images master resource static logo source png https gitee com mindspore "
        "docs blob master docs mindspore source note api mapping pytorch diff crossentropyloss torch "
        "crossentropyloss text"
    ),
    (
        "for more information see torch crossentropyloss https pytorch org docs generated torch "
        "crossentropyloss html mindspore crossentropyloss text"
    ),
    (
        "for more information see mindspore crossentropyloss https www mindspore docs master api python "
        "mindspore crossentropyloss html differences"
    ),
    "categories subcategories pytorch mindspore difference parameters",
    "python pytorch import torch import numpy",
)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]{3,}", text.lower())


def squeezed(text: str) -> str:
    """The text without markup, links' targets, prompts of continuation lines and white space."""
    text = re.sub(r"\[([^\]\[]*)\]\((?:[^()\s]|\([^)]*\))*(?: \"[^\"]*\")?\)", r"\1", text)
    text = text.replace("‘", "'").replace("’", "'").replace("–", "-").replace("... ", "")
    return re.sub(r"[\s*`\\]+", "", text)


def occurs(clause: Clause, document: str) -> bool:
    """Whether a document says what a clause quotes; of a formula only the words, in their order, close together."""
    if clause.kind == "text":
        return squeezed(clause.text) in squeezed(document)
    return any(True for _ in places(words(clause.text), words(document)))


def places(wanted: list[str], present: list[str]) -> Iterator[list[int]]:
    """Where in `present` the wanted words stand in their order with at most a dozen others (of the LaTeX) between."""
    for start in range(len(present)):
        found: list[int] = []
        for index in range(start, min(len(present), start + len(wanted) + 12)):
            if present[index] == wanted[len(found)]:
                found.append(index)
                if len(found) == len(wanted):
                    yield found
                    break
            elif not found:
                break


def unquoted(document: str, quoted: Iterable[Clause]) -> list[str]:
    """The runs of more than five words that no clause quotes."""
    present = words(document)
    covered = {index for clause in quoted for found in places(words(clause.text), present) for index in found}
    runs = itertools.groupby(enumerate(present), key=lambda pair: pair[0] in covered)
    texts = [[word for _, word in run] for is_covered, run in runs if not is_covered]
    return [" ".join(text) for text in texts if len(text) > 5]


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    if not DOCUMENTS.is_dir():
        pytest.skip(f"NOT RUN: the five documents are not at ../shared/documents beside this checkout ({ROOT.name})")
    return {name: (DOCUMENTS / name).read_text(encoding="utf-8") for name in clauses.DOCUMENTS.values()}


def a_case(*named: str) -> Case:
    return Case("a/case", Arguments(), np.zeros((1, 2), np.float32), np.zeros(1, np.int64), clauses=named)


def a_clause(id: str, **fields: str) -> Clause:
    return Clause(id, "mindspore-mint-CrossEntropyLoss.txt", "text", "said", **fields)


# ---- the file


def test_every_document_has_clauses() -> None:
    assert {clause.document for clause in clauses.load().values()} == set(clauses.DOCUMENTS.values())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": "mint/Input/dtype"}, "lower case"),
        ({"id": "mint/input"}, "DOC/topic/aspect"),
        ({"id": "oneflow/input/dtype"}, "with the DOC of"),
        ({"kind": "prose"}, "kind 'prose'"),
        ({"text": " "}, "holds text"),
        ({"reason": 3}, "holds text"),
        ({"reason": "none can", "test": "tests/x.py::test_x"}, "not both"),
        ({"cases": []}, "fields are"),
    ],
)
def test_a_clause_that_breaks_the_rules_is_refused(change: dict[str, object], complaint: str) -> None:
    good = {
        "id": "mint/input/dtype",
        "document": clauses.DOCUMENTS["mint"],
        "kind": "text",
        "text": "t",
        "reason": None,
    }
    assert [clause.id for clause in clauses.parse(json.dumps([good]))] == ["mint/input/dtype"]
    with pytest.raises(ValueError, match=re.escape(complaint)):
        clauses.parse(json.dumps([{**good, **change}]))


def test_a_clause_that_stands_twice_is_refused() -> None:
    good = {
        "id": "mint/input/dtype",
        "document": clauses.DOCUMENTS["mint"],
        "kind": "text",
        "text": "t",
        "reason": None,
    }
    with pytest.raises(ValueError, match="stands twice"):
        clauses.parse(json.dumps([good, good]))


# ---- against the documents


@pytest.mark.parametrize("document", clauses.DOCUMENTS.values())
def test_every_clause_is_in_its_document(documents: dict[str, str], document: str) -> None:
    missing = [
        clause.id for clause in clauses.load().values()
        if clause.document == document and not occurs(clause, documents[document])
    ]  # fmt: skip
    assert not missing


def test_a_misquoted_clause_is_noticed(documents: dict[str, str]) -> None:
    document = documents[clauses.DOCUMENTS["mint"]]
    said = "data type must be int32 or int64."
    assert occurs(Clause("mint/a/b", "", "text", said), document)
    assert not occurs(Clause("mint/a/b", "", "text", said.replace("int64", "int8")), document)
    assert occurs(Clause("mint/a/b", "", "formula", "For probabilities, tensor of shape (N, C)"), document)
    assert not occurs(Clause("mint/a/b", "", "formula", "shape of the tensor (N, C) for probabilities"), document)


@pytest.mark.parametrize("document", clauses.DOCUMENTS.values())
def test_no_sentence_of_a_document_is_left_out(documents: dict[str, str], document: str) -> None:
    quoted = [clause for clause in clauses.load().values() if clause.document == document]
    assert [run for run in unquoted(documents[document], quoted) if run not in NOT_NORMATIVE] == []


def test_a_sentence_that_is_left_out_is_noticed(documents: dict[str, str]) -> None:
    name = clauses.DOCUMENTS["oneflow"]
    quoted = [
        clause for clause in clauses.load().values()
        if clause.document == name and clause.id != "oneflow/ignore-index/indices-only"
    ]  # fmt: skip
    assert "note that ignore index only applicable when the target contains class indices" in " ".join(
        unquoted(documents[name], quoted)
    )


# ---- against the cases


def test_every_clause_has_a_case_or_a_test_or_a_reason_and_every_case_known_clauses() -> None:
    from xent.conformance import standard, vectors

    untested, unknown = clauses.unmatched(clauses.load(), [*standard.cases(), *vectors.document_vectors()])
    assert not unknown, "cases name clauses that don't exist"
    assert not untested, "clauses with neither a case nor a test nor a reason"


def test_a_clause_without_a_case_is_found() -> None:
    known = {id: a_clause(id) for id in ("mint/a/tested", "mint/a/untested")}
    known["mint/a/reasoned"] = a_clause("mint/a/reasoned", reason="no number follows")
    known["mint/a/by-test"] = a_clause("mint/a/by-test", test="tests/x.py::test_x")
    assert clauses.unmatched(known, [a_case("mint/a/tested")]) == (["mint/a/untested"], [])


def test_a_case_with_an_unknown_clause_is_found() -> None:
    known = {"mint/a/tested": a_clause("mint/a/tested")}
    found = clauses.unmatched(known, [a_case("mint/a/tested", "mint/a/tset")])
    assert found == ([], [("a/case", "mint/a/tset")])


def test_no_case_claims_a_clause_that_gives_a_reason_why_none_can() -> None:
    from xent.conformance import standard, vectors

    tested = {clause for case in [*standard.cases(), *vectors.document_vectors()] for clause in case.clauses}
    assert not {clause.id for clause in clauses.load().values() if clause.reason} & tested


def test_the_tests_that_clauses_name_exist() -> None:
    for node in {clause.test for clause in clauses.load().values() if clause.test}:
        path, _, function = node.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert function in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}, node


def test_the_source_cites_no_clause_that_does_not_exist() -> None:
    cited = re.compile(rf"\b((?:{'|'.join(map(re.escape, clauses.DOCUMENTS))})/[a-z-]+/[a-z0-9-]+)")
    known = clauses.load()
    found = {
        (str(path.relative_to(ROOT)), id)
        for folder in ("xent", "adapters", "conformance")
        for path in (ROOT / folder).rglob("*.py")
        for id in cited.findall(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 20, "the pattern no longer finds what the source cites"
    assert not {place for place in found if place[1] not in known}


# ---- the clauses that a constructor shows, not a case

ADAPTERS = {
    "torch-2.8/arguments/signature": "torch",
    "torch-1.8/arguments/signature": "torch",
    "differences/arguments/torch-signature": "torch",
    "differences/arguments/mindspore-signature": "mindspore",
    "mint/arguments/signature": "mint",
    "oneflow/arguments/signature": "oneflow",
}


def signature(clause: str) -> dict[str, object]:
    """The documented parameters in their order, with their defaults."""
    text = re.sub(r"-> Tensor|\(input, target\)|\(logits, labels\)", "", clauses.load()[clause].text)
    inside = re.sub(r":[^=]*=", "=", text[text.index("(") + 1 : text.rindex(")")])
    pairs = (part.split("=") for part in inside.split(","))
    return {name.strip(): ast.literal_eval(default.strip().replace("- ", "-")) for name, default in pairs}


@pytest.mark.parametrize("clause", ADAPTERS)
def test_constructors_take_the_documented_arguments_in_order(clause: str) -> None:
    from_call = importlib.import_module(f"xent.adapters.{ADAPTERS[clause]}").from_call
    written = {"ignore_index": 7, "reduction": "sum", "label_smoothing": 0.25}
    documented = signature(clause)
    values = {name: written.get(name) for name in documented}
    expected = CrossEntropySpec(**{name: value for name, value in values.items() if name in written})
    assert from_call(*values.values()) == from_call(**values) == expected
    if ADAPTERS[clause] != "torch":
        for absent in ("size_average", "reduce"):
            assert absent not in documented
            with pytest.raises(TypeError):
                from_call(**{absent: True})


@pytest.mark.parametrize("clause", ADAPTERS)
def test_constructor_defaults_are_the_documents(clause: str) -> None:
    from_call = importlib.import_module(f"xent.adapters.{ADAPTERS[clause]}").from_call
    defaults = signature(clause)
    assert defaults["ignore_index"] == -100
    assert from_call() == from_call(**defaults) == CrossEntropySpec()


def test_label_smoothing_is_new_since_the_torch_that_the_differences_compare() -> None:
    assert set(signature("torch-2.8/arguments/signature")) - set(signature("torch-1.8/arguments/signature")) == {
        "label_smoothing"
    }
    assert signature("differences/arguments/torch-signature") == signature("torch-1.8/arguments/signature")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("size_average", "reduce"), list(itertools.product([None, True, False], repeat=2)))
def test_deprecated_arguments_fold_as_torch_documents(
    size_average: bool | None, reduce: bool | None, reduction: str
) -> None:
    """Either one overrides reduction; reduce=False gives a loss per element, else size_average=False sums."""
    from_call = importlib.import_module("xent.adapters.torch").from_call
    if size_average is None and reduce is None:
        documented = reduction
    elif reduce is False:
        documented = "none"
    else:
        documented = "sum" if size_average is False else "mean"
    assert from_call(size_average=size_average, reduce=reduce, reduction=reduction).reduction == documented

"""The clauses: in our own words, each with a case, a test or a reason. test_documents.py has them and the documents."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from xent.conformance.cases import clauses
from xent.conformance.cases.clauses import Clause
from xent.conformance.protocol.case import Case
from xent.spec import Arguments, CrossEntropySpec

ROOT = Path(__file__).resolve().parents[2]


def a_case(*named: str) -> Case:
    return Case("a/case", Arguments(), np.zeros((1, 2), np.float32), np.zeros(1, np.int64), clauses=named)


def a_clause(id: str, **fields: str) -> Clause:
    return Clause(id, clauses.DOCUMENTS["mint"], "input", 2, "0123456789abcdef", "text", "It is said.", **fields)


# ---- the file

GOOD = {
    "id": "mint/input/dtype",
    "document": clauses.DOCUMENTS["mint"],
    "heading": "input",
    "words": 2,
    "digest": "0123456789abcdef",
    "kind": "text",
    "text": "t",
    "reason": None,
}


def test_every_document_has_clauses() -> None:
    assert {clause.document for clause in clauses.load().values()} == set(clauses.DOCUMENTS.values())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": "mint/Input/dtype"}, "lower case"),
        ({"id": "mint/input"}, "DOC/topic/aspect"),
        ({"id": "oneflow/input/dtype"}, "with the DOC of"),
        ({"kind": "prose"}, "kind 'prose'"),
        ({"heading": "Input"}, "'Input' is not one of"),
        ({"words": 0}, "words 0 is not the count"),
        ({"words": True}, "words True is not the count"),
        ({"words": "2"}, "words '2' is not the count"),
        ({"digest": "0123"}, "digest '0123' is not 16"),
        ({"digest": "0123456789ABCDEF"}, "in lower case"),
        ({"text": " "}, "holds text"),
        ({"reason": 3}, "holds text"),
        ({"reason": "none can", "test": "tests/x.py::test_x"}, "not both"),
        ({"cases": []}, "fields are"),
    ],
)
def test_a_clause_that_breaks_the_rules_is_refused(change: dict[str, object], complaint: str) -> None:
    assert [clause.id for clause in clauses.parse(json.dumps([GOOD]))] == ["mint/input/dtype"]
    with pytest.raises(ValueError, match=re.escape(complaint)):
        clauses.parse(json.dumps([{**GOOD, **change}]))


def test_a_clause_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        clauses.parse(json.dumps([GOOD, GOOD]))


def test_a_text_that_stands_twice_in_a_document_is_refused() -> None:
    twin = {**GOOD, "id": "mint/input/other"}
    with pytest.raises(ValueError, match="'mint/input/dtype' of the same document has this very text"):
        clauses.parse(json.dumps([GOOD, twin]))
    elsewhere = {**GOOD, "id": "oneflow/input/dtype", "document": clauses.DOCUMENTS["oneflow"], "heading": "Input"}
    assert len(clauses.parse(json.dumps([GOOD, elsewhere]))) == 2


# ---- the texts


def test_every_text_is_one_short_rule() -> None:
    for clause in clauses.load().values():
        assert re.fullmatch(r"[ -~]+\.", clause.text), f"{clause.id}: plain ASCII, with a full stop at the end"
        assert re.match(r"[A-Z]|(input|target|weight|ignore_index|size_average|reduce|reduction|label_smoothing)[ =]"
                        r"|(torch|mindspore)\.nn\.|jit_syntax_level=", clause.text), clause.id  # fmt: skip
        assert 3 < len(clause.text.split()) <= 40, clause.id
        assert clause.text == " ".join(clause.text.split()), clause.id
        assert not re.search(r"[`\\|]|\*\*|>>>|https?:|\.\.\.$", clause.text), f"{clause.id}: a document's markup"


def copied(texts: dict[str, str]) -> list[tuple[str, str]]:
    """(text, clause) for every text that holds, word by word, the original that a clause stands for."""
    originals = {(clause.words, clause.digest): clause.id for clause in clauses.load().values()}
    found = []
    for name, text in texts.items():
        words = clauses.normalised(text)
        for length in sorted({count for count, _ in originals}):
            digests = [clauses.digest(words[start : start + length]) for start in range(len(words) - length + 1)]
            found += [(name, originals[length, digest]) for digest in digests if (length, digest) in originals]
    return found


def test_no_text_holds_an_original() -> None:
    texts = {clause.id: f"{clause.text} {clause.reason or ''}" for clause in clauses.load().values()}
    assert copied(texts) == []


def test_an_original_in_a_text_is_noticed() -> None:
    assert copied({"mine": "So we read there: otherwise, scalar. Otherwise, scalar. No more."}) == [
        ("mine", "oneflow/output/scalar"),
    ]  # fmt: skip


# ---- against the cases


def test_every_clause_has_a_case_or_a_test_or_a_reason_and_every_case_known_clauses() -> None:
    from xent.conformance.cases import standard, vectors

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
    from xent.conformance.cases import standard, vectors

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
    """The documented arguments in their order, with their defaults."""
    said = re.search(r"rguments in order: ([\w, ]+)\. Defaults: (.+?)\.(?: |$)", clauses.load()[clause].text)
    assert said, clause
    return dict(zip(said[1].split(", "), ast.literal_eval(f"[{said[2]}]"), strict=True))


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

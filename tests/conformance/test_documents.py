"""What stands here against what the five documents say, word by word.

The documents are no part of the project: one test needs them, and the others show what it would notice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from xent.conformance.cases import clauses, vectors
from xent.conformance.cases.clauses import Clause, normalised

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ROOT.parent / "shared" / "documents"
TEXTS_RUN = 8  # so many words in a row are not a clause's own
FILES_RUN = 12  # nor any file's: a constructor's arguments, written with their types, come to 9
GENERATED = ("build", "dist", "report")


class Passage(NamedTuple):
    """Words of a document that state no rule."""

    document: str
    heading: str
    words: int
    digest: str
    holds: str


WITHOUT_A_RULE = (
    Passage("torch-2.8", "CrossEntropyLoss", 1, "41cf6794ba4200b8", "a link to the code"),
    Passage("torch-2.8", "CrossEntropyLoss", 11, "dd7c02edf4b81df1", "what the loss is for"),
    Passage("torch-2.8", "CrossEntropyLoss", 11, "818dc5ccedcf5a52", "what weight is for"),
    Passage("torch-2.8", "Class indices", 147, "a9413c7a98b850dc", "the formula of mean and sum, twice again"),
    Passage("torch-2.8", "Probabilities", 104, "b65984e11ac0669b", "the formula of mean and sum, twice again"),
    Passage("torch-1.8", "class torch.nn.CrossEntropyLoss", 1, "41cf6794ba4200b8", "a link to the code"),
    Passage("torch-1.8", "class torch.nn.CrossEntropyLoss", 11, "dd7c02edf4b81df1", "what the loss is for"),
    Passage("torch-1.8", "class torch.nn.CrossEntropyLoss", 11, "818dc5ccedcf5a52", "what weight is for"),
    Passage("torch-1.8", "Output", 30, "93003768c6d65ede", "the foot of the web page"),
    Passage("mint", "class mindspore.mint.nn.CrossEntropyLoss", 1, "41cf6794ba4200b8", "a link to the code"),
    Passage("mint", "Supported Platforms", 8, "e306e941abd5db9a", "the example's imports"),
    Passage("oneflow", "oneflow.nn.CrossEntropyLoss", 11, "dd7c02edf4b81df1", "what the loss is for"),
    Passage("oneflow", "oneflow.nn.CrossEntropyLoss", 11, "818dc5ccedcf5a52", "what weight is for"),
    Passage("oneflow", "For example", 8, "b375afd959caaa61", "the example's imports"),
    Passage("differences", "Differences with torch.nn.CrossEntropyLoss", 4, "ac1e852125d099a8", "a badge"),
    Passage("differences", "torch.nn.CrossEntropyLoss", 1, "982d9e3eb996f559", "the code block's language"),
    Passage("differences", "torch.nn.CrossEntropyLoss", 10, "3496ae8aaca0dd72", "a link to the full page"),
    Passage("differences", "mindspore.nn.CrossEntropyLoss", 1, "982d9e3eb996f559", "the code block's language"),
    Passage("differences", "mindspore.nn.CrossEntropyLoss", 10, "179e027212cddff7", "a link to the full page"),
    Passage("differences", "Differences", 21, "85de65abbeef98c3", "the table's head"),
    Passage("differences", "Code Example", 8, "c637661f2de160be", "the first example's imports"),
    Passage("differences", "Code Example", 7, "05bb45e02a9ffa53", "the second example's imports"),
)


def faults(text: str, headings: Sequence[str], stated: Iterable[Clause], passages: Iterable[Passage] = ()) -> list[str]:
    """What is wrong between a document and its clauses: an original that isn't where its clause says, words of the
    document with neither a clause nor a place among the passages without a rule, or with both."""
    found: list[str] = []
    sections = clauses.sections(text, headings)
    ruled = {heading: [False] * len(words) for heading, words in sections.items()}
    other = {heading: [False] * len(words) for heading, words in sections.items()}

    def mark(name: str, heading: str, count: int, digest: str, marks: dict[str, list[bool]]) -> None:
        places = clauses.places(count, digest, sections[heading])
        if len(places) != 1:
            found.append(f"{name}: its {count} words stand {len(places)} times at {heading!r}, not once")
        for start in places:
            marks[heading][start : start + count] = [True] * count

    for clause in stated:
        mark(clause.id, clause.heading, clause.words, clause.digest, ruled)
    for passage in passages:
        mark(passage.holds, passage.heading, passage.words, passage.digest, other)
    for heading, words in sections.items():
        if any(map(all, zip(ruled[heading], other[heading], strict=True))):
            found.append(f"at {heading!r} a passage without a rule takes words that a clause stands for")
        covered = [rule or none for rule, none in zip(ruled[heading], other[heading], strict=True)]
        title = normalised(heading)
        start = clauses.places(len(title), clauses.digest(title), words)[0]
        covered[start : start + len(title)] = [True] * len(title)
        for left in runs(words, covered):
            found.append(f"at {heading!r} no clause stands for {len(left)} words ({clauses.digest(left)}): {left}")
    return found


def runs(words: Sequence[str], covered: Sequence[bool]) -> list[tuple[str, ...]]:
    """The longest runs of words that nothing covers, without the signs at their ends."""
    found = []
    for is_covered, group in itertools.groupby(zip(words, covered, strict=True), key=lambda pair: pair[1]):
        run = [word for word, _ in group]
        named = [index for index, word in enumerate(run) if re.match(r"\w", word)]
        if named and not is_covered:
            found.append(tuple(run[named[0] : named[-1] + 1]))
    return found


def grams(text: str, length: int) -> set[tuple[str, ...]]:
    """The runs of so many words; what is too short to be a word, a formula's letters above all, doesn't count."""
    words = re.findall(r"[a-z_]{2,}", text.lower())
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def shared(texts: Mapping[str, str], documents: Iterable[str], length: int) -> list[str]:
    """The texts that have so many words in a row from a document, each with one such run."""
    theirs = set().union(*(grams(document, length) for document in documents))
    return [
        f"{name}: {' '.join(min(both))!r}" for name, text in texts.items() if (both := grams(text, length) & theirs)
    ]


def files() -> dict[str, str]:
    """The project's own texts by path."""
    tops = [path for path in ROOT.iterdir() if not path.name.startswith(".") and path.name not in GENERATED]
    paths = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top])]
    held = [path for path in paths if path.suffix in (".py", ".md", ".json", ".html", ".toml") and path.is_file()]
    assert len(held) > 100, "the project's files are not where they were"
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in held}


def misprinted(documents: Mapping[str, str]) -> list[str]:
    """The vectors with a published result that hold a number which their document doesn't print."""
    found = []
    for path in vectors.FOLDER.glob("*.json"):
        for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]:
            if vector["expected"] is None:
                continue
            printed = set(map(float, re.findall(r"-?\d+(?:\.\d+)?", documents[Path(vector["source"]).name])))
            numbers = [vector["input"]["data"], vector["expected"]["value"]]
            if vector["target"]["dtype"].startswith("float"):
                numbers.append(vector["target"]["data"])
            strange = {float(number) for part in numbers for number in np.ravel(part)} - printed
            found += [f"{vector['id']}: {number} is not printed" for number in sorted(strange)]
    return found


def test_clauses_vectors_and_files_against_the_five_documents() -> None:
    """The one comparison that needs the documents: originals and headings, completeness, own words, printed numbers."""
    if not DOCUMENTS.is_dir():
        pytest.skip(f"NOT RUN: the five documents are not at ../shared/documents beside this checkout ({ROOT.name})")
    texts = {file: (DOCUMENTS / file).read_text(encoding="utf-8") for file in clauses.DOCUMENTS.values()}
    stated = clauses.load().values()
    found = [
        f"{document}: {fault}"
        for document, file in clauses.DOCUMENTS.items()
        for fault in faults(
            texts[file],
            clauses.HEADINGS[document],
            [clause for clause in stated if clause.document == file],
            [passage for passage in WITHOUT_A_RULE if passage.document == document],
        )
    ]
    found += shared({clause.id: f"{clause.text} {clause.reason or ''}" for clause in stated}, texts.values(), TEXTS_RUN)
    found += shared(files(), texts.values(), FILES_RUN)
    found += misprinted(texts)
    assert not found, "\n".join(["", *found])


# ---- an invented document, to show what the comparison notices

HEADINGS = ("Vase", "height", "colour")
DOCUMENT = """
# Vase

A vase stands on a table, [which](https://example.org/table "the table") bears it.

* **height** (int) – Says how *high* it is; at most 40.
  Nobody asks why.
* **colour**: `'red'` or `'blue'`
"""


def about(name: str, heading: str, original: str) -> Clause:
    words = normalised(original)
    return Clause(f"vase/{name}/rule", "vase.md", heading, len(words), clauses.digest(words), "text", "Stated.")


STATED = (
    about("table", "Vase", "A vase stands on a table, which bears it."),
    about("type", "height", "height (int)"),
    about("limit", "height", "Says how high it is; at most 40."),
    about("colours", "colour", "'red' or 'blue'"),
)
WHY = normalised("Nobody asks why")
ASIDE = (Passage("vase", "height", len(WHY), clauses.digest(WHY), "an aside"),)


def test_a_document_whose_every_word_has_its_place_is_without_fault() -> None:
    assert faults(DOCUMENT, HEADINGS, STATED, ASIDE) == []


@pytest.mark.parametrize("missing", range(len(STATED)))
def test_a_clause_that_is_left_out_is_noticed(missing: int) -> None:
    (fault,) = faults(DOCUMENT, HEADINGS, [*STATED[:missing], *STATED[missing + 1 :]], ASIDE)
    assert f"at {STATED[missing].heading!r} no clause stands for" in fault


@pytest.mark.parametrize(
    ("said", "instead"),
    [("at most 40", "at most 41"), ("at most 40", "at most 40, or 50"), ("it is;", "it is,"), ("Nobody asks", "Ask")],
)
def test_a_document_that_says_something_else_is_noticed(said: str, instead: str) -> None:
    changed = DOCUMENT.replace(said, instead)
    assert changed != DOCUMENT
    found = faults(changed, HEADINGS, STATED, ASIDE)
    assert any("0 times" in fault for fault in found)


def test_a_sentence_that_is_new_in_a_document_is_noticed_however_short() -> None:
    (fault,) = faults(DOCUMENT + "\nFragile.\n", HEADINGS, STATED, ASIDE)
    assert "at 'colour' no clause stands for 1 words" in fault
    assert "Fragile" in fault


def test_a_clause_at_the_wrong_heading_is_noticed() -> None:
    moved = dataclasses.replace(STATED[2], heading="colour")
    found = faults(DOCUMENT, HEADINGS, [*STATED[:2], moved, STATED[3]], ASIDE)
    assert f"{moved.id}: its {moved.words} words stand 0 times at 'colour', not once" in found


def test_an_original_that_stands_twice_is_noticed() -> None:
    found = faults(DOCUMENT.replace("Nobody", "height (int). Nobody"), HEADINGS, STATED, ASIDE)
    assert "vase/type/rule: its 4 words stand 2 times at 'height', not once" in found


def test_a_passage_without_a_rule_takes_no_words_from_a_clause() -> None:
    greedy = normalised("at most 40. Nobody asks why")
    passage = Passage("vase", "height", len(greedy), clauses.digest(greedy), "an aside")
    assert faults(DOCUMENT, HEADINGS, STATED, [passage]) == [
        "at 'height' a passage without a rule takes words that a clause stands for"
    ]


def test_a_heading_that_is_gone_or_elsewhere_is_named() -> None:
    with pytest.raises(ValueError, match="the heading 'colour'"):
        faults(DOCUMENT.replace("colour", "glaze"), HEADINGS, STATED, ASIDE)
    with pytest.raises(ValueError, match="the heading 'height'"):
        faults(DOCUMENT, ("Vase", "colour", "height"), STATED, ASIDE)


def test_markup_and_line_breaks_change_no_digest_and_words_do() -> None:
    plain = normalised("the loss 'mean' - see LogSoftmax")
    marked = 'the\n  *loss* `‘mean’` – see\n> [`LogSoftmax`](torch.nn.html#x "torch.nn")'
    assert normalised(marked) == plain
    assert normalised(">>> loss = f(x)\n... | # y") == normalised("loss = f(x) y")
    assert normalised("weight[class](x[class])") == ("weight", "[", "class", "]", "(", "x", "[", "class", "]", ")")
    assert normalised("[![badge](https://a.org/b.png)](https://a.org/c)") == ("!", "badge")
    for said, instead in (("mean", "Mean"), ("- ", ""), ("the loss", "loss the"), ("'", '"')):
        other = " ".join(plain).replace(said, instead)
        assert clauses.digest(normalised(other)) != clauses.digest(plain)


def test_a_digest_is_the_sha_256_of_the_words_with_single_spaces() -> None:
    assert clauses.digest(normalised("The  `loss`:\n1.5")) == hashlib.sha256(b"The loss : 1 . 5").hexdigest()[:16]


def test_words_that_stand_in_a_document_are_noticed() -> None:
    copied = {"mine": "I own one: a vase stands on a TABLE, which bears it.", "own": "Tables bear vases, one each."}
    assert [line.split(":")[0] for line in shared(copied, [DOCUMENT], 5)] == ["mine"]
    assert shared(copied, [DOCUMENT], 20) == []


def test_a_number_that_no_document_prints_is_noticed() -> None:
    numbers = "1.624 0.9"
    found = misprinted(dict.fromkeys(clauses.DOCUMENTS.values(), numbers))
    assert "differences-document/torch: -0.611 is not printed" in found
    assert "differences-document/torch: 1.624 is not printed" not in found

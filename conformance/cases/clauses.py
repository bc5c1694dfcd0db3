"""The clauses: every rule of the five documents, in our own words, with the cases that test it or why none can.

`clauses.json` holds them, one object each:
- `id`: DOC/topic/aspect.
- `document`: file name.
- `heading`: the nearest heading or item of the document above the original, one of `HEADINGS`.
- `words`: how many words the original has, signs counted as words.
- `digest`: of the original, see `digest`.
- `kind`: "text" (a rule in words) or "formula" (an equation).
- `text`: the rule, in our own words.
- `reason`: why no case can test it, else null.
- `test`, where a test rather than a case checks it: the pytest node.

A case names the clauses that it tests in `Case.clauses`.

The documents themselves are not part of the project. Whoever has them finds a clause's original with `sections` and
`places`: under its heading, `words` words in a row, normalised, have its digest. Normalised (`normalised`) means:
1. A Markdown link or image is its text; the address and the title go.
2. Prompts (`>>>`, `...`) and the quotation mark `>` go from the starts of lines.
3. Typographic quotation marks are ', an en dash is -.
4. The markup signs * ` \\ | # and the bullet are white space.
5. What is left is split into words, runs of letters, digits and underscores, and single other signs, each of which
   counts as a word. White space and the breaks of lines and paragraphs are lost.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from xent.conformance.protocol.case import Case

PATH = Path(__file__).with_name("clauses.json")
DOCUMENTS: Mapping[str, str] = {
    "torch-2.8": "torch-2.8-CrossEntropyLoss.txt",
    "torch-1.8": "torch-1.8-CrossEntropyLoss.txt",
    "mint": "mindspore-mint-CrossEntropyLoss.txt",
    "oneflow": "oneflow-CrossEntropyLoss.txt",
    "differences": "mindspore-nn-differences-with-torch.md",
}
# The headings and items of each document, in their order; a line begins with each.
HEADINGS: Mapping[str, Tuple[str, ...]] = {
    "torch-2.8": (
        "CrossEntropyLoss", "Class indices", "Probabilities", "Note", "Parameters", "weight", "size_average",
        "ignore_index", "reduce", "reduction", "label_smoothing", "Shape", "Input", "Target", "Output", "where",
        "Examples",
    ),
    "torch-1.8": (
        "class torch.nn.CrossEntropyLoss", "weight", "size_average", "ignore_index", "reduce", "reduction", "Input",
        "Target", "Output",
    ),
    "mint": (
        "class mindspore.mint.nn.CrossEntropyLoss", "Class indices", "Probabilities", "weight", "ignore_index",
        "reduction", "label_smoothing", "input", "target", "Supported Platforms",
    ),
    "oneflow": (
        "oneflow.nn.CrossEntropyLoss", "Class indices", "Probabilities", "Parameters", "weight", "ignore_index",
        "reduction", "label_smoothing", "Shape", "Input", "Target", "Output", "where", "For example",
    ),
    "differences": (
        "Differences with torch.nn.CrossEntropyLoss", "torch.nn.CrossEntropyLoss", "mindspore.nn.CrossEntropyLoss",
        "Differences", "Code Example",
    ),
}  # fmt: skip
KINDS = ("text", "formula")
DIGITS = 16  # of a digest: 64 bits tell the words of a few pages apart
_ID = re.compile(r"[a-z0-9.-]+/[a-z0-9-]+/[a-z0-9-]+")
_DIGEST = re.compile(rf"[0-9a-f]{{{DIGITS}}}")
_STRINGS = ("id", "document", "heading", "digest", "kind", "text")
_REQUIRED = {*_STRINGS, "words", "reason"}
_LINK = re.compile(r'\[([^\[\]]*)\]\((?:https?://|[\w./]+\.html)[^\s()]*(?: "[^"]*")?\)')
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.|>)(?=\s|$)", re.MULTILINE)
_SIGNS = str.maketrans({"‘": "'", "’": "'", "–": "-", **dict.fromkeys("*`\\|#•", " ")})
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Clause:
    """One rule that a document states.

    id: DOC/topic/aspect, e.g. "torch-2.8/label-smoothing/range".
    document: the file name of the document.
    heading: the nearest heading or item above the original, as in `HEADINGS`.
    words: how many words the normalised original has.
    digest: the digest of the normalised original.
    kind: "text" or "formula".
    text: the rule, in our own words.
    reason: why no case can test it; None where cases do, or `test` does.
    test: the pytest node that checks it where a case can't (a constructor's defaults, say).
    """

    id: str
    document: str
    heading: str
    words: int
    digest: str
    kind: str
    text: str
    reason: Optional[str] = None
    test: Optional[str] = None

    @property
    def place(self) -> str:
        """Where the original stands, for people."""
        return f'{self.document}, at "{self.heading}"'


@functools.lru_cache(maxsize=None)
def _all() -> Tuple[Clause, ...]:
    return tuple(parse(PATH.read_text(encoding="utf-8")))


def load() -> Dict[str, Clause]:
    """All clauses by id, in the order of the documents. Raises ValueError where `clauses.json` breaks its own rules."""
    return {clause.id: clause for clause in _all()}


def parse(text: str) -> List[Clause]:
    """The clauses in the text of a `clauses.json`. Raises ValueError naming the clause and what is wrong with it."""
    clauses: Dict[str, Clause] = {}
    said: Dict[Tuple[str, str], str] = {}
    for index, row in enumerate(json.loads(text)):
        name = f"clause {row.get('id', index)!r}" if isinstance(row, dict) else f"clause {index}"
        if not isinstance(row, dict) or not _REQUIRED <= set(row) <= _REQUIRED | {"test"}:
            raise ValueError(f"{name}: fields are {', '.join(sorted(_REQUIRED))} and optionally test")
        strings = [row[field] for field in _STRINGS]
        strings += [row[field] for field in ("reason", "test") if row.get(field) is not None]
        if not all(isinstance(string, str) and string.strip() for string in strings):
            raise ValueError(f"{name}: every field but words holds text (reason may be null)")
        if type(row["words"]) is not int or row["words"] < 1:
            raise ValueError(f"{name}: words {row['words']!r} is not the count of the original's words")
        clause = Clause(**row)
        document = clause.id.split("/")[0]
        if not _ID.fullmatch(clause.id) or DOCUMENTS.get(document) != clause.document:
            raise ValueError(f"{name}: the id is DOC/topic/aspect in lower case, with the DOC of {clause.document}")
        if clause.heading not in HEADINGS[document]:
            raise ValueError(f"{name}: {clause.heading!r} is not one of {clause.document}'s headings (HEADINGS)")
        if not _DIGEST.fullmatch(clause.digest):
            raise ValueError(f"{name}: digest {clause.digest!r} is not {DIGITS} hexadecimal digits in lower case")
        if clause.kind not in KINDS:
            raise ValueError(f"{name}: kind {clause.kind!r} is not one of {', '.join(KINDS)}")
        if clause.reason and clause.test:
            raise ValueError(f"{name}: either a test checks it or there is a reason why nothing can, not both")
        if clause.id in clauses:
            raise ValueError(f"{name}: this id stands twice")
        twin = said.setdefault((clause.document, clause.text), clause.id)
        if twin != clause.id:
            raise ValueError(f"{name}: {twin!r} of the same document has this very text")
        clauses[clause.id] = clause
    return list(clauses.values())


def unmatched(clauses: Mapping[str, Clause], cases: Iterable[Case]) -> Tuple[List[str], List[Tuple[str, str]]]:
    """What the clauses and the cases don't know of each other.

    Returns:
        untested: ids of clauses with neither a case nor a test nor a reason.
        unknown: (case id, clause id) for every clause that a case names and that doesn't exist.
    """
    named = [(case.id, clause) for case in cases for clause in case.clauses]
    tested = {clause for _, clause in named}
    untested = [key for key, clause in clauses.items() if key not in tested and not clause.reason and not clause.test]
    return untested, [pair for pair in named if pair[1] not in clauses]


def normalised(text: str) -> Tuple[str, ...]:
    """The words of a text, as this module's docstring defines them."""
    before = None
    while before != text:  # an image may be the text of a link
        before, text = text, _LINK.sub(r"\1", text)
    return tuple(_WORD.findall(_PROMPT.sub("", text).translate(_SIGNS)))


def digest(words: Sequence[str]) -> str:
    """The first `DIGITS` hexadecimal digits of the SHA-256 of the words, joined by one space, in UTF-8."""
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:DIGITS]


def sections(text: str, headings: Sequence[str]) -> Dict[str, Tuple[str, ...]]:
    """The words of a document by heading, each heading's own words first; what comes before the first belongs to it.

    Raises ValueError naming the first heading with which no line begins after that of the heading before it.
    """
    lines = text.splitlines(keepends=True)
    starts: List[int] = []
    for heading in headings:
        wanted = normalised(heading)
        for index in range(starts[-1] + 1 if starts else 0, len(lines)):
            if _from_first_letter(normalised(lines[index]))[: len(wanted)] == wanted:
                starts.append(index)
                break
        else:
            raise ValueError(f"no line begins with the heading {heading!r} where it is expected")
    starts[:1] = [0]
    ends = [*starts[1:], len(lines)]
    return {
        heading: normalised("".join(lines[start:end]))
        for heading, start, end in zip(headings, starts, ends, strict=True)
    }


def places(words: int, wanted: str, section: Sequence[str]) -> List[int]:
    """Where in a section that many words in a row have that digest."""
    return [
        start for start in range(len(section) - words + 1)
        if digest(section[start : start + words]) == wanted
    ]  # fmt: skip


def _from_first_letter(words: Tuple[str, ...]) -> Tuple[str, ...]:
    first = next((index for index, word in enumerate(words) if word[0].isalnum()), len(words))
    return words[first:]

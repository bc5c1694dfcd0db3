"""The clauses: every normative sentence of the five documents, with the cases that test it or the reason why none can.

`clauses.json` holds them, one object each: `id` (DOC/topic/aspect), `document` (file name), `kind` ("text": the words
stand in the document as quoted; "formula": rewritten in ASCII, as the document's own rendering is mangled), `text`,
`reason` (why no case can test it, else null) and, where a test rather than a case checks it, `test` (pytest node).
A case names the clauses that it tests in `Case.clauses`.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Tuple

from xent.conformance.case import Case

PATH = Path(__file__).with_name("clauses.json")
DOCUMENTS: Mapping[str, str] = {
    "torch-2.8": "torch-2.8-CrossEntropyLoss.txt",
    "torch-1.8": "torch-1.8-CrossEntropyLoss.txt",
    "mint": "mindspore-mint-CrossEntropyLoss.txt",
    "oneflow": "oneflow-CrossEntropyLoss.txt",
    "differences": "mindspore-nn-differences-with-torch.md",
}
KINDS = ("text", "formula")
_ID = re.compile(r"[a-z0-9.-]+/[a-z0-9-]+/[a-z0-9-]+")
_REQUIRED = {"id", "document", "kind", "text", "reason"}


@dataclass(frozen=True)
class Clause:
    """One normative sentence of a document.

    id: DOC/topic/aspect, e.g. "torch-2.8/label-smoothing/range".
    document: the file name of the document.
    kind: "text" or "formula".
    text: the sentence, white space normalised.
    reason: why no case can test it; None where cases do, or `test` does.
    test: the pytest node that checks it where a case can't (a constructor's defaults, say).
    """

    id: str
    document: str
    kind: str
    text: str
    reason: Optional[str] = None
    test: Optional[str] = None


@functools.lru_cache(maxsize=None)
def _all() -> Tuple[Clause, ...]:
    return tuple(parse(PATH.read_text(encoding="utf-8")))


def load() -> Dict[str, Clause]:
    """All clauses by id, in the order of the documents. Raises ValueError where `clauses.json` breaks its own rules."""
    return {clause.id: clause for clause in _all()}


def parse(text: str) -> List[Clause]:
    """The clauses in the text of a `clauses.json`. Raises ValueError naming the clause and what is wrong with it."""
    clauses: Dict[str, Clause] = {}
    for index, row in enumerate(json.loads(text)):
        name = f"clause {row.get('id', index)!r}" if isinstance(row, dict) else f"clause {index}"
        if not isinstance(row, dict) or not _REQUIRED <= set(row) <= _REQUIRED | {"test"}:
            raise ValueError(f"{name}: fields are {', '.join(sorted(_REQUIRED))} and optionally test")
        strings = [row[field] for field in ("id", "document", "kind", "text")]
        strings += [row[field] for field in ("reason", "test") if row.get(field) is not None]
        if not all(isinstance(string, str) and string.strip() for string in strings):
            raise ValueError(f"{name}: every field holds text (reason may be null)")
        clause = Clause(**row)
        if not _ID.fullmatch(clause.id) or DOCUMENTS.get(clause.id.split("/")[0]) != clause.document:
            raise ValueError(f"{name}: the id is DOC/topic/aspect in lower case, with the DOC of {clause.document}")
        if clause.kind not in KINDS:
            raise ValueError(f"{name}: kind {clause.kind!r} is not one of {', '.join(KINDS)}")
        if clause.reason and clause.test:
            raise ValueError(f"{name}: either a test checks it or there is a reason why nothing can, not both")
        if clause.id in clauses:
            raise ValueError(f"{name}: this id stands twice")
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

"""The cells of the matrix that the terminal, the page and the Markdown show, from an xent-report/1 object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from xent.conformance.judging.judge import VERDICTS
from xent.conformance.report import escape

__all__ = ["VERDICTS", "Cell", "notes", "sections"]

# What a reader looks for, and the tags that a case must carry to count there.
ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("class indices", ("indices",)),
    ("class probabilities", ("probabilities",)),
    ("reduction none", ("none",)),
    ("reduction mean", ("mean",)),
    ("reduction sum", ("sum",)),
    ("weight", ("weight",)),
    ("some rows ignored", ("ignore-some",)),
    ("all rows ignored", ("ignore-all",)),
    ("label smoothing", ("smoothing",)),
    ("unbatched (C)", ("rank1",)),
    ("K-dimensional", ("k-dimensional",)),
    ("float64", ("float64",)),
    ("float16", ("float16",)),
    ("bfloat16", ("bfloat16",)),
    ("int32 class indices", ("int32",)),
    ("non-contiguous", ("non-contiguous",)),
    ("hostile values", ("hostile",)),
    ("refusals demanded", ("error",)),
)
# Nothing to see in a case that its own document excludes or that never ran.
_OUTSIDE = ("unsupported", "no evidence")
_SEVERITY = ("agrees", "imprecise", "rejects", "deviates", "accepts", "hangs", "crashes")
_FEW = 40  # a user's own vectors are shown one by one up to here
_SHORT = {"unsupported": "unsupp.", "no evidence": "-"}


@dataclass(frozen=True)
class Cell:
    """One cell: what it says and the worst verdict in it.

    Attributes:
        text: ``"312/320"`` (agreeing of judged), a verdict for a single case, or ``"-"`` where nothing ran.
        worst: the gravest verdict among the cases.
        counts: cases by verdict.
    """

    text: str
    worst: str
    counts: Mapping[str, int]


def sections(report: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, list[Cell]]]]]:
    """(title, [(label, a cell for each implementation)]): the documents' vectors one by one, then the kinds of case."""
    found: dict[tuple[str, str], str] = {
        (verdict["implementation"], verdict["case"]): verdict["verdict"] for verdict in report["verdicts"]
    }
    ids = [implementation["id"] for implementation in report["implementations"]]
    cases = report["cases"]
    documents = [case for case, facts in cases.items() if "document" in facts["tags"]]
    singly = documents or (list(cases) if len(cases) <= _FEW else [])
    if singly:
        title = "DOCUMENTS" if documents else "CASE BY CASE"
        rows = [(case.replace("-document/", ": "), [_cell([found[name, case]]) for name in ids]) for case in singly]
        yield title, rows
    rows = []
    for label, tags in ROWS:
        chosen = [case for case, facts in cases.items() if set(tags) <= set(facts["tags"])]
        if chosen:
            rows.append((label, [_cell([found[name, case] for case in chosen]) for name in ids]))
    if rows:
        yield "CASES", rows


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the numbers, a line each."""
    lines = ["CASES: agreeing / judged; unsupported by its own document, and no evidence, are not judged."]
    for implementation in report["implementations"]:
        if implementation["kernels"] not in ("native", "-"):
            name, kernels, device = (_name(implementation[field]) for field in ("id", "kernels", "device"))
            lines.append(
                f"{name}: {kernels} means kernels put in where the framework lacks its own on this "
                f"{device}: it proves the framework's Python code and nothing about Ascend's kernels."
            )
    lines += [f"{_name(item['implementation'])}: not run: {item['reason']}" for item in report["not_run"]]
    lines += [f"{_name(item['implementation'])}: its evidence: {item['problem']}" for item in report["flaws"]]
    if not any(implementation["device"] == "ascend" for implementation in report["implementations"]):
        lines.append("Ascend: never run. An Ascend host makes its own results file with the same command.")
    return lines


def _name(text: str) -> str:
    return escape.line(text, escape.NAME)


def _cell(verdicts: Sequence[str]) -> Cell:
    counts = {name: verdicts.count(name) for name in VERDICTS if name in verdicts}
    judged = [name for name in verdicts if name not in _OUTSIDE]
    if not judged:
        worst = verdicts[0] if len(counts) == 1 else "unsupported"
        return Cell(_SHORT[worst], worst, counts)
    worst = max(judged, key=_SEVERITY.index)
    text = worst if len(verdicts) == 1 else f"{judged.count('agrees')}/{len(judged)}"
    return Cell(text, worst, counts)

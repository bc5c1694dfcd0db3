"""What the terminal, the page and the Markdown show of a report: heads, counts of verdicts, cells, notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from xent.conformance.judging.verdicts import OF, OUTSIDE, VERDICTS, worst
from xent.conformance.report import escape

KINDS = "CASES"
"""The title of the section whose rows are kinds of case, and not single cases."""

# What a reader looks for, and the tags of which a case must carry one to count there.
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
    ("K-dimensional", ("rank3", "rank4", "rank5")),
    ("float64", ("float64",)),
    ("float16", ("float16",)),
    ("bfloat16", ("bfloat16",)),
    ("int32 class indices", ("int32",)),
    ("non-contiguous", ("non-contiguous",)),
    ("hostile values", ("hostile",)),
    ("refusals demanded", ("error",)),
)
_FEW = 40  # a user's own vectors are shown one by one up to here


@dataclass(frozen=True)
class Head:
    """One implementation as a rendering heads it, every text of it visible and no longer than `escape.NAME`."""

    name: str
    version: str
    device: str
    mode: str
    kernels: str


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


def heads(report: Mapping[str, Any]) -> list[Head]:
    """The implementations, in the report's order."""
    fields = ("id", "version", "device", "mode", "kernels")
    return [Head(*(_name(item[field]) for field in fields)) for item in report["implementations"]]


def counts(report: Mapping[str, Any]) -> list[tuple[str, list[int]]]:
    """(verdict, how many cases of each implementation have it), of the verdicts that occur."""
    ids = [implementation["id"] for implementation in report["implementations"]]
    rows = [(verdict, [report["summary"][id].get(verdict, 0) for id in ids]) for verdict in VERDICTS]
    return [(verdict, numbers) for verdict, numbers in rows if any(numbers)]


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
        chosen = [case for case, facts in cases.items() if not set(tags).isdisjoint(facts["tags"])]
        if chosen:
            rows.append((label, [_cell([found[name, case] for case in chosen]) for name in ids]))
    if rows:
        yield KINDS, rows


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
    judged = [name for name in verdicts if name not in OUTSIDE]
    gravest = worst(judged)
    if gravest is None:
        gravest = verdicts[0] if len(counts) == 1 else "unsupported"
        return Cell(OF[gravest].short, gravest, counts)
    text = gravest if len(verdicts) == 1 else f"{judged.count('agrees')}/{len(judged)}"
    return Cell(text, gravest, counts)

"""The columns of a report: each an implementation with its evidence, or with the reason why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xent.conformance.protocol import case_file
from xent.conformance.protocol.case import Case, digest
from xent.errors import UnreadableInput

from . import results
from .results import Results

CASES = "cases.safetensors"


@dataclass(frozen=True)
class Column:
    """One implementation of a report.

    Attributes:
        label: tells it from the others: its id, with version and device where two columns have the same id.
        id: of the implementation.
        mode: "eager", "jit", ...
        results: its evidence; None where there is none.
        reason: why there is none.
    """

    label: str
    id: str
    mode: str
    results: Results | None
    reason: str = ""


def not_run(id: str, mode: str, reason: str) -> Column:
    """The column of an implementation that could not run."""
    return Column(id, id, mode, None, reason)


def of_evidence(found: Sequence[Results]) -> list[Column]:
    """A column for each results file.

    Raises:
        UnreadableInput: two files of one implementation, version and device.
    """
    seen: dict[tuple[str, str, str], Path] = {}
    for evidence in found:
        who = evidence.header.implementation
        key = (who.id, who.version, who.device)
        if key in seen:
            problem = f"a second file of {who.id} {who.version} on {who.device}, after {seen[key]}"
            raise UnreadableInput(evidence.path, None, problem, "Give one file an implementation, device and version.")
        seen[key] = evidence.path
    return _labelled([Column(e.header.implementation.id, *_who(e), e) for e in found])


def _who(evidence: Results) -> tuple[str, str]:
    return evidence.header.implementation.id, evidence.header.implementation.mode


def _labelled(columns: Sequence[Column]) -> list[Column]:
    """Columns of one id are told apart by what differs: ``mint:cpu`` and ``mint:ascend``, ``torch@2.8.0``."""
    labels = []
    for column in columns:
        label, who = column.id, column.results.header.implementation if column.results else None
        same = [other.results.header.implementation for other in columns if other.id == column.id and other.results]
        if who is not None and len({one.version for one in same}) > 1:
            label += f"@{who.version}"
        if who is not None and len({one.device for one in same}) > 1:
            label += f":{who.device}"
        labels.append(label)
    taken = Counter(labels)
    numbered: Counter[str] = Counter()
    for index, label in enumerate(labels):
        if taken[label] > 1:  # an id that looks like another's with its version
            numbered[label] += 1
            labels[index] = f"{label}#{numbered[label]}"
    return [replace(column, label=label) for column, label in zip(columns, labels, strict=True)]


def load(folder: Path) -> tuple[list[Column], list[Case]]:
    """The evidence in a run's folder, and the cases that it is about.

    Raises:
        UnreadableInput: there is none, or the folder's cases are others than its evidence is about.
    """
    found = sorted((folder / "results").glob("*.jsonl"))
    if not found:
        raise UnreadableInput(
            folder, None, "holds no results", "Run `xent run` first, or name another folder with --in."
        )
    read = [results.read(path) for path in found]
    columns = of_evidence(read)
    path = folder / CASES
    if not path.exists():
        raise UnreadableInput(path, None, "does not exist", "Run `xent run` first, or name another folder with --in.")
    cases = case_file.read(path)
    sha = digest(cases)
    for evidence in read:
        asked = evidence.header.case_set.sha256
        if asked != sha:
            problem = f"is about the case set {asked[:12]}, and {CASES} beside it holds {sha[:12]}"
            raise UnreadableInput(evidence.path, "header", problem, "Run again into another folder with --out.")
    return columns, cases

"""Which cases a results file is about: told by the digest in its header."""

from __future__ import annotations

from collections.abc import Sequence

from xent.conformance.cases import vectors
from xent.conformance.protocol import case_file
from xent.conformance.protocol.case import Case, digest
from xent.errors import UnreadableInput

from .columns import CASES
from .results import Results


def cases_of(found: Sequence[Results], paths: Sequence[str]) -> list[Case]:
    """The case set that results files speak about: named, or beside one of them, or built in; told by its digest."""
    wanted = {evidence.header.case_set.sha256 for evidence in found}
    if len(wanted) > 1:
        rows = "; ".join(f"{evidence.path}: {evidence.header.case_set.sha256[:12]}" for evidence in found)
        raise UnreadableInput(
            found[1].path,
            "header",
            f"the files are of different case sets ({rows})",
            "Run them again with one version of xent.",
        )
    (sha,) = wanted
    beside = [] if paths else [evidence.path.resolve().parent.parent / CASES for evidence in found]
    unreadable = ""
    for path in dict.fromkeys(beside):
        if path.exists():
            try:
                cases = case_file.read(path)
            except UnreadableInput as error:
                unreadable = f", and what is beside it can't be read: {error}"
                continue
            if digest(cases) == sha:
                return cases
    cases = vectors.cases(paths)
    if digest(cases) != sha:
        problem = f"its case set {sha[:12]} is neither the built-in one nor beside the file{unreadable}"
        remedy = "Name the vector files of the run with --vectors, or use the version of xent that made it."
        raise UnreadableInput(found[0].path, "header", problem, remedy)
    return cases

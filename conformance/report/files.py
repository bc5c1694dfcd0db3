"""The files of a report: JSON, a page, Markdown and JUnit XML, each written whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Mapping

from xent.conformance.files.atomic import write_atomically
from xent.conformance.files.reading import read_file
from xent.conformance.report import escape, junit, markdown, page
from xent.errors import UnreadableInput

# What stands in each of our files, of this version and of earlier ones.
_OURS = {
    "report.json": b'"xent-report/',
    "report.md": b"agreeing / judged",
    "junit.xml": b'<testsuites name="xent"',
    "index.html": b"<title>xent: cross-entropy conformance</title>",
}
_MOST = 512 * 2**20


def check(folder: Path) -> None:
    """Raises UnreadableInput where a file of a report's name is there that no report of xent's is."""
    for name, sign in _OURS.items():
        path = folder / name
        if path.is_symlink() or path.exists():
            with contextlib.suppress(UnreadableInput):
                if sign in read_file(path, "a report", _MOST):
                    continue
            problem = f"holds {name}, which is none of xent's own"
            raise UnreadableInput(folder, None, problem, "Name another folder with --out, or move it.")


def write(report: Mapping[str, Any], folder: Path) -> Path:
    """Writes report.json, report.md, junit.xml and index.html into the folder; returns the page's path.

    Raises:
        UnreadableInput: the folder can't be written to, or the disk is full, or holds somebody else's file of one of
            these names. Files that were there before stay whole.
    """
    check(folder)
    contents = {
        "report.json": escape.to_json(report, 1),
        "report.md": markdown.render(report),
        "junit.xml": junit.render(report),
        "index.html": page.render(report),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            write_atomically(folder / name, text.encode())
    except OSError as error:
        problem = f"the report can't be written ({error.strerror})"
        raise UnreadableInput(folder, None, problem, "Free space or name another folder with --out.") from error
    return folder / "index.html"

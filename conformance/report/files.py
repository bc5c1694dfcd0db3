"""The files of a report: JSON, a page, Markdown and JUnit XML, each written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from xent.conformance.files.atomic import write_atomically
from xent.conformance.report import escape, junit, markdown, page
from xent.errors import UnreadableInput


def write(report: Mapping[str, Any], folder: Path) -> Path:
    """Writes report.json, report.md, junit.xml and index.html into the folder; returns the page's path.

    Raises:
        UnreadableInput: the folder can't be written to, or the disk is full. Files that were there before stay whole.
    """
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

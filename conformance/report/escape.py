r"""Text from outside on its way out: one function for each format that is written.

Ids, versions, notes, messages and file names come from files, plug-ins and frameworks, and may hold anything: markup,
commands to the terminal, characters that turn the reading direction. One rule for every format: a character that shows
nothing, or that acts on the text around it, is written as Python's string literals write it (``\x1b``, ``\n``,
``\u202e``, ``\ud800``), and nothing is dropped. A backslash stays itself, so that paths stay readable; whoever needs
the exact text reads report.json, where JSON's own escapes hold all of it.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

from markupsafe import Markup

NAME = 60
"""Characters of an id, a version or a device that a heading shows, the dots for what is left out among them."""
LONG = 2000
"""Characters of any other text that Markdown and the page show; JSON and JUnit XML hold all of them."""

_CUT = "\N{HORIZONTAL ELLIPSIS}"
# Letters and marks to Unicode, and so to `str.isprintable`, with nothing to see: fillers, joiners, selectors.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\U000e0100-\U000e01ef]")
# What can begin or end markup within a line of Markdown, and what makes a list or a heading of a line that it begins.
_MARKUP = re.compile(r"[\\`*_\[\]|~$]")
_BEGIN = re.compile(r"^(?:([0-9]+)([.)])|([-#+=]))")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def line(text: object, limit: int | None = None) -> str:
    """One line of plain text, for a terminal: nothing in it is a command or a line break.

    Args:
        text: shown by `str`.
        limit: characters at most. Of a longer text the middle is left out, since ids tell each other apart by the end.
    """
    raw = str(text)
    if limit is not None and len(raw) > 2 * limit + 2:  # what the cut below leaves out need not be made visible
        raw = raw[: limit + 1] + raw[-limit - 1 :]
    shown = raw if raw.isprintable() and not _BLANK.search(raw) else "".join(map(_visible, raw))
    if limit is None or len(shown) <= limit:
        return shown
    tail = (limit - 1) // 2
    return shown[: limit - 1 - tail] + _CUT + shown[len(shown) - tail :]


def block(text: object, limit: int | None = None) -> str:
    """Lines for a terminal: line breaks stay, a tab is the spaces that it stands for. `limit` is that of one line."""
    return "\n".join(line(one.expandtabs(), limit) for one in str(text).split("\n"))


def message(text: object) -> str:
    """A message for a terminal: as `block`, and lines after the first are indented, so that none passes for our own."""
    first, *others = block(text).split("\n")
    return "\n".join([first, *[one if one[:1] in ("", " ") else f"  {one}" for one in others]])


def markdown(text: object, limit: int | None = LONG, *, begins: bool = False) -> str:
    """The inside of a table's cell or a list's item in GitHub-flavoured Markdown: read as this text, never as markup.

    Args:
        limit: characters at most, as they are read.
        begins: a block begins with it, as in a list's item, and not in a cell.
    """
    shown = _MARKUP.sub(r"\\\g<0>", line(text, limit)).translate(_ENTITIES)
    if begins and shown.startswith(" "):  # four of them would begin a block of code
        return f"&#32;{shown[1:]}"
    return _BEGIN.sub(r"\1\\\2\3", shown) if begins else shown


def xml(text: object) -> str:
    """An XML attribute or text, for a builder that escapes markup itself: XML 1.0 has no form for most of these."""
    return line(text)


def html(value: object) -> str:
    """Whatever a template puts into a page (jinja2's `finalize`), before its autoescape; markup of our own stays."""
    return Markup(block(value)) if isinstance(value, Markup) else line(value, LONG)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON in ASCII that loses nothing. JSON has no nan and no infinity: they travel as texts, as in vector files."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _visible(character: str) -> str:
    # Spaces of other widths (Zs) are no more than spaces; `isprintable` is false for them too.
    shows = character.isprintable() or unicodedata.category(character) == "Zs"
    if shows and not _BLANK.match(character):
        return character
    return character.encode("unicode_escape").decode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value

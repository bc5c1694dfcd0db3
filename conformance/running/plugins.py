"""What an adapter says of itself, asked in a process of its own.

Importing a stranger's module may print, exit, hang or take the process along, so the tool never does it: a child does,
within limits, and answers with data.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from xent import adapters
from xent.conformance.files import strict_json
from xent.conformance.files.strict_json import Place
from xent.conformance.implementations import Implementation, row
from xent.conformance.protocol import limits
from xent.errors import Unavailable, UnreadableInput

from .interpreters import bounded

_MARK = b"xent-adapter "
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,99}", re.ASCII)
TIMEOUT = 30.0  # seconds: an adapter imports its framework in the calls that need it, not when it is imported
_ASK = f"""
import json, os, sys
sys.path[:0] = sys.argv[2:]
from xent import adapters
from xent.errors import Unavailable
def text(name, default):
    return str(getattr(module, name, default))[:1000].encode("utf-8", "replace").decode("utf-8")
try:
    module = adapters.load(sys.argv[1])
    answer = {{"name": text("NAME", ""), "framework": text("FRAMEWORK", ""), "mode": text("MODE", "eager")}}
except Unavailable as error:
    answer = {{"reason": str(error.reason)[:2000], "remedy": str(error.remedy or "")[:2000]}}
sys.stdout.flush()
os.write(1, b"\\n{_MARK.decode()}" + json.dumps(answer).encode("ascii") + b"\\n")
os._exit(0)
"""


def installed(name: str) -> Implementation:
    """The installed implementation of that id: xent's own, or what another distribution's entry point names.

    Raises:
        Unavailable: it doesn't import, or isn't an adapter.
        KeyError: there is none.
    """
    known = row(name)
    return known.implementation if known is not None else _ask(name, adapters.module_path(name), None)


def named(module: str, folder: str | None = None, timeout: float = TIMEOUT) -> Implementation:
    """The plug-in that a user named by its module path; it may stand in `folder`. Its id is its NAME.

    Raises:
        Unavailable: it doesn't import (or exits, or never ends), or isn't an adapter.
    """
    where = folder if folder is not None and stands_in(module, Path(folder)) else None
    return _ask(module, module, where, timeout)


def apart(adapter: Implementation, taken: Collection[str]) -> Implementation:
    """The adapter; by its module path where its NAME is already another's id."""
    return replace(adapter, id=adapter.module) if adapter.id in taken else adapter


def stands_in(module: str, folder: Path) -> bool:
    """Whether the plug-in's module, or its package, is in that folder."""
    top = module.split(".")[0]
    return (folder / f"{top}.py").is_file() or (folder / top).is_dir()


def is_id(name: str) -> bool:
    """Whether a plug-in's NAME can be an implementation's id."""
    return _ID.fullmatch(name) is not None


def _ask(id: str, module: str, folder: str | None, timeout: float = TIMEOUT) -> Implementation:
    # It finds what this process would find, xent itself too.
    places = [*([folder] if folder else []), *filter(os.path.isabs, sys.path)]
    command = [sys.executable, "-c", _ASK, module, *places]
    try:
        done = bounded.run(command, timeout, folder=folder or os.sep)
    except OSError as error:
        raise Unavailable(id, f"no interpreter could be started to ask it ({error.strerror or error})") from error
    for line in reversed(done.stdout.split(b"\n")):
        if line.startswith(_MARK):
            return _answer(id, module, folder, line[len(_MARK) :])
    raise Unavailable(id, f"its module {module!r} can't be imported: {done.account('it')}", "Mend the adapter.")


def _answer(id: str, module: str, folder: str | None, line: bytes) -> Implementation:
    place = Place(module)
    try:
        answer = strict_json.parse(line, place, "an answer")
        if isinstance(answer, dict) and "reason" in answer:
            fields = place.fields(answer, ("reason", "remedy"))
            reason, remedy = (place.string(fields[name], limits.TEXT) for name in ("reason", "remedy"))
            raise Unavailable(id, reason, remedy or None)
        fields = place.fields(answer, ("name", "framework", "mode"))
        name, framework, mode = (place.string(fields[one], limits.TEXT) for one in ("name", "framework", "mode"))
    except UnreadableInput as error:
        raise Unavailable(id, f"its module {module!r} answers with nonsense ({error.problem})") from error
    fitting = id == module and is_id(name)  # an installed one has its id from its entry point
    return Implementation(name if fitting else id, module, folder, framework[: limits.NAME], mode[: limits.NAME])

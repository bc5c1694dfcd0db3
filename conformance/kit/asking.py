"""What a module says of itself, and what of the contract it lacks: asked in a process that needs no framework."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xent import adapters
from xent.adapters import Capabilities
from xent.conformance.files import strict_json
from xent.conformance.files.strict_json import Place
from xent.conformance.protocol import limits
from xent.conformance.running import plugins
from xent.conformance.running.interpreters import bounded
from xent.conformance.worker.kit import contract
from xent.errors import Unavailable, UnreadableInput

from .checks import CHECKS, Check

TIMEOUT = plugins.TIMEOUT
_ASK = "from xent.conformance.worker.kit import contract\ncontract.answer()"
_BOOTSTRAP = f"import sys\nsys.path[:0] = sys.argv[2:]\n{_ASK}"
_MOST_FAULTS = 100


@dataclass(frozen=True)
class Asked:
    """A module as it describes itself.

    Attributes:
        module: its path.
        id: of the implementation, its NAME where that is one.
        framework, mode: its FRAMEWORK and MODE; "" where it has no such text.
        sample: its SAMPLE; None where it runs all cases.
        capabilities: its own, where they can be read.
        faults: what is missing or wrong in it.
        search_path: the folder from which it imports; None where an interpreter finds it by itself.
    """

    module: str
    id: str
    framework: str
    mode: str
    sample: str | None
    capabilities: Capabilities
    faults: tuple[Check, ...]
    search_path: str | None


class NoModule(Unavailable):
    """There is no module of that path."""


def ask(module: str, folder: str | None = None, timeout: float = TIMEOUT) -> Asked:
    """Looks at an adapter's module, which may do anything when it is imported.

    Args:
        module: its path, or the id of an installed adapter.
        folder: where it may stand, besides Python's own search path.
        timeout: seconds.

    Raises:
        NoModule: there is no such module.
        Unavailable: this interpreter can't be started again.
        UnreadableInput: `module` is no module's path.
    """
    path = adapters.module_path(module) if "." not in module and module in adapters.names() else module
    if not all(part.isidentifier() for part in path.split(".")):
        raise UnreadableInput(
            module, None, "is no module's path", "Write it as in an import: my_adapter, or my.adapter."
        )
    where = folder if folder is not None and plugins.stands_in(path, Path(folder)) else None
    places = [*([where] if where else []), *filter(os.path.isabs, sys.path)]
    try:
        done = bounded.run([sys.executable, "-c", _BOOTSTRAP, path, *places], timeout, folder=where or os.sep)
    except OSError as error:
        raise Unavailable(module, f"no interpreter could be started to ask it ({error.strerror or error})") from error
    for line in reversed(done.stdout.split(b"\n")):
        if line.startswith(contract.MARK.encode("ascii")):
            try:
                return _read(path, where, line[len(contract.MARK) :])
            except UnreadableInput as error:
                return _broken(path, where, f"answers with nonsense ({error.problem})")
    return _broken(path, where, f"can't be imported: {done.account('the process that imported it')}")


def _broken(path: str, where: str | None, why: str) -> Asked:
    fault = Check("import", "wrong", f"{path} {why}")
    return Asked(path, path, "", "", None, Capabilities(), (fault,), where)


def _read(path: str, where: str | None, line: bytes) -> Asked:
    place = Place(path)
    answer = strict_json.parse(line, place, "an answer")
    said = ("NAME", "FRAMEWORK", "SAMPLE", "MODE", "capabilities")
    fields = place.fields(answer, ("faults", "absent"), said)
    faults = tuple(_fault(one, place) for one in place.items(fields["faults"], _MOST_FAULTS))
    if fields["absent"] is True:
        remedy = "Name an importable module, or stand in its folder."
        raise NoModule(path, faults[0].words, remedy)
    name = _text(fields.get("NAME"), place) or ""
    try:
        capabilities = Capabilities.from_dict(fields.get("capabilities", {}))
    except ValueError as error:
        capabilities, faults = Capabilities(), (*faults, Check("entries", "wrong", f"capabilities: {error}"))
    return Asked(
        path, name if plugins.is_id(name) else path, _text(fields.get("FRAMEWORK"), place) or "",
        _text(fields.get("MODE"), place) or "", _text(fields.get("SAMPLE"), place), capabilities, faults, where,
    )  # fmt: skip


def _fault(content: Any, place: Place) -> Check:
    parts = place.items(content, 3)
    if len(parts) != 3:
        place.refuse("a fault is a check, a status and its words")
    name, status, words = (place.string(one, limits.TEXT) for one in parts)
    place.choice(name, tuple(CHECKS))
    place.choice(status, ("missing", "wrong"))
    return Check(name, "missing" if status == "missing" else "wrong", words)


def _text(value: Any, place: Place) -> str | None:
    return None if value is None else place.string(value, limits.NAME)

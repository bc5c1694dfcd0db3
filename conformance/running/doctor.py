"""``xent doctor``: which implementations can run here, in which interpreter, and what would mend the others.

It installs nothing. What it calls ready it has seen import: the adapter was asked for its version in that interpreter.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Mapping, Sequence

from xent.conformance import implementations
from xent.conformance.implementations import Implementation
from xent.conformance.running import interpreters, plugins
from xent.conformance.running.interpreters import bounded, mending, pythons, readiness
from xent.conformance.running.interpreters.requirements import Requirements, for_framework, this_platform
from xent.conformance.running.interpreters.uv_process import find_uv
from xent.errors import NotStarted, Unavailable

State = Literal["ready", "on first run", "no"]
ASCEND = "Ascend device"

_TIMEOUT = 180.0  # seconds; a first, cold import of MindSpore takes 14 on two cores
_LONGEST = 1000  # characters of a reason


@dataclass(frozen=True)
class Row:
    """One implementation on this machine.

    Attributes:
        implementation: its id, or `ASCEND` for the row about that hardware.
        state: ``"ready"``; ``"on first run"``: `xent run` makes its environment first; ``"no"``.
        how: ``"named"``, ``"running"`` or ``"managed"``; None where there is no interpreter yet.
        interpreter: the executable.
        version, device: as the framework itself says, in that interpreter.
        missing: what is missing, a clause; "" when ready.
        remedy: the command or step that mends it; "" when ready.
        module: the module path of a plug-in; "" for an installed adapter.
    """

    implementation: str
    state: State
    how: str | None = None
    interpreter: str | None = None
    version: str | None = None
    device: str | None = None
    missing: str = ""
    remedy: str = ""
    module: str = ""

    @property
    def label(self) -> str:
        """The id, with the module path behind it where that is something else."""
        other = self.module not in ("", self.implementation)
        return f"{self.implementation} ({self.module})" if other else self.implementation


def examine(
    overrides: Mapping[str, str],
    names: Sequence[str | Implementation | Row] | None = None,
    *,
    timeout: float = _TIMEOUT,
) -> list[Row]:
    """One row an implementation, in the order of `names`, and last the row about Ascend hardware.

    Args:
        overrides: interpreters by implementation id or framework, as for `interpreters.resolve`.
        names: what `find` takes, or has found; None for all that are installed.
        timeout: seconds until a framework must have been imported.
    """
    found = find(implementations.names() if names is None else names)
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        tasks = [pool.submit(_examine_one, one, overrides, timeout, stop) for one in found]
        try:
            return [*(task.result() for task in tasks), _ascend()]
        except BaseException:  # Ctrl-C, which an interpreter in a session of its own doesn't get
            stop.set()
            for task in tasks:
                task.cancel()
            raise


def find(names: Sequence[str | Implementation | Row]) -> list[Implementation | Row]:
    """Each adapter, or the row that says why there is none: whatever a plug-in does costs its own row.

    Args:
        names: implementation ids, or the module paths of plug-ins, which may stand in the folder where we stand. What
            has been found already stays as it is.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = None
    installed = implementations.names()
    found: list[Implementation | Row] = []
    for name in dict.fromkeys(names):
        if not isinstance(name, str):
            found.append(name)
            continue
        try:
            if name in installed:
                found.append(plugins.installed(name))
            else:
                taken = [*installed, *(one.id for one in found if isinstance(one, Implementation))]
                found.append(plugins.apart(plugins.named(name, here), taken))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            told = error if isinstance(error, Unavailable) else Unavailable(name, f"its adapter fails ({_text(error)})")
            row = Row(name, "no", module="" if name in installed else name)
            found.append(_refused(row, told, f"Mend the adapter {name}."))
    return found


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # its own __str__ fails
        return type(error).__name__


def _examine_one(
    adapter: Implementation | Row, overrides: Mapping[str, str], timeout: float, stop: threading.Event
) -> Row:
    if isinstance(adapter, Row):
        return adapter
    name, framework = adapter.id, adapter.framework
    base = Row(name, "no", module="" if name in implementations.names() else adapter.module)
    if not framework.isidentifier():
        reason = f"its FRAMEWORK is {framework!r}, not an import name"
        return _refused(base, Unavailable(name, reason), f"Mend the adapter {adapter.module}.")
    try:
        found = interpreters.available(name, framework, overrides, stop)
        if found is not None:
            return _ask(base, adapter, found, timeout, stop)
        if files := for_framework(framework):
            return _to_be_made(base, adapter, files, stop)
    except Unavailable as error:
        return _refused(base, error)
    reason = f"{framework} isn't in this interpreter, and there is no managed environment for it on {this_platform()}"
    option = f"--python {mending.quoted(f'{name}=INTERPRETER')}"
    return replace(base, missing=reason, remedy=f"{mending.command(name, adapter.module)} {option}")


def _refused(row: Row, error: Unavailable, remedy: str = "") -> Row:
    return replace(row, missing=bounded.one_line(error.reason, _LONGEST), remedy=error.remedy or remedy)


def _to_be_made(base: Row, adapter: Implementation, files: Sequence[Requirements], stop: threading.Event) -> Row:
    """What making the managed environment will take, and whether it can start at all."""
    try:
        uv = find_uv()
    except FileNotFoundError as error:
        return replace(base, missing=f"its environment is made by uv: {error}", remedy="python -m pip install uv")
    here = pythons.first(files[0].pythons, uv, stop)
    python = f"Python {here.release} is here" if here else f"Python {files[0].pythons[0]} will be downloaded"
    size = max((one.size for one in files), key=_gigabytes)
    missing = f"its environment isn't made yet (up to {size}; {python})"
    remedy = mending.command(adapter.id, adapter.module)
    return replace(base, state="on first run", missing=missing, remedy=remedy)


def _ask(
    base: Row, adapter: Implementation, found: interpreters.Interpreter, timeout: float, stop: threading.Event
) -> Row:
    """Imports the adapter's framework in its interpreter, as a worker would.

    Raises:
        Unavailable: the adapter's module is nowhere.
    """
    row = replace(base, how=found.how, interpreter=str(found.path))
    try:
        version, device = readiness.ask(adapter, found.path, timeout, stop)
    except NotStarted as failure:
        told = mending.explain(failure, found, adapter.framework, adapter.module, timeout=timeout, stop=stop)
        return _refused(row, told)
    return replace(row, state="ready", version=version, device=device)


def _gigabytes(size: str) -> float:
    return float(size.split()[0])


def _ascend() -> Row:
    """Nobody has run xent on an Ascend device; the row says so until somebody has."""
    if any(Path("/dev").glob("davinci[0-9]*")):
        missing = "a device is here, but xent was never run on one: its results would be the first"
        return Row(ASCEND, "on first run", missing=missing, remedy="xent run --only mint,mindspore")
    remedy = "on an Ascend host: xent run --only mint,mindspore; merge: xent report"
    return Row(ASCEND, "no", missing="no Ascend device here; never run", remedy=remedy)

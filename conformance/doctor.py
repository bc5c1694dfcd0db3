"""``xent doctor``: which implementations can run here, in which interpreter, and what would mend the others.

It installs nothing. What it calls ready it has seen import: the adapter was asked for its version in that interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Mapping, Sequence

from rich.table import Table
from rich.text import Text

import xent
from xent import adapters
from xent.conformance import interpreters
from xent.conformance.interpreters import pythons
from xent.conformance.interpreters.requirements import Requirements, for_framework, this_platform
from xent.conformance.interpreters.uv_process import find_uv
from xent.conformance.report import escape
from xent.conformance.report.console import Console, styled
from xent.errors import Unavailable

State = Literal["ready", "on first run", "no"]
ASCEND = "Ascend device"

_SHOWN = (26, 13, 10)  # cells of implementation, version and device that leave the table within 80
_MARK = "xent-doctor "
_TIMEOUT = 180.0  # seconds; a first, cold import of MindSpore takes 14 on two cores
_ASK = f"""
import importlib, json, sys
# At the end: installed as a wheel, xent lies among its own interpreter's packages, which must not hide the framework's.
sys.path += sys.argv[2:]
module = importlib.import_module(sys.argv[1])
version = module.version()
device = getattr(module, "device", lambda: "cpu")()
print("\\n{_MARK}" + json.dumps([version, device]))
"""


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
    """

    implementation: str
    state: State
    how: str | None = None
    interpreter: str | None = None
    version: str | None = None
    device: str | None = None
    missing: str = ""
    remedy: str = ""


def examine(overrides: Mapping[str, str], names: Sequence[str] | None = None) -> list[Row]:
    """One row an implementation, in the order of `names`, and last the row about Ascend hardware.

    Args:
        overrides: interpreters by implementation id or framework, as for `interpreters.resolve`.
        names: implementation ids or adapter modules; None for all that are installed.
    """
    wanted = adapters.names() if names is None else names
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        return [*pool.map(lambda name: _examine_one(name, overrides), wanted), _ascend()]


def _examine_one(name: str, overrides: Mapping[str, str]) -> Row:
    try:
        adapter = adapters.load(name)
        framework: str = adapter.FRAMEWORK
        found = interpreters.available(name, framework, overrides)
    except Unavailable as error:
        return Row(name, "no", missing=error.reason, remedy=error.remedy or "")
    if found is not None:
        return _ask(name, adapter, framework, found)
    if files := for_framework(framework):
        return _to_be_made(name, files)
    reason = f"{framework} isn't in this interpreter, and there is no managed environment for it on {this_platform()}"
    return Row(name, "no", missing=reason, remedy=f"xent run --python {name}=INTERPRETER")


def _to_be_made(name: str, files: Sequence[Requirements]) -> Row:
    """What making the managed environment will take, and whether it can start at all."""
    try:
        uv = find_uv()
    except FileNotFoundError as error:
        return Row(name, "no", missing=f"its environment is made by uv: {error}", remedy="python -m pip install uv")
    here = next((found for python in files[0].pythons if (found := pythons.find(python, uv))), None)
    python = f"Python {here.release} is here" if here else f"Python {files[0].pythons[0]} will be downloaded"
    size = max((one.size for one in files), key=_gigabytes)
    missing = f"its environment isn't made yet (up to {size}; {python})"
    return Row(name, "on first run", missing=missing, remedy=f"xent run --only {name}")


def _ask(name: str, adapter: ModuleType, framework: str, found: interpreters.Interpreter) -> Row:
    """Imports the adapter's framework in its interpreter, as a worker would."""
    command = [str(found.path), "-c", _ASK, adapter.__name__, _root(xent), _root(adapter)]
    base = Row(name, "no", found.how, str(found.path))
    remedy = f"{found.path} -c 'import {framework}'"
    if found.environment is not None:
        remedy = f"rm -r {found.environment}; xent run --only {name}"
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT, cwd=os.sep)
    except (OSError, subprocess.TimeoutExpired) as error:
        return _replace(base, missing=f"{framework} can't be imported there ({error})", remedy=remedy)
    for line in reversed(done.stdout.decode("utf-8", "replace").splitlines()):
        if line.startswith(_MARK):
            version, device = json.loads(line[len(_MARK) :])
            return _replace(base, state="ready", version=str(version), device=str(device))
    said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
    return _replace(base, missing=f"{framework} can't be imported there ({said[-1].strip()[:200]})", remedy=remedy)


def _root(module: ModuleType) -> str:
    """The folder from which the module imports by its full name."""
    assert module.__file__ is not None
    depth = module.__name__.count(".") + (Path(module.__file__).stem == "__init__")
    return str(Path(module.__file__).absolute().parents[depth])


def _replace(row: Row, **changes: Any) -> Row:
    return Row(**{**asdict(row), **changes})


def _gigabytes(size: str) -> float:
    return float(size.split()[0])


def _ascend() -> Row:
    """Nobody has run xent on an Ascend device; the row says so until somebody has."""
    if any(Path("/dev").glob("davinci[0-9]*")):
        missing = "a device is here, but xent was never run on one: its results would be the first"
        return Row(ASCEND, "on first run", missing=missing, remedy="xent run --only mint,mindspore")
    remedy = "on an Ascend host: xent run --only mint,mindspore; merge: xent report"
    return Row(ASCEND, "no", missing="no Ascend device here; never run", remedy=remedy)


def to_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON list of objects with `Row`'s attributes, for ``--json``."""
    return escape.to_json([asdict(row) for row in rows], 2)


def render(rows: Sequence[Row], console: Console) -> None:
    """A table of 80 columns at most, then what is missing, with every path and command whole on a line of its own."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("implementation", "runs here", "version", "device", "interpreter"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        said = zip((row.implementation, row.version or "-", row.device or "-"), _SHOWN, strict=True)
        name, version, device = (_cell(text, cells) for text, cells in said)
        table.add_row(name, row.state, version, device, row.how or "-")
    console.print(table)
    used = {row.interpreter: row.how for row in rows if row.interpreter}
    if used:
        console.print("\ninterpreters", style="bold")
    for interpreter in used:
        who = ", ".join(row.implementation for row in rows if row.interpreter == interpreter)
        _line(console, f"  {who}")
        _line(console, f"    {interpreter}")
    lacking = [row for row in rows if row.missing]
    if lacking:
        console.print("\nmissing", style="bold")
    for row in lacking:
        console.print(styled(f"  {row.implementation}: {row.missing}"))
        if row.remedy:
            _line(console, f"    {row.remedy}")


def _line(console: Console, text: str) -> None:
    # Not wrapped: a path or command that is broken in two can't be copied.
    console.print(styled(text), soft_wrap=True)


def _cell(text: str, cells: int) -> Text:
    shown = styled(text, limit=cells)
    shown.truncate(cells, overflow="ellipsis")  # a letter may be two cells wide
    return shown

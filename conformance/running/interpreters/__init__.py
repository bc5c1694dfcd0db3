"""Which interpreter runs an implementation: the one named, else the running one, else a managed environment."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Mapping, Sequence

from xent.conformance.running.interpreters.interpreter import How, Interpreter
from xent.conformance.running.interpreters.mending import explained, quoted
from xent.conformance.running.interpreters.probe import MINIMUM, NotPython, Probe, ask, locate
from xent.conformance.running.interpreters.uv_process import Say
from xent.errors import Unavailable

from . import managed, requirements

__all__ = ["How", "Interpreter", "available", "explained", "parse_overrides", "resolve"]


def parse_overrides(values: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """What ``--python NAME=INTERPRETER`` was given, as a mapping.

    Args:
        values: the option's values.
        known: names that may stand before ``=``: implementation ids and frameworks.

    Raises:
        ValueError: a value has another form, an unknown name, or a name comes twice; the message is for the user.
    """
    found: dict[str, str] = {}
    for value in values:
        name, equals, interpreter = value.partition("=")
        if not (name and equals and interpreter):
            raise ValueError(f"--python {value!r}: expected NAME=INTERPRETER, e.g. torch=venv/bin/python")
        if name not in known:
            raise ValueError(f"--python {value!r}: no implementation is called {name!r}; there are {', '.join(known)}")
        if found.setdefault(name, interpreter) != interpreter:
            raise ValueError(f"--python: {name!r} is given twice, as {found[name]!r} and {interpreter!r}")
    return found


def resolve(
    implementation_id: str,
    framework: str,
    overrides: Mapping[str, str],
    say: Say,
    stop: threading.Event | None = None,
) -> Interpreter:
    """The interpreter for an implementation; makes the managed environment if that is what it takes.

    Args:
        implementation_id: e.g. ``"mint-jit"``.
        framework: the import name of what it needs, e.g. ``"mindspore"``.
        overrides: interpreters by implementation id or by framework (the id wins).
        say: called with one line for people at each step of something long.
        stop: once set, whatever runs is ended and this call ends as by Ctrl-C, which reaches the main thread only.

    Raises:
        Unavailable: names the implementation, the reason and the next step.
        KeyboardInterrupt: by `stop`.
    """
    found = available(implementation_id, framework, overrides, stop)
    if found is not None:
        return found
    folder = managed.ensure(implementation_id, framework, say, stop)
    return Interpreter(folder / "bin" / "python", "managed", folder)


def available(
    implementation_id: str, framework: str, overrides: Mapping[str, str], stop: threading.Event | None = None
) -> Interpreter | None:
    """As `resolve`, but makes nothing: None where only a managed environment that isn't made yet would do.

    Raises:
        Unavailable: the interpreter named for it can't be used.
        KeyboardInterrupt: by `stop`.
    """
    given = overrides.get(implementation_id, overrides.get(framework))
    if given is not None:
        return Interpreter(_named(implementation_id, framework, given, stop), "named")
    running = Path(sys.executable)
    try:
        found = ask(running, (framework, "numpy"), stop=stop)
        # A package here that no distribution of that name owns may be anything: nobody asked for it, so it isn't used.
        if not _lacking(found, framework) and found.packages[framework]:
            return Interpreter(running, "running")
    except NotPython:  # an embedded interpreter has no executable of its own
        pass
    folder = requirements.existing(framework)
    return Interpreter(folder / "bin" / "python", "managed", folder) if folder else None


def _named(implementation: str, framework: str, given: str, stop: threading.Event | None) -> Path:
    path = locate(given)
    option = f"--python {quoted(f'{implementation}={given}')}"
    if path is None:
        raise Unavailable(implementation, f"{option}: there is no such interpreter", "Check the path.")
    try:
        found = ask(path, (framework, "numpy"), stop=stop)
    except NotPython as error:
        raise Unavailable(implementation, f"{option}: it {error}", "Name a Python executable.") from None
    if found.version[:2] < MINIMUM:
        needed = ".".join(map(str, MINIMUM))
        remedy = f"Name one of Python {needed} or newer, or leave the option out."
        raise Unavailable(implementation, f"{option}: it is Python {found.release}, too old", remedy)
    if lacking := _lacking(found, framework):
        names = " and ".join(lacking)
        install = f"{quoted(path)} -m pip install {' '.join(lacking)}"
        reason = f"{option}: that Python {found.release} lacks {names}"
        raise Unavailable(implementation, reason, f"Run: {install}. Or leave the option out.")
    return path


def _lacking(found: Probe, framework: str) -> list[str]:
    """What a worker needs and this interpreter hasn't."""
    return [name for name in dict.fromkeys((framework, "numpy")) if name not in found.packages]

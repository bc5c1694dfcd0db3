"""Runs the kit on an adapter: looks at its module, asks it in its framework's interpreter, judges what it answered."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xent.conformance.evidence.results import Results
from xent.conformance.implementations import Implementation
from xent.conformance.running import interpreters, supervisor
from xent.conformance.running.supervisor import Event

from . import asking, opinion, sample
from .asking import Asked
from .checks import CHECKS, Check

PROGRAM = "xent.conformance.worker.kit"
PROBES = (
    "import", "names", "round-trip", "weights", "foreign", "source", "calls", "order", "gradient", "layouts",
    "untouched", "repeat", "phases", "casts",
)  # fmt: skip
"""Those of the kit's worker, by the names of their checks."""


@dataclass(frozen=True)
class Report:
    """What the kit found.

    Attributes:
        module, id: of the adapter.
        checks: in the order of CHECKS; of one that didn't apply there is none.
        waiting: how many checks weren't made, because the module isn't an adapter yet.
        version, device: of the framework that it ran on; "" where it didn't run.
        interpreter: the executable; "" where none was needed.
    """

    module: str
    id: str
    checks: tuple[Check, ...]
    waiting: int = 0
    version: str = ""
    device: str = ""
    interpreter: str = ""

    @property
    def passed(self) -> bool:
        """Whether every check is ok."""
        return all(check.status == "ok" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        checks = [
            {"check": one.name, "status": one.status, "words": one.words, "notes": list(one.notes), "place": one.place}
            for one in self.checks
        ]
        return {
            "schema": "xent-kit/1", "module": self.module, "id": self.id, "version": self.version,
            "device": self.device, "interpreter": self.interpreter, "passed": self.passed, "waiting": self.waiting,
            "checks": checks,
        }  # fmt: skip


def check(
    module: str,
    *,
    folder: str | None = None,
    overrides: Mapping[str, str] | None = None,
    interpreter: str | None = None,
    timeout: float = 60.0,
    startup_timeout: float = 180.0,
    say: Callable[[str], None] = lambda line: None,
    on_event: Callable[[Event], None] = lambda event: None,
    stop: threading.Event | None = None,
) -> Report:
    """Runs the kit on an adapter. Nothing that its module or its framework does reaches this process.

    Args:
        module: the path of its module, or the id of an installed adapter.
        folder: where the module may stand, besides Python's own search path.
        overrides: interpreters by implementation or framework, as `interpreters.resolve` takes them.
        interpreter: the one to use, before these.
        timeout: seconds that one check's part may take.
        startup_timeout: seconds until the framework is imported and prepared.
        say: called with a line for people at each long step.
        on_event: called with what the worker did.
        stop: once set, this call ends as by Ctrl-C.

    Raises:
        NoModule: there is no such module.
        Unavailable: its framework can't be run here.
        UnreadableInput: `module` is no module's path.
        KeyboardInterrupt: by `stop`.
    """
    asked = asking.ask(module, folder)
    if asked.faults:
        return _unready(asked)
    named = {**(overrides or {}), **({asked.id: interpreter} if interpreter else {})}
    found = interpreters.resolve(asked.id, asked.framework, named, say, stop)
    say(f"{asked.id}: runs in {found.path}")
    asked_of = sample.cases(asked.capabilities, asked.sample, PROBES)
    implementation = Implementation(asked.id, asked.module, asked.search_path, asked.framework, asked.mode, PROGRAM)
    with (
        tempfile.TemporaryDirectory(prefix="xent-kit-") as folder_of_results,
        interpreters.explained(found, asked.framework, asked.module, stop=stop),
    ):
        evidence = supervisor.run_worker(
            implementation, found, [one.case for one in asked_of], folder_of_results, timeout, on_event,
            startup_timeout=startup_timeout, stop=stop, say=say,
        )  # fmt: skip
    return _report(asked, evidence, asked_of, str(found.path))


def _unready(asked: Asked) -> Report:
    """What is wrong with a module that isn't an adapter yet; the other checks wait for it."""
    checks = sorted(asked.faults, key=lambda one: list(CHECKS).index(one.name))
    made = {"import", "names", "entries"}
    return Report(asked.module, asked.id, tuple(checks), waiting=len(CHECKS) - len(made))


def _report(asked: Asked, evidence: Results, asked_of: list[sample.Asking], interpreter: str) -> Report:
    who = evidence.header.implementation
    checks = opinion.checks(asked, evidence.by_case, asked_of)
    return Report(
        asked.module, asked.id, tuple(checks), version=who.version, device=who.device, interpreter=interpreter
    )

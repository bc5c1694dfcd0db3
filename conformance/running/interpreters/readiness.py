"""Asks an adapter in its framework's interpreter, as a worker would, whether that framework gets ready there."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from xent.conformance.implementations import Implementation
from xent.conformance.running.launch import launched
from xent.errors import NotStarted

from . import bounded
from .interpreter import DIE_WITH_PARENT

_MARK = "xent-ready "
_LONGEST = 100  # characters of a version or a device
_SCRIPT = f"""{DIE_WITH_PARENT}
import importlib, json, os
answer_to = os.dup(1)  # a framework may close the standard output, or put another in its place

def told(error):
    from xent.errors import Unavailable
    try:
        return error.reason if isinstance(error, Unavailable) else type(error).__name__ + ": " + str(error)
    except BaseException:  # some frameworks' exceptions fail in their own __str__
        return type(error).__name__

try:
    from xent.adapters.contract import wrapped
    adapter = wrapped(importlib.import_module(sys.argv[1]))
    adapter.prepare()
    found = dict(version=adapter.version(), device=adapter.device())
    for name in found:
        if not isinstance(found[name], str):
            raise TypeError(name + "() gave " + type(found[name]).__name__ + ", not text")
    answer = dict(found=found)
except BaseException as error:
    answer = dict(failed=told(error))
with os.fdopen(answer_to, "w") as file:
    file.write("\\n{_MARK}" + json.dumps(answer) + "\\n")
"""


def ask(
    implementation: Implementation, interpreter: Path, timeout: float, stop: threading.Event | None = None
) -> tuple[str, str]:
    """The framework's version and device, as the adapter gives them once the framework is imported and prepared.

    Args:
        implementation: its adapter.
        interpreter: the executable.
        timeout: seconds that all of it may take.
        stop: as for `bounded.run`.

    Raises:
        NotStarted: the interpreter doesn't start, the framework or the adapter fails, or no answer comes.
        Unavailable: the adapter's module is nowhere.
        KeyboardInterrupt: by `stop`.
    """
    command = [str(interpreter), "-c", _SCRIPT, implementation.module]
    with launched(implementation.module, implementation.search_path) as environment:
        try:
            done = bounded.run(command, timeout, environment=environment, stop=stop)
        except OSError as error:
            reason = f"the interpreter {interpreter} can't be started ({error.strerror or error})"
            raise NotStarted(implementation.id, reason) from None
    for line in reversed(done.stdout.decode("utf-8", "replace").splitlines()):
        if line.startswith(_MARK):
            return _read(implementation.id, line[len(_MARK) :])
    if done.stopped:
        raise NotStarted(implementation.id, f"python {done.stopped}")
    stderr = done.stderr.decode("utf-8", "replace")
    raise NotStarted(implementation.id, done.account("python"), status=done.status, stderr=stderr)


def _read(implementation: str, answer: str) -> tuple[str, str]:
    """What the script printed; a framework that prints may have come between."""
    try:
        told = json.loads(answer)
        if "failed" in told:
            raise NotStarted(implementation, bounded.one_line(str(told["failed"]), 400))
        version, device = told["found"]["version"], told["found"]["device"]
        return bounded.one_line(str(version), _LONGEST), bounded.one_line(str(device), _LONGEST)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotStarted(implementation, "its answer makes no sense") from None

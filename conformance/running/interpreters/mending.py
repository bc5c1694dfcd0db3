"""What to tell people of an implementation whose framework doesn't get ready: why, and the command that mends it.

`xent run` meets it as a worker that fails, `xent doctor` as an answer that doesn't come. Both say the same.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

from xent import adapters
from xent.conformance.running.process import death
from xent.errors import NotStarted, Unavailable

from . import bounded
from .interpreter import DIE_WITH_PARENT, Interpreter, asking_environment

IMPORT_LIMIT = 60.0  # seconds; a first, cold import of MindSpore takes 14 on two cores
_MARK = "xent-imported"
_IMPORT = f"{DIE_WITH_PARENT}\nimport importlib, numpy\nimportlib.import_module(sys.argv[1])\nprint('\\n{_MARK}')"


def quoted(text: str | Path) -> str:
    """One word of a command to be pasted into a shell, whatever it holds."""
    word = str(text)
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return f"\\{letter}" if letter in "\\'" else letter
    # Of half surrogate pairs, these stand for bytes of a file's name; others no name can hold.
    how = "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", how))


def command(implementation: str, module: str) -> str:
    """The command that runs just this implementation, to be pasted into a shell.

    Args:
        implementation: its id.
        module: its adapter's module path, which must be named again where no installed adapter has that id.
    """
    run = f"xent run --only {quoted(implementation)}"
    return run if implementation in adapters.names() else f"{run} --adapter {quoted(module)}"


@contextlib.contextmanager
def explained(
    found: Interpreter,
    framework: str,
    module: str,
    *,
    timeout: float = IMPORT_LIMIT,
    stop: threading.Event | None = None,
) -> Iterator[None]:
    """Turns a NotStarted that comes from within into the Unavailable of `explain`, whose arguments it takes."""
    try:
        yield
    except NotStarted as failure:
        raise explain(failure, found, framework, module, timeout=timeout, stop=stop) from failure


def explain(
    failure: NotStarted,
    found: Interpreter,
    framework: str,
    module: str,
    *,
    timeout: float = IMPORT_LIMIT,
    stop: threading.Event | None = None,
) -> Unavailable:
    """The same failure with its reason in one line, and with the next step.

    A plug-in may fail where its framework is well, so for one of those the framework is imported once more without it.

    Args:
        failure: of a worker, or of an interpreter that was asked as a worker would be.
        found: the interpreter.
        framework: its import name, e.g. ``"mindspore"``.
        module: the adapter's module path.
        timeout: seconds for that import.
        stop: as for `bounded.run`.

    Raises:
        KeyboardInterrupt: by `stop`.
    """
    name, said = failure.implementation, _said(failure)
    if failure.status is not None and death(failure.status) == "SIGKILL":
        return Unavailable(name, f"{framework} can't be imported there ({said})", "Free memory, and run it again.")
    if not module.startswith("xent.") and not import_fault(found.path, framework, timeout, stop):
        reason = f"its adapter {module} fails there ({said})"
        return Unavailable(name, reason, f"Mend the adapter: without it, {framework} imports there.")
    clause = said if said.startswith((f"{framework} ", f"the module {framework!r} ")) else ""
    clause = clause or f"{framework} can't be imported there ({said})"
    where = "its environment doesn't work" if found.how == "managed" else str(found.path)
    return Unavailable(name, f"{where}: {clause}", _remedy(name, found, framework, module, said))


def import_fault(
    interpreter: Path, framework: str, timeout: float = IMPORT_LIMIT, stop: threading.Event | None = None
) -> str:
    """Why NumPy and the framework don't import in that interpreter, in one line; "" where they do."""
    try:
        done = bounded.run(
            [str(interpreter), "-c", _IMPORT, framework], timeout, environment=asking_environment(), stop=stop
        )
    except OSError as error:
        return f"{interpreter} can't be run ({error.strerror or error})"
    # Its exit code says little: what leaves by os._exit(0) hasn't been imported.
    return "" if _MARK.encode() in done.stdout.splitlines() else done.account("python")


def _said(failure: NotStarted) -> str:
    if failure.status is not None:
        return bounded.account("python", failure.status, failure.stderr)
    return bounded.one_line(failure.reason.split("; the end of its stderr:\n")[0], 400)


def _remedy(implementation: str, found: Interpreter, framework: str, module: str, said: str) -> str:
    if found.environment is not None:
        return f"rm -r {quoted(found.environment)}; {command(implementation, module)}"
    packages = framework if framework == "numpy" or "numpy" not in said else f"{framework} numpy"
    again = f"{quoted(found.path)} -m pip install --force-reinstall {packages}"
    return again + ("  # or leave the option --python out" if found.how == "named" else "")

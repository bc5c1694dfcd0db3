"""One worker process: its folder, its environment, what it wrote, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

import xent
from xent.errors import Unavailable

_TAIL = 2000
_MAX_OUTPUT = 64 * 2**20
_UNPRINTABLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]")


class Implementation(NamedTuple):
    """What a worker runs.

    Attributes:
        id: as on the command line and in file names, e.g. ``"mint-jit"``.
        module: the adapter's module path, e.g. ``"xent.adapters.mint.jit"``.
        search_path: the folder from which `module` imports, for a plug-in; None finds it where this process would.
    """

    id: str
    module: str
    search_path: str | None = None


def make_search_path(folder: Path, implementation: Implementation) -> None:
    """Fills `folder` with links to xent and to the plug-in, and nothing else of what this interpreter has installed.

    Raises:
        Unavailable: there is no such plug-in.
    """
    folder.mkdir()
    (folder / "xent").symlink_to(Path(xent.__file__).resolve().parent)
    top = implementation.module.split(".")[0]
    if top != "xent":
        found = _find(top, implementation)
        (folder / found.name).symlink_to(found)


def _find(top: str, implementation: Implementation) -> Path:
    if implementation.search_path is not None:
        folder = Path(implementation.search_path).resolve()
        places = [folder / top, folder / f"{top}.py"]
    else:
        try:
            spec = util.find_spec(top)
        except (ImportError, ValueError):
            spec = None
        places = [Path(place) for place in (spec and spec.submodule_search_locations) or []]
        places += [Path(spec.origin)] if spec and spec.origin and not places else []
    for place in places:
        if place.exists():
            return place.resolve()
    where = implementation.search_path or "Python's search path"
    remedy = "Check --adapter, and that it is importable here."
    raise Unavailable(implementation.id, f"no module {top!r} in {where}", remedy)


class Worker:
    """A running ``xent.conformance.worker``, in a session of its own, so that it can be killed with its children."""

    def __init__(self, folder: Path, name: str, interpreter: str, implementation: Implementation) -> None:
        """Starts it. Raises Unavailable when the interpreter can't be started, OSError for the folder."""
        self._folder = folder / name
        scratch = self._folder / "scratch"
        scratch.mkdir(parents=True)
        self._journal = self._folder / "journal"
        self._read = 0
        self._rest = b""
        self._killed = False
        command = [interpreter, "-m", "xent.conformance.worker", str(folder), implementation.module, str(os.getpid())]
        with open(self._folder / "stdout", "ab") as stdout, open(self._folder / "stderr", "ab") as stderr:
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=scratch,  # frameworks drop files where they run
                    env=_environment(folder / "path"),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
            except OSError as error:
                reason = f"the interpreter {interpreter} can't be started ({error.strerror or error})"
                raise Unavailable(implementation.id, reason, "Name another with --python.") from error

    def go(self, recorded: Iterable[str]) -> None:
        """Tells the worker to begin, and which cases to pass over."""
        unfinished = self._folder / "go.unfinished"
        unfinished.write_text(json.dumps(sorted(recorded)), encoding="ascii")
        unfinished.replace(self._folder / "go")

    def exit_status(self) -> int | None:
        """As subprocess has it, negative for a signal; None while it runs."""
        return self._process.poll()

    def entries(self) -> Iterator[dict[str, Any]]:
        """What the worker has written since the last call; what isn't a JSON object on its own line is passed over."""
        try:
            with open(self._journal, "rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return
        self._read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                entry = json.loads(line) if line else None
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                yield entry

    def stderr_tail(self, since: int = 0, until: int | None = None) -> str:
        """The end of what it wrote to stderr between these bytes, without colours and control characters."""
        with open(self._folder / "stderr", "rb") as file:
            size = file.seek(0, os.SEEK_END)
            if since > size:  # the file was trimmed
                since, until = 0, None
            end = size if until is None else min(until, size)
            begin = file.seek(max(since, end - 4 * _TAIL))
            text = file.read(max(0, end - begin)).decode("utf-8", "replace")
        return _UNPRINTABLE.sub("", text).strip()[-_TAIL:]

    def trim_output(self) -> None:
        """Keeps a framework that prints without end from filling the disk. (The worker appends, so this is safe.)"""
        for name in ("stdout", "stderr"):
            if os.path.getsize(self._folder / name) > _MAX_OUTPUT:
                os.truncate(self._folder / name, 0)

    def kill(self) -> None:
        """Ends the worker and whatever it started, once: later its process id may be somebody else's."""
        if not self._killed:
            self._killed = True
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _environment(search_path: Path) -> dict[str, str]:
    """This process's environment, with xent first on Python's path; what stands there stays, since CANN needs it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    paths = [str(search_path), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["PYTHONUNBUFFERED"] = environment["PYTHONDONTWRITEBYTECODE"] = "1"
    # Cases are tiny and workers run side by side: with a thread a core each, torch took 60 ms for what takes it 0.8 ms
    # alone. One thread also adds in the same order every time.
    environment.setdefault("OMP_NUM_THREADS", "1")
    return environment


def death(status: int) -> str:
    """How a worker ended, as a results file says it: a signal's name, or ``exit N``."""
    number = -status if status < 0 else status - 128  # a shell in between reports a signal as 128 + its number
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit {status}" if status >= 0 else f"SIG{number}"

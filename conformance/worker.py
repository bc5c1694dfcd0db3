"""Runs cases for one implementation: ``python -m xent.conformance.worker FOLDER MODULE``.

It runs in the framework's own interpreter, where there need be nothing but NumPy and the framework, in the folder
``FOLDER/N/scratch``. It reads ``FOLDER/cases.safetensors``, waits for ``FOLDER/N/go`` (the cases that are recorded
already) and writes ``FOLDER/N/journal``, JSON Lines: ``{"hello": ...}`` once the framework is ready, then per case
``{"begin": id}`` and its record, then ``{"end": true}``.

Where the disk is full the journal can't say so: the worker then writes the error's number into ``FOLDER/N/trouble``,
whose bytes were there before, and ends. What couldn't be recorded is the harness's failure and never the framework's.

An adapter that says ``FORKS = True`` has a framework that works in a fork of the process that imported it. Its cases
run in one; after a case that ends it come ``{"died": exit code}`` and another fork, which takes milliseconds where an
import takes seconds.

The journal is opened for each line and closed after it: frameworks write to descriptors that they don't own, close them
all, fork and abort, and none of that may reach another case's record. Each line begins with the word that the
supervisor gave this worker, in an environment variable that is gone before anything else is imported: what somebody
else writes into the journal is not taken for the worker's. `runner` supervises.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import json
import mmap
import os
import platform
import re
import signal
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from xent import adapters
from xent.errors import Unavailable
from xent.spec import CrossEntropySpec

from . import arrays, limits, transport
from .case import Case

_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_MAX_MESSAGE = 2000
_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PR_SET_PDEATHSIG = 1
_TROUBLE = 74  # EX_IOERR
WORD = "XENT_JOURNAL"


class Journal:
    """The worker's own record of what it does, which only this process writes."""

    def __init__(self, folder: Path, word: str = "") -> None:
        self._word = word.encode("ascii")
        self.path = str(folder / "journal")
        self._streams = [(1, str(folder / "stdout")), (2, str(folder / "stderr"))]
        self._trouble = str(folder / "trouble")
        self.scratch = str(folder / "scratch")
        self._owner = os.getpid()

    def adopt(self) -> None:
        """From now on this process writes it: a fork of the one that made it."""
        self._owner = os.getpid()

    def append(self, entry: Dict[str, Any]) -> None:
        """Writes one line. A blank line goes first, in case something else wrote half a line."""
        if os.getpid() != self._owner:
            os._exit(0)  # a case forked, and its child came back from the case: it is not this worker
        data = b"\n" + self._word + json.dumps(entry, allow_nan=False).encode("ascii") + b"\n"
        try:
            self._reopen_standard_streams()
            with open(self.path, "ab", buffering=0) as file:
                while data:
                    data = data[file.write(data) :]
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Tells the supervisor why there will be no line, and ends."""
        with contextlib.suppress(OSError), open(self._trouble, "r+b", buffering=0) as file:
            file.write(str(error.errno or 0).encode("ascii"))
        os._exit(_TROUBLE)

    def stderr_size(self) -> int:
        """Where in the stderr file what is printed next begins."""
        try:
            return os.stat(self._streams[1][1]).st_size
        except OSError:
            return 0

    def _reopen_standard_streams(self) -> None:
        """Otherwise the journal could get a descriptor below 3, and with it all that is printed meanwhile."""
        for descriptor, path in [(0, os.devnull), *self._streams]:
            try:
                os.fstat(descriptor)
            except OSError:
                opened = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
                if opened != descriptor:
                    os.dup2(opened, descriptor)
                    os.close(opened)


def main(argv: Sequence[str]) -> None:
    """The worker's life. Leaves through os._exit: a framework that crashes on its way out must not change anything."""
    folder, module, parent = Path(argv[0]), argv[1], os.getppid()  # the guard
    _die_with(parent)
    journal = Journal(Path.cwd().parent, os.environ.pop(WORD, ""))
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != os.getcwd()]  # -m put it there
    faulthandler.enable(all_threads=False)
    try:
        cases = transport.read(folder / "cases.safetensors")
        adapter = adapters.load(module)
        if not isinstance(adapter.capabilities, adapters.Capabilities):
            kind = type(adapter.capabilities).__name__
            raise Unavailable(module, f"its capabilities are {kind}, not xent.adapters.Capabilities")
        getattr(adapter, "prepare", lambda: None)()
        plan, left_out = _plan(adapter, cases)
        journal.append({"hello": {**_who(adapter), "planned": [case.id for case in plan], "left_out": left_out}})
    except BaseException as error:
        journal.append({"unavailable": _why(error)})
        os._exit(1)
    recorded = set(_wait_for_go(journal, parent))
    rest = [case for case in plan if case.id not in recorded]

    def run(case: Case) -> None:
        _alive(parent)
        journal.append(_run(adapter, case, journal))

    if getattr(adapter, "FORKS", False) and hasattr(os, "fork"):
        _in_forks(run, rest, journal)
    else:
        for case in rest:
            run(case)
    journal.append({"end": True})
    os._exit(0)


def _in_forks(run: Callable[[Case], None], cases: List[Case], journal: Journal) -> None:
    """Runs the cases in a fork of this process, and those after one that ends it in another."""
    worker, begin = os.getpid(), 0
    reached = mmap.mmap(-1, 8)  # the number of the case that runs, which the fork tells
    while begin < len(cases):
        child = os.fork()
        if child == 0:
            _die_with(worker)
            journal.adopt()
            for number in range(begin, len(cases)):
                reached[:] = number.to_bytes(8, "little")
                run(cases[number])
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        journal.append({"died": code, "stderr": journal.stderr_size()})
        begin = int.from_bytes(reached[:], "little") + 1


def _die_with(parent: int) -> None:
    """Nobody reads the journal of a worker whose parent is gone, and a hung one would stay for ever."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _alive(parent)
    import resource  # not on Windows, where the two lines above have nothing to do either

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a framework's core dump is gigabytes, and takes seconds


def _alive(parent: int) -> None:
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        os._exit(1)


def _plan(adapter: ModuleType, cases: List[Case]) -> Tuple[List[Case], Dict[str, int]]:
    """The cases that this adapter runs, and how many it leaves out, by reason."""
    sample = getattr(adapter, "SAMPLE", None)
    if sample is None:
        return cases, {}
    if not isinstance(sample, str):
        raise Unavailable(adapter.__name__, f"its SAMPLE is {type(sample).__name__}, not the tag of some cases")
    plan = [case for case in cases if sample in case.tags]
    left_out = len(cases) - len(plan)
    return plan, {f"only cases tagged {sample} run": left_out} if left_out else {}


def _who(adapter: ModuleType) -> Dict[str, Any]:
    """What the header says of the implementation; every text within its limit, whatever the adapter answers."""
    version = _name(adapter.version())
    return {
        "name": _name(adapter.NAME),
        "version": version,
        "device": _name(getattr(adapter, "device", lambda: "cpu")()),
        "mode": _name(getattr(adapter, "MODE", "eager")),
        "python": platform.python_version(),
        "platform": _name(platform.platform()),
        "packages": {_name(adapter.FRAMEWORK): version, "numpy": np.__version__},
        "adapter": {"module": _name(adapter.__name__), "sha256": adapters.source_digest(adapter)},
        "capabilities": adapter.capabilities.to_dict(),
        "sample": getattr(adapter, "SAMPLE", None),
    }


def _name(value: Any) -> str:
    return " ".join(_clean(str(value), limits.NAME).split())


def _wait_for_go(journal: Journal, parent: int) -> List[str]:
    """The ids of the cases that are recorded already. A standby worker waits here, ready, until it is needed."""
    go = os.path.join(os.path.dirname(journal.path), "go")
    while not os.path.exists(go):
        _alive(parent)
        time.sleep(0.005)
    with open(go, encoding="ascii") as file:
        recorded: List[str] = json.load(file)
    return recorded


def _run(adapter: ModuleType, case: Case, journal: Journal) -> Dict[str, Any]:
    """The record of one case. Only KeyboardInterrupt gets out."""
    journal.append({"begin": case.id, "stderr": journal.stderr_size()})
    if _excluded(adapter, case):
        return {"case": case.id, "outcome": "unsupported"}
    adapters.reset_phases()
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluation = _evaluated(adapter, case)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        record = _error_record(case, error)
    else:
        record = _value_record(case, evaluation)
    record["ms"] = round(adapters.phase_seconds() * 1000, 4)
    signal.setitimer(signal.ITIMER_REAL, 0)  # an alarm that this case set must not ring in the next
    os.makedirs(journal.scratch, exist_ok=True)
    os.chdir(journal.scratch)
    return record


def _excluded(adapter: ModuleType, case: Case) -> bool:
    """Whether the capabilities exclude what the spec itself allows; such a case runs only as a probe of them."""
    if "capability" in case.tags:
        return False
    try:
        if not adapter.capabilities.findings(case.arguments, case.input, case.target):
            return False
        spec = CrossEntropySpec(*case.arguments)
        return not any(finding.severity == "error" for finding in spec.check(None, case.input, case.target))
    except Exception:  # arguments that the spec refuses: so must the implementation, and that is to be seen
        return False


def _evaluated(adapter: ModuleType, case: Case) -> Any:
    """What the adapter returns. Only where more than input's gradient is asked for, the names are; else a bool."""
    others = _others(adapter, case)
    if others:
        names = ("input",) * case.gradient + others
        try:
            return adapter.evaluate(case.arguments, case.input, case.target, gradient=names)
        except TypeError:
            # An adapter that knows of input's gradient alone may hand the names on to what takes nothing but a bool.
            if adapters.last_phase() == "backward":
                raise
            adapters.reset_phases()
    return adapter.evaluate(case.arguments, case.input, case.target, gradient=case.gradient)


def _others(adapter: ModuleType, case: Case) -> Tuple[str, ...]:
    """The gradients besides input's that this adapter is asked for: what it offers, and in a probe all."""
    if not case.others or "capability" in case.tags:
        return case.others
    withheld = adapter.capabilities.withheld(case.target, case.others)
    return tuple(name for name in case.others if name not in withheld)


def _error_record(case: Case, error: BaseException) -> Dict[str, Any]:
    """The framework's refusal; or, where it had no disk to work on, what kept it from answering."""
    told = _error(error)
    number = error.errno if isinstance(error, OSError) else None
    if number in _OUT_OF_SPACE or os.strerror(errno.ENOSPC) in told["message"]:
        return _not_recorded(case, f"no disk space was left while it ran ({told['message']})")
    return {"case": case.id, "outcome": "error", "error": {**told, "phase": adapters.last_phase()}}


def _value_record(case: Case, evaluation: Any) -> Dict[str, Any]:
    """What the adapter returned; or why that can't be recorded, which says nothing about the framework."""
    try:
        record: Dict[str, Any] = {"case": case.id, "outcome": "value"}
        if not hasattr(evaluation, "value"):
            kind = type(evaluation).__name__
            raise TypeError(f"the adapter's evaluate returned {kind}, not xent.adapters.Evaluation")
        record["value"] = _array("value", evaluation.value)
        gradient = evaluation.gradient if case.gradient else None
        record["gradient"] = None if gradient is None else _array("gradient", gradient)
        given = getattr(evaluation, "gradients", None)
        if given is not None:
            asked = [name for name in case.gradients if given.get(name) is not None]
            record["gradients"] = {name: _array(f"gradient of {name}", given[name]) for name in asked}
        record["casts"] = _casts(evaluation.casts)
        record["kernels"] = _name(evaluation.kernels)
        if _size(record) > arrays.MAX_TOGETHER:
            raise ValueError(f"its arrays have {_size(record):,} elements, more than {arrays.MAX_TOGETHER:,}")
        return record
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the adapter's objects may do anything when they are looked at
        return _not_recorded(case, _error(error)["message"])


def _not_recorded(case: Case, reason: str) -> Dict[str, Any]:
    return {"case": case.id, "outcome": "not-recorded", "reason": reason}


def _casts(casts: Any) -> List[str]:
    found = [_name(cast) for cast in casts]
    if len(found) <= limits.CASTS:
        return found
    return [*found[: limits.CASTS - 1], f"and {len(found) - limits.CASTS + 1:,} more"]


def _size(record: Dict[str, Any]) -> int:
    found = [record["value"], record["gradient"], *record.get("gradients", {}).values()]
    return sum(len(array["hex"]) for array in found if array is not None)


def _array(name: str, array: Any) -> Dict[str, Any]:
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"the adapter's {name} must be a NumPy array, not {type(array).__name__}")
    try:
        return arrays.encode(array)
    except ValueError as error:
        raise ValueError(f"the adapter's {name} can't be recorded: {error}") from error


def _why(error: BaseException) -> Dict[str, Any]:
    """Why the framework isn't ready, and the next step where one is known."""
    if isinstance(error, Unavailable):
        return {"reason": error.reason, "remedy": error.remedy}
    described = _error(error)
    return {"reason": f"{described['type']}: {described['message'].rstrip('.')}", "remedy": None}


def _error(error: BaseException) -> Dict[str, str]:
    """The exception's class and text. Never raises: some frameworks' exceptions fail in their own __str__."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", None) else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = _clean(str(error))
    except BaseException as second:
        message = f"(no text: its __str__ raised {type(second).__name__})"
    return {"type": _clean(name), "message": message}


def _clean(text: str, most: int = _MAX_MESSAGE) -> str:
    """Without colours and half surrogate pairs. A long text keeps its start and its end: one of them says the cause."""
    if len(text) > 100 * most:
        text = text[: 50 * most] + text[-50 * most :]
    text = _ANSI.sub("", text).strip().encode("utf-8", "replace").decode("utf-8")
    if len(text) > most:
        text = f"{text[: most - most // 4 - 7]}\n[...]\n{text[-(most // 4) :]}"
    return text


if __name__ == "__main__":
    main(sys.argv[1:])

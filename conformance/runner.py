"""Supervises the worker of one implementation until every planned case is recorded.

A worker that aborts, hangs, exits or is killed costs the case it was in: that case is recorded as a crash or a timeout,
and a new worker goes on after it. Once one has crashed, another stands by with its framework imported, because
implementations that crash once mostly crash again and an import takes seconds.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from xent.errors import Unavailable

from . import results, transport
from .case import Case, digest
from .partial import Partial, clear_write_errors
from .process import Implementation, Worker, death, make_search_path

__all__ = ["Event", "Implementation", "run_worker"]

_POLL = 0.01
_VAIN_STARTS = 3


class Interpreter(Protocol):
    """`interpreters.Interpreter`, or anything with the path of an executable."""

    @property
    def path(self) -> Any: ...


class Event(NamedTuple):
    """Something that happened, for whoever shows progress.

    Attributes:
        kind: ``"started"`` (the framework is ready), ``"recorded"`` (a case), ``"restarted"`` (a worker died),
            ``"finished"``.
        implementation: its id.
        done: cases recorded so far, those of an earlier, interrupted run included.
        planned: cases to record.
        case: the id, for ``"recorded"``.
        outcome: as in the record, for ``"recorded"``.
    """

    kind: str
    implementation: str
    done: int
    planned: int
    case: str | None = None
    outcome: str | None = None


def run_worker(
    implementation: Implementation,
    interpreter: Interpreter,
    cases: Sequence[Case],
    results_dir: str | Path,
    timeout: float = 60.0,
    on_event: Callable[[Event], None] = lambda event: None,
    *,
    startup_timeout: float = 180.0,
    reuse: bool = False,
    stop: threading.Event | None = None,
) -> results.Results:
    """Runs the cases and writes ``ID.jsonl``; goes on from the ``ID.jsonl.partial`` that an interrupted run left.

    Args:
        implementation: what to run.
        interpreter: where its framework is installed.
        cases: their ids are unique.
        results_dir: made if it isn't there.
        timeout: seconds for one case.
        on_event: called in this thread.
        startup_timeout: seconds until the framework is imported and prepared.
        stop: once set, this call ends as by Ctrl-C; that signal itself reaches the main thread only.
        reuse: also go on from a completed ``ID.jsonl`` of the same implementation, version, adapter and cases.

    Raises:
        Unavailable: the implementation can't run here, another run has the folder, or the worker dies again and again
            between cases. What was recorded stays for the next run.
        UnreadableInput: the folder can't be written, or the disk is full.
        ValueError: two cases of one id, or a case that can't be shipped.
        KeyboardInterrupt: by `stop`. What was recorded stays for the next run.
    """
    folder = Path(results_dir)
    with contextlib.ExitStack() as stack:
        partial = stack.enter_context(contextlib.closing(Partial(folder, implementation.id)))
        with clear_write_errors(folder):
            work = stack.enter_context(_work_folder(folder, implementation.id))
            transport.write(work / "cases.safetensors", cases)
            make_search_path(work / "path", implementation)
        run = _Run(implementation, str(interpreter.path), work, partial, on_event, timeout, startup_timeout)
        run.stop = stop or run.stop
        stack.callback(run.kill_all)
        return run.complete({"sha256": digest(cases), "count": len(cases)}, reuse)


@contextlib.contextmanager
def _work_folder(folder: Path, implementation: str) -> Iterator[Path]:
    """A folder for the workers, gone afterwards; so are those of killed runs (the lock says that they are over)."""
    prefix = f".{implementation}.work-"
    for left in folder.glob(prefix + "*"):
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.resolve()))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


class _Run:
    def __init__(
        self,
        implementation: Implementation,
        interpreter: str,
        work: Path,
        partial: Partial,
        on_event: Callable[[Event], None],
        timeout: float,
        startup_timeout: float,
    ) -> None:
        self.implementation = implementation
        self.interpreter = interpreter
        self.work = work
        self.partial = partial
        self.on_event = on_event
        self.timeout = timeout
        self.startup_timeout = startup_timeout
        self.planned: list[str] = []
        self.pending: set[str] = set()
        self.workers: list[Worker] = []
        self.stop = threading.Event()

    def complete(self, case_set: dict[str, Any], reuse: bool) -> results.Results:
        """Starts workers until nothing is pending."""
        worker, standby, vain = self._start(), None, 0
        hello = self._hello(worker)
        self.partial.begin(self._header(hello, case_set), reuse)
        self.planned = [str(case) for case in hello["planned"]]
        self.pending = set(self.planned) - set(self.partial.records)
        self._tell("started")
        while self.pending:
            before = len(self.pending)
            with clear_write_errors(self.work):
                worker.go(self.partial.records)
            self._follow(worker)
            worker.kill()
            if not self.pending:
                break
            vain = 0 if len(self.pending) < before else vain + 1
            if vain == _VAIN_STARTS:
                raise self._unavailable(f"the worker died {vain} times in a row without finishing a case", worker)
            self._tell("restarted")
            worker = self._replacement(standby, hello)
            standby = self._start()
        finished = self.partial.finish(self.planned, hello["left_out"])
        self._tell("finished")
        return finished

    def _replacement(self, standby: Worker | None, hello: dict[str, Any]) -> Worker:
        """A worker that is ready, and the same as the one before."""
        for attempt in range(_VAIN_STARTS):
            worker = standby or self._start()
            try:
                again = self._hello(worker)
            except Unavailable:
                standby = None
                if attempt == _VAIN_STARTS - 1:
                    raise
            else:
                break
        if again != hello:
            raise self._unavailable("its version or its adapter changed during the run", worker)
        return worker

    def kill_all(self) -> None:
        """Whatever happened, nothing keeps running."""
        for worker in self.workers:
            worker.kill()

    def _start(self) -> Worker:
        with clear_write_errors(self.work):
            worker = Worker(self.work, str(len(self.workers)), self.interpreter, self.implementation)
        self.workers.append(worker)
        return worker

    def _tell(self, kind: str, case: str | None = None, outcome: str | None = None) -> None:
        done = len(self.partial.records)
        self.on_event(Event(kind, self.implementation.id, done, len(self.planned), case, outcome))

    def _unavailable(self, reason: str, worker: Worker) -> Unavailable:
        tail = worker.stderr_tail()
        return Unavailable(self.implementation.id, reason + (f"; the end of its stderr:\n{tail}" if tail else ""))

    def _hello(self, worker: Worker) -> dict[str, Any]:
        """Waits until the framework is ready. Raises Unavailable when it can't be."""
        deadline = time.monotonic() + self.startup_timeout
        while True:
            status = worker.exit_status()  # before the entries, so that none is missed
            for entry in worker.entries():
                if isinstance(entry.get("hello"), dict):
                    hello: dict[str, Any] = entry["hello"]
                    return hello
                if isinstance(entry.get("unavailable"), dict):
                    raise Unavailable(self.implementation.id, **entry["unavailable"])
            if status is not None:
                raise self._unavailable(f"its worker ended with {death(status)} before the first case", worker)
            if time.monotonic() > deadline:
                reason = f"its worker was not ready after {self.startup_timeout:g} s"
                worker.kill()
                raise self._unavailable(reason, worker)
            self._sleep()

    def _follow(self, worker: Worker) -> None:
        """Records what the worker does until it ends, dies, or is killed for its case's time limit."""
        current, offset, since = "", 0, time.monotonic()
        while True:
            status = worker.exit_status()  # before the entries, so that none is missed
            killed = time.monotonic() - since > self.timeout
            if killed:
                worker.kill()
            overdue = current
            for entry in worker.entries():
                since = time.monotonic()
                if "begin" in entry:
                    current, offset = str(entry["begin"]), int(entry.get("stderr", 0))
                elif "case" in entry:
                    self._record(entry)
                    current = ""
                elif "died" in entry and current:
                    self._crash(current, int(entry["died"]), worker.stderr_tail(offset, int(entry["stderr"])))
                    current = ""
                elif "end" in entry:
                    return
            if killed or status is not None:
                tail = worker.stderr_tail(offset)
                if killed and current and current == overdue:
                    self._record({"case": current, "outcome": "timeout", "stderr": tail})
                elif current and status is not None and not killed:
                    self._crash(current, status, tail)
                return
            worker.trim_output()
            self._sleep()

    def _crash(self, case: str, status: int, stderr: str) -> None:
        self._record({"case": case, "outcome": "crash", "signal": death(status), "stderr": stderr})

    def _sleep(self) -> None:
        if self.stop.wait(_POLL):
            raise KeyboardInterrupt

    def _record(self, record: dict[str, Any]) -> None:
        """Keeps the record of a pending case; a malformed one becomes an error, lest the case run for ever."""
        case = record["case"]
        if case not in self.pending:
            return
        try:
            results.check_record(record)
        except ValueError as fault:
            error = {"type": "ValueError", "message": f"the worker's record is malformed: {fault}", "phase": "forward"}
            record = {"case": case, "outcome": "error", "error": error}
        self.partial.add(record)
        self.pending.remove(case)
        self._tell("recorded", case, record["outcome"])

    def _header(self, hello: dict[str, Any], case_set: dict[str, Any]) -> dict[str, Any]:
        implementation = {name: hello[name] for name in ("name", "version", "device", "mode")}
        return {
            "schema": results.SCHEMA,
            "implementation": {"id": self.implementation.id, **implementation, "kernels": ""},
            "python": hello["python"],
            "platform": hello["platform"],
            "packages": hello["packages"],
            "case_set": case_set,
            "started": "",
            "adapter": hello["adapter"],
        }

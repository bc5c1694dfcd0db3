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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from xent.conformance.evidence import results
from xent.conformance.evidence.partial import Partial, cannot_write, clear_write_errors
from xent.conformance.evidence.records import CaseSet, Header
from xent.conformance.files.strict_json import Place
from xent.conformance.implementations import Implementation
from xent.conformance.protocol import case_file
from xent.conformance.protocol.case import Case, digest
from xent.errors import NotStarted, Unavailable, UnreadableInput

from .journal import Begun, Died, Ended, Hello, NotReady, Recorded, header_of
from .launch import make_search_path
from .process import Worker, death
from .recorder import Event, Recorder

__all__ = ["Event", "run_worker"]

_POLL = 0.01
_VAIN_STARTS = 3


class Interpreter(Protocol):
    """`interpreters.Interpreter`, or anything with the path of an executable."""

    @property
    def path(self) -> Any: ...


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
    say: Callable[[str], None] = lambda line: None,
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
        say: called with a line for people where earlier evidence is gone on from, or was moved aside.
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
    listed = list(cases)
    unshippable = {case.id: why for case in listed if (why := case_file.unshippable(case))}
    with contextlib.ExitStack() as stack:
        partial = stack.enter_context(contextlib.closing(Partial(folder, implementation.id)))
        with clear_write_errors(folder):
            work = stack.enter_context(_work_folder(folder, implementation.id))
            case_file.write(work / "cases.safetensors", (case for case in listed if case.id not in unshippable))
            make_search_path(work / "path", implementation)
        run = _Run(implementation, str(interpreter.path), work, partial, on_event, timeout, startup_timeout)
        run.stop = stop or run.stop
        run.say = say
        stack.callback(run.end_all)
        return run.complete(listed, unshippable, reuse)


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
        self.recorder = Recorder(implementation.id, partial, on_event)
        self.timeout = timeout
        self.startup_timeout = startup_timeout
        self.workers: list[Worker] = []
        self.stop = threading.Event()
        self.say: Callable[[str], None] = lambda line: None

    def complete(self, cases: Sequence[Case], unshippable: Mapping[str, str], reuse: bool) -> results.Results:
        """Starts workers until nothing is pending. `unshippable`: cases that no worker got, with the reason."""
        case_set = CaseSet(digest(cases), len(cases))
        worker, standby, vain = self._start(), None, 0
        hello = self._hello(worker)
        header = self._header(hello, case_set)
        self.partial.begin(header, reuse)
        recorder = self.recorder
        recorder.begin([*self._plan(hello, header.sample, cases, unshippable), *unshippable])
        done, planned = len(self.partial.recorded), len(recorder.planned)
        if done and self.partial.header is not None:
            self.say(f"{done} of {planned} cases are recorded already, by the run of {self.partial.header.started}")
        recorder.tell("started")
        for case in [case for case in recorder.pending if case in unshippable]:
            recorder.not_recorded(case, unshippable[case])
        while recorder.pending:
            before = len(recorder.pending)
            with clear_write_errors(self.work):
                worker.go(self.partial.recorded)
            self._follow(worker)
            worker.kill()
            if not recorder.pending:
                break
            vain = 0 if len(recorder.pending) < before else vain + 1
            if vain == _VAIN_STARTS:
                raise self._unavailable(f"the worker died {vain} times in a row without finishing a case", worker)
            worker.close()
            recorder.tell("restarted")
            worker = self._replacement(standby, hello)
            standby = self._start()
        finished = self.partial.finish(recorder.planned, hello.left_out)
        for path in self.partial.replaced:
            self.say(f"earlier evidence, of another version or adapter, is in {path}")
        recorder.tell("finished")
        return finished

    def _plan(
        self, hello: Hello, sample: str | None, cases: Sequence[Case], unshippable: Mapping[str, str]
    ) -> Sequence[str]:
        """What the worker will run, which must be all that it was sent, or all of its sample."""
        sent = [case for case in cases if case.id not in unshippable]
        if list(hello.planned) != [case.id for case in sent if sample is None or sample in case.tags]:
            raise Unavailable(
                self.implementation.id, "its worker plans other cases than it was sent", "Mend the adapter."
            )
        return hello.planned

    def _replacement(self, standby: Worker | None, hello: Hello) -> Worker:
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

    def end_all(self) -> None:
        """Whatever happened, nothing keeps running."""
        for worker in self.workers:
            worker.close()

    def _start(self) -> Worker:
        with clear_write_errors(self.work):
            worker = Worker(self.work, str(len(self.workers)), self.interpreter, self.implementation)
        self.workers.append(worker)
        return worker

    def _unavailable(self, reason: str, worker: Worker) -> Unavailable:
        tail = worker.stderr_excerpt()
        return Unavailable(self.implementation.id, reason + (f"; the end of its stderr:\n{tail}" if tail else ""))

    def _not_started(self, reason: str, worker: Worker, status: int | None = None) -> NotStarted:
        told = self._unavailable(reason, worker)
        return NotStarted(told.implementation, told.reason, status=status, stderr=worker.stderr_excerpt())

    def _hello(self, worker: Worker) -> Hello:
        """Waits until the framework is ready. Raises NotStarted when it can't be."""
        deadline = time.monotonic() + self.startup_timeout
        while True:
            status = worker.exit_status()  # before the entries, so that none is missed
            for entry in worker.entries():
                if isinstance(entry, Hello):
                    return entry
                if isinstance(entry, NotReady):
                    raise NotStarted(self.implementation.id, entry.reason, entry.remedy)
            if status is not None:
                self._check_disk(worker)
                raise self._not_started(f"its worker ended with {death(status)} before the first case", worker, status)
            if time.monotonic() > deadline:
                reason = f"its worker was not ready after {self.startup_timeout:g} s"
                worker.kill()
                raise self._not_started(reason, worker)
            self._sleep()

    def _follow(self, worker: Worker) -> None:
        """Records what the worker does until it ends, dies, or is killed for its case's time limit.

        Only the next case of the plan can begin, and only a case that has begun is recorded: whatever else stands in
        the journal was put there by something else than the worker.
        """
        current, offset, since = "", 0, time.monotonic()
        while True:
            status = worker.exit_status()  # before the entries, so that none is missed
            killed = time.monotonic() - since > self.timeout
            if killed:
                worker.kill()
            overdue = current
            for entry in worker.entries():
                since = time.monotonic()
                if isinstance(entry, Begun) and not current and entry.case == self.recorder.next_case():
                    current, offset = entry.case, entry.stderr
                elif isinstance(entry, Recorded) and current and entry.case == current:
                    self.recorder.line(entry)
                    current = ""
                elif isinstance(entry, Died) and current:
                    self._check_disk(worker)
                    self.recorder.crash(current, entry.status, worker.stderr_excerpt(offset, entry.stderr))
                    current = ""
                elif isinstance(entry, Ended):
                    return
            if killed or status is not None:
                tail = worker.stderr_excerpt(offset)
                if killed and current and current == overdue:
                    self.recorder.timeout(current, tail)
                elif status is not None and not killed:
                    self._check_disk(worker)
                    if current:
                        self.recorder.crash(current, status, tail)
                return
            worker.trim_output()
            self._sleep()

    def _check_disk(self, worker: Worker) -> None:
        """A worker that ended for want of disk space didn't crash: its case runs again when there is room."""
        if error := worker.trouble():
            raise cannot_write(self.work.parent, error)

    def _sleep(self) -> None:
        if self.stop.wait(_POLL):
            raise KeyboardInterrupt

    def _header(self, hello: Hello, case_set: CaseSet) -> Header:
        try:
            return header_of(hello, self.implementation.id, case_set, Place(self.implementation.module))
        except UnreadableInput as fault:
            reason = f"what its adapter says of itself can't be recorded: {fault.place}: {fault.problem}"
            raise Unavailable(self.implementation.id, reason, "Mend the adapter.") from fault

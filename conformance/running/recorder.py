"""What becomes of each case of a run: its record, in the file that grows, and an event for whoever shows progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from xent.conformance.evidence import record_json, results
from xent.conformance.evidence.partial import Partial
from xent.conformance.evidence.records import Record
from xent.conformance.files.strict_json import Place
from xent.errors import UnreadableInput

from .journal import Recorded
from .process import death


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


class Recorder:
    """Keeps the records of one implementation, each case once.

    Attributes:
        planned: the ids of all cases, in the order of the plan.
        pending: of those the ones without a record, in that order.
    """

    def __init__(self, implementation: str, partial: Partial, on_event: Callable[[Event], None]) -> None:
        self.planned: Sequence[str] = ()
        self.pending: dict[str, None] = {}
        self._implementation = implementation
        self._partial = partial
        self._on_event = on_event

    def begin(self, planned: Sequence[str]) -> None:
        """What is to be recorded; what the file has already is not pending."""
        recorded = set(self._partial.recorded)
        self.planned = planned
        self.pending = dict.fromkeys(case for case in planned if case not in recorded)

    def next_case(self) -> str | None:
        """The first that is pending."""
        return next(iter(self.pending), None)

    def tell(self, kind: str, case: str | None = None, outcome: str | None = None) -> None:
        """An event, with how far the run is."""
        done = len(self._partial.recorded)
        self._on_event(Event(kind, self._implementation, done, len(self.planned), case, outcome))

    def line(self, entry: Recorded) -> None:
        """Keeps a worker's record; one that nobody could read is none, lest the case run for ever."""
        try:
            record = record_json.record(entry.content, Place("record"))
        except UnreadableInput as fault:
            self.not_recorded(entry.case, f"the worker's record is malformed: {fault.place}: {fault.problem}")
        else:
            self._keep(record, entry.line)

    def not_recorded(self, case: str, reason: str) -> None:
        """What the harness itself could not do."""
        self._record({"case": case, "outcome": "not-recorded", "reason": reason})

    def crash(self, case: str, status: int, stderr: str) -> None:
        """The worker died of it; `status` as subprocess has it."""
        self._record({"case": case, "outcome": "crash", "signal": death(status), "stderr": stderr})

    def timeout(self, case: str, stderr: str) -> None:
        """The worker was ended since it took too long."""
        self._record({"case": case, "outcome": "timeout", "stderr": stderr})

    def _record(self, content: Mapping[str, Any]) -> None:
        self._keep(record_json.record(content, Place(content["case"])), results.line(content))

    def _keep(self, record: Record, line: bytes) -> None:
        self._partial.add(record, line)
        self.pending.pop(record.case, None)
        self.tell("recorded", record.case, record.outcome)

"""What the kit makes of the evidence: a check for each name, with the harness's own judge where a value is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from xent import dtypes
from xent.adapters import Capabilities
from xent.conformance.evidence.records import Record
from xent.conformance.judging.crashes import crash_cause
from xent.conformance.judging.judge import Verdict, judge
from xent.conformance.running.interpreters import bounded
from xent.conformance.worker.kit import findings, portable

from .asking import Asked
from .checks import CHECKS, Check, ok
from .sample import Asking

_RIGHT = ("agrees", "imprecise")
_FAILED = ("rejects", "crashes", "hangs", "no evidence")
_WRONG, _MISSING, _NOT_OFFERED = (
    f"{kind.__module__}.{kind.__qualname__}" for kind in (findings.Wrong, findings.Missing, portable.NotOffered)
)


class _Judged(NamedTuple):
    """A case with its verdict, by the specification alone: what the capabilities exclude is judged all the same."""

    asking: Asking
    record: Record | None
    verdict: Verdict


def checks(asked: Asked, records: Mapping[str, Record], asked_of: Sequence[Asking]) -> list[Check]:
    """A check for each name that applies, in the order of CHECKS."""
    found = {
        one.case.id: _of_probe(one.case.id, records.get(one.case.id)) for one in asked_of if one.purpose == "probe"
    }
    judged = [_judged(one, records.get(one.case.id)) for one in asked_of if one.purpose != "probe"]
    by_purpose = {purpose: [one for one in judged if one.asking.purpose == purpose] for purpose in CHECKS}
    found["entries"] = ok("entries")
    found["value"] = _value(by_purpose["value"], asked)
    found["refusals"] = _refusals(by_purpose["refusals"])
    if asked.sample is None:
        found["includes"] = _includes(by_purpose["includes"], asked.capabilities)
        found["excludes"] = _excludes(by_purpose["excludes"])
    offered = _portable(by_purpose["portable"])
    if offered is not None:
        found["portable"] = offered
    return [found[name] for name in CHECKS if name in found]


def _judged(asking: Asking, record: Record | None) -> _Judged:
    return _Judged(asking, record, judge(asking.case, record, Capabilities(), "adapter"))


def _of_probe(name: str, record: Record | None) -> Check:
    if record is None:
        return Check(name, "wrong", "it was not answered")
    if record.outcome == "value":
        return ok(name)
    if record.outcome == "error" and record.error is not None:
        text = " ".join(record.error.message.split())
        if record.error.type == _MISSING:
            return Check(name, "missing", text)
        return Check(name, "wrong", text if record.error.type == _WRONG else f"{record.error.type}: {text}")
    return Check(name, "wrong", f"{_fate(record)} while this was checked: {CHECKS[name].holds}")


def _fate(record: Record) -> str:
    """What became of a process, or of a record, a clause."""
    if record.outcome == "timeout":
        return "it passed its time limit"
    if record.outcome == "crash":
        said = crash_cause(record.stderr) or bounded.last_line(record.stderr)
        return f"the process died ({record.signal})" + (f", saying {said!r}," if said else "")
    return f"what it returned could not be recorded ({record.reason})"


def _value(judged: Sequence[_Judged], asked: Asked) -> Check:
    for one in judged:
        if one.verdict.verdict not in _RIGHT:
            what = f"{one.verdict.verdict} on {_call(one)}: {one.verdict.reason}"
            hint = " So plain a call is more likely lost in the adapter than in its framework."
            return Check("value", "wrong", what + (hint if one.verdict.verdict == "deviates" else ""))
    if not judged:
        why = "capabilities exclude every plain call, with class indices and probabilities alike"
        if asked.sample is not None:
            why = f"SAMPLE is {asked.sample!r}, a tag that no standard case has"
        return Check("value", "wrong", why)
    return ok("value")


def _call(one: _Judged) -> str:
    """The case in words."""
    case = one.asking.case
    tag = next(tag for tag in case.tags if tag in ("indices", "probabilities"))
    arguments = case.arguments
    return f"{dtypes.name(case.input)} input {case.input.shape}, class {tag}, reduction {arguments.reduction!r}"


def _refusals(judged: Sequence[_Judged]) -> Check:
    taken = [one for one in judged if one.verdict.verdict != "agrees"]
    notes = [f"{one.asking.case.id.removeprefix('refusals/')}: {_did(one)}" for one in taken]
    if judged and len(taken) == len(judged):
        words = f"nothing that must be refused is refused: {notes[0]}; hand the arguments on as they were written"
        return Check("refusals", "wrong", words)
    return ok("refusals", _each_once(notes))


def _did(one: _Judged) -> str:
    """What it did, a clause."""
    error = one.record.error if one.record is not None else None
    if error is not None and one.verdict.verdict == "rejects":
        return f"refused ({error.type.rpartition('.')[2]}: {bounded.last_line(error.message, 120)})"
    if one.record is not None and one.record.outcome == "crash":
        return f"the process died ({one.record.signal})"
    reason = one.verdict.reason.rstrip(".")
    return reason[:1].lower() + reason[1:]


def _includes(judged: Sequence[_Judged], capabilities: Capabilities) -> Check:
    wrong, notes = [], []
    for field, group in _by_field(judged):
        failed = [one for one in group if one.verdict.verdict in _FAILED]
        if not failed:
            continue
        stated = getattr(capabilities, field) is not None
        for one in failed:
            told = f"{field} {_value_of(one)}: {_did(one)}"
            if stated:
                wrong.append(f"{told}, and capabilities.{field} allows it; take it out of the entry")
            elif len(failed) < len(group):
                notes.append(f"{told}; nothing excludes it, so runs report it as {one.verdict.verdict}")
        if not stated and len(failed) == len(group):
            values = ", ".join(dict.fromkeys(map(_value_of, group)))
            wrong.append(f"{field}: nothing runs of {values} ({_did(failed[0])})")
    return _of_entries("includes", wrong, notes)


def _excludes(judged: Sequence[_Judged]) -> Check:
    wrong, notes = [], []
    for field, group in _by_field(judged):
        right = [one for one in group if one.verdict.verdict in _RIGHT]
        if right and len(right) == len(group):
            values = ", ".join(dict.fromkeys(map(_value_of, right)))
            wrong.append(f"capabilities.{field} excludes {values}, and it gives the right value; take the entry out")
        elif right:
            notes += [f"{field} {_value_of(one)} is excluded, and gives the right value" for one in right]
    return _of_entries("excludes", wrong, notes)


def _of_entries(name: str, wrong: Sequence[str], notes: Sequence[str]) -> Check:
    return Check(name, "wrong", wrong[0], _each_once([*wrong[1:], *notes])) if wrong else ok(name, _each_once(notes))


def _each_once(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))


def _by_field(judged: Sequence[_Judged]) -> Iterator[tuple[str, list[_Judged]]]:
    for field in dict.fromkeys(one.asking.field for one in judged):
        yield field, [one for one in judged if one.asking.field == field]


def _value_of(one: _Judged) -> str:
    value: Any = one.asking.value
    return str(value)


def _portable(judged: Sequence[_Judged]) -> Check | None:
    """None where no portable loss is offered."""
    errors = [one.record.error for one in judged if one.record is not None and one.record.error is not None]
    if any(error.type == _NOT_OFFERED for error in errors):
        return None
    for error in errors:
        if error.type in (_MISSING, _WRONG):
            return Check("portable", "missing" if error.type == _MISSING else "wrong", error.message)
    for one in judged:
        if one.verdict.verdict != "agrees":
            case = one.asking.case.id.removeprefix("portable/")
            return Check("portable", "wrong", f"{one.verdict.verdict} on the case {case}: {one.verdict.reason}")
    return ok("portable")

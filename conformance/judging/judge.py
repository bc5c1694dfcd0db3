"""Makes a verdict of one implementation's evidence for one case, by the table of verdicts in the design.

Decisions that the table leaves:
- An implementation's own `Capabilities` exclude a case: `unsupported`, whatever happened when it ran all the same (a
  probe of the document), unless the specification demands a refusal. The reason says what it did, a crash included, so
  that a document that lies is found.
- A process that dies or hangs where a refusal is demanded did not refuse: `crashes` or `hangs`.
- An error in the backward pass only is no refusal: the call had returned a value. So `accepts` where a refusal is
  demanded, `rejects` elsewhere.
- A case with a printed expectation is judged by the print and its tolerance, as `agrees` or `deviates`, in units of
  that tolerance (and the bound: the exact answer in float16 has fewer digits than a print); what the source doesn't
  print (most gradients) is judged by the oracle. Where the exact answer lies outside of the print's tolerance, the
  reason says that the print itself is wrong.
- A gradient with respect to target or weight that the capabilities withhold is no part of the case, and neither is one
  of an implementation that returned none of them; the reason says so. One that is missing beside another is a fault.
  A probe asks for all of them, and is `unsupported` where one is withheld.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Iterable, List, Mapping, Optional

import numpy as np

from xent import dtypes
from xent.capabilities import Capabilities
from xent.conformance.evidence.records import Raised, Record
from xent.conformance.protocol.case import Case
from xent.errors import Unavailable

from . import prints
from .answers import Answers, answers
from .compare import Measure
from .crashes import crash_cause
from .parts import compared, left_out, withheld
from .verdicts import PARTS
from .verdicts import Verdict as Verdict  # what the functions here return

IMPRECISE = 1024
"""Up to so many bounds only digits are missing; beyond, the value is another."""

NEVER_RUN = "never run here"
CONTRADICTED = "recorded as unsupported, and the capabilities in its own header don't exclude it"
# What an adapter raises where no stand-in can say what the real kernel would do.
_UNAVAILABLE = f"{Unavailable.__module__}.{Unavailable.__qualname__}"


def judge_all(
    cases: Iterable[Case],
    records: Mapping[str, Mapping[str, Record]],
    capabilities: Mapping[str, Optional[Capabilities]],
    missing: Mapping[str, str],
) -> List[Verdict]:
    """One verdict for each case and implementation, case by case; the oracle runs once a case.

    Args:
        records: by implementation, then by case, as in results files (`Results.by_case`); every implementation that is
            planned has an entry, an empty one where it never ran.
        capabilities: by implementation, those of its header; an implementation without an entry has nothing excluded.
        missing: by implementation, why a case may have no record; without an entry `NEVER_RUN`.
    """
    verdicts = []
    for case in cases:
        right = answers(case) if any(case.id in known for known in records.values()) else None
        for implementation, known in records.items():
            allowed, why = capabilities.get(implementation), missing.get(implementation, NEVER_RUN)
            verdicts.append(judge(case, known.get(case.id), allowed, implementation, right, why))
    return verdicts


def judge(
    case: Case,
    record: Optional[Record],
    capabilities: Optional[Capabilities],
    implementation: str,
    right: Optional[Answers] = None,
    missing: str = NEVER_RUN,
) -> Verdict:
    """The verdict on one record.

    Args:
        record: of a results file; None where the case has none.
        capabilities: of the header of its file; None excludes nothing.
        implementation: its id.
        right: `answers(case)`, where the caller has it.
        missing: why there is no record.
    """
    blank = Verdict(case.id, implementation, "no evidence", reason=_sentence(missing))
    if record is None:
        return blank
    blank = replace(blank, kernels=record.kernels)
    if record.outcome == "not-recorded":
        return replace(blank, reason=_sentence(f"not recorded: {record.reason}"))
    allowed = Capabilities() if capabilities is None else capabilities
    findings = allowed.findings(case.arguments, case.input, case.target)
    documented = [finding.message for finding in findings if finding.severity == "error"]
    if record.outcome == "unsupported":
        if capabilities is not None and not documented:
            return replace(blank, reason=_sentence(f"not run: {CONTRADICTED}"))
        why = "; ".join(documented) or "its worker found that its capabilities, which the file doesn't hold, exclude it"
        return replace(blank, verdict="unsupported", reason=_sentence(f"not run: {why}"))
    right = answers(case) if right is None else right
    if "capability" in case.tags:
        documented += allowed.withheld(case.target, case.others).values()
    verdict = _of_outcome(blank, case, record, right, withheld(case, capabilities))
    if documented and not _refusal(case, right):
        reason = _sentence(f"documented as unsupported ({'; '.join(documented)}); {_deed(verdict, record)}")
        return replace(verdict, verdict="unsupported", parts=(), reason=reason)
    return verdict


def _refusal(case: Case, right: Answers) -> str:
    """Why a refusal is demanded, empty where none is. A print decides for its own case."""
    if case.expected is not None and case.expected.raises:
        return f"its source ({case.source or 'no source named'}) says that it is refused"
    if case.expected is not None and case.expected.value is not None:
        return ""
    return right.refusal or ""


def _of_outcome(blank: Verdict, case: Case, record: Record, right: Answers, omitted: Mapping[str, str]) -> Verdict:
    outcome, refusal = record.outcome, _refusal(case, right)
    if outcome == "crash":
        said = crash_cause(record.stderr)
        reason = f"the process died ({record.signal})" + (f": {said}" if said else "")
        return replace(blank, verdict="crashes", parts=("error",), reason=_sentence(reason))
    if outcome == "timeout":
        return replace(blank, verdict="hangs", parts=("error",), reason="The process passed its time limit.")
    if outcome == "error" and record.error is not None:
        return _of_error(blank, case, record.error, right)
    if refusal:
        shown = _brief(record)
        return replace(
            blank, verdict="accepts", parts=("error",), reason=_sentence(f"returned {shown} where {_demand(refusal)}")
        )
    return _of_value(blank, case, record, right, omitted)


def _of_error(blank: Verdict, case: Case, error: Raised, right: Answers) -> Verdict:
    if error.type == _UNAVAILABLE:
        return replace(blank, verdict="no evidence", reason=_sentence(_last_line(error.message)))
    phase, refusal = error.phase, _refusal(case, right)
    told = _told(error)
    if phase == "backward":
        if refusal:
            reason = f"returned a value and raised only in the backward pass ({told}) where {_demand(refusal)}"
            return replace(blank, verdict="accepts", parts=("error",), reason=_sentence(reason))
        reason = f"raised in the backward pass: {told}"
        return replace(blank, verdict="rejects", parts=("gradient", "error"), reason=_sentence(reason))
    when = "at construction" if phase == "construct" else "at the call"
    if refusal:
        reason = f"refused {when}, as it must: {told}"
        return replace(blank, verdict="agrees", reason=_sentence(reason + prints.note(case, right)))
    if right.or_refusal:
        reason = f"refused {when}, which open point {right.or_refusal} allows: {told}"
        return replace(blank, verdict="agrees", reason=_sentence(reason))
    reason = f"refused {when} what the specification and its own document allow: {told}"
    return replace(blank, verdict="rejects", parts=("error",), reason=_sentence(reason + prints.note(case, right)))


def _of_value(blank: Verdict, case: Case, record: Record, right: Answers, omitted: Mapping[str, str]) -> Verdict:
    parts: List[str] = []
    texts: List[str] = []
    measures: List[Measure] = []
    wrong = imprecise = False
    for part in compared(case, record, right, omitted):
        found = part.measure
        if found is None:
            parts.append(part.name)
            texts.append(f"no {part.name} was returned")
            wrong = True
            continue
        measures.append(found)
        off = (found.bounds or 0) > 1
        far = (found.bounds or 0) > (1 if part.printed is not None else IMPRECISE)
        if found.faults or off:
            parts.append(part.name)
        parts += [fault for fault in found.faults if fault not in parts]
        wrong, imprecise = wrong or bool(found.faults) or far, imprecise or off
        texts.append(f"{part.name} {found.text}")
    texts += left_out(case, record, right, omitted)
    verdict = "deviates" if wrong else "imprecise" if imprecise else "agrees"
    casts = f"; the framework forced casts ({', '.join(record.casts)})" if record.casts and "dtype" in parts else ""
    return replace(
        blank,
        verdict=verdict,
        parts=tuple(sorted(parts, key=PARTS.index)),
        error_in_bounds=max((found.bounds for found in measures if found.bounds is not None), default=None),
        error_in_ulps=max((found.ulps for found in measures if found.ulps is not None), default=None),
        reason=_sentence("; ".join(texts) + casts + prints.note(case, right)),
    )


def _demand(refusal: str) -> str:
    return f"a refusal is demanded: {refusal}"


def _deed(verdict: Verdict, record: Record) -> str:
    """What a probe of a documented limit did, as a clause."""
    if record.error is not None:
        return f"it refused it: {_told(record.error)}"
    found = verdict.reason.rstrip(".")
    told = found[:1].lower() + found[1:]
    if verdict.verdict == "agrees":
        return f"yet it returned the right value ({told})"
    if verdict.verdict == "imprecise":
        return f"yet it returned a value that lacks digits ({told})"
    if verdict.verdict == "deviates":
        return f"it returned a wrong value ({told})"
    return f"and {told}"


def _brief(record: Record) -> str:
    value = dtypes.to_float64(np.asarray(record.value))
    return f"the value {value.item():.6g}" if value.size == 1 else f"a value of shape {value.shape}"


def _told(error: Raised) -> str:
    return f"{error.type}: {_last_line(error.message)}".rstrip(": ")


def _last_line(text: str) -> str:
    """The last line that says something, without colours (oneflow's first lines are empty and coloured)."""
    lines = [line.strip() for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

"""Runs one case and says what came of it: the record that goes into the journal.

What the framework raises is its answer. What the adapter returned and can't be recorded says nothing about it.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import warnings
from typing import Any, Dict, List, Tuple

import numpy as np

from xent import adapters
from xent.adapters import Adapter
from xent.conformance.protocol import arrays, limits
from xent.conformance.protocol.case import Case
from xent.errors import Unavailable
from xent.spec import CrossEntropySpec

from .journal import Journal

_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_MAX_MESSAGE = 2000
_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(adapter: Adapter, case: Case, journal: Journal) -> Dict[str, Any]:
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


def _excluded(adapter: Adapter, case: Case) -> bool:
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


def _evaluated(adapter: Adapter, case: Case) -> Any:
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


def _others(adapter: Adapter, case: Case) -> Tuple[str, ...]:
    """The gradients besides input's that this adapter is asked for: what it offers, and in a probe all."""
    if not case.others or "capability" in case.tags:
        return case.others
    withheld = adapter.capabilities.withheld(case.target, case.others)
    return tuple(name for name in case.others if name not in withheld)


def _error_record(case: Case, error: BaseException) -> Dict[str, Any]:
    """The framework's refusal; or, where it had no disk to work on, what kept it from answering."""
    told = error_of(error)
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
        record["kernels"] = name_of(evaluation.kernels)
        if _size(record) > arrays.MAX_TOGETHER:
            raise ValueError(f"its arrays have {_size(record):,} elements, more than {arrays.MAX_TOGETHER:,}")
        return record
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the adapter's objects may do anything when they are looked at
        return _not_recorded(case, error_of(error)["message"])


def _not_recorded(case: Case, reason: str) -> Dict[str, Any]:
    return {"case": case.id, "outcome": "not-recorded", "reason": reason}


def _casts(casts: Any) -> List[str]:
    found = [name_of(cast) for cast in casts]
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


def why(error: BaseException) -> Dict[str, Any]:
    """Why the framework isn't ready, and the next step where one is known."""
    if isinstance(error, Unavailable):
        remedy = None if error.remedy is None else clean(str(error.remedy))
        return {"reason": clean(str(error.reason)), "remedy": remedy}
    described = error_of(error)
    return {"reason": f"{described['type']}: {described['message'].rstrip('.')}", "remedy": None}


def error_of(error: BaseException) -> Dict[str, str]:
    """The exception's class and text. Never raises: some frameworks' exceptions fail in their own __str__."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", None) else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = clean(str(error))
    except BaseException as second:
        message = f"(no text: its __str__ raised {type(second).__name__})"
    return {"type": clean(name), "message": message}


def clean(text: str, most: int = _MAX_MESSAGE) -> str:
    """Without colours and half surrogate pairs. A long text keeps its start and its end: one of them says the cause."""
    if len(text) > 100 * most:
        text = text[: 50 * most] + text[-50 * most :]
    text = _ANSI.sub("", text).strip().encode("utf-8", "replace").decode("utf-8")
    if len(text) > most:
        text = f"{text[: most - most // 4 - 7]}\n[...]\n{text[-(most // 4) :]}"
    return text


def name_of(value: Any) -> str:
    """As one line that fits where names stand: a version, a device, a cast."""
    return " ".join(clean(str(value), limits.NAME).split())

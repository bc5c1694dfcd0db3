"""How a refusal is worded: what was found against a call, what was received, and the error that it raises."""

from __future__ import annotations

import reprlib
from typing import Any, Dict, NamedTuple, Optional, Type

import numpy as np

from . import dtypes
from .errors import SpecError, SpecIndexError, SpecTypeError, SpecValueError

_REPR = reprlib.Repr()  # of a list of millions, too, it writes no more than the first few
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80
_ERRORS: Dict[str, Type[SpecError]] = {"value": SpecValueError, "type": SpecTypeError, "index": SpecIndexError}


class Finding(NamedTuple):
    """One thing that `CrossEntropySpec.check` found.

    Attributes:
        rule: the specification's rule, ``"S6"``; None where a framework's `Capabilities` are narrower than the spec.
        entry: the field of `Capabilities` that excludes this; None for the specification's own rules.
        argument: the argument's name.
        received: the value received, as text.
        message: the finding as a sentence.
        clause: the document clause behind it.
        severity: ``"error"`` or ``"warning"``.
        kind: ``"value"``, ``"type"`` or ``"index"``: which class of `xent.errors` a refusal raises.
    """

    rule: Optional[str]
    entry: Optional[str]
    argument: str
    received: str
    message: str
    clause: str
    severity: str = "error"
    kind: str = "value"


def error_of(finding: Finding) -> SpecError:
    """The refusal that an error finding of the specification's own rules stands for."""
    return _ERRORS[finding.kind](
        finding.message,
        argument=finding.argument,
        received=finding.received,
        rule=str(finding.rule),
        clause=finding.clause,
    )


def shown(value: Any) -> str:
    """What was received, for a message: its type with its package, and shape and dtype, or the value where it has none.

    A subclass of ndarray that the rules refuse, a masked array, is named as what it is.
    """
    if isinstance(value, np.ndarray):
        kind = "a masked array" if isinstance(value, np.ma.MaskedArray) else "an array"
        return f"{kind} of {dtypes.name(value)}, shape {value.shape}"
    if value is None:
        return "None"
    cls = type(value)
    name = cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    if hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, np.generic):
        return f"{name} of {value.dtype}, shape {tuple(value.shape)}"
    return f"{name} {_REPR.repr(value)}"


def refusal(argument: str, value: Any, kind: str, rule: str, must: str, clause: str, hint: str = "") -> SpecError:
    """What to raise for an argument that breaks a rule.

    Args:
        argument, value: its name, and what was given.
        kind: ``"value"``, ``"type"`` or ``"index"``.
        rule, clause: what is cited.
        must: the rule in words, from "must" on.
        hint: of xent.hints, what was probably meant.
    """
    message = worded(f"{argument}: {must}; got {shown(value)}", rule, clause, hint)
    return _ERRORS[kind](message, argument=argument, received=shown(value), rule=rule, clause=clause)


def worded(message: str, rule: str, clause: str, hint: str) -> str:
    """The message in full: what it rests on, and then the hint, if there is one."""
    cited = ", ".join(part for part in (rule, clause) if part)
    return f"{message} ({cited}){f': {hint}' if hint else ''}"


def finding(
    rule: str,
    argument: str,
    value: Any,
    message: str,
    clause: str,
    kind: str,
    hint: str = "",
    severity: str = "error",
) -> Finding:
    """A finding of the specification's own rules; arguments as for `refusal`, with the message in full."""
    text = worded(message, rule, clause, hint)
    return Finding(rule, None, argument, shown(value), text, clause, severity, kind)

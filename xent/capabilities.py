"""Where a framework's document narrows the specification: one record an adapter, which validation, doctor, evidence and
migration read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np

from . import dtypes
from .refusals import Finding

__all__ = ["Capabilities", "Entry"]


@dataclass(frozen=True)
class Entry:
    """One narrowing of the specification: the values that remain allowed, and the document clause that says so."""

    allowed: Tuple[Any, ...]
    clause: str


@dataclass(frozen=True)
class Capabilities:
    """Where a framework's document narrows the specification. None everywhere (the default): all that the spec allows.

    Attributes:
        input_dtypes, index_dtypes, probability_dtypes, weight_dtypes: names of the allowed dtypes. Where there is no
            weight, ``()``.
        input_ranks: allowed ranks of input, 1 being unbatched ``(C)``.
        target_kinds: of ``"indices"`` and ``"probabilities"``.
        reductions: of ``"none"``, ``"mean"`` and ``"sum"``.
        ignored_rows: ``("none",)`` where there is no ignore_index, so that no row may hold it.
        label_smoothing: ``("zero",)`` where there is no label smoothing.
        probability_ignore_index: ``("negative",)`` where class probabilities demand a negative ignore_index.
        index_gradients, probability_gradients: of "input", "target" and "weight" the gradients that there are with that
            kind of target. They exclude no case, only a part of what it asks for; where no document says so, the clause
            is the limit itself in words.
    """

    input_dtypes: Optional[Entry] = None
    input_ranks: Optional[Entry] = None
    index_dtypes: Optional[Entry] = None
    probability_dtypes: Optional[Entry] = None
    weight_dtypes: Optional[Entry] = None
    target_kinds: Optional[Entry] = None
    reductions: Optional[Entry] = None
    ignored_rows: Optional[Entry] = None
    label_smoothing: Optional[Entry] = None
    probability_ignore_index: Optional[Entry] = None
    index_gradients: Optional[Entry] = None
    probability_gradients: Optional[Entry] = None

    def withheld(self, target: Any, names: Iterable[str]) -> Dict[str, str]:
        """Of the gradients named those that aren't offered with this kind of target, each with why."""
        probabilities = dtypes.is_float(np.asanyarray(target))
        entry = self.probability_gradients if probabilities else self.index_gradients
        kind = "class probabilities" if probabilities else "class indices"
        return {
            name: f"with {kind} there is no gradient with respect to {name} ({entry.clause})"
            for name in names
            if entry is not None and name not in entry.allowed
        }

    def findings(self, arguments: Any, input: Any, target: Any) -> List[Finding]:
        """Every entry that excludes these arguments with this input and target, as error findings.

        Args:
            arguments: a CrossEntropySpec or `Arguments`.
            input: NumPy array of logits, any shape.
            target: NumPy array of class indices (integer) or class probabilities (floating).
        """
        found = []
        for field, argument, feature in _features(arguments, np.asanyarray(input), np.asanyarray(target)):
            entry = getattr(self, field)
            if entry is not None and feature not in entry.allowed:
                allowed = _listed(entry.allowed)
                message = f"{argument} is {feature}, documented are {allowed} ({entry.clause})"
                found.append(Finding(None, field, argument, str(feature), message, entry.clause, "error"))
        return found

    def to_dict(self) -> Dict[str, Any]:
        """The entries that narrow anything, as JSON-safe data: ``{"input_ranks": {"allowed": [2], "clause": ...}}``."""
        entries = ((name, getattr(self, name)) for name in _ENTRIES)
        return {name: {"allowed": list(one.allowed), "clause": one.clause} for name, one in entries if one is not None}

    @classmethod
    def from_dict(cls, data: Any) -> Capabilities:
        """The inverse of `to_dict`. Raises ValueError, saying what is wrong, for anything that it can't have made."""
        if not isinstance(data, dict):
            raise ValueError("capabilities are an object of entries")
        return cls(**{_known(name): _entry(name, entry) for name, entry in data.items()})


def _listed(allowed: Tuple[Any, ...]) -> str:
    """The values in words: ``"2 to 64"`` where they are consecutive numbers, ``"none at all"`` where there are none."""
    numbers = all(type(value) is int for value in allowed)
    if numbers and len(allowed) > 2 and allowed == tuple(range(allowed[0], allowed[-1] + 1)):
        return f"{allowed[0]} to {allowed[-1]}"
    return ", ".join(str(value) for value in allowed) or "none at all"


_ENTRIES = tuple(field.name for field in fields(Capabilities))
_MOST = 100  # values of an entry; characters of one, and of a clause's id: three times as many


def _known(name: str) -> str:
    if name not in _ENTRIES:
        raise ValueError(f"there is no entry {name[:60]!r}; the entries are {', '.join(_ENTRIES)}")
    return name


def _entry(name: str, data: Any) -> Entry:
    if not isinstance(data, dict) or set(data) != {"allowed", "clause"}:
        raise ValueError(f"{name} must be an object with allowed and clause")
    allowed, clause = data["allowed"], data["clause"]
    if not isinstance(allowed, list) or len(allowed) > _MOST or not all(map(_is_plain, allowed)):
        raise ValueError(f"{name}.allowed must be a list of at most {_MOST} names or numbers")
    if not isinstance(clause, str) or not _is_plain(clause):
        raise ValueError(f"{name}.clause must be the id of a clause, or a stated limit")
    return Entry(tuple(allowed), clause)


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 3 * _MOST and not any("\ud800" <= letter <= "\udfff" for letter in value)
    return type(value) is int and abs(value) < 2**63


def _features(arguments: Any, input: dtypes.Array, target: dtypes.Array) -> Iterator[Tuple[str, str, Any]]:
    """What the entries of `Capabilities` speak about: (field, argument, value found)."""
    probabilities = dtypes.is_float(target)
    yield "input_dtypes", "input dtype", dtypes.name(input)
    yield "input_ranks", "input rank", input.ndim
    yield "target_kinds", "target kind", "probabilities" if probabilities else "indices"
    yield ("probability_dtypes" if probabilities else "index_dtypes"), "target dtype", dtypes.name(target)
    if arguments.weight is not None:
        yield "weight_dtypes", "weight dtype", dtypes.name(np.asanyarray(arguments.weight))
    yield "reductions", "reduction", arguments.reduction
    if not probabilities and type(arguments.ignore_index) is int:
        yield (
            "ignored_rows",
            "rows that hold ignore_index",
            "some" if _holds(target, arguments.ignore_index) else "none",
        )
    yield "label_smoothing", "label_smoothing", "zero" if arguments.label_smoothing == 0 else "nonzero"
    if probabilities and isinstance(arguments.ignore_index, int):
        sign = "negative" if arguments.ignore_index < 0 else "non-negative"
        yield "probability_ignore_index", "ignore_index with class probabilities", sign


def _holds(target: dtypes.Array, index: int) -> bool:
    """Whether an integer target has that class index anywhere; one that its dtype can't hold it has not."""
    limits = np.iinfo(target.dtype) if dtypes.is_integer(target) else None
    return limits is not None and limits.min <= index <= limits.max and bool((target == index).any())

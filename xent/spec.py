"""The definition's arguments: validated, immutable, and the same for every framework (rules S1 to S8).

Sources: the documents of torch.nn.CrossEntropyLoss 2.8 and 1.8, mindspore.mint.nn.CrossEntropyLoss and
oneflow.nn.CrossEntropyLoss; every refusal names the clause it rests on.
"""

from __future__ import annotations

import difflib
import math
import numbers
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, cast

import numpy as np

from . import dtypes, hints
from .errors import SpecError, XentWarning
from .findings import input_findings, is_array, target_findings, weight_findings
from .refusals import Finding, error_of, refusal

if TYPE_CHECKING:
    from .capabilities import Capabilities

REDUCTIONS = ("none", "mean", "sum")
_INT64 = np.iinfo(np.int64)


class Arguments(NamedTuple):
    """The four arguments as somebody wrote them, NOT validated: for what a framework must refuse.

    `CrossEntropySpec` has the same attributes and adapters read only these, so they take either.
    """

    weight: Any = None
    ignore_index: Any = -100
    reduction: Any = "mean"
    label_smoothing: Any = 0.0


@dataclass(frozen=True, eq=False, repr=False)
class CrossEntropySpec:
    """The arguments of cross-entropy loss, validated.

    Attributes:
        weight: None, or a finite 1-D array of length C, dtype float16, bfloat16, float32 or float64 (S1). Kept as a
            read-only copy. Negative weights are allowed.
        ignore_index: an integer that fits int64 (S2). A row whose class index equals it contributes nothing.
        reduction: ``"none"``, ``"mean"`` or ``"sum"`` (S3).
        label_smoothing: a real number in [0, 1] (S4).

    Raises:
        SpecTypeError: an argument of a type that the rules don't allow (also a TypeError).
        SpecValueError: the right type, a value that the rules don't allow (also a ValueError).
    """

    weight: Optional[dtypes.Array] = None
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for field, accept in (
            ("weight", _weight),
            ("ignore_index", _ignore_index),
            ("reduction", _reduction),
            ("label_smoothing", _label_smoothing),
        ):
            object.__setattr__(self, field, accept(getattr(self, field)))

    @classmethod
    def from_legacy(cls, *, size_average: Any = None, reduce: Any = None, **arguments: Any) -> CrossEntropySpec:
        """The spec of torch's two deprecated arguments, folded into `reduction` exactly as torch folds them.

        Where either is given it overrides `reduction` (torch-1.8/reduction/override); a missing one is true.

        Args:
            size_average: None, or whether the losses are averaged rather than summed; ignored when `reduce` is false.
            reduce: None, or whether there is a reduction at all.
            **arguments: the arguments of `CrossEntropySpec`.
        """
        if size_average is not None or reduce is not None:
            averaged = size_average is None or bool(size_average)
            reduced = reduce is None or bool(reduce)
            arguments["reduction"] = ("mean" if averaged else "sum") if reduced else "none"
        return cls(**arguments)

    def to_dict(self) -> Dict[str, Any]:
        """The spec as JSON-safe data; `from_dict` gives back an equal spec, for every weight dtype."""
        return arguments_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CrossEntropySpec:
        """The inverse of `to_dict`; arguments that are missing take their defaults. Raises SpecError."""
        return cls(*arguments_from_dict(data))

    def check(self, capabilities: Optional[Capabilities], input: Any, target: Any) -> List[Finding]:
        """All that speaks against this spec with this input and target: rules S1 and S5 to S8, then the capabilities.

        Args:
            capabilities: an adapter's `Capabilities`, or None for the specification alone.
            input: NumPy array of logits, shape (C), (N, C) or (N, C, d1, ..., dK).
            target: NumPy array of class indices or class probabilities.

        Returns:
            Findings, empty where nothing is wrong. Severity ``"warning"`` is advice (S7), never a refusal.
        """
        found = list(input_findings(input, target))
        if not found:
            found += weight_findings(self.weight, input.shape)
            found += target_findings(self.ignore_index, input.shape, target)
        if capabilities is not None and not any(finding.kind == "type" for finding in found):
            found += capabilities.findings(self, input, target)
        return found

    def validate(self, input: Any, target: Any) -> None:
        """Raises the first error that `check` finds by the specification alone; warnings become `XentWarning`."""
        for finding in self.check(None, input, target):
            if finding.severity == "warning":
                warnings.warn(finding.message, XentWarning, stacklevel=2)
            else:
                raise error_of(finding)

    def _key(self) -> Tuple[Any, ...]:
        weight = None if self.weight is None else (dtypes.name(self.weight), dtypes.bits(self.weight).tobytes())
        return weight, self.ignore_index, self.reduction, self.label_smoothing

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, CrossEntropySpec) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> Any:
        return type(self), (self.weight, self.ignore_index, self.reduction, self.label_smoothing)

    def __repr__(self) -> str:
        weight = "None"
        if self.weight is not None:
            values = dtypes.to_data(self.weight[:6])
            weight = (
                f"{dtypes.name(self.weight)}[{', '.join(map(str, values))}{', ...' if self.weight.size > 6 else ''}]"
            )
        return (
            f"CrossEntropySpec(weight={weight}, ignore_index={self.ignore_index}, "
            f"reduction={self.reduction!r}, label_smoothing={self.label_smoothing})"
        )


def arguments_to_dict(arguments: Any) -> Dict[str, Any]:
    """`Arguments` or a CrossEntropySpec as JSON-safe data, the unvalidated values included (a nan travels as text)."""
    weight = arguments.weight
    if weight is not None:
        data = dtypes.to_data(weight)
        weight = {"dtype": dtypes.name(weight), "data": data}
    smoothing = arguments.label_smoothing
    if isinstance(smoothing, float) and not math.isfinite(smoothing):
        smoothing = str(smoothing)
    return {
        "weight": weight,
        "ignore_index": arguments.ignore_index,
        "reduction": arguments.reduction,
        "label_smoothing": smoothing,
    }


def arguments_from_dict(data: Mapping[str, Any]) -> Arguments:
    """The inverse of `arguments_to_dict`. Raises SpecError for an unknown key or a weight that is no array data."""
    if not isinstance(data, Mapping):
        raise refusal("spec", data, "type", "schema", "a spec is an object with the four arguments", "")
    for key in data:
        if key not in Arguments._fields:
            close = difflib.get_close_matches(str(key), Arguments._fields, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; the arguments are {', '.join(Arguments._fields)}"
            raise refusal(str(key), data[key], "value", "schema", f"no such argument{hint}", "")
    values = dict(data)
    if values.get("weight") is not None:
        try:
            values["weight"] = dtypes.from_data(values["weight"]["data"], values["weight"]["dtype"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            rule = f'weight is null or {{"dtype", "data"}} ({type(error).__name__}: {error})'
            raise refusal("weight", data["weight"], "value", "S1", rule, "torch-2.8/weight/size") from error
    if values.get("label_smoothing") in ("nan", "inf", "-inf"):
        values["label_smoothing"] = float(values["label_smoothing"])
    return Arguments(**values)


def _weight(value: Any) -> Optional[dtypes.Array]:
    def refuse(kind: str, must: str, hint: str = "") -> SpecError:
        return refusal("weight", value, kind, "S1", must, "torch-2.8/weight/size", hint)

    if value is None:
        return None
    if not is_array(value):
        hint = hints.weight_kind(value) or hints.conversion("weight", value, "numpy.asarray")
        raise refuse("type", "must be None or a NumPy array", hint)
    if not dtypes.is_float(value):
        must = f"must have dtype {', '.join(dtypes.FLOATS[:-1])} or {dtypes.FLOATS[-1]}"
        raise refuse("type", must, hints.weight_dtype(dtypes.name(value)))
    if value.ndim != 1:
        raise refuse("value", "must be 1-D, one value a class", hints.weight_shape(value.shape))
    if value.size == 0:
        raise refuse("value", "must hold at least one class")
    if not np.isfinite(dtypes.to_float64(value)).all():
        first = int(np.flatnonzero(~np.isfinite(dtypes.to_float64(value)))[0])
        entry = float(dtypes.to_float64(value)[first])
        raise refuse("value", f"must be finite, and entry {first} is {entry}", hints.weight_entry(entry))
    kept = dtypes.from_bits(dtypes.bits(value.astype(value.dtype.newbyteorder("="))), dtypes.name(value))
    kept.flags.writeable = False
    return kept


def _ignore_index(value: Any) -> int:
    must, clause = "must be an integer that fits int64", "torch-2.8/ignore-index/type"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise refusal("ignore_index", value, "type", "S2", must, clause, hints.ignore_index(value))
    if not _INT64.min <= int(value) <= _INT64.max:
        raise refusal("ignore_index", value, "value", "S2", must, clause)
    return int(value)


def _reduction(value: Any) -> str:
    must, clause = "must be 'none', 'mean' or 'sum'", "torch-2.8/reduction/values"
    if not isinstance(value, str):
        raise refusal("reduction", value, "type", "S3", must, clause, hints.reduction(value))
    if value not in REDUCTIONS:
        close = difflib.get_close_matches(value.lower(), REDUCTIONS, n=1)
        hint = hints.reduction(value) or (f"did you mean {close[0]!r}?" if close else "")
        raise refusal("reduction", value, "value", "S3", must, clause, hint)
    return str(value)


def _label_smoothing(value: Any) -> float:
    must, clause = "must be a real number in [0, 1]", "torch-2.8/label-smoothing/range"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise refusal("label_smoothing", value, "type", "S4", must, clause, hints.label_smoothing(value))
    if not 0 <= cast(Any, value) <= 1:  # false for nan too
        raise refusal("label_smoothing", value, "value", "S4", must, clause, hints.label_smoothing(value))
    return float(value) + 0.0  # -0.0 becomes 0.0

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
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple, Type, cast

import numpy as np

from . import dtypes
from .errors import SpecError, SpecIndexError, SpecTypeError, SpecValueError, XentWarning

if TYPE_CHECKING:
    from .adapters import Capabilities

REDUCTIONS = ("none", "mean", "sum")
_INT64 = np.iinfo(np.int64)
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
        found = list(input_findings(input))
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
                raise error(finding)

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


def error(finding: Finding) -> SpecError:
    """The refusal that an error finding of the specification's own rules stands for."""
    return _ERRORS[finding.kind](
        finding.message,
        argument=finding.argument,
        received=finding.received,
        rule=str(finding.rule),
        clause=finding.clause,
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
        raise _refusal("spec", data, "type", "schema", "a spec is an object with the four arguments", "")
    for key in data:
        if key not in Arguments._fields:
            close = difflib.get_close_matches(str(key), Arguments._fields, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; the arguments are {', '.join(Arguments._fields)}"
            raise _refusal(str(key), data[key], "value", "schema", f"no such argument{hint}", "")
    values = dict(data)
    if values.get("weight") is not None:
        try:
            values["weight"] = dtypes.from_data(values["weight"]["data"], values["weight"]["dtype"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            rule = f'weight is null or {{"dtype", "data"}} ({type(error).__name__}: {error})'
            raise _refusal("weight", data["weight"], "value", "S1", rule, "torch-2.8/weight/size") from error
    if values.get("label_smoothing") in ("nan", "inf", "-inf"):
        values["label_smoothing"] = float(values["label_smoothing"])
    return Arguments(**values)


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {dtypes.name(value)}, shape {value.shape}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"


def _refusal(argument: str, value: Any, kind: str, rule: str, must: str, clause: str) -> SpecError:
    cited = ", ".join(part for part in (rule, clause) if part)
    message = f"{argument}: {must}; got {_shown(value)} ({cited})"
    return _ERRORS[kind](message, argument=argument, received=_shown(value), rule=rule, clause=clause)


def _weight(value: Any) -> Optional[dtypes.Array]:
    def refuse(kind: str, must: str) -> SpecError:
        return _refusal("weight", value, kind, "S1", must, "torch-2.8/weight/size")

    if value is None:
        return None
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise refuse("type", "must be None or a NumPy array, such as numpy.asarray(weight, dtype=numpy.float32)")
    if not dtypes.is_float(value):
        raise refuse("type", f"must have dtype {', '.join(dtypes.FLOATS[:-1])} or {dtypes.FLOATS[-1]}")
    if value.ndim != 1:
        raise refuse("value", "must be 1-D, one value a class")
    if value.size == 0:
        raise refuse("value", "must hold at least one class")
    if not np.isfinite(dtypes.to_float64(value)).all():
        first = int(np.flatnonzero(~np.isfinite(dtypes.to_float64(value)))[0])
        raise refuse("value", f"must be finite, and entry {first} is {dtypes.to_float64(value)[first]}")
    kept = dtypes.from_bits(dtypes.bits(value.astype(value.dtype.newbyteorder("="))), dtypes.name(value))
    kept.flags.writeable = False
    return kept


def _ignore_index(value: Any) -> int:
    must, clause = "must be an integer that fits int64", "torch-2.8/ignore-index/type"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise _refusal("ignore_index", value, "type", "S2", must, clause)
    if not _INT64.min <= int(value) <= _INT64.max:
        raise _refusal("ignore_index", value, "value", "S2", must, clause)
    return int(value)


def _reduction(value: Any) -> str:
    must, clause = "must be 'none', 'mean' or 'sum'", "torch-2.8/reduction/values"
    if not isinstance(value, str):
        raise _refusal("reduction", value, "type", "S3", must, clause)
    if value not in REDUCTIONS:
        close = difflib.get_close_matches(value.lower(), REDUCTIONS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise _refusal("reduction", value, "value", "S3", must + hint, clause)
    return str(value)


def _label_smoothing(value: Any) -> float:
    must, clause = "must be a real number in [0, 1]", "torch-2.8/label-smoothing/range"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _refusal("label_smoothing", value, "type", "S4", must, clause)
    if not 0 <= cast(Any, value) <= 1:  # false for nan too
        raise _refusal("label_smoothing", value, "value", "S4", must, clause)
    return float(value) + 0.0  # -0.0 becomes 0.0


def _finding(
    rule: str, argument: str, value: Any, message: str, clause: str, kind: str, severity: str = "error"
) -> Finding:
    return Finding(rule, None, argument, _shown(value), f"{message} ({rule}, {clause})", clause, severity, kind)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray)


def input_findings(input: Any) -> Iterator[Finding]:
    """S5 (dtype, shape)."""
    if not _is_array(input) or not dtypes.is_float(input):
        message = f"input must be a NumPy array of {', '.join(dtypes.FLOATS)}; got {_shown(input)}"
        yield _finding("S5", "input", input, message, "torch-2.8/input/shape", "type")
    elif input.ndim == 0:
        message = "input must have shape (C), (N, C) or (N, C, d1, ..., dK); got shape ()"
        yield _finding("S5", "input", input, message, "torch-2.8/input/shape", "value")
    elif input.shape[min(1, input.ndim - 1)] == 0:
        message = f"input must have at least one class; got C = 0 in shape {input.shape}"
        yield _finding("S5", "input", input, message, "torch-2.8/input/shape", "value")


def weight_findings(weight: Optional[dtypes.Array], shape: Tuple[int, ...]) -> Iterator[Finding]:
    """S1 (length), for input of that shape."""
    classes = shape[min(1, len(shape) - 1)]
    if weight is not None and weight.shape != (classes,):
        message = f"weight has {weight.size} values for C = {classes} classes of input {shape}"
        yield _finding("S1", "weight", weight, message, "torch-2.8/weight/size", "value")


def target_findings(ignore_index: int, shape: Tuple[int, ...], target: Any) -> Iterator[Finding]:
    """S6, S7, S8, for input of that shape. Values are looked at last, and only if a caller asks for that finding."""
    if not _is_array(target) or not (dtypes.is_float(target) or dtypes.is_integer(target)):
        kinds = "integers (class indices) or floats (class probabilities)"
        message = f"target must be a NumPy array of {kinds}; got {_shown(target)}"
        yield _finding("S6", "target", target, message, "torch-2.8/target-indices/dtype", "type")
    elif dtypes.is_float(target):
        yield from _probability_findings(ignore_index, shape, target)
    else:
        yield from _index_findings(ignore_index, shape, target)


def _probability_findings(ignore_index: int, shape: Tuple[int, ...], target: dtypes.Array) -> Iterator[Finding]:
    if target.shape != shape:
        message = f"class probabilities must have input's shape {shape}; target has shape {target.shape}"
        yield _finding("S7", "target", target, message, "torch-2.8/target-probabilities/shape", "value")
        return
    if ignore_index >= 0:
        message = f"ignore_index must be negative with class probabilities; got {ignore_index}"
        clause = "mint/ignore-index/negative-with-probabilities"
        yield _finding("S8", "ignore_index", ignore_index, message, clause, "value")
    values = dtypes.to_float64(target)
    if not ((values >= 0) & (values <= 1)).all():
        message = f"class probabilities should lie in [0, 1]; target spans {values.min()} to {values.max()}"
        yield _finding("S7", "target", target, message, "torch-2.8/target-probabilities/range", "value", "warning")


def _index_findings(ignore_index: int, shape: Tuple[int, ...], target: dtypes.Array) -> Iterator[Finding]:
    expected = shape[:1] + shape[2:] if len(shape) > 1 else ()
    if target.shape != expected:
        message = f"class indices for input {shape} must have shape {expected}; target has shape {target.shape}"
        yield _finding("S6", "target", target, message, "torch-2.8/target-indices/shape", "value")
        return
    classes = shape[min(1, len(shape) - 1)]
    wide = target.astype(np.int64)
    beyond = target > np.uint64(_INT64.max) if dtypes.name(target) == "uint64" else np.zeros((), dtype=bool)
    bad = (((wide < 0) | (wide >= classes)) & (wide != ignore_index)) | beyond
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0]) if target.ndim else ()
        place = f"target[{', '.join(map(str, at))}]" if at else "target"
        message = (
            f"{place} is {target[at]}, outside [0, {classes}) and not ignore_index {ignore_index}"
            f" ({int(bad.sum())} of {target.size} class indices are)"
        )
        yield _finding("S6", "target", target, message, "torch-2.8/target-indices/range", "index")

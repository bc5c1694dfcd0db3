"""What every adapter shares: the records it fills in, and the way to find it.

An adapter is a module with the names in `REQUIRED`, found through the entry-point group ``xent.adapters`` or given as a
module path. Its framework is imported inside the calls that need it, never at import time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from xent import dtypes
from xent.errors import SpecTypeError, Unavailable
from xent.refusals import Finding, shown
from xent.spec import CrossEntropySpec

__all__ = [
    "Capabilities", "Entry", "Evaluation", "cross_entropy", "framework_of", "layout", "load", "names", "phase",
]  # fmt: skip

GROUP = "xent.adapters"
_ABOVE = ("adapters", "conformance", "migration", "commands")  # folders of the package that stand on the core
REQUIRED = (
    "NAME", "FRAMEWORK", "capabilities", "version", "to_native", "from_native", "from_call", "source", "evaluate",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """What a framework's loss returned for one case.

    Attributes:
        value: the result as the framework gave it: its dtype and shape, on the host.
        gradient: of the summed result with respect to input, input's shape; None where it wasn't asked for.
        casts: every conversion that the framework forced, as text, e.g. ``"weight bfloat16 -> float32"``.
        kernels: ``"native"``, or ``"stand-in"`` where the adapter substituted kernels that the framework lacks here.
        gradients: of the summed result with respect to ``"target"`` (class probabilities) and ``"weight"``, by name,
            where `evaluate` was asked for more than the input's; None where it gives none of them.
    """

    value: Any
    gradient: Any = None
    casts: Tuple[str, ...] = ()
    kernels: str = "native"
    gradients: Optional[Mapping[str, Any]] = None


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


class _Phases:
    """Which call into the framework is under way, and the time spent in such calls, for the worker's record."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.last = "forward"
        self.seconds = 0.0
        self.depth = 0


_phases = _Phases()


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Marks a call into the framework: ``"construct"``, ``"forward"`` or ``"backward"``."""
    outer = _phases.last if _phases.depth else name
    _phases.last = name
    _phases.depth += 1
    started = time.perf_counter()
    try:
        yield
        _phases.last = outer  # a nested phase that ended well: what comes next belongs to the outer one again
    finally:
        _phases.depth -= 1
        if _phases.depth == 0:
            _phases.seconds += time.perf_counter() - started


def last_phase() -> str:
    """The phase that was entered last: after an exception, where it came from."""
    return _phases.last


def phase_seconds() -> float:
    """Seconds spent inside the framework's own calls since `reset_phases`."""
    return _phases.seconds


def reset_phases() -> None:
    """Before each case."""
    _phases.reset()


def layout(array: dtypes.Array) -> Tuple[dtypes.Array, Tuple[int, ...]]:
    """A C-contiguous base and the axes with which ``base.transpose(axes)`` equals the array, in its memory order.

    Frameworks that copy a NumPy array make it contiguous; building the tensor from `base` and permuting it inside the
    framework hands over a tensor that is as non-contiguous as the array.
    """
    order = sorted(range(array.ndim), key=lambda axis: (-abs(array.strides[axis]), axis))
    base = array.transpose(order)
    base = np.array(base, order="C", copy=True) if not base.flags.c_contiguous else base
    axes = sorted(range(array.ndim), key=order.__getitem__)
    return base, tuple(axes)


def _entry_points() -> Dict[str, str]:
    from importlib import metadata  # 3.8 has it; imported here since a worker never needs it

    found: Any = metadata.entry_points()
    points = found.select(group=GROUP) if hasattr(found, "select") else found.get(GROUP, [])
    return {point.name: point.value for point in points}


def names() -> Tuple[str, ...]:
    """The ids of all installed adapters, ``numpy`` first, then by name."""
    return tuple(sorted(_entry_points(), key=lambda name: (name != "numpy", name)))


def load(name: str) -> ModuleType:
    """The adapter of that id (``"mint-jit"``) or module path (``"my.adapter"``).

    It is imported, so a module path must be one that the user named, or that an installed distribution's entry point
    names: never one out of a file.

    Raises:
        Unavailable: there is no such adapter, it doesn't import, or it lacks one of the names in `REQUIRED`.
    """
    known = _entry_points() if "." not in name else {}
    path = known.get(name, name)
    try:
        module = importlib.import_module(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plug-in may fail in any way, sys.exit included, and takes no other with it
        import difflib

        close = difflib.get_close_matches(name, known, n=1) if name not in known else []
        remedy = f"Did you mean {close[0]!r}?" if close else f"Installed adapters: {', '.join(names()) or 'none'}."
        raise Unavailable(name, f"no adapter imports as {path!r} ({type(error).__name__}: {error})", remedy) from error
    missing = [required for required in REQUIRED if not hasattr(module, required)]
    if missing:
        remedy = "See adapters/torch/native.py for a model."
        raise Unavailable(name, f"the module {path!r} lacks {', '.join(missing)}", remedy)
    return module


def module_path(name: str) -> str:
    """The module of an installed adapter, by its id. Raises KeyError where none is installed under it."""
    return _entry_points()[name]


def source_digest(adapter: ModuleType) -> str:
    """SHA-256 (hex) of the source that an evaluation runs: xent's core, what adapters share, the adapter's package."""
    here = Path(__file__).resolve().parent
    core = Path(sys.modules["xent"].__file__ or "").resolve().parent
    file = Path(str(adapter.__file__)).resolve()
    own = file.parent.glob("*.py") if adapter.__package__ else [file]
    parts = (place for place in core.iterdir() if place.is_dir() and place.name not in _ABOVE)
    found = {path.resolve() for place in (core, *parts, here) for path in place.glob("*.py")} | set(own)
    state = hashlib.sha256()
    for path in sorted(found, key=lambda path: (path.parent.name, path.name)):
        state.update(f"{path.parent.name}/{path.name}\0".encode() + path.read_bytes())
    return state.hexdigest()


def cross_entropy(input: Any, target: Any, spec: Any) -> Any:
    """Cross-entropy loss with the specification's semantics, by whichever framework `input` is a tensor of.

    Args:
        input: logits (C), (N, C) or (N, C, d1, ..., dK) as a tensor of torch, MindSpore or oneflow, or a NumPy array.
        target: class indices or class probabilities, a tensor of the same framework.
        spec: a CrossEntropySpec.

    Returns:
        A tensor of the same framework, on input's device, differentiable there; from NumPy the oracle's array.

    Raises:
        SpecTypeError: `input` belongs to no framework that there is a portable loss for, `target` to another one, or
            `spec` is none.
        SpecError: what rules S1 to S8 refuse.
    """
    if not isinstance(spec, CrossEntropySpec):
        received = shown(spec)
        message = f"spec must be a CrossEntropySpec, such as CrossEntropySpec(ignore_index=255); got {received}"
        raise SpecTypeError(message, argument="spec", received=received, rule="schema", clause="")
    name = framework_of(input)
    if name is None:
        from .portable.checks import kind_error  # a worker never needs it

        raise kind_error("input", input, "tensor of torch, mindspore or oneflow, or a NumPy array", "numpy.asarray")
    if name == "numpy":
        from xent import reference

        return reference.value(spec, input, target)
    loss = _portable(name, spec)
    return (loss.to(input.device) if hasattr(loss, "to") else loss)(input, target)


@functools.lru_cache(maxsize=64)
def _portable(name: str, spec: Any) -> Any:
    """The portable loss of that spec; made once, since a training loop asks for the same one in every step."""
    return importlib.import_module(f"xent.adapters.{name}.ported").to_native(spec)


_BASES = {"torch": "Tensor", "oneflow": "Tensor", "mindspore": "Tensor", "numpy": "ndarray"}
_frameworks: Dict[type, Optional[str]] = {}


def framework_of(tensor: Any) -> Optional[str]:
    """``"torch"``, ``"mindspore"``, ``"oneflow"`` or ``"numpy"`` by the tensor's type; None for any other object.

    Nothing is imported: whoever holds a tensor has imported its framework. A package that stands in for another
    (oneflow's mock of torch puts itself into ``sys.modules``) is told by where its tensor class really lives.
    """
    cls = type(tensor)
    if cls not in _frameworks:
        _frameworks[cls] = _lookup(cls)
    return _frameworks[cls]


def _lookup(cls: type) -> Optional[str]:
    for name, base in _BASES.items():
        module = sys.modules.get(name)
        tensor_class = getattr(module, base, None)
        if isinstance(tensor_class, type) and issubclass(cls, tensor_class):
            home = (tensor_class.__module__ or "").split(".")[0]
            return home if home in _BASES else name
    return None

"""What an adapter is: the names that its module holds, the optional ones with their defaults, and what they mean.

`wrapped` reads a module against this once. Whoever got an `Adapter` from it needn't ask the module for anything.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Callable, Dict, Mapping, Optional, Protocol, Tuple, Union, cast

from xent import dtypes
from xent.capabilities import Capabilities
from xent.dtypes import Array
from xent.errors import Unavailable
from xent.spec import Arguments, CrossEntropySpec

from .gradients import Asked

__all__ = ["OPTIONAL", "REQUIRED", "Adapter", "Evaluation", "target_kind_of", "wrapped"]

Spec = Union[CrossEntropySpec, Arguments]


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


class Adapter(Protocol):
    """An adapter as the tool sees it.

    Attributes:
        module: its module, for what only its own framework's code asks for.
        NAME: the implementation's framework as people call it, ``"torch"``.
        FRAMEWORK: the import name of what it needs, ``"torch"``.
        capabilities: where its document narrows the specification; a `Capabilities` without arguments narrows nothing.
        MODE: how the loss runs, ``"eager"`` (the default), ``"jit"``, ``"portable"``, ...
        SAMPLE: the tag of the cases that it runs, where it runs no others; None: all (the default).
        FORKS: whether the framework works in a fork of the process that imported it: a case that ends the process then
            costs milliseconds, not another import. Default: False.
        SCRIPT: a script that reproduces a case in the framework's own words, with ``{input}``, ``{target}`` and
            ``{loss}`` in it; None (the default): the script calls the adapter. Its lines from the first ``{name}`` on
            print one gradient more, of ``{tensor}``, and ``{again}`` is the loss that holds it by that name.
        TENSOR: how the framework writes a tensor, with ``{data}`` and ``{dtype}``; what SCRIPT's tensors are made by.
    """

    module: ModuleType
    NAME: str
    FRAMEWORK: str
    capabilities: Capabilities
    MODE: str
    SAMPLE: Optional[str]
    FORKS: bool
    SCRIPT: Optional[str]
    TENSOR: Optional[str]

    def version(self) -> str:
        """The framework's version, which it says itself. Unavailable where it isn't here."""

    def device(self) -> str:
        """Where the loss runs: ``"cpu"`` (the default), ``"cuda"``, ``"ascend"``, as the framework is set."""

    def prepare(self) -> None:
        """Called once before the first case, for what the framework needs. Default: nothing."""

    def to_native(self, spec: Spec, target_kind: Optional[str] = None) -> Any:
        """The framework's own loss object, arguments mapped, nothing else changed.

        `target_kind` is ``"indices"`` or ``"probabilities"``, for a framework with a loss for each; an adapter whose
        function doesn't take it is called without.
        """

    def from_native(self, loss: Any) -> CrossEntropySpec:
        """The spec of an existing loss object. TypeError for another object, SpecError for what the spec refuses."""

    def from_call(self, *args: Any, **kwargs: Any) -> CrossEntropySpec:
        """The spec behind a constructor call as a user wrote it: order, defaults and legacy arguments as there."""

    def source(self, spec: Spec, target_kind: Optional[str] = None) -> str:
        """The constructor call as source text: importable names, defaults left out. `target_kind` as above."""

    def evaluate(self, spec: Spec, input: Array, target: Array, *, gradient: Asked) -> Evaluation:
        """Runs the loss on NumPy arrays: its value, and the gradients asked for.

        Nothing is converted silently; the framework's own exception goes through.
        """


REQUIRED = (
    "NAME", "FRAMEWORK", "capabilities", "version", "to_native", "from_native", "from_call", "source", "evaluate",
)  # fmt: skip
OPTIONAL: Mapping[str, Any] = {
    "MODE": "eager", "SAMPLE": None, "FORKS": False, "SCRIPT": None, "TENSOR": None,
    "device": lambda: "cpu", "prepare": lambda: None,
}  # fmt: skip
_TYPES: Mapping[str, Tuple[str, Tuple[type, ...]]] = {
    "NAME": ("text", (str,)),
    "FRAMEWORK": ("text, an import name", (str,)),
    "capabilities": ("xent.adapters.Capabilities", (Capabilities,)),
    "MODE": ("text", (str,)),
    "SAMPLE": ("the tag of some cases, or None", (str, type(None))),
    "FORKS": ("True or False", (bool,)),
    "SCRIPT": ("text, or None", (str, type(None))),
    "TENSOR": ("text, or None", (str, type(None))),
}
_BY_TARGET = ("to_native", "source")


class _Wrapped:
    """A module's names with the contract's defaults. What else it holds, its portable loss for one, comes through."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self._without_kind = {name for name in _BY_TARGET if not _takes_target_kind(getattr(module, name))}

    def __getattr__(self, name: str) -> Any:
        if name in OPTIONAL:
            return getattr(self.module, name, OPTIONAL[name])
        return getattr(self.module, name)

    def __repr__(self) -> str:
        return f"<adapter {self.module.__name__}>"

    def to_native(self, spec: Spec, target_kind: Optional[str] = None) -> Any:
        return self._call("to_native", spec, target_kind)

    def source(self, spec: Spec, target_kind: Optional[str] = None) -> str:
        return cast(str, self._call("source", spec, target_kind))

    def _call(self, name: str, spec: Spec, target_kind: Optional[str]) -> Any:
        function: Callable[..., Any] = getattr(self.module, name)
        known: Dict[str, Any] = {} if name in self._without_kind else {"target_kind": target_kind}
        return function(spec, **known)


def target_kind_of(target: Array) -> str:
    """``"probabilities"`` for a floating target, else ``"indices"``: what an adapter's `to_native` may ask."""
    return "probabilities" if dtypes.is_float(target) else "indices"


@functools.lru_cache(maxsize=None)
def wrapped(module: ModuleType) -> Adapter:
    """The module as an `Adapter`.

    Raises:
        Unavailable: it lacks a name of `REQUIRED`, or a name is of another type than the contract says.
    """
    path = module.__name__
    missing = [name for name in REQUIRED if not hasattr(module, name)]
    if missing:
        remedy = "See adapters/torch/native.py for a model."
        raise Unavailable(path, f"the module {path!r} lacks {', '.join(missing)}", remedy)
    for name, (words, types) in _TYPES.items():
        value = getattr(module, name, OPTIONAL.get(name))
        if not isinstance(value, types):
            reason = f"the {name} of {path!r} is {type(value).__name__}, not {words}"
            raise Unavailable(path, reason, "Mend the adapter.")
    return cast(Adapter, _Wrapped(module))


def _takes_target_kind(function: Any) -> bool:
    try:
        return "target_kind" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False

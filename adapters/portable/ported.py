"""A portable loss as an implementation of the harness: the names of an adapter, made from its framework's native one.

The conversions of tensors are the native adapter's; what differs is the loss that is constructed, and that nothing of
its framework narrows it.
"""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any, Callable, Dict, NamedTuple

import numpy as np

from xent.adapters.contract import Evaluation
from xent.adapters.framework import expect_loss, framework
from xent.adapters.source import call, with_import
from xent.spec import CrossEntropySpec

ARGUMENTS = ("weight", "ignore_index", "reduction", "label_smoothing")


class Ported(NamedTuple):
    """The names of an adapter that differ from the native one's, in the order in which a module takes them over."""

    MODE: str
    SCRIPT: str
    to_native: Callable[..., Any]
    from_native: Callable[..., CrossEntropySpec]
    from_call: Callable[..., CrossEntropySpec]
    source: Callable[..., str]
    evaluate: Callable[..., Evaluation]


def ported(package: str, native: ModuleType) -> Ported:
    """The portable loss ``package.CrossEntropyLoss`` as an adapter.

    Args:
        package: the import name of the framework's module here, ``"xent.adapters.torch"``, whose `CrossEntropyLoss`
            takes the four arguments of the spec by name and keeps them as attributes.
        native: the framework's native adapter. Besides an adapter's names it has ``as_tensor(framework, array)``,
            ``as_weight(tensor)``, and ``run(to_native, spec, input, target, gradient)``, which evaluates any loss.
    """

    def loss() -> Any:
        return importlib.import_module(package).CrossEntropyLoss

    def to_native(spec: Any) -> Any:
        """The spec as the portable loss, weight in its own dtype. Raises SpecError."""
        weight = spec.weight
        if isinstance(weight, np.ndarray):
            weight = native.as_tensor(framework(native.FRAMEWORK), weight)
        return loss()(weight, spec.ignore_index, spec.reduction, spec.label_smoothing)

    def from_native(found: Any) -> CrossEntropySpec:
        """The spec of the portable loss. TypeError for another object."""
        expect_loss(found, loss(), f"{package}.CrossEntropyLoss")
        return CrossEntropySpec(
            native.as_weight(found.weight), found.ignore_index, found.reduction, found.label_smoothing
        )

    def from_call(*args: Any, **kwargs: Any) -> CrossEntropySpec:
        """The spec behind ``CrossEntropyLoss(...)`` as written; weight is a tensor or a NumPy array."""
        written: Dict[str, Any] = inspect.signature(loss()).bind(*args, **kwargs).arguments
        known = {name: written[name] for name in ARGUMENTS if name in written}
        if "weight" in known:
            known["weight"] = native.as_weight(known["weight"])
        legacy = {name: written[name] for name in ("size_average", "reduce") if name in written}
        return CrossEntropySpec.from_legacy(**legacy, **known)

    def source(spec: Any) -> str:
        """The constructor call as text that needs the imports of the framework and of `package`."""
        return call(f"{package}.CrossEntropyLoss", spec, native.TENSOR)

    def evaluate(spec: Any, input: Any, target: Any, *, gradient: Any) -> Evaluation:
        """The portable value, and the gradients of its sum that are asked for. Nothing is cast."""
        evaluation: Evaluation = native.run(to_native, spec, input, target, gradient)
        return evaluation

    script = with_import(native.SCRIPT, package)
    return Ported("portable", script, to_native, from_native, from_call, source, evaluate)

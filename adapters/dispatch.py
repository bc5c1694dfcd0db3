"""One call for every framework: whose tensor it is decides which portable loss runs."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from xent.errors import SpecTypeError
from xent.refusals import shown
from xent.spec import CrossEntropySpec


def cross_entropy(input: Any, target: Any, spec: Any) -> Any:
    """Cross-entropy loss with the specification's semantics, by whichever framework `input` is a tensor of.

    Args:
        input: logits (C), (N, C) or (N, C, d1, ..., dK) as a tensor of a framework in `frameworks`, or a NumPy array.
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
        from xent.adapters.portable.checks import kind_error  # a worker never needs it

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


@functools.lru_cache(maxsize=None)
def frameworks() -> Tuple[str, ...]:
    """The frameworks that there is a portable loss for: a folder beside this file, with a ``ported.py`` in it.

    Its module says whose tensors it takes: mint's are MindSpore's.
    """
    here = Path(__file__).resolve().parent
    found = sorted(path.parent.name for path in here.glob("*/ported.py"))
    modules = ((name, importlib.import_module(f"xent.adapters.{name}")) for name in found)
    return tuple(name for name, module in modules if getattr(module, "FRAMEWORK", None) == name)


_CLASSES = {"numpy": "ndarray"}  # every other framework calls it Tensor
_found: Dict[type, Optional[str]] = {}


def framework_of(tensor: Any) -> Optional[str]:
    """The framework that the tensor's class is of, ``"torch"`` or ``"numpy"``; None for any other object.

    Nothing is imported: whoever holds a tensor has imported its framework. What counts is where the class was defined,
    since a package that stands in for another puts itself into ``sys.modules`` under that name: oneflow's mock of torch
    holds oneflow's tensors, and those of a stand-in that nobody here knows are nobody's.
    """
    cls = type(tensor)
    if cls not in _found:
        _found[cls] = _lookup(cls)
    return _found[cls]


def _lookup(cls: type) -> Optional[str]:
    known = ("numpy", *frameworks())
    for name in known:
        tensor_class = getattr(sys.modules.get(name), _CLASSES.get(name, "Tensor"), None)
        if isinstance(tensor_class, type) and issubclass(cls, tensor_class):
            home = (tensor_class.__module__ or "").split(".")[0]
            return home if home in known else None
    return None

"""The portable loss that an adapter's module may offer, run in the place of the native one, tensors in and out."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Evaluation, phase
from xent.adapters.source import literal
from xent.spec import Arguments

from .findings import Missing, Wrong, step
from .round_trips import evaluated

CLASS, FUNCTION = "CrossEntropyLoss", "cross_entropy"


class NotOffered(Exception):
    """There is no portable loss in the module, which need not have one."""


class Portable:
    """As an adapter whose loss is that of `module`; like `Capabilities()` it narrows nothing."""

    capabilities = Capabilities()

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def evaluate(self, spec: Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Any) -> Evaluation:
        """The value that the class gives, and the function too.

        Raises:
            NotOffered: there is neither.
            Missing: there is no TENSOR to make tensors by.
            Wrong: class and function give two values.
            Exception: whatever the loss raises.
        """
        weight = None if spec.weight is None else self._tensor(spec.weight)
        how = {"ignore_index": spec.ignore_index, "reduction": spec.reduction, "label_smoothing": spec.label_smoothing}
        found = []
        if hasattr(self._module, CLASS):
            with phase("construct"):
                loss = getattr(self._module, CLASS)(weight=weight, **how)
            with phase("forward"):
                found.append(_as_array(loss(self._tensor(input), self._tensor(target))))
        if hasattr(self._module, FUNCTION):
            with phase("forward"):
                call = functools.partial(getattr(self._module, FUNCTION), weight=weight, **how)
                found.append(_as_array(call(self._tensor(input), self._tensor(target))))
        if not found:
            raise NotOffered(f"neither {CLASS} nor {FUNCTION}")
        if len({(array.tobytes(), array.shape, array.dtype) for array in found}) > 1:
            raise Wrong(f"{CLASS} and {FUNCTION} give two values for the same call, {found[0]} and {found[1]}")
        return Evaluation(found[0])

    def _tensor(self, array: dtypes.Array) -> Any:
        """The array as the framework's tensor, by the adapter's own words for one."""
        template = getattr(self._module, "TENSOR", None)
        if template is None and self._module.FRAMEWORK == "numpy":
            return array
        if not isinstance(template, str):
            raise Missing('TENSOR: how a tensor is written, such as "torch.tensor({data}, dtype=torch.{dtype})"')
        values = dtypes.to_float64(array) if dtypes.is_float(array) else array
        return evaluated(self._module, template.format(data=literal(values.tolist()), dtype=dtypes.name(array)))


def _as_array(tensor: Any) -> dtypes.Array:
    """A tensor on the host, by the ways that frameworks have for that."""
    with step("making a NumPy array of the portable loss's result"):
        for name in ("detach", "cpu"):
            tensor = getattr(tensor, name, lambda tensor=tensor: tensor)()
        for name in ("asnumpy", "numpy"):
            if hasattr(tensor, name) and not isinstance(tensor, np.ndarray):
                return np.asarray(getattr(tensor, name)())
        return np.asarray(tensor)

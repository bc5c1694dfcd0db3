"""mindspore.mint.nn.CrossEntropyLoss, unmodified, compiled by ``mindspore.jit``: every kernel is MindSpore's own.

On a CPU it runs what needs no kernel that is missing there (measured, 2.10.0): class indices with 2-D input and without
label smoothing, and every class probability target. Of the rest MindSpore's own exception ("Kernel select failed") goes
through. With an ignore_index beyond int32 its gradient is that of MindSpore's CPU kernel, which reads class indices as
int32: wrong, refused, or the end of the process (standin.py). NEVER RUN on Ascend.

Each signature compiles for a fraction of a second: shapes and dtypes of input and target, and the spec, since its four
arguments, the weight's numbers included, are constants of the graph. So this implementation runs a sample of the
cases, and value and gradient come out of ONE graph. An exception of that graph counts as the forward pass's.

A graph that failed while it ran answers its next call with the outputs of both (measured, 2.10.0: "Invalid output
number for flatten stub output nodes"), so it is dropped, and no case suffers for the one before it.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from xent import dtypes
from xent.spec import Arguments, CrossEntropySpec

from .. import Evaluation, phase
from .. import mindspore as eager
from ..framework import framework
from ..gradients import Asked, asked
from ..mindspore import TENSOR, as_array, as_tensor
from . import FRAMEWORK, NAME, capabilities, device, from_call, from_native, source, to_native, version

__all__ = [
    "FRAMEWORK", "MODE", "NAME", "SAMPLE", "SCRIPT", "TENSOR", "capabilities", "device", "evaluate", "from_call",
    "from_native", "prepare", "source", "to_native", "version",
]  # fmt: skip

MODE = "jit"
SCRIPT = """\
import mindspore

input = {input}
target = {target}
value, gradient = mindspore.jit(mindspore.value_and_grad({loss}, 0))(input, target)
print(value.asnumpy().tolist())
print(gradient.asnumpy().tolist())
"""
SAMPLE = "jit-sample"
_POSITIONS = ("input", "target")  # of the arguments that the compiled loss takes

_compiled: Dict[Tuple[Any, ...], Any] = {}


def prepare() -> None:
    """Synchronous MindSpore, and a temporary folder for what it writes when a compilation fails (rank_0/om)."""
    if "MS_OM_PATH" not in os.environ:
        folder = tempfile.mkdtemp(prefix="xent-mint-jit-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["MS_OM_PATH"] = folder
    eager.prepare()


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """mint's value, and the gradients of its sum with respect to input and target, from one compiled graph; the one
    with respect to weight from another.

    Cases of the same spec share the compiled function, and MindSpore compiles it once for each shape and dtype.
    """
    mindspore, names = framework("mindspore"), asked(gradient)
    wanted = tuple(name for name in names if name in _POSITIONS)

    def of_loss() -> Any:
        loss = to_native(spec)
        where = tuple(_POSITIONS.index(name) for name in wanted)
        return mindspore.value_and_grad(loss, where) if wanted else loss

    with phase("forward"):
        tensors = as_tensor(mindspore, input), as_tensor(mindspore, target)
        arrays = _run(_key(spec, wanted), of_loss, *tensors)
        found = {name: arrays[1 + i] for i, name in enumerate(wanted)}
    if "weight" in names:
        with phase("backward"):
            weight = as_tensor(mindspore, np.asarray(spec.weight))
            made = functools.partial(mindspore.grad, _of_weight(spec), 2)
            (found["weight"],) = _run(_key(spec, ("weight",)), made, *tensors, weight)
    slope = found.pop("input", None)
    return Evaluation(arrays[0], slope, gradients=found or None)


def _of_weight(spec: CrossEntropySpec | Arguments) -> Callable[[Any, Any, Any], Any]:
    """What the loss calls, with weight as an argument: one made inside a graph must be a constant of it."""
    function = framework("mindspore").mint.nn.functional.cross_entropy
    ignore_index, reduction, label_smoothing = spec.ignore_index, spec.reduction, spec.label_smoothing

    def forward(input: Any, target: Any, weight: Any) -> Any:
        return function(input, target, weight, ignore_index, reduction, label_smoothing)

    return forward


def _run(key: Tuple[Any, ...], make: Callable[[], Any], *tensors: Any) -> List[dtypes.Array]:
    """What the graph of that key returns, in order, compiled where it isn't yet; dropped where it fails."""
    mindspore = framework("mindspore")
    if key not in _compiled:
        with phase("construct"):
            _compiled[key] = mindspore.jit(make())
    try:
        left, found = [_compiled[key](*tensors)], []
        while left:  # tuples in tuples, and of one gradient the tensor itself
            first = left.pop(0)
            if isinstance(first, (tuple, list)):
                left = [*first, *left]
            else:
                found.append(as_array(mindspore, first))
        return found
    except BaseException:  # reading an array may be where it surfaces
        del _compiled[key]
        raise


def _key(spec: CrossEntropySpec | Arguments, gradient: Asked) -> Tuple[Any, ...]:
    """Equal where the graphs are: by representation, because 0, 0.0 and False are not the same to a framework."""
    weight = spec.weight
    if isinstance(weight, np.ndarray):
        weight = (dtypes.name(weight), weight.shape, weight.tobytes())
    return repr(weight), repr(spec.ignore_index), repr(spec.reduction), repr(spec.label_smoothing), asked(gradient)

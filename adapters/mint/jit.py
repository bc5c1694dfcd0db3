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
import os
import shutil
import tempfile
from typing import Any, Dict, Tuple

import numpy as np

from xent import dtypes
from xent.spec import Arguments, CrossEntropySpec

from .. import Evaluation, phase
from .. import mindspore as eager
from ..framework import framework
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

_compiled: Dict[Tuple[Any, ...], Any] = {}


def prepare() -> None:
    """Synchronous MindSpore, and a temporary folder for what it writes when a compilation fails (rank_0/om)."""
    if "MS_OM_PATH" not in os.environ:
        folder = tempfile.mkdtemp(prefix="xent-mint-jit-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["MS_OM_PATH"] = folder
    eager.prepare()


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: bool
) -> Evaluation:
    """mint's value, and the gradient of its sum with respect to input where asked for, from one compiled graph.

    Cases of the same spec share the compiled function, and MindSpore compiles it once for each shape and dtype.
    """
    mindspore = framework("mindspore")
    key = _key(spec, gradient)
    if key not in _compiled:
        with phase("construct"):
            loss = to_native(spec)
            _compiled[key] = mindspore.jit(mindspore.value_and_grad(loss, 0) if gradient else loss)
    try:
        with phase("forward"):
            result = _compiled[key](as_tensor(mindspore, input), as_tensor(mindspore, target))
            if not gradient:
                return Evaluation(as_array(mindspore, result))
            return Evaluation(as_array(mindspore, result[0]), as_array(mindspore, result[1]))
    except BaseException:
        del _compiled[key]
        raise


def _key(spec: CrossEntropySpec | Arguments, gradient: bool) -> Tuple[Any, ...]:
    """Equal where the graphs are: by representation, because 0, 0.0 and False are not the same to a framework."""
    weight = spec.weight
    if isinstance(weight, np.ndarray):
        weight = (dtypes.name(weight), weight.shape, weight.tobytes())
    return repr(weight), repr(spec.ignore_index), repr(spec.reduction), repr(spec.label_smoothing), gradient

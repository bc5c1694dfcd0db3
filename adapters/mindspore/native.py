"""mindspore.nn.CrossEntropyLoss.

Document: differences (mindspore-nn-differences-with-torch). Peculiarities, each with its source:
- The document names dtypes in its example alone (differences/example/mindspore): float32 logits where torch's are
  float64, int32 labels where torch's are int64. The loss refuses other labels, and float64 and bfloat16 logits, weights
  and probabilities (measured, 2.10.0; float16 is fine): the entries below, each with a probe among the standard cases.
- The inputs are called logits and labels (differences/input/same) and are to be renamed: they go by position.
- label_smoothing must be a float and ignore_index an int, 0 and numpy.int64 are refused (measured, 2.10.0).
- A negative class index is taken from the end of the class dimension, without an error (measured, 2.10.0).
- Errors of asynchronous PyNative surface in a LATER call (measured): `prepare` makes it synchronous, once a process.
- weight is differentiable with both kinds of target, for a loss that is made inside the function differentiated.
- value_and_grad runs the forward pass itself; separate calls would run it twice.
- NumPy has no bfloat16: float32 holds every bfloat16, and the cast back is exact (measured; nans lose payloads).
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Entry, Evaluation, framework_of, layout, phase
from xent.adapters.framework import expect_loss, framework
from xent.adapters.gradients import Asked, asked, besides_input, with_weight
from xent.adapters.source import call
from xent.spec import Arguments, CrossEntropySpec

NAME = "mindspore"
FRAMEWORK = "mindspore"
TENSOR = "mindspore.Tensor({data}, dtype=mindspore.{dtype})"
SCRIPT = """\
import mindspore

mindspore.runtime.launch_blocking()
input = {input}
target = {target}
loss = {loss}
value, gradient = mindspore.value_and_grad(lambda input: loss(input, target))(input)
print(value.asnumpy().tolist())
print(gradient.asnumpy().tolist())
{name} = {tensor}
print(mindspore.grad(lambda {name}: {again}(input, target))({name}).asnumpy().tolist())
"""
_FLOATS = Entry(("float16", "float32"), "differences/example/mindspore")
capabilities = Capabilities(
    input_dtypes=_FLOATS,
    index_dtypes=Entry(("int32",), "differences/example/mindspore"),
    probability_dtypes=_FLOATS,
    weight_dtypes=_FLOATS,
)


def version() -> str:
    """MindSpore's version, e.g. ``"2.10.0"``."""
    return str(framework("mindspore").__version__)


def device() -> str:
    """Where MindSpore runs: ``"cpu"``, ``"ascend"`` or ``"gpu"``."""
    return str(framework("mindspore").get_context("device_target")).lower()


def prepare() -> None:
    """Synchronous PyNative, so that an error belongs to the call that made it."""
    mindspore = framework("mindspore")
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    if hasattr(getattr(mindspore, "runtime", None), "launch_blocking"):
        mindspore.runtime.launch_blocking()
    else:
        mindspore.set_context(pynative_synchronize=True)


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as a mindspore.nn.CrossEntropyLoss, weight in its own dtype. MindSpore's own exceptions go through."""
    mindspore = framework("mindspore")
    weight = as_tensor(mindspore, spec.weight) if isinstance(spec.weight, np.ndarray) else spec.weight
    return mindspore.nn.CrossEntropyLoss(
        weight=weight,
        ignore_index=spec.ignore_index,
        reduction=spec.reduction,
        label_smoothing=spec.label_smoothing,
    )


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of mindspore.nn.CrossEntropyLoss. TypeError for another object, SpecError for what the spec refuses."""
    expect_loss(loss, framework("mindspore").nn.CrossEntropyLoss, "mindspore.nn.CrossEntropyLoss")
    return CrossEntropySpec(
        weight=as_weight(loss.weight),
        ignore_index=loss.ignore_index,
        reduction=loss.reduction,
        label_smoothing=loss.label_smoothing,
    )


def from_call(
    weight: Any = None, ignore_index: Any = -100, reduction: Any = "mean", label_smoothing: Any = 0.0
) -> CrossEntropySpec:
    """The spec behind ``mindspore.nn.CrossEntropyLoss(...)`` as written; weight is a tensor or a NumPy array."""
    return CrossEntropySpec(as_weight(weight), ignore_index, reduction, label_smoothing)


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import mindspore`` only."""
    return call("mindspore.nn.CrossEntropyLoss", spec, TENSOR)


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """MindSpore's value, and the gradients of its sum that are asked for. Nothing is cast."""
    return run(to_native, spec, input, target, gradient)


def run(
    make: Callable[[Any], Any],
    spec: CrossEntropySpec | Arguments,
    input: dtypes.Array,
    target: dtypes.Array,
    gradient: Asked,
) -> Evaluation:
    """What the loss that `make` gives for the spec returns, and the gradients asked for."""
    mindspore, names = framework("mindspore"), asked(gradient)
    with phase("construct"):
        loss = make(spec)
    with phase("forward"):
        logits, labels = as_tensor(mindspore, input), as_tensor(mindspore, target)
        if "input" not in names:
            value, slope = as_array(mindspore, loss(logits, labels)), None

    def forward(logits: Any) -> Any:
        with phase("forward"):
            return loss(logits, labels)

    if not names:
        return Evaluation(value)
    others = besides_input(names)
    with phase("backward"):
        if "input" in names:
            value, slope = (as_array(mindspore, t) for t in mindspore.value_and_grad(forward, 0)(logits))
        return Evaluation(value, slope, gradients=_others(make, spec, input, target, others) if others else None)


def _others(
    make: Callable[[Any], Any],
    spec: CrossEntropySpec | Arguments,
    input: dtypes.Array,
    target: dtypes.Array,
    names: Tuple[str, ...],
) -> Dict[str, dtypes.Array]:
    mindspore = framework("mindspore")
    given = {"target": as_tensor(mindspore, target), "weight": spec.weight}
    if isinstance(spec.weight, np.ndarray):
        given["weight"] = as_tensor(mindspore, spec.weight)
    logits = as_tensor(mindspore, input)

    def forward(*wanted: Any) -> Any:
        now = {**given, **{name: wanted[i] for i, name in enumerate(names)}}
        return make(with_weight(spec, now["weight"]))(logits, now["target"])

    slopes = mindspore.grad(forward, tuple(range(len(names))))(*(given[name] for name in names))
    slopes = slopes if len(names) > 1 else (slopes,)  # of one position MindSpore returns the gradient itself
    return {name: as_array(mindspore, slopes[i]) for i, name in enumerate(names)}


def as_tensor(mindspore: Any, array: dtypes.Array) -> Any:
    """A copy as a tensor of the same dtype and memory order. MindSpore's TypeError for a dtype it lacks."""
    base, axes = layout(array)
    if dtypes.name(base) == "bfloat16":
        tensor = mindspore.Tensor(dtypes.to_float64(base).astype(np.float32)).astype(mindspore.bfloat16)
    else:
        tensor = mindspore.Tensor(base)
    return tensor if axes == tuple(range(array.ndim)) else tensor.permute(*axes)


def as_array(mindspore: Any, tensor: Any) -> dtypes.Array:
    array = tensor.asnumpy()
    if tensor.dtype == mindspore.bfloat16:  # asnumpy gives MindSpore's own NumPy dtype
        return dtypes.from_bits(array.view(np.uint16), "bfloat16")
    return np.asarray(array)


def as_weight(weight: Any) -> Any:
    """A MindSpore tensor as an array; anything else as it is, for CrossEntropySpec to judge."""
    return as_array(framework("mindspore"), weight) if framework_of(weight) == "mindspore" else weight

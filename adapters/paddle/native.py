"""paddle.nn.CrossEntropyLoss.

No document of Paddle's is among ours: what its docstring (3.3.1) says is told here in our own words, and so is what was
measured on its CPU wheel.

The docstring:
- The positional order is weight, ignore_index, reduction, soft_label, axis, use_softmax, label_smoothing, name: the
  fourth argument is none of the smoothing that it is elsewhere.
- Classes lie along `axis`, by default the last dimension; the specification's lie along dimension 1, so axis is 1 here.
- Class probabilities need soft_label=True: one object takes one kind of target. Rows of them add up to 1.
- Input, weight and class probabilities are float32 or float64, class indices int32 or int64 (or, as floating numbers,
  the class itself); input has a batch.
- ignore_index belongs to class indices. A negative one means that no class is ignored.
- With class probabilities the losses under "none" keep the dimension of the classes, at length 1.

Measured, 3.3.1 on CPU:
- Logits more than 64 below their row's largest count as if they were 64 below: no loss exceeds 64 + log C, and no
  probability falls below 1.6e-28 times the row's largest. -inf is one of them.
- A row whose class index is a negative ignore_index has the loss 0, but is counted by the mean that has no weight.
- Where nothing is selected the mean is 0, but nan for N = 0. A sum of weights below some 1e-16 counts as 0 too, and the
  mean divides by 1 more.
- label_smoothing makes class probabilities of class indices: an ignored index is then out of range or a class like any
  other, the losses under "none" keep a dimension of length 1, and a non-negative ignore_index makes the mean
  divide by how many of the probabilities aren't it, N * C at most. With class probabilities 0 does so too.
- With class probabilities, and so with smoothing, weight multiplies a row's whole loss by sum(w y), and mean divides by
  the sum of those. label_smoothing and weight take the last dimension for the classes, whatever axis says.
- The gradient takes class probabilities for rows that add up to 1: it is p - y.
- Class indices are read as 32 bits: 2**32 + 1 is class 1. One out of range is refused; int8, uint8 and int16 are too.
  bool is taken, and so is a dimension of length 1 where the classes lie.
- A float64 weight with float32 input gives a float64 result. float16 and bfloat16 have no kernel.
- ignore_index must fit 32 bits. nan and negative label_smoothing count as none, and the constructor checks nothing.
- The mean of float32 losses adds one by one: that of 2e6 times log 2 is 0.1 % too small.
- NumPy's uint16 becomes bfloat16, by its bits; other unsigned integers beyond 8 bits and big-endian arrays are refused.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Entry, Evaluation, framework_of, layout, phase
from xent.adapters.framework import expect_loss, framework
from xent.adapters.gradients import Asked, asked, besides_input, with_weight
from xent.adapters.source import call
from xent.errors import SpecValueError
from xent.spec import Arguments, CrossEntropySpec

NAME = "paddle"
FRAMEWORK = "paddle"
TENSOR = "paddle.to_tensor({data}, dtype='{dtype}')"
SCRIPT = """\
import paddle

input = {input}
input.stop_gradient = False
target = {target}
loss = {loss}(input, target)
print(loss.tolist())
loss.sum().backward()
print(input.grad.tolist())
{name} = {tensor}
{name}.stop_gradient = False
{again}(input.detach(), target).sum().backward()
print({name}.grad.tolist())
"""
RANKS = 9  # of a tensor
_FLOATS = ("float32", "float64")
capabilities = Capabilities(
    input_dtypes=Entry(_FLOATS, "paddle 3.3 documents float32 and float64 for input"),
    input_ranks=Entry(
        tuple(range(2, RANKS + 1)), "paddle 3.3 documents input with a batch, and a tensor has at most 9 dimensions"
    ),
    index_dtypes=Entry(("int32", "int64"), "paddle 3.3 documents int32 and int64 for class indices"),
    probability_dtypes=Entry(_FLOATS, "paddle 3.3 documents the dtype of input for soft labels"),
    weight_dtypes=Entry(_FLOATS, "paddle 3.3 documents float32 and float64 for weight"),
    probability_ignore_index=Entry(("negative",), "paddle 3.3 documents ignore_index for hard labels alone"),
    probability_gradients=Entry(
        ("input", "weight"), "paddle 3.3.1 has no gradient with respect to soft labels (measured)"
    ),
)


def version() -> str:
    """Paddle's version, e.g. ``"3.3.1"``."""
    return str(framework("paddle").__version__)


def device() -> str:
    """Where Paddle runs: ``"cpu"``, ``"gpu"``, ``"npu"``, ..."""
    return str(framework("paddle").device.get_device()).split(":")[0]


def to_native(spec: CrossEntropySpec | Arguments, target_kind: Optional[str] = None) -> Any:
    """The spec as a paddle.nn.CrossEntropyLoss for ``"indices"`` (as by default) or ``"probabilities"``."""
    paddle = framework("paddle")
    weight = as_tensor(paddle, spec.weight) if isinstance(spec.weight, np.ndarray) else spec.weight
    return paddle.nn.CrossEntropyLoss(
        weight=weight,
        ignore_index=spec.ignore_index,
        reduction=spec.reduction,
        soft_label=target_kind == "probabilities",
        axis=1,
        label_smoothing=spec.label_smoothing,
    )


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of paddle.nn.CrossEntropyLoss, wherever it has the classes and whichever kind of target it takes.

    Raises:
        TypeError: another object.
        SpecError: what the spec refuses, and ``use_softmax=False``.
    """
    expect_loss(loss, framework("paddle").nn.CrossEntropyLoss, "paddle.nn.CrossEntropyLoss")
    _expect_logits(loss.use_softmax)
    return CrossEntropySpec(
        weight=as_weight(loss.weight),
        ignore_index=loss.ignore_index,
        reduction=loss.reduction,
        label_smoothing=loss.label_smoothing,
    )


def from_call(
    weight: Any = None,
    ignore_index: Any = -100,
    reduction: Any = "mean",
    soft_label: Any = False,
    axis: Any = -1,
    use_softmax: Any = True,
    label_smoothing: Any = 0.0,
    name: Any = None,
) -> CrossEntropySpec:
    """The spec behind ``paddle.nn.CrossEntropyLoss(...)`` as written; weight is a Paddle tensor or a NumPy array."""
    _expect_logits(use_softmax)
    return CrossEntropySpec(as_weight(weight), ignore_index, reduction, label_smoothing)


def _expect_logits(use_softmax: Any) -> None:
    if not use_softmax:
        message = "use_softmax must be True, since the specification's input holds logits (S5): pass their logarithms"
        raise SpecValueError(
            f"{message}; got {use_softmax!r}", argument="use_softmax", received=repr(use_softmax), rule="S5", clause=""
        )


def source(spec: CrossEntropySpec | Arguments, target_kind: Optional[str] = None) -> str:
    """The constructor call, for that kind of target, as text that needs ``import paddle`` only."""
    written = call("paddle.nn.CrossEntropyLoss", spec, TENSOR)[:-1]
    more = "axis=1, soft_label=True)" if target_kind == "probabilities" else "axis=1)"
    return f"{written}{'' if written.endswith('(') else ', '}{more}"


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """Paddle's value, and the gradients of its sum that are asked for. Nothing is cast."""
    kind = "probabilities" if dtypes.is_float(target) else "indices"
    return run(partial(to_native, target_kind=kind), spec, input, target, gradient)


def run(
    make: Callable[[Any], Any],
    spec: CrossEntropySpec | Arguments,
    input: dtypes.Array,
    target: dtypes.Array,
    gradient: Asked,
) -> Evaluation:
    """What the loss that `make` gives for the spec returns, and the gradients asked for."""
    paddle, names = framework("paddle"), asked(gradient)
    with phase("construct"):
        loss = make(spec)
    with phase("forward"):
        logits = as_tensor(paddle, input)
        logits.stop_gradient = "input" not in names
        result = loss(logits, as_tensor(paddle, target))
        value = as_array(paddle, result)
    if not names:
        return Evaluation(value)
    slope, others = None, besides_input(names)
    with phase("backward"):
        if "input" in names:
            slope = as_array(paddle, *paddle.grad(result, logits, paddle.ones_like(result)))
        return Evaluation(value, slope, gradients=_others(make, spec, input, target, others) if others else None)


def _others(
    make: Callable[[Any], Any],
    spec: CrossEntropySpec | Arguments,
    input: dtypes.Array,
    target: dtypes.Array,
    names: Tuple[str, ...],
) -> Dict[str, dtypes.Array]:
    paddle = framework("paddle")
    given = {"target": as_tensor(paddle, target), "weight": spec.weight}
    if isinstance(spec.weight, np.ndarray):
        given["weight"] = as_tensor(paddle, spec.weight)
    wanted = [given[name] for name in names]
    for tensor in wanted:
        tensor.stop_gradient = False
    result = make(with_weight(spec, given["weight"]))(as_tensor(paddle, input), given["target"])
    slopes = paddle.grad(result, wanted, paddle.ones_like(result))
    return {name: as_array(paddle, slopes[i]) for i, name in enumerate(names)}


def as_tensor(paddle: Any, array: dtypes.Array) -> Any:
    """A copy as a tensor of the same dtype and memory order. Raises TypeError for a dtype that Paddle lacks."""
    base, axes = layout(array)
    name = dtypes.name(base)
    if name == "bfloat16":
        base = dtypes.bits(base)  # which is how Paddle takes NumPy's uint16
    elif name not in _TAKEN:
        raise TypeError(f"paddle makes no tensor of dtype {name}")
    tensor = paddle.to_tensor(np.asarray(base, dtype=base.dtype.newbyteorder("=")))
    return tensor.transpose(axes) if axes != tuple(range(array.ndim)) else tensor


_TAKEN = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip


def as_array(paddle: Any, tensor: Any) -> dtypes.Array:
    """The tensor on the host: its dtype and shape, bfloat16 too."""
    array = np.asarray(tensor.detach().numpy())
    return dtypes.from_bits(array, "bfloat16") if tensor.dtype == paddle.bfloat16 else array


def as_weight(weight: Any) -> Any:
    """A Paddle tensor as an array; anything else as it is, for CrossEntropySpec to judge."""
    return as_array(framework("paddle"), weight) if framework_of(weight) == "paddle" else weight

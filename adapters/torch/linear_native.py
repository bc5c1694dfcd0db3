"""torch.nn.functional.linear_cross_entropy (torch 2.13), without chunks: linear and cross_entropy one after the other.

A case's logits go in as input, and the identity is linear_weight: every logit is the sum of itself and zeros, which is
exact. Logits (N, C, d1, ..., dK) go in as rows of C*d1*...*dK, linear_weight (C, d1, ..., dK, C*d1*...*dK) is the
identity of that size, and torch gives them their shape again. What it can't take:
- A logit that isn't finite: its product with the identity's zeros is nan. Such a case is no evidence.
- More than 4096 classes times places: the identity has the square of that. Such a case is no evidence.
- With class probabilities an ignore_index, whatever it is (documented, and refused: measured, 2.13.0). The
  specification doesn't use a negative one then, so it is left out; another one is handed on, and refused.
Its own default of ignore_index, None, stands for -100. Everything else is torch.nn.CrossEntropyLoss's own (native.py).
"""

from __future__ import annotations

import functools
from typing import Any, Callable

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Entry, Evaluation
from xent.adapters.framework import framework
from xent.adapters.gradients import Asked
from xent.adapters.source import call
from xent.errors import Unavailable
from xent.spec import Arguments, CrossEntropySpec

from .native import FRAMEWORK, NAME, TENSOR, as_tensor, as_weight, run, version
from .native import as_array as as_array  # beside as_tensor, for an adapter that builds on this one

__all__ = [
    "FRAMEWORK", "MODE", "NAME", "SCRIPT", "TENSOR", "capabilities", "evaluate", "from_call", "from_native", "source",
    "to_native", "version",
]  # fmt: skip

MODE = "linear"
MOST = 4096  # of classes times places
FUNCTION = "torch.nn.functional.linear_cross_entropy"
SCRIPT = """\
import functools

import torch

input = {input}.requires_grad_()
target = {target}
loss = {loss}
batch = input.shape[:1] if input.dim() > 1 else ()
rows = input.reshape(*batch, -1)
linear_weight = torch.eye(rows.shape[-1], dtype=input.dtype).reshape(*input.shape[len(batch):], -1)
unused = target.is_floating_point() and loss.keywords.get("ignore_index", 0) < 0
value = loss(rows, linear_weight, target, **({{"ignore_index": None}} if unused else {{}}))
print(value.tolist())
value.sum().backward()
print(input.grad.tolist())
"""
capabilities = Capabilities(
    index_dtypes=Entry(("int64",), "torch 2.13's linear_cross_entropy takes class indices as int64 (documented)"),
    probability_ignore_index=Entry(
        ("negative",), "torch 2.13's linear_cross_entropy refuses an ignore_index with class probabilities (documented)"
    ),
    index_gradients=Entry(("input",), "torch 2.13.0 refuses a weight that requires a gradient (measured)"),
)


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as a functools.partial of torch's function, weight in its own dtype.

    Raises:
        Unavailable: a torch before 2.13.
    """
    torch = framework(FRAMEWORK)
    function = getattr(torch.nn.functional, "linear_cross_entropy", None)
    if function is None:
        reason = f"torch {torch.__version__} has no linear_cross_entropy, which came with 2.13"
        raise Unavailable(NAME, reason, "Use an interpreter with a newer torch.")
    weight = as_tensor(torch, spec.weight) if isinstance(spec.weight, np.ndarray) else spec.weight
    named = {"weight": weight, "reduction": spec.reduction, "label_smoothing": spec.label_smoothing}
    ignore_index = {} if spec.ignore_index == -100 else {"ignore_index": spec.ignore_index}
    return functools.partial(function, **named, **ignore_index)


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of what `to_native` gives. TypeError for another object, SpecError for what the spec refuses."""
    if (
        not isinstance(loss, functools.partial)
        or loss.func is not framework(FRAMEWORK).nn.functional.linear_cross_entropy
    ):
        received = f"{type(loss).__module__}.{type(loss).__qualname__}"
        raise TypeError(f"loss must be a functools.partial of {FUNCTION}, got an instance of {received}")
    return from_call(*loss.args, **loss.keywords)


def from_call(
    function: Any = None,
    *,
    weight: Any = None,
    reduction: Any = "mean",
    ignore_index: Any = None,
    label_smoothing: Any = 0.0,
    options: Any = None,
) -> CrossEntropySpec:
    """The spec behind the keywords of a call, or of a functools.partial; weight is a tensor or a NumPy array."""
    return CrossEntropySpec(
        as_weight(weight), -100 if ignore_index is None else ignore_index, reduction, label_smoothing
    )


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The functools.partial as text that needs ``import functools, torch`` only."""
    return source_of(spec)


def source_of(spec: CrossEntropySpec | Arguments, *options: str) -> str:
    """`source` with options."""
    written = call("", spec, TENSOR)[1:-1]
    return f"functools.partial({', '.join(filter(None, (FUNCTION, written, *options)))})"


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """torch's value, and the gradients of its sum that are asked for. Nothing is cast.

    Raises:
        Unavailable: no product with an identity gives these logits.
    """
    expect_product(input)
    return run(of_logits(to_native), spec, input, target, gradient)


def expect_product(input: dtypes.Array) -> None:
    """Raises Unavailable where no product with an identity gives these logits."""
    size = int(np.prod(input.shape[1:] if input.ndim > 1 else input.shape))
    if size > MOST:
        raise Unavailable(
            "linear_cross_entropy", f"the identity for {size} classes times places is too large ({MOST} at most)"
        )
    if dtypes.is_float(input) and not np.isfinite(dtypes.to_float64(input)).all():
        raise Unavailable(
            "linear_cross_entropy", "a logit that isn't finite is nan after the product with the identity's zeros"
        )


def of_logits(make: Callable[[Any], Any]) -> Callable[[Any], Callable[[Any, Any], Any]]:
    """What makes the loss of (logits, target) for a spec, where `make` makes that of (input, linear_weight, target)."""
    torch = framework(FRAMEWORK)

    def made(spec: Any) -> Callable[[Any, Any], Any]:
        loss = make(spec)

        def forward(logits: Any, target: Any) -> Any:
            batch = logits.shape[:1] if logits.dim() > 1 else ()
            rows = logits.reshape(*batch, -1) if logits.dim() > 0 else logits
            identity = torch.eye(rows.shape[-1] if rows.dim() else 1, dtype=logits.dtype)
            linear_weight = identity.reshape(*logits.shape[len(batch) :], identity.shape[0])
            ignore_index = loss.keywords.get("ignore_index")
            unused = target.is_floating_point() and isinstance(ignore_index, int) and ignore_index < 0
            return loss(rows, linear_weight, target, **({"ignore_index": None} if unused else {}))

        return forward

    return made

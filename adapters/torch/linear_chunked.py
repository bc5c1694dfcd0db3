"""torch.nn.functional.linear_cross_entropy (torch 2.13) in chunks: with the options that torch chooses by itself.

Logits reach it as they reach linear_native.py. The chunked path takes class indices, no label smoothing, and input (N,
H) or (H) with linear_weight (C, H); for anything else torch warns and goes the way of linear_native.py (documented),
whose evidence that would be: such a case is none here, unless torch refuses it. The backward pass can run once, and has
no gradient of its own (documented).
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

from xent import dtypes
from xent.adapters import Capabilities, Entry, Evaluation
from xent.adapters.framework import framework
from xent.adapters.gradients import Asked
from xent.errors import Unavailable
from xent.spec import Arguments, CrossEntropySpec

from . import linear_native
from .linear_native import (
    FRAMEWORK,
    NAME,
    SCRIPT,
    TENSOR,
    expect_product,
    from_call,
    from_native,
    of_logits,
    source_of,
)
from .native import as_array as as_array  # beside as_tensor, for an adapter that builds on this one
from .native import as_tensor as as_tensor
from .native import run, version

__all__ = [
    "FRAMEWORK", "MODE", "NAME", "SCRIPT", "TENSOR", "capabilities", "evaluate", "from_call", "from_native",
    "source", "to_native", "version",
]  # fmt: skip

MODE = "linear, chunked"
_PATH = "the chunked path of torch 2.13's linear_cross_entropy"
capabilities = Capabilities(
    input_ranks=Entry((1, 2), f"{_PATH} takes input (H) or (N, H) and linear_weight (C, H) alone (documented)"),
    target_kinds=Entry(("indices",), f"{_PATH} takes class indices alone (documented)"),
    index_dtypes=linear_native.capabilities.index_dtypes,
    label_smoothing=Entry(("zero",), f"{_PATH} has no label smoothing (documented)"),
    index_gradients=Entry(("input",), f"{_PATH} gives weight no gradient (measured, 2.13.0)"),
)


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as a functools.partial of torch's function with its default options, weight in its own dtype.

    Raises:
        Unavailable: a torch before 2.13.
    """
    return functools.partial(linear_native.to_native(spec), options=framework(FRAMEWORK).nn.LinearCrossEntropyOptions())


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The functools.partial as text that needs ``import functools, torch`` only."""
    return source_of(spec, "options=torch.nn.LinearCrossEntropyOptions()")


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """torch's value, and the gradients of its sum that are asked for. Nothing is cast.

    Raises:
        Unavailable: no product with an identity gives these logits, or torch did not take its chunked path for them.
    """
    expect_product(input)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = run(of_logits(to_native), spec, input, target, gradient)
    for one in said:
        if "``options`` ignored" in str(one.message):
            raise Unavailable("linear_cross_entropy", "torch took its other path, not the chunked one")
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return found

"""A constructor call as source text that gives the same object when it is evaluated: every number is exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xent import dtypes
from xent.spec import Arguments, CrossEntropySpec

DEFAULTS = Arguments()
NEEDS_XENT = "# needs xent beside the framework: PYTHONPATH=<the folder that holds the package xent>\n"


def call(constructor: str, spec: CrossEntropySpec | Arguments, tensor: str) -> str:
    """The call with default arguments left out, e.g. ``torch.nn.CrossEntropyLoss(ignore_index=255)``.

    Args:
        constructor: the importable name of the loss.
        spec: the arguments, validated or as somebody wrote them. A text for weight is a variable's name.
        tensor: how the framework writes the weight, with ``{data}`` and ``{dtype}`` in it.
    """
    written = []
    if isinstance(spec.weight, str):
        written.append(f"weight={spec.weight}")
    elif spec.weight is not None:
        weight = np.asarray(spec.weight)
        values = dtypes.to_float64(weight) if dtypes.is_float(weight) else weight
        written.append("weight=" + tensor.format(data=literal(values.tolist()), dtype=dtypes.name(weight)))
    for name in DEFAULTS._fields[1:]:
        value, default = getattr(spec, name), getattr(DEFAULTS, name)
        if type(value) is not type(default) or value != default:  # the integer 0 is not 0.0 to every framework
            written.append(f"{name}={literal(value)}")
    return f"{constructor}({', '.join(written)})"


def with_import(script: str, module: str) -> str:
    """A script whose first line imports the framework, as one that imports this module of xent after it."""
    first, rest = script.split("\n", 1)
    return f"{NEEDS_XENT}{first}\nimport {module}\n{rest}"


def literal(value: Any) -> str:
    """A number, text or nested list as Python source; nan and inf, which have no literal, as ``float("nan")``."""
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)

"""A script that reproduces one case when it is pasted into a framework's interpreter: every number in it is exact.

An adapter gives the framework's own words as `SCRIPT` (with {input}, {target} and {loss}) and `TENSOR` (with {data} and
{dtype}). For an adapter without them, and for invalid arguments' sake, the script calls the adapter itself.
"""

from __future__ import annotations

import inspect
import re
from types import ModuleType

from xent import dtypes
from xent.adapters import layout
from xent.adapters.source import NEEDS_XENT, literal
from xent.conformance.protocol.case import Case

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_GENERIC = """\
import {module} as adapter
from xent import dtypes
from xent.spec import Arguments

getattr(adapter, "prepare", lambda: None)()
arguments = Arguments({weight}, {ignore_index}, {reduction}, {label_smoothing})
input = {input}
target = {target}
print(adapter.evaluate(arguments, input, target, gradient={gradient}))
"""


def reproduce(adapter: ModuleType, case: Case) -> str:
    """The script for this case in the adapter's framework."""
    template = getattr(adapter, "SCRIPT", None)
    if template is None:
        return generic(adapter.__name__, case)
    text: str = template.format(
        input=_tensor(case.input, adapter.TENSOR, "permute"),
        target=_tensor(case.target, adapter.TENSOR, "permute"),
        loss=_source(adapter, case),
    )
    return text


def _source(adapter: ModuleType, case: Case) -> str:
    """The constructor call; of the loss for the case's kind of target, where the framework has one for each."""
    kind = {"target_kind": "probabilities" if dtypes.is_float(case.target) else "indices"}
    more = kind if "target_kind" in inspect.signature(adapter.source).parameters else {}
    return str(adapter.source(case.arguments, **more))


def generic(module: str, case: Case) -> str:
    """The script that calls the adapter's own `evaluate`, of the adapter in the module of that path."""
    if not _MODULE.fullmatch(module):  # text of a file, which must not become code
        return ""
    array = 'dtypes.from_data({data}, "{dtype}")'
    arguments = case.arguments
    return NEEDS_XENT + _GENERIC.format(
        module=module,
        weight=None if arguments.weight is None else _tensor(arguments.weight, array, "transpose"),
        ignore_index=literal(arguments.ignore_index),
        reduction=literal(arguments.reduction),
        label_smoothing=literal(arguments.label_smoothing),
        input=_tensor(case.input, array, "transpose"),
        target=_tensor(case.target, array, "transpose"),
        gradient=case.gradients if len(case.gradients) > 1 else case.gradient,
    )


def _tensor(array: dtypes.Array, template: str, permute: str) -> str:
    """The array in the framework's words, with its memory order; an empty one keeps its shape."""
    base, axes = layout(array)
    values = dtypes.to_float64(base) if dtypes.is_float(base) else base
    text = template.format(data=literal(values.tolist()), dtype=dtypes.name(base))
    if base.size == 0:
        text += f".reshape({', '.join(map(str, base.shape))})"
    if axes != tuple(range(array.ndim)):
        text += f".{permute}({', '.join(map(str, axes))})"
    return text

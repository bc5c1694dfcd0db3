"""A script that reproduces one case when it is pasted into a framework's interpreter: every number in it is exact.

An adapter gives the framework's own words as `TENSOR` (with {data} and {dtype}) and as `SCRIPT`, with {input}, {target}
and {loss}, the constructor call. Its lines from the first on that names {name} are for the gradients by target and
weight, and stand in the script once for each: {name} is which, {tensor} its array, and {again} the constructor call,
whose weight is the variable where it is the one. For an adapter without a `SCRIPT`, or without such lines where they
are needed, and for invalid arguments' sake, the script calls the adapter itself.
"""

from __future__ import annotations

import re

from xent import dtypes
from xent.adapters import Adapter, load
from xent.adapters.contract import target_kind_of
from xent.adapters.source import NEEDS_XENT, literal
from xent.conformance import implementations
from xent.conformance.judging.parts import withheld
from xent.conformance.protocol.case import Case
from xent.layout import layout

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


def of_evidence(id: str, module: str | None, case: Case) -> str:
    """The script of the implementation with that id; empty where nothing says how to call it.

    It is the installed adapter's of that id, the only one that is imported.

    Args:
        module: of the adapter that made the evidence, as the evidence says. The script may name another module than an
            installed one, which isn't imported here.
    """
    row = implementations.row(id)
    if row is not None and module in (None, row.implementation.module):
        return reproduce(load(row.implementation.module), case)
    return generic(module, case, case.others) if module else ""


def reproduce(adapter: Adapter, case: Case) -> str:
    """The script for this case in the adapter's framework."""
    template, array_of = adapter.SCRIPT, adapter.TENSOR
    kind = target_kind_of(case.target)
    missing = withheld(case, adapter.capabilities)
    others = tuple(name for name in case.others if name not in missing)
    if template is None or array_of is None:
        return generic(adapter.module.__name__, case, others)
    once, each = _halves(template)
    if others and not each:
        return generic(adapter.module.__name__, case, others)
    text: str = once.format(
        input=_tensor(case.input, array_of, "permute"),
        target=_tensor(case.target, array_of, "permute"),
        loss=adapter.source(case.arguments, kind),
    )
    for name in others:
        array, arguments = case.target, case.arguments
        if name == "weight":
            array, arguments = case.arguments.weight, case.arguments._replace(weight=name)
        tensor = _tensor(array, array_of, "permute")
        text += each.format(name=name, tensor=tensor, again=adapter.source(arguments, kind))
    return text


def generic(module: str, case: Case, others: tuple[str, ...] = ()) -> str:
    """The script that calls the own `evaluate` of the adapter in that module. `others`: gradients besides input's."""
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
        gradient=("input",) * case.gradient + others if others else case.gradient,
    )


def _halves(template: str) -> tuple[str, str]:
    """What stands in a script once, and what once for each further gradient."""
    lines = template.splitlines(keepends=True)
    at = next((number for number, line in enumerate(lines) if "{name}" in line), len(lines))
    return "".join(lines[:at]), "".join(lines[at:])


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

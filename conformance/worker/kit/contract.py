"""An adapter's module against the contract: which names it has and of what kind, without calling any of them.

`answer` is run in a process of its own, ``python -c "...contract.answer()" MODULE FOLDER...``, by an interpreter that
need not have the framework: importing an adapter must not need it.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from types import ModuleType
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from xent import dtypes
from xent.adapters import Capabilities, Entry
from xent.spec import REDUCTIONS

from .findings import told

MARK = "xent-contract "
FRAMEWORKS = ("jax", "keras", "mindspore", "mxnet", "oneflow", "paddle", "tensorflow", "torch")
"""Import names of what takes a second or more to import, besides an adapter's own FRAMEWORK."""


class Name(NamedTuple):
    """A name of the contract.

    Attributes:
        kind: "text", "flag", "capabilities" or "call".
        how: of a call: how it is called, as text that says the arguments' names.
        what: for whoever has to write it.
        required: whether an adapter is none without it.
    """

    name: str
    kind: str
    what: str
    how: str = ""
    required: bool = True


NAMES = (
    Name("NAME", "text", 'the adapter\'s id in reports, such as "torch"'),
    Name("FRAMEWORK", "text", 'what its interpreter must be able to import, such as "torch"'),
    Name("capabilities", "capabilities", "an xent.adapters.Capabilities: where its document narrows the spec"),
    Name("version", "call", "gives the framework's version as text", ""),
    Name("to_native", "call", "gives the framework's own loss object for a spec", "spec"),
    Name("from_native", "call", "gives the spec of such a loss object", "loss"),
    Name("from_call", "call", "gives the spec behind a constructor call, with the constructor's own parameters", ""),
    Name("source", "call", "gives the constructor call as source text", "spec"),
    Name("evaluate", "call", "runs the framework's loss: NumPy in, an xent.adapters.Evaluation out",
         "spec, input, target, gradient=gradient"),
    Name("SCRIPT", "text", "a script that reproduces a case, with {input}, {target} and {loss}", required=False),
    Name("TENSOR", "text", "how a tensor is written, with {data} and {dtype}", required=False),
    Name("MODE", "text", 'how the loss runs: "eager", "jit", "portable", ...', required=False),
    Name("SAMPLE", "text", "the tag of the cases that it runs, where it can't run all", required=False),
    Name("FORKS", "flag", "whether its framework works in a fork of the process that imported it", required=False),
    Name("prepare", "call", "sets the framework up, once a process", "", required=False),
    Name("device", "call", 'gives where the framework runs, such as "cpu"', "", required=False),
    Name("CrossEntropyLoss", "call", "the portable loss as an object", "", required=False),
    Name("cross_entropy", "call", "the portable loss as a function", "input, target", required=False),
)  # fmt: skip
_FIELDS = {"SCRIPT": ("{input}", "{target}", "{loss}"), "TENSOR": ("{data}", "{dtype}")}
_LAZY = ("CrossEntropyLoss", "cross_entropy")  # may subclass what only the framework has: looked at where that is
VOCABULARY: Dict[str, Tuple[Any, ...]] = {
    "input_dtypes": dtypes.FLOATS,
    "input_ranks": tuple(range(1, 65)),
    "index_dtypes": dtypes.INTEGERS,
    "probability_dtypes": dtypes.FLOATS,
    "weight_dtypes": dtypes.FLOATS,
    "target_kinds": ("indices", "probabilities"),
    "reductions": REDUCTIONS,
    "ignored_rows": ("none", "some"),
    "label_smoothing": ("zero", "nonzero"),
    "probability_ignore_index": ("negative", "non-negative"),
    "index_gradients": ("input", "weight"),
    "probability_gradients": ("input", "target", "weight"),
}
"""What an entry of `Capabilities` may allow, by its field."""

Fault = Tuple[str, str, str]
"""A check, "missing" or "wrong", and the words."""


def answer() -> None:
    """Prints, as one line of JSON, what the module says of itself and all that is wrong with it; then ends at once."""
    module = sys.argv[1]
    sys.path[:0] = sys.argv[2:]
    found = json.dumps(look(module)).encode("ascii")
    os.write(1, b"\n" + MARK.encode("ascii") + found + b"\n")
    os._exit(0)


def look(path: str) -> Dict[str, Any]:
    """What the module of that path says of itself, as JSON-safe data; ``faults`` holds all that is wrong."""
    try:
        module = importlib.import_module(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return {"faults": [_not_imported(path, error)], "absent": _is_absent(path, error)}
    faults = [*_early(module), *_names(module), *_entries(module)]
    said = {name: _text(getattr(module, name, "")) for name in ("NAME", "FRAMEWORK", "SAMPLE")}
    said["MODE"] = _text(getattr(module, "MODE", "eager"))
    narrowed: Any = getattr(module, "capabilities", None)
    usable = isinstance(narrowed, Capabilities) and not any(fault[0] == "entries" for fault in faults)
    return {**said, "faults": faults, "absent": False, "capabilities": narrowed.to_dict() if usable else {}}


def _is_absent(path: str, error: BaseException) -> bool:
    """Whether there is no module of that path at all, rather than one that fails."""
    return isinstance(error, ModuleNotFoundError) and error.name is not None and f"{path}.".startswith(f"{error.name}.")


def _not_imported(path: str, error: BaseException) -> Fault:
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] in FRAMEWORKS:
        words = f"it imports {error.name} when it is imported itself; import a framework inside the calls that need it"
    else:
        words = f"{path} can't be imported: {told(error)}"
    return ("import", "wrong", words)


def frameworks_imported(adapter: Any) -> List[str]:
    """The frameworks that this process has imported; NumPy, which every worker has, isn't one."""
    own = str(getattr(adapter, "FRAMEWORK", "")).split(".")[0]
    return [name for name in dict.fromkeys((own, *FRAMEWORKS)) if name in sys.modules and name != "numpy"]


def early(imported: Sequence[str]) -> str:
    """The words for frameworks that an adapter's import brought along."""
    names = " and ".join(imported)
    return f"importing the adapter imports {names}; import a framework inside the calls that need it"


def _early(module: ModuleType) -> Iterator[Fault]:
    if imported := frameworks_imported(module):
        yield "import", "wrong", early(imported)


def _names(module: ModuleType) -> Iterator[Fault]:
    for name in NAMES:
        if name.name in _LAZY:
            continue
        if not hasattr(module, name.name):
            if name.required:
                yield "names", "missing", f"{_shown(name)}: {name.what}"
        elif why := _unlike(name, getattr(module, name.name)):
            yield "names", "wrong", f"{_shown(name)} {why}; it {_is(name)}"


def _shown(name: Name) -> str:
    return f"{name.name}({name.how.replace('gradient=gradient', '*, gradient')})" if name.kind == "call" else name.name


def _is(name: Name) -> str:
    return name.what if name.kind == "call" else f"is {name.what}"


def _unlike(name: Name, value: Any) -> str:
    """Why a value isn't what the contract says, a clause; "" where it is."""
    if name.kind == "text":
        if value is None and not name.required:
            return ""
        if not isinstance(value, str) or not value.strip():
            return f"is {_brief(value)}, not text"
        lacking = [field for field in _FIELDS.get(name.name, ()) if field not in value]
        return f"lacks {' and '.join(lacking)}" if lacking else ""
    if name.kind == "flag":
        return "" if isinstance(value, bool) else f"is {_brief(value)}, neither True nor False"
    if name.kind == "capabilities":
        return "" if isinstance(value, Capabilities) else f"is {_brief(value)}"
    return uncallable(name, value)


def uncallable(name: Name, value: Any) -> str:
    """Why a call of the contract can't be called as the contract says, a clause; "" where it can, or nobody knows."""
    if not callable(value):
        return f"is {_brief(value)}, which can't be called"
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # of a callable that doesn't say
        return ""
    positional = [None for part in name.how.split(", ") if part and "=" not in part]
    try:
        signature.bind(*positional, **({"gradient": False} if "gradient" in name.how else {}))
    except TypeError as error:
        return f"can't be called so ({error})"
    return ""


def _entries(module: ModuleType) -> Iterator[Fault]:
    capabilities = getattr(module, "capabilities", None)
    if not isinstance(capabilities, Capabilities):
        return
    for field, known in VOCABULARY.items():
        why = _unfit(getattr(capabilities, field, None), known)
        if why:
            yield "entries", "wrong", f"capabilities.{field} {why}"


def _unfit(entry: Any, known: Tuple[Any, ...]) -> str:
    if entry is None:
        return ""
    if not isinstance(entry, Entry):
        return f"is {_brief(entry)}; write Entry((...), clause)"
    if not isinstance(entry.allowed, tuple):
        return f"allows {_brief(entry.allowed)}, which is no tuple; one value is written (value,)"
    strangers = [value for value in entry.allowed if value not in known]
    if strangers:
        return f"allows {_brief(strangers[0])}; it may allow {_listed(known)}"
    if not isinstance(entry.clause, str) or not entry.clause.strip():
        return "has no clause: the place in the framework's document, or the limit itself in words"
    return ""


def _listed(known: Tuple[Any, ...]) -> str:
    if len(known) > 12:
        return f"{known[0]} to {known[-1]}"
    return ", ".join(map(str, known))


def _brief(value: Any) -> str:
    shown = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"a {type(value).__name__}"
    return shown[:80]


def _text(value: Any) -> Optional[str]:
    return value[:300].encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) and value else None

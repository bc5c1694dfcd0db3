"""Probes of to_native, from_native, source and from_call: each gives back the spec that it was given."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import itertools
import re
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple

from xent import dtypes
from xent.spec import CrossEntropySpec

from .findings import Wrong, step, told
from .specs import allowed, kinds_of, specs, weight_dtypes, weight_of

_LEGACY = ("size_average", "reduce")
_KNOWN = ("weight", "ignore_index", "reduction", "label_smoothing", *_LEGACY)
_EXPECT = "it must raise a TypeError, as xent.adapters.framework.expect_loss does"
_IMPORT = re.compile(r"^(?:import|from) .+$", re.MULTILINE)


def round_trip(adapter: ModuleType) -> None:
    """from_native(to_native(spec)) is the spec again."""
    lost: List[str] = []
    count = 0
    for kind in kinds_of(adapter.to_native, adapter.capabilities):
        for spec in specs(adapter.capabilities):
            count += 1
            with step(f"to_native({_shown(spec, kind)})"):
                loss = adapter.to_native(spec, **kind)
            with step(f"from_native of what to_native({_shown(spec, kind)}) gave"):
                back = adapter.from_native(loss)
            if back != spec:
                lost.append(f"{_shown(spec, kind)} came back as {back!r}")
    if lost:
        raise Wrong(f"{len(lost)} of {count} specs don't come back from from_native(to_native(spec)): {lost[0]}")


def weights(adapter: ModuleType) -> None:
    """A weight keeps its dtype and its bits."""
    for dtype in weight_dtypes(adapter.capabilities):
        weight = weight_of(dtype)
        spec = CrossEntropySpec(
            weight, reduction=allowed(adapter.capabilities, "reductions", ("mean", "none", "sum"))[0]
        )
        with step(f"from_native(to_native(spec)) with a {dtype} weight"):
            back = adapter.from_native(adapter.to_native(spec)).weight
        if back is None:
            raise Wrong(f"a {dtype} weight is lost on the way through to_native and from_native")
        if dtypes.name(back) != dtype:
            raise Wrong(
                f"a {dtype} weight comes back as {dtypes.name(back)}: to_native and from_native must not cast it"
            )
        if dtypes.bits(back).tolist() != dtypes.bits(weight).tolist():
            raise Wrong(f"the {dtype} weight {dtypes.to_data(weight)} comes back as {dtypes.to_data(back)}")


def foreign(adapter: ModuleType) -> None:
    """from_native refuses what is no loss of its framework with a TypeError."""
    strangers = {"object()": object(), "None": None, "'mean'": "mean", "print": print}
    for shown, other in strangers.items():
        what = f"from_native({shown})"
        try:
            found = adapter.from_native(other)
        except TypeError:
            continue
        except BaseException as error:
            raise Wrong(f"{what} raised {told(error)}; {_EXPECT}") from error
        raise Wrong(f"{what} gave {_kind(found)}; {_EXPECT}")


def source(adapter: ModuleType) -> None:
    """source(spec), evaluated, is the same loss again, and defaults are left out."""
    for kind in kinds_of(adapter.source, adapter.capabilities):
        for spec in specs(adapter.capabilities):
            text = _source(adapter, spec, kind)
            with step(f"from_native of {text}"):
                back = adapter.from_native(evaluated(adapter, text))
            if back != spec:
                raise Wrong(f"source({_shown(spec, kind)}) is {text}, which is the loss of {back!r}")
            if spec == CrossEntropySpec():
                _leaves_defaults_out(text)


def _leaves_defaults_out(text: str) -> None:
    written = [name for name in ("weight", "ignore_index", "reduction", "label_smoothing") if f"{name}=" in text]
    if written:
        raise Wrong(f"source of the default spec is {text}; leave {' and '.join(written)} out, as in the default")


def calls(adapter: ModuleType) -> None:
    """from_call reads the constructor call that source writes."""
    refused = False
    try:
        adapter.from_call(no_such_argument=1)
    except TypeError:
        refused = True
    except BaseException as error:
        what = f"from_call(no_such_argument=1) raised {told(error)}; it must raise a TypeError, as a constructor does"
        raise Wrong(what) from error
    if not refused:
        raise Wrong("from_call takes any keyword; give it the constructor's own parameters")
    with step("from_call()"):
        found = adapter.from_call()
    if not isinstance(found, CrossEntropySpec):
        raise Wrong(f"from_call() gave {type(found).__name__}, not a CrossEntropySpec")
    constructor = type(adapter.to_native(next(specs(adapter.capabilities))))
    for spec in specs(adapter.capabilities):
        text = _source(adapter, spec, {})
        written = ast.parse(text, mode="eval").body
        if not isinstance(written, ast.Call) or _value(adapter, written.func) is not constructor:
            continue  # a framework of functions has no constructor to read
        if any(not _is_argument(keyword.arg) for keyword in written.keywords):
            continue
        args = [_value(adapter, node) for node in written.args]
        kwargs = {str(keyword.arg): _value(adapter, keyword.value) for keyword in written.keywords}
        with step(f"from_call for {text}"):
            back = adapter.from_call(*args, **kwargs)
        if back != spec:
            raise Wrong(f"from_call reads {text} as {back!r}, and it is the loss of {spec!r}")


def order(adapter: ModuleType) -> None:
    """from_call reads positional and deprecated arguments as the constructor does."""
    constructor = type(adapter.to_native(next(specs(adapter.capabilities))))
    parameters = _parameters(constructor)
    if not any(parameter.name in _KNOWN for parameter in parameters):
        return
    for args, kwargs in _written_calls(adapter, parameters):
        shown = ", ".join([*map(_brief, args), *(f"{name}={_brief(value)}" for name, value in kwargs.items())])
        try:
            meant = adapter.from_native(constructor(*args, **kwargs))
        except Exception:  # a call that the framework refuses is nobody's
            continue
        with step(f"from_call({shown})"):
            read = adapter.from_call(*args, **kwargs)
        if read != meant:
            raise Wrong(
                f"from_call({shown}) gives {read!r}, and {constructor.__name__}({shown}) is {meant!r}: its positional "
                f"order is {', '.join(parameter.name for parameter in parameters)}"
            )


def _parameters(constructor: type) -> List[inspect.Parameter]:
    """Those that may stand by position, in order."""
    try:
        found = inspect.signature(constructor).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one for one in found if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]


def _written_calls(
    adapter: ModuleType, parameters: List[inspect.Parameter]
) -> Iterator[Tuple[Tuple[Any, ...], Dict[str, Any]]]:
    """Calls of the constructor: more and more arguments by position, then the deprecated ones in every combination."""
    values = {one.name: one.default for one in parameters}
    values.update({name: value for name, value in _values(adapter).items() if name in values})
    names = list(values)
    for count in range(len(names) + 1):
        if not any(values[name] is inspect.Parameter.empty for name in names[:count]):
            yield tuple(values[name] for name in names[:count]), {}
    if set(_LEGACY) <= set(names):
        for average, reduce, reduction in itertools.product((None, True, False), (None, True, False), ("none", "sum")):
            yield (), {"size_average": average, "reduce": reduce, "reduction": reduction}
        count = names.index("size_average") + 1
        yield (*(None for _ in names[: count - 1]), False), {}


def _values(adapter: ModuleType) -> Dict[str, Any]:
    """An argument of each known name that differs from its default, where the capabilities allow one."""
    capabilities = adapter.capabilities
    reductions = allowed(capabilities, "reductions", ("sum", "none", "mean"))
    values: Dict[str, Any] = {"reduction": reductions[0], "size_average": None, "reduce": None}
    values["ignore_index"] = 3 if allowed(capabilities, "ignored_rows", ("some",)) else -100
    values["label_smoothing"] = 0.25 if allowed(capabilities, "label_smoothing", ("nonzero",)) else 0.0
    values["weight"] = None
    for dtype in weight_dtypes(capabilities)[-1:]:
        text = _source(adapter, CrossEntropySpec(dtypes.from_float64([0.5, 2.0], dtype), reduction=reductions[0]), {})
        for node in ast.walk(ast.parse(text, mode="eval")):
            if isinstance(node, ast.keyword) and node.arg == "weight":
                values["weight"] = _value(adapter, node.value)
    return values


def _source(adapter: ModuleType, spec: CrossEntropySpec, kind: Dict[str, str]) -> str:
    with step(f"source({_shown(spec, kind)})"):
        text = adapter.source(spec, **kind)
    if not isinstance(text, str):
        raise Wrong(f"source({_shown(spec, kind)}) gave {type(text).__name__}, not text")
    return text


def _value(adapter: ModuleType, node: ast.expr) -> Any:
    return evaluated(adapter, ast.Expression(node))


def evaluated(adapter: ModuleType, text: Any) -> Any:
    """What an adapter's own source text stands for: text of one expression, or that expression parsed.

    Its names are those that the import lines of SCRIPT bind, or modules that can be imported.

    Raises:
        Wrong: it is no expression, or names what nobody can import.
    """
    try:
        tree = ast.parse(text, mode="eval") if isinstance(text, str) else text
    except SyntaxError as error:
        raise Wrong(f"{text} is no Python expression ({error.msg})") from error
    names: Dict[str, Any] = {}
    script = getattr(adapter, "SCRIPT", None)
    with step("the import lines of SCRIPT"):
        for line in _IMPORT.findall(script) if isinstance(script, str) else ():
            exec(line, names)  # the adapter's own words, in its own process
    found: Dict[str, Any] = {}
    for chain in _chains(tree):
        root = chain.split(".")[0]
        if root not in names and not hasattr(builtins, root):
            _import(chain)
            found[root] = importlib.import_module(root)
    shown = text if isinstance(text, str) else "a part of what source gave"
    with step(f"evaluating {shown}"):
        # Also the adapter's own words, in its own process: that they evaluate is what is checked.
        return eval(compile(ast.fix_missing_locations(tree), "source", "eval"), {**names, **found})


def _chains(tree: ast.AST) -> List[str]:
    """Every dotted name in it, ``"torch.nn.CrossEntropyLoss"``."""
    found = []
    for node in ast.walk(tree):
        parts: List[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            found.append(".".join([node.id, *parts]))
    return found


def _import(chain: str) -> None:
    """Imports the modules that a dotted name begins with, as far as there are any."""
    parts = chain.split(".")
    for count in range(1, len(parts) + 1):
        try:
            importlib.import_module(".".join(parts[:count]))
        except ImportError as error:
            if count == 1:
                raise Wrong(f"source names {chain}, and there is no module {parts[0]!r} to import") from error
            return


def _is_argument(name: Any) -> bool:
    return isinstance(name, str) and name in _KNOWN


def _shown(spec: CrossEntropySpec, kind: Dict[str, str]) -> str:
    return ", ".join([repr(spec), *(f"{name}={value!r}" for name, value in kind.items())])


def _kind(value: Any) -> str:
    return repr(value) if isinstance(value, CrossEntropySpec) else f"a {type(value).__name__}"


def _brief(value: Any) -> str:
    return repr(value) if isinstance(value, (int, float, str, type(None))) else f"<{type(value).__name__}>"

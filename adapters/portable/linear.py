"""The names of `linear_cross_entropy`: torch 2.13's own, and until version 0.3 those that it had here before."""

from __future__ import annotations

import functools
import warnings
from typing import Any, Callable, Dict, Tuple, TypeVar, cast

from xent.errors import SpecTypeError

_NAMES = ("input", "linear_weight", "target")
_OLD = {"hidden": "input", "projection": "linear_weight", "bias": "linear_bias"}
_ORDER = ("weight", "ignore_index", "reduction", "label_smoothing")  # of what could follow target by position
_LAST = "0.3"
Function = TypeVar("Function", bound=Callable[..., Any])


def renamed(function: Function) -> Function:
    """The function, which has torch's signature, with the old names and positions too; these give a DeprecationWarning.

    MindSpore's compiler reads the function and not what is wrapped around it: mindspore.jit takes the new names alone.
    """

    @functools.wraps(function)
    def linear_cross_entropy(*arguments: Any, **named: Any) -> Any:
        if len(arguments) > len(_NAMES) or any(old in named for old in _OLD):
            arguments, named = _modern(arguments, named)
        return function(*arguments, **named)

    return cast(Function, linear_cross_entropy)


def _modern(arguments: Tuple[Any, ...], named: Dict[str, Any]) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
    """The same call in the new names, after a DeprecationWarning that says how to write it.

    Raises:
        SpecTypeError: an argument that is given twice, under both names, by position and by name, or one too many.
    """
    given, written = {**named}, []
    for old, new in _OLD.items():
        if old in named:
            if new in named or new in _NAMES[: len(arguments)]:
                raise _twice(new, f"{old}=... is the old name of {new}: write {new} alone")
            given[new] = given.pop(old)
            written.append(f"{new}= for {old}=")
    by_position = arguments[len(_NAMES) :]
    if len(by_position) > len(_ORDER):
        most = len(_NAMES) + len(_ORDER)
        message = f"linear_cross_entropy takes {', '.join(_NAMES)} by position; got {len(arguments)} arguments"
        raise _error("label_smoothing", f"{len(arguments)} arguments by position, at most {most} had a place", message)
    for at, value in enumerate(by_position):
        if _ORDER[at] in named:
            again = f"it stands after target and again as {_ORDER[at]}=...: write it by name alone"
            raise _twice(_ORDER[at], again)
        given[_ORDER[at]] = value
    if by_position:
        names = ", ".join(f"{name}=" for name in _ORDER[: len(by_position)])
        written.append(f"{names} for what follows target by position")
    message = f"linear_cross_entropy has torch's names: write {'; '.join(written)}; xent {_LAST} takes no others"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return arguments[: len(_NAMES)], given


def _twice(argument: str, why: str) -> SpecTypeError:
    return _error(argument, "two values", f"linear_cross_entropy got {argument} twice: {why}")


def _error(argument: str, received: str, message: str) -> SpecTypeError:
    return SpecTypeError(message, argument=argument, received=received, rule="schema", clause="")

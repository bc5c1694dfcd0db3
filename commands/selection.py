"""What the options name: implementations, plug-ins, interpreters."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Sequence

from xent.conformance import implementations
from xent.conformance.evidence.columns import Column, not_run
from xent.conformance.implementations import Implementation, longest_first
from xent.conformance.running import interpreters, plugins
from xent.errors import Unavailable, UnreadableInput


def overrides(given: Sequence[str], chosen: Sequence[Implementation] = ()) -> dict[str, str]:
    """What ``--python`` names, by implementation or framework. Raises UnreadableInput for another form or name."""
    known = {adapter.id: adapter.framework for adapter in chosen}
    for name in implementations.names():
        with contextlib.suppress(Unavailable):  # a broken one is told of elsewhere
            if name not in known:
                known[name] = plugins.installed(name).framework
    try:
        return interpreters.parse_overrides(given, list(dict.fromkeys([*known, *known.values()])))
    except ValueError as error:
        raise UnreadableInput("xent", None, str(error)) from None


def chosen(only: Sequence[str] | None, modules: Sequence[str]) -> tuple[list[Implementation], list[Column]]:
    """The adapters to run, longest first, and a column for each that was asked for and doesn't import.

    Raises:
        UnreadableInput: an id that there is not. Nothing runs.
        Unavailable: nothing that was asked for imports.
    """
    named = _named(modules, implementations.names())
    available = [*implementations.names(), *named]
    by_module = {module: id for id, (module, _) in named.items()}
    wanted = available if only is None else list(dict.fromkeys(by_module.get(name, name) for name in only))
    found: list[Implementation] = []
    broken: list[Unavailable] = []
    for name in wanted:
        if name not in available:
            close = difflib.get_close_matches(name, available, n=1)
            remedy = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(available)}."
            raise UnreadableInput("--only", None, f"no implementation is called {name!r}", remedy)
        try:
            adapter = named[name][1] if name in named else plugins.installed(name)
        except Unavailable as error:
            adapter = error
        if isinstance(adapter, Unavailable):
            broken.append(adapter)
        else:
            found.append(adapter)
    if broken and not found:
        raise broken[0]
    return longest_first(found), [not_run(one.implementation, "-", _why(one)) for one in broken]


def _why(error: Unavailable) -> str:
    return error.reason + (f". {error.remedy}" if error.remedy else "")


def _named(modules: Sequence[str], taken: Sequence[str]) -> dict[str, tuple[str, Implementation | Unavailable]]:
    """The plug-ins that the user named, by id: the module, and what it is or why it can't be loaded.

    One whose NAME is another's goes by its module path.
    """
    found: dict[str, tuple[str, Implementation | Unavailable]] = {}
    for module in dict.fromkeys(modules):
        try:
            adapter = plugins.named(module, os.getcwd())
        except Unavailable as error:
            found[module] = (module, error)
            continue
        adapter = plugins.apart(adapter, (*taken, *found))
        found[adapter.id] = (module, adapter)
    return found


def asked_for(modules: Sequence[str], chosen: Sequence[Implementation], broken: Sequence[Column]) -> set[str]:
    """The ids of the plug-ins that the user named."""
    ids = {adapter.id for adapter in chosen if adapter.module in modules}
    return ids | {column.id for column in broken if column.id in modules}

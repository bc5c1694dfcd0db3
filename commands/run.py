"""`xent run` and `xent report`: plan, run, judge, write."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xent import adapters
from xent.conformance.cases import vectors
from xent.conformance.evidence import columns, results
from xent.conformance.evidence.columns import Column
from xent.conformance.protocol.case import Case
from xent.conformance.report import console as terminals
from xent.conformance.report import escape, files, model, terminal
from xent.conformance.report.console import Console
from xent.conformance.running import ending, folder, interpreters, plugins, supervisor, together
from xent.conformance.running.plugins import Adapter
from xent.errors import Unavailable, UnreadableInput

# Longest first, so that two cores are busy to the end.
_ORDER = (
    "mint-jit", "mindspore", "mint", "mindspore+xent", "mint+xent", "oneflow", "oneflow+xent", "torch", "torch+xent",
    "numpy",
)  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Runs what the options of `xent run` ask for. Returns the exit code."""
    console = terminals.make(stderr=True)
    chosen, broken = _chosen(options.only, options.adapter)
    settings = together.Settings(overrides(options.python, chosen), options.timeout, options.jobs)
    cases = vectors.cases(options.vectors)
    out = Path(options.out)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending.as_interrupts())
        try:
            stack.enter_context(folder.held(out))
        except Unavailable as error:
            console.print(escape.message(f"xent: {error}"), soft_wrap=True)
            return 3
        files.check(out)
        results_folder, moved = folder.begin(out, cases, [adapter.id for adapter in chosen], options.replace)
        if moved is not None:
            console.print(f"earlier evidence, of another case set, is in {escape.line(moved)}", soft_wrap=True)
        words = f"{len(cases)} cases on {len(chosen)} implementations, results in {escape.line(results_folder)}"
        console.print(words, soft_wrap=True)
        bars = _Bars(console, chosen, len(cases))
        found = together.run_all(chosen, cases, results_folder, settings, bars, lambda: bars.bars)
        found = [*sorted(found, key=lambda column: _display_order(column.id)), *broken]
        report = _finish(cases, found, out, console, as_json=options.json)
        asked = {column.id for column in found} if options.only is not None else _asked(options.adapter, chosen, broken)
        code = _exit_code(report, found, options.check, asked)
        if code != 3:
            folder.finish(out)
    return code


def report(options: argparse.Namespace) -> int:
    """Judges and merges the results files that the options of `xent report` name. Returns the exit code."""
    console = terminals.make(stderr=True)
    files.check(Path(options.out))
    read = [results.read(path) for path in options.files]
    found = sorted(columns.of_evidence(read), key=lambda column: _display_order(column.id))
    cases = columns.cases_of(read, options.vectors)
    merged = _finish(cases, found, Path(options.out), console, as_json=options.json)
    for line in _other_adapters(found):
        console.print(escape.line(line), soft_wrap=True)
    return _exit_code(merged, found, options.check, set())


def overrides(given: Sequence[str], chosen: Sequence[Adapter] = ()) -> dict[str, str]:
    """What ``--python`` names, by implementation or framework. Raises UnreadableInput for another form or name."""
    known = {adapter.id: adapter.framework for adapter in chosen}
    for name in adapters.names():
        with contextlib.suppress(Unavailable):  # a broken one is told of elsewhere
            if name not in known:
                known[name] = plugins.installed(name).framework
    try:
        return interpreters.parse_overrides(given, list(dict.fromkeys([*known, *known.values()])))
    except ValueError as error:
        raise UnreadableInput("xent", None, str(error)) from None


def _chosen(only: Sequence[str] | None, modules: Sequence[str]) -> tuple[list[Adapter], list[Column]]:
    """The adapters to run, longest first, and a column for each that was asked for and doesn't import.

    Raises:
        UnreadableInput: an id that there is not. Nothing runs.
        Unavailable: nothing that was asked for imports.
    """
    named = _named(modules, adapters.names())
    available = [*adapters.names(), *named]
    by_module = {module: id for id, (module, _) in named.items()}
    wanted = available if only is None else list(dict.fromkeys(by_module.get(name, name) for name in only))
    found: list[Adapter] = []
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
    rank = {name: place for place, name in enumerate(_ORDER)}
    columns_of_broken = [Column(one.implementation, one.implementation, "-", None, _why(one)) for one in broken]
    return sorted(found, key=lambda adapter: rank.get(adapter.id, -1)), columns_of_broken


def _why(error: Unavailable) -> str:
    return error.reason + (f". {error.remedy}" if error.remedy else "")


def _named(modules: Sequence[str], taken: Sequence[str]) -> dict[str, tuple[str, Adapter | Unavailable]]:
    """The plug-ins that the user named, by id: the module, and what it is or why it can't be loaded.

    One whose NAME is another's goes by its module path.
    """
    found: dict[str, tuple[str, Adapter | Unavailable]] = {}
    for module in dict.fromkeys(modules):
        try:
            adapter = plugins.named(module, os.getcwd())
        except Unavailable as error:
            found[module] = (module, error)
            continue
        adapter = plugins.apart(adapter, (*taken, *found))
        found[adapter.id] = (module, adapter)
    return found


class _Bars:
    """A progress bar for each implementation; where the console is no terminal, lines."""

    def __init__(self, console: Console, chosen: Sequence[Adapter], planned: int) -> None:
        self.bars = terminals.progress(console)
        self._console = console
        self._tasks = {
            one.id: self.bars.add_task("", start=False, name=escape.line(one.id, escape.NAME), total=planned)
            for one in chosen
        }

    def say(self, implementation: str, line: str) -> None:
        self.bars.start_task(self._tasks[implementation])
        self.bars.update(self._tasks[implementation], description=escape.line(line))
        if not self._console.is_terminal:
            self._console.print(escape.line(f"{implementation}: {line}"), soft_wrap=True)

    def follow(self, event: supervisor.Event) -> None:
        self.bars.update(self._tasks[event.implementation], completed=event.done, total=event.planned, description="")


def _display_order(name: str) -> tuple[int, str, bool]:
    """torch first, its portable loss beside it, and so on; the oracle last."""
    order = ("torch", "mint", "mint-jit", "mindspore", "oneflow", "numpy")
    native = name.removesuffix("+xent")
    return (order.index(native) if native in order else len(order), native, name != native)


def _finish(
    cases: Sequence[Case], found: Sequence[Column], out: Path, console: Console, *, as_json: bool
) -> dict[str, Any]:
    """Judges, writes the report's files, prints the matrix (or the JSON, on stdout)."""
    verdicts = columns.judge_columns(cases, found)
    implementations = [columns.describe(column) for column in found]
    not_run = [(column.label, column.reason) for column in found if column.results is None]
    report = model.assemble(cases, implementations, verdicts, not_run, columns.find_flaws(cases, found))
    page = files.write(report, out)
    if as_json:
        print(escape.to_json(report))
    else:
        terminal.show(report, console)
    console.print(f"report: {escape.line(page)}", soft_wrap=True)
    return report


def _other_adapters(found: Sequence[Column]) -> Iterator[str]:
    """Where xent's own adapter is another here than the one that made the evidence; it changes no verdict."""
    for column in found:
        source = column.results.header.adapter if column.results else None
        if source is None or column.id not in adapters.names() or source.module != adapters.module_path(column.id):
            continue
        if (
            source.module.startswith("xent.adapters.")
            and adapters.source_digest(adapters.load(column.id)) != source.sha256
        ):
            yield f"{column.label}: made by another version of its adapter than the one here, which changes no verdict"


def _asked(modules: Sequence[str], chosen: Sequence[Adapter], broken: Sequence[Column]) -> set[str]:
    """The ids of the plug-ins that the user named."""
    ids = {adapter.id for adapter in chosen if adapter.module in modules}
    return ids | {column.id for column in broken if column.id in modules}


def _exit_code(report: Mapping[str, Any], found: Sequence[Column], check: bool, asked: set[str]) -> int:
    """3 where nothing ran, evidence is incomplete, or (without --check) what was asked for by name did not run."""
    ran = [column.results for column in found if column.results is not None]
    if not ran or not all(evidence.complete for evidence in ran):
        return 3
    if check and not model.accepted(report):
        return 1
    return 3 if any(column.results is None and column.id in asked for column in found) else 0

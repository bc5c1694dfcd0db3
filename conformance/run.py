"""`xent run` and `xent report`: plan, run, judge, write.

A run's folder holds `results/ID.jsonl` (the evidence), `cases.safetensors` (what was asked), `report.json`,
`index.html`, `report.md` and `junit.xml`. While a run is under way it also holds `run.json`; a run that finds that
resumes.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from xent import adapters
from xent.conformance import interpreters, judge, results, runner, transport, vectors
from xent.conformance.case import Case, digest
from xent.conformance.report import files, model, terminal
from xent.errors import Unavailable, UnreadableInput

# Longest first, so that two cores are busy to the end.
_ORDER = (
    "mint-jit", "mindspore", "mint", "mindspore+xent", "mint+xent", "oneflow", "oneflow+xent", "torch", "torch+xent",
    "numpy",
)  # fmt: skip
_MARKER = "run.json"


@dataclass(frozen=True)
class Column:
    """One implementation of a report: its adapter and either its evidence or the reason why there is none."""

    id: str
    adapter: ModuleType
    results: results.Results | None
    reason: str = ""


def run(options: argparse.Namespace) -> int:
    """Runs what the options of `xent run` ask for. Returns the exit code."""
    console = Console(stderr=True, highlight=False)
    chosen, broken = _chosen(options.only, options.adapter)
    named = overrides(options.python, chosen)
    cases = _cases(options.vectors)
    out = Path(options.out)
    folder = _begin(out, cases, list(chosen))
    console.print(f"{len(cases)} cases on {len(chosen)} implementations, results in {folder}")
    columns = _run_all(chosen, named, cases, folder, options, console)
    report = _finish(cases, [*columns, *broken], out, console, as_json=options.json)
    _clear(out / _MARKER)
    return _exit_code(report, columns, options.check)


def report(options: argparse.Namespace) -> int:
    """Judges and merges the results files that the options of `xent report` name. Returns the exit code."""
    console = Console(stderr=True, highlight=False)
    found = [results.read(path) for path in options.files]
    seen: dict[str, Path] = {}
    for evidence in found:
        name = results.implementation_id(evidence.header)
        if name in seen:
            problem = f"a second file of {name}, after {seen[name]}"
            raise UnreadableInput(evidence.path, None, problem, "Give one file an implementation, device and version.")
        seen[name] = evidence.path
    cases = _cases_of(found, options.vectors)
    columns = [_evidence_column(name, evidence) for name, evidence in zip(seen, found, strict=True)]
    merged = _finish(cases, columns, Path(options.out), console, as_json=options.json)
    return _exit_code(merged, columns, options.check)


def overrides(given: Sequence[str], chosen: Mapping[str, ModuleType] | None = None) -> dict[str, str]:
    """What ``--python`` names, by implementation or framework. Raises UnreadableInput for another form or name."""
    loaded = dict(chosen or {})
    for name in adapters.names():
        with contextlib.suppress(Unavailable):  # a broken one is told of elsewhere
            loaded.setdefault(name, adapters.load(name))
    known = list(dict.fromkeys([*loaded, *(module.FRAMEWORK for module in loaded.values())]))
    try:
        return interpreters.parse_overrides(given, known)
    except ValueError as error:
        raise UnreadableInput("xent", None, str(error)) from None


def judge_columns(cases: Sequence[Case], columns: Sequence[Column]) -> list[judge.Verdict]:
    """One verdict for each case and implementation; a column without evidence gives "no evidence" with its reason."""
    return judge.judge_all(
        cases,
        {column.id: column.results.by_case if column.results else {} for column in columns},
        {column.id: column.adapter.capabilities for column in columns},
        {column.id: _absence(column) for column in columns},
    )


def built_in_cases() -> list[Case]:
    """The documents' examples and the standard cases."""
    from xent.conformance import standard

    return [*vectors.document_vectors(), *standard.cases()]


def load_columns(folder: Path) -> list[Column]:
    """The evidence in a run's folder, for `xent show`."""
    found = sorted((folder / "results").glob("*.jsonl"))
    if not found:
        raise UnreadableInput(
            folder, None, "holds no results", "Run `xent run` first, or name another folder with --in."
        )
    read = [results.read(path) for path in found]
    return [_evidence_column(results.implementation_id(evidence.header), evidence) for evidence in read]


def load_cases(folder: Path) -> list[Case]:
    """The cases of a run's folder."""
    path = folder / "cases.safetensors"
    if not path.is_file():
        raise UnreadableInput(path, None, "does not exist", "Run `xent run` first, or name another folder with --in.")
    return transport.read(path)


def _chosen(only: Sequence[str] | None, modules: Sequence[str]) -> tuple[dict[str, ModuleType], list[Column]]:
    """The adapters to run by id, longest first, and a column for each installed one that doesn't import.

    Raises:
        UnreadableInput: an id that there is not. Nothing runs.
        Unavailable: one that the user named doesn't import.
    """
    available = [*adapters.names(), *modules]
    wanted = available if only is None else list(dict.fromkeys(only))
    loaded: dict[str, ModuleType] = {}
    broken: list[Column] = []
    for name in wanted:
        if name not in available:
            close = difflib.get_close_matches(name, available, n=1)
            remedy = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(available)}."
            raise UnreadableInput("--only", None, f"no implementation is called {name!r}", remedy)
        try:
            with _user_modules(name in modules):
                loaded[name] = adapters.load(name)
        except Unavailable as error:
            if only is not None or name in modules:
                raise
            broken.append(Column(name, _stranger(name), None, error.reason))
    rank = {name: place for place, name in enumerate(_ORDER)}
    return dict(sorted(loaded.items(), key=lambda item: rank.get(item[0], -1))), broken


@contextlib.contextmanager
def _user_modules(user: bool) -> Iterator[None]:
    """A plug-in module may stand in the folder that the command was started in."""
    if user and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    yield


def _cases(paths: Sequence[str]) -> list[Case]:
    """The cases of the vector files, or, where none is named, the documents' and the standard ones."""
    if not paths:
        return built_in_cases()
    found = [case for path in paths for case in vectors.read(path)]
    seen: set[str] = set()
    for case in found:
        if case.id in seen:
            raise UnreadableInput(", ".join(paths), case.id, "this id stands in two files", "Rename one of the two.")
        seen.add(case.id)
    return found


def _cases_of(found: Sequence[results.Results], paths: Sequence[str]) -> list[Case]:
    """The case set that results files speak about: named, or beside the first file, or built in; told by its digest."""
    wanted = {evidence.header["case_set"]["sha256"] for evidence in found}
    if len(wanted) > 1:
        rows = "; ".join(f"{evidence.path}: {evidence.header['case_set']['sha256'][:12]}" for evidence in found)
        raise UnreadableInput(
            found[1].path,
            "header",
            f"the files are of different case sets ({rows})",
            "Run them again with one version of xent.",
        )
    (sha,) = wanted
    candidates = [] if paths else [evidence.path.resolve().parent.parent / "cases.safetensors" for evidence in found]
    for path in candidates:
        if path.is_file():
            cases = transport.read(path)
            if digest(cases) == sha:
                return cases
    cases = _cases(paths)
    if digest(cases) != sha:
        problem = f"its case set {sha[:12]} is neither the built-in one nor beside the file"
        remedy = "Name the vector files of the run with --vectors, or use the version of xent that made it."
        raise UnreadableInput(found[0].path, "header", problem, remedy)
    return cases


def _begin(out: Path, cases: Sequence[Case], ids: Sequence[str]) -> Path:
    """Makes the folder ready. A marker of the same run means: resume; else evidence of an earlier run is removed."""
    folder = out / "results"
    plan = {"case_set": digest(cases), "implementations": sorted(ids)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        marker = out / _MARKER
        if _read_marker(marker) != plan:
            for old in [*folder.glob("*.jsonl"), *folder.glob("*.jsonl.partial")]:
                old.unlink()
            transport.write(out / "cases.safetensors", cases)
            transport.write_atomically(marker, json.dumps(plan).encode())
    except OSError as error:
        raise UnreadableInput(
            out, None, f"can't be written ({error.strerror})", "Name another folder with --out."
        ) from error
    return folder


def _read_marker(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _clear(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _run_all(
    chosen: Mapping[str, ModuleType],
    named: Mapping[str, str],
    cases: Sequence[Case],
    folder: Path,
    options: argparse.Namespace,
    console: Console,
) -> list[Column]:
    """Every implementation, `jobs` at a time; what one can't do never stops another."""
    jobs = options.jobs or os.cpu_count() or 1
    stop = threading.Event()
    progress = Progress(
        TextColumn("{task.fields[name]:<10}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.description}"), console=console,
    )  # fmt: skip

    def one(name: str, adapter: ModuleType) -> Column:
        task = progress.add_task("", name=name, total=len(cases))

        def say(line: str) -> None:
            told = line.removeprefix(f"{name}: ")
            progress.update(task, description=told)
            if not console.is_terminal:
                console.print(f"{name}: {told}", soft_wrap=True)

        def follow(event: runner.Event) -> None:
            progress.update(task, completed=event.done, total=event.planned, description="")

        try:
            found = interpreters.resolve(name, adapter.FRAMEWORK, named, say)
            say(f"starts in {found.path}" if found.how == "named" else "starts")
            implementation = runner.Implementation(name, adapter.__name__)
            evidence = runner.run_worker(
                implementation, found, cases, folder, options.timeout, follow, reuse=True, stop=stop
            )
        except Unavailable as error:
            say("not run")
            return Column(name, adapter, None, f"{error.reason}" + (f". {error.remedy}" if error.remedy else ""))
        say("done")
        return Column(name, adapter, evidence)

    with progress, ThreadPoolExecutor(max_workers=jobs) as pool:
        tasks = {name: pool.submit(one, name, adapter) for name, adapter in chosen.items()}
        try:
            columns = {name: task.result() for name, task in tasks.items()}
        except BaseException:  # Ctrl-C, or an error of ours: the workers must not outlive it
            stop.set()
            for task in tasks.values():
                task.cancel()
            raise
    return [columns[name] for name in sorted(columns, key=_display_order)]


def _display_order(name: str) -> tuple[int, str, bool]:
    """torch first, its portable loss beside it, and so on; the oracle last."""
    order = ("torch", "mint", "mint-jit", "mindspore", "oneflow", "numpy")
    native = name.removesuffix("+xent")
    return (order.index(native) if native in order else len(order), native, name != native)


def _evidence_column(name: str, evidence: results.Results) -> Column:
    try:
        adapter = adapters.load(name)
    except Unavailable:
        adapter = _stranger(name)
    return Column(name, adapter, evidence)


def _stranger(name: str) -> ModuleType:
    """In the place of an adapter that isn't here: its evidence is judged by the specification alone."""
    adapter = ModuleType(name)
    adapter.__dict__.update(NAME=name, capabilities=adapters.Capabilities())
    return adapter


def _absence(column: Column) -> str:
    """Why a case of this column may have no record."""
    if column.results is None:
        return f"not run: {column.reason}"
    if sample := getattr(column.adapter, "SAMPLE", None):
        return f"not in the sample of cases that it runs (tag {sample})"
    return "no record in the results file"


def _finish(
    cases: Sequence[Case], columns: Sequence[Column], out: Path, console: Console, *, as_json: bool
) -> dict[str, Any]:
    """Judges, writes the report's files, prints the matrix (or the JSON, on stdout)."""
    verdicts = judge_columns(cases, columns)
    implementations = [_implementation(column) for column in columns]
    not_run = [(column.id, column.reason) for column in columns if column.results is None]
    report = model.assemble(cases, implementations, verdicts, not_run)
    page = files.write(report, out)
    if as_json:
        json.dump(report, sys.stdout)
    else:
        terminal.show(report, console)
    console.print(f"report: {page}")
    return report


def _implementation(column: Column) -> dict[str, Any]:
    if column.results is None:
        mode = getattr(column.adapter, "MODE", "eager")
        return {
            "id": column.id,
            "name": column.adapter.NAME,
            "version": "not run",
            "device": "-",
            "mode": mode,
            "kernels": "-",
        }
    return dict(column.results.header["implementation"])


def _exit_code(report: Mapping[str, Any], columns: Sequence[Column], check: bool) -> int:
    ran = [column.results for column in columns if column.results is not None]
    if not ran or not all(evidence.complete for evidence in ran):
        return 3
    return 1 if check and not model.accepted(report) else 0

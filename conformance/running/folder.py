"""A run's folder: held by one run at a time, resumed, and never emptied of what isn't this run's to replace.

It holds `results/ID.jsonl` (the evidence), `cases.safetensors` (what was asked) and the report's files. While a run is
under way, and after one that could not be completed, it also holds `run.json`, which says what was planned.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xent.conformance.evidence import record_json, results
from xent.conformance.evidence.columns import CASES
from xent.conformance.files import strict_json
from xent.conformance.files.atomic import write_atomically
from xent.conformance.files.strict_json import Place
from xent.conformance.protocol import case_file, limits
from xent.conformance.protocol.case import Case, digest
from xent.errors import Unavailable, UnreadableInput

MARKER = "run.json"
_SCHEMA = "xent-run/1"
_LOCK = ".lock"
_REPORT = ("report.json", "report.md", "junit.xml", "index.html")


@dataclass(frozen=True)
class Plan:
    """What a run is to do: the digest of its cases, and the ids of its implementations, sorted."""

    case_set: str
    implementations: tuple[str, ...]


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """The folder, made if it isn't there, for this run alone. The lock ends with the process, however that ends.

    Raises:
        Unavailable: another run has it.
        UnreadableInput: it can't be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise _cannot_write(out, error) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnreadableInput(out / _LOCK, None, "is no file", "Remove it, or choose another folder with --out.")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            by = f" (process {who})" if who.isdecimal() else ""
            remedy = "Wait for its end, or choose another folder with --out."
            raise Unavailable(str(out), f"another run is using this folder{by}", remedy) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        except OSError as error:
            raise _cannot_write(out, error) from error
        yield
    finally:
        os.close(descriptor)


def begin(out: Path, cases: Sequence[Case], ids: Sequence[str], replace: bool) -> tuple[Path, Path | None]:
    """Makes a held folder ready for a run.

    Args:
        replace: moves evidence of another case set aside, where it would have to be overwritten.

    Returns:
        The folder of the results, and where earlier evidence was moved; None where none was.

    Raises:
        UnreadableInput: the folder holds evidence of another case set, or something else under a name that this run
            needs; or it can't be written.
    """
    folder = out / "results"
    plan = Plan(digest(cases), tuple(sorted(ids)))
    try:
        folder.mkdir(exist_ok=True)
        in_the_way = _in_the_way(out, folder, plan)
        moved = None
        if in_the_way:
            if not replace:
                raise _refusal(out, in_the_way)
            moved = _move_aside(out, [path for path, _ in in_the_way])
        earlier = _read_marker(out / MARKER)
        if earlier != plan or not (out / CASES).exists():
            _write_cases(out / CASES, cases, plan.case_set)
            content = {"schema": _SCHEMA, "case_set": plan.case_set, "implementations": list(plan.implementations)}
            write_atomically(out / MARKER, strict_json.dumps(content).encode())
    except ValueError as error:
        if isinstance(error, UnreadableInput):
            raise
        raise UnreadableInput(out, "cases", str(error), "Run fewer of them at a time.") from error
    except OSError as error:
        raise _cannot_write(out, error) from error
    return folder, moved


def finish(out: Path) -> None:
    """The run is complete: its marker goes."""
    with contextlib.suppress(OSError):
        (out / MARKER).unlink()


def _in_the_way(out: Path, folder: Path, plan: Plan) -> list[tuple[Path, str]]:
    """What this run would overwrite, or leave without its cases, and mustn't: (path, why)."""
    found = []
    for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.partial")]):
        id = path.name.removesuffix(".partial").removesuffix(".jsonl")
        try:
            sha = _case_set_of(path)
        except UnreadableInput as error:
            if id in plan.implementations and path.suffix == ".jsonl":
                found.append((path, f"is no results file ({error.problem})"))
            continue  # a stranger's file, or one that its writer didn't get to begin
        if sha != plan.case_set:
            found.append((path, f"is evidence of another case set ({sha[:12]})"))
    path = out / CASES
    if path.exists() or path.is_symlink():
        try:
            sha = digest(case_file.read(path))
        except UnreadableInput as error:
            found.append((path, f"is no case file of this version ({error.problem})"))
        else:
            if sha != plan.case_set and found:
                found.append((path, f"holds another case set ({sha[:12]})"))
    return found


def _case_set_of(path: Path) -> str:
    """The digest in a results file's header, which is all that is read."""
    with results.open_results(path) as file:
        line = file.readline(limits.HEADER)
    if not line.endswith(b"\n"):
        raise UnreadableInput(path, None, "its first line has no end")
    return record_json.header(results.parse(line, Place(path, "line 1")), Place(path, "line 1")).case_set.sha256


def _refusal(out: Path, in_the_way: Sequence[tuple[Path, str]]) -> UnreadableInput:
    shown = "\n  ".join(f"{path.relative_to(out)} {why}" for path, why in in_the_way[:10])
    more = f"\n  and {len(in_the_way) - 10} more" if len(in_the_way) > 10 else ""
    problem = f"holds what this run must not overwrite:\n  {shown}{more}\n"
    remedy = "Choose another folder with --out, or move it aside with --replace."
    return UnreadableInput(out, None, problem, remedy)


def _move_aside(out: Path, paths: Sequence[Path]) -> Path:
    """Moves these, and the report and marker that belong to them, into a new folder of the run's folder."""
    now = datetime.datetime.now().strftime("%Y%m%dT%H%M%S")
    number, target = 1, out / f"replaced-{now}"
    while target.exists():
        number, target = number + 1, out / f"replaced-{now}-{number}"
    target.mkdir()
    for path in [*paths, *(out / name for name in (*_REPORT, MARKER, CASES))]:
        if path.is_symlink() or path.exists():
            aside = target / path.relative_to(out)
            aside.parent.mkdir(parents=True, exist_ok=True)
            path.rename(aside)
    return target


def _write_cases(path: Path, cases: Sequence[Case], sha: str) -> None:
    """Writes the cases that can be shipped, unless they are there already."""
    with contextlib.suppress(UnreadableInput):
        if digest(case_file.read(path)) == sha:
            return
    case_file.write(path, cases)


def _read_marker(path: Path) -> Plan | None:
    """What an earlier run planned; None where there is no marker. Raises UnreadableInput for anything else there."""
    if not path.exists() and not path.is_symlink():
        return None
    try:
        place = Place(path)
        content = strict_json.load(path, "the marker of a run")
        if isinstance(content, dict) and "schema" not in content:  # as written before there was a schema
            content = {"schema": _SCHEMA, **content}
        fields = place.fields(content, ("schema", "case_set", "implementations"))
        place.key("schema").choice(fields["schema"], (_SCHEMA,))
        at = place.key("implementations")
        ids = [at.item(i).string(id, limits.NAME) for i, id in enumerate(at.items(fields["implementations"], 1000))]
        return Plan(place.key("case_set").string(fields["case_set"], limits.NAME), tuple(ids))
    except UnreadableInput as error:
        place_in = None if error.place is None else error.place
        remedy = "No run of xent wrote it so. Remove it, or choose another folder with --out."
        raise UnreadableInput(path, place_in, error.problem, remedy) from error


def _cannot_write(out: Path, error: OSError) -> UnreadableInput:
    return UnreadableInput(out, None, f"can't be written ({error.strerror})", "Name another folder with --out.")

"""A run's folder loses nothing: interrupted, doubled, starved, or given to another run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from command import VECTOR, lines, plugin, start, vectors, wait_until, workers, xent

COUNTING = """
_evaluate = evaluate
_begun = [open({log!r}).read().count("x")]
def evaluate(spec, input, target, *, gradient):
    while _begun[0] >= int(open({allowed!r}).read() or 0):
        time.sleep(0.01)
    _begun[0] += 1
    with open({log!r}, "a") as file:
        file.write("x\\n")
    found = _evaluate(spec, input, target, gradient=gradient)
    return Evaluation(found.value, found.gradient, casts=("long " * 50,) * 20)  # records that fill a disk
"""
LONGER = {**VECTOR, "id": "mine/other", "input": {"dtype": "float32", "data": [[0.0, 0.0, 0.0]]}}
LONGER["expected"] = None


@pytest.fixture
def two_sets(tmp_path: Path) -> tuple[str, str]:
    """Vector files of two case sets."""
    return vectors(tmp_path / "one.json"), vectors(tmp_path / "two.json", LONGER)


def content(folder: Path) -> dict[str, bytes]:
    """All but the lock, in which the last run's process stands."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_evidence_of_another_case_set_stays_until_it_is_moved_aside(tmp_path, two_sets):
    one, two = two_sets
    assert xent("run", "--only", "numpy", "--vectors", one, "--out", "out", cwd=tmp_path).returncode == 0
    before = content(tmp_path / "out")
    for only in ("numpy", "torch"):  # also of an implementation that the new run doesn't have
        refused = xent("run", "--only", only, "--vectors", two, "--out", "out", cwd=tmp_path)
        assert refused.returncode == 2
        assert "results/numpy.jsonl is evidence of another case set" in refused.stderr
        assert "--out" in refused.stderr
        assert "--replace" in refused.stderr
        assert content(tmp_path / "out") == before
    done = xent("run", "--only", "numpy", "--vectors", two, "--out", "out", "--replace", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (aside,) = (tmp_path / "out").glob("replaced-*")
    assert str(aside.name) in done.stderr
    for name in ("results/numpy.jsonl", "cases.safetensors", "report.json", "index.html"):
        assert (aside / name).read_bytes() == before[name]
    assert "mine/other" in (tmp_path / "out/results/numpy.jsonl").read_text()


def test_a_strangers_files_are_left_alone(tmp_path, two_sets):
    results = tmp_path / "out" / "results"
    results.mkdir(parents=True)
    (results / "thesis.jsonl").write_text("chapter one\n")
    (results / "notes.txt").write_text("notes\n")
    (tmp_path / "out" / "mine.html").write_text("mine\n")
    for vectors_file, replace in ((two_sets[0], []), (two_sets[1], ["--replace"])):
        run = ["run", "--only", "numpy", "--vectors", vectors_file, "--out", "out", *replace]
        assert xent(*run, cwd=tmp_path).returncode == 0
        assert (results / "thesis.jsonl").read_text() == "chapter one\n"
        assert (results / "notes.txt").read_text() == "notes\n"
        assert (tmp_path / "out" / "mine.html").read_text() == "mine\n"


def test_what_is_no_results_file_is_not_written_over(tmp_path, two_sets):
    results = tmp_path / "out" / "results"
    results.mkdir(parents=True)
    (results / "numpy.jsonl").write_text("chapter one\n")
    refused = xent("run", "--only", "numpy", "--vectors", two_sets[0], "--out", "out", cwd=tmp_path)
    assert refused.returncode == 2
    assert "results/numpy.jsonl is no results file" in refused.stderr
    assert (results / "numpy.jsonl").read_text() == "chapter one\n"


@pytest.mark.parametrize("name", ["report.json", "report.md", "junit.xml", "index.html"])
def test_a_strangers_report_is_not_written_over(tmp_path, two_sets, name):
    run = ["run", "--only", "numpy", "--vectors", two_sets[0], "--out", "out"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("my own page\n")
    report = ["report", "other/results/numpy.jsonl", "--out", "out"]
    assert xent(*run[:-1], "other", cwd=tmp_path).returncode == 0
    for command in (run, report):
        refused = xent(*command, cwd=tmp_path)
        assert refused.returncode == 2
        assert f"holds {name}, which is none of xent's own" in refused.stderr
    assert (tmp_path / "out" / name).read_text() == "my own page\n"
    (tmp_path / "out" / name).unlink()
    for command in (run, report, run):
        assert xent(*command, cwd=tmp_path).returncode == 0


def test_a_run_that_fails_takes_no_earlier_evidence_along(tmp_path, two_sets):
    run = ["run", "--only", "numpy", "--vectors", two_sets[0], "--out", "out"]
    assert xent(*run, cwd=tmp_path).returncode == 0
    before = (tmp_path / "out/results/numpy.jsonl").read_bytes()
    failed = xent(*run, "--python", "numpy=/nonexistent", cwd=tmp_path)
    assert failed.returncode == 3
    assert (tmp_path / "out/results/numpy.jsonl").read_bytes() == before


def test_evidence_of_another_adapter_is_kept_aside(tmp_path, two_sets):
    run = ["run", "--adapter", "mine", "--only", "mine", "--vectors", two_sets[0], "--out", "out"]
    plugin(tmp_path, "mine")
    assert xent(*run, cwd=tmp_path).returncode == 0
    first = (tmp_path / "out/results/mine.jsonl").read_bytes()
    again = xent(*run, cwd=tmp_path)
    assert again.returncode == 0
    assert (tmp_path / "out/results/mine.jsonl").read_bytes() == first, "the same plan is not run again"
    assert "1 of 1 cases are recorded already, by the run of 20" in again.stderr
    plugin(tmp_path, "mine", body="# another version")
    done = xent(*run, cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "out/results/mine.jsonl").read_bytes() != first
    (kept,) = (tmp_path / "out/results/replaced").iterdir()
    assert kept.read_bytes() == first
    assert kept.name in done.stderr


def test_an_implementation_that_was_asked_for_and_did_not_run_is_no_success(tmp_path, two_sets):
    run = ["run", "--vectors", two_sets[0], "--out", "out", "--python", "torch=/nonexistent"]
    done = xent(*run, "--only", "torch,numpy", cwd=tmp_path)
    assert done.returncode == 3
    assert "no such interpreter" in done.stderr
    assert (tmp_path / "out/run.json").is_file(), "what was planned is not complete"
    assert (tmp_path / "out/report.json").is_file(), "the others are reported"
    assert xent(*run, "--only", "torch,numpy", "--check", cwd=tmp_path).returncode == 1


def test_two_runs_do_not_share_a_folder(tmp_path):
    plugin(tmp_path, "slow", wait=0.1)
    path = vectors(tmp_path / "my.json", count=40)
    run = ["run", "--adapter", "slow", "--only", "slow", "--vectors", path, "--out", "out"]
    first = start(*run, cwd=tmp_path)
    wait_until(lambda: lines(tmp_path / "out/results/slow.jsonl.partial") > 3)
    second = xent(*run, cwd=tmp_path)
    assert second.returncode == 3
    assert f"another run is using this folder (process {first.pid})" in second.stderr
    assert "--out" in second.stderr
    assert (tmp_path / "out/run.json").is_file()
    _, told = first.communicate(timeout=60)
    assert first.returncode == 0, told
    assert lines(tmp_path / "out/results/slow.jsonl") == 42


@pytest.mark.parametrize("name", ["results/numpy.jsonl.partial", "cases.safetensors", "run.json", "report.json"])
def test_nothing_is_written_through_a_link(tmp_path, two_sets, name):
    (tmp_path / "out/results").mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_text("precious\n")
    (tmp_path / "out" / name).symlink_to(precious)
    done = xent("run", "--only", "numpy", "--vectors", two_sets[0], "--out", "out", cwd=tmp_path)
    assert precious.read_text() == "precious\n"
    assert done.returncode in (0, 2, 3), done.stderr


@pytest.mark.parametrize(
    "marker",
    [b"", b"null", b"[" * 100_000, b'{"case_set": 3, "implementations": []}', b'{"a": "\\ud800"}', b"\xff\xfe", b"{}"],
)
def test_a_marker_that_no_run_wrote_is_one_clear_error(tmp_path, two_sets, marker):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/run.json").write_bytes(marker)
    done = xent("run", "--only", "numpy", "--vectors", two_sets[0], "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "run.json" in done.stderr
    assert "Remove it, or choose another folder with --out" in done.stderr


ESCAPING = """
_evaluate = evaluate
def evaluate(spec, input, target, *, gradient):
    with open({log!r}, "a") as file:
        for double in (False, True):
            child = os.fork()
            if child == 0:
                os.setsid()
                if double and os.fork():
                    os._exit(0)
                file.write(f"{{os.getpid()}}\\n")
                file.flush()
                time.sleep(1000)
    return _evaluate(spec, input, target, gradient=gradient)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("end", [None, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_all_that_a_run_started_ends_with_it_on_every_way_out(tmp_path, end):
    log = tmp_path / "log"
    plugin(tmp_path, "escapes", ESCAPING.format(log=str(log)), wait=0.0 if end is None else 0.2)
    path = vectors(tmp_path / "my.json", count=5 if end is None else 60)
    run = ["run", "--adapter", "escapes", "--only", "escapes", "--vectors", path, "--out", "out"]
    process = start(*run, cwd=tmp_path)
    wait_until(lambda: lines(log) >= 8)
    if end is not None:
        process.send_signal(end)
    _, told = process.communicate(timeout=60)
    assert "Traceback" not in told
    assert process.returncode == {None: 0, signal.SIGKILL: -9}.get(end, 3), told
    pids = [int(line) for line in log.read_text().split()]
    wait_until(lambda: not any(map(alive, pids)), seconds=15)
    if end is not signal.SIGKILL:
        assert not list((tmp_path / "out/results").glob(".*work*")), "a work folder was left"
    if end is not None:
        assert (tmp_path / "out/run.json").is_file()
        plugin(tmp_path, "escapes", ESCAPING.format(log=str(log)), wait=0.2)
        assert "resume" in told or end is signal.SIGKILL


def test_interrupted_doubled_starved_terminated_and_run_again_nothing_is_lost_or_believed_twice(tmp_path):
    log, allowed, total = tmp_path / "log", tmp_path / "allowed", 60
    log.touch()
    plugin(tmp_path, "counts", COUNTING.format(log=str(log), allowed=str(allowed)))
    path = vectors(tmp_path / "my.json", count=total)
    run = ["run", "--adapter", "counts", "--only", "counts", "--vectors", path, "--out", "out"]
    partial = tmp_path / "out/results/counts.jsonl.partial"

    def recorded() -> list[str]:
        whole = partial.read_bytes().split(b"\n")[1:-1]  # the last may be cut off
        return [json.loads(line)["case"] for line in whole]

    reached, kept = 6, []
    for way in ("SIGINT", "doubled", "SIGTERM", "starved", "SIGKILL"):
        allowed.write_text("1000" if way == "starved" else str(lines(log) + 8))  # so many cases can begin
        options = {"preexec_fn": _starve(partial)} if way == "starved" else {}
        process = start(*run, cwd=tmp_path, **options)
        wait_until(lambda until=reached, run=process: lines(partial) > until or run.poll() is not None)
        if way == "doubled":
            assert xent(*run, cwd=tmp_path).returncode == 3
            process.send_signal(signal.SIGINT)
        elif way != "starved":
            process.send_signal(getattr(signal, way))
        _, told = process.communicate(timeout=60)
        assert process.returncode in (3, -9), (way, told)
        assert "Traceback" not in told
        if way == "starved":
            assert "Free some space" in told
        found = recorded()
        assert found[: len(kept)] == kept, f"{way}: what was recorded is lost"
        assert len(set(found)) == len(found)
        kept, reached = found, len(found) + 6
    assert 0 < len(kept) < total
    wait_until(lambda: not workers(tmp_path), seconds=15)
    allowed.write_text("1000")
    in_vain = lines(log) - len(kept)  # begun, and not recorded when the run ended
    done = xent(*run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "out/results/counts.jsonl").read_bytes().splitlines()]
    assert records[-1] == {"complete": True, "planned": total, "recorded": total}
    assert Counter(record["outcome"] for record in records[1:-1]) == {"value": total}
    assert {record["case"] for record in records[1:-1]} == {f"mine/{number}" for number in range(total)}
    assert lines(log) == total + in_vain, "a case runs again only where its record was not there yet"
    assert not (tmp_path / "out/run.json").exists()
    assert sorted(path.name for path in (tmp_path / "out/results").iterdir()) == ["counts.jsonl"]


def _starve(partial: Path):
    """Files may grow by a few records only: as on a disk that fills up."""
    import resource

    size = partial.stat().st_size + 25_000  # five records or so
    assert size > (partial.parent.parent / "cases.safetensors").stat().st_size, "else the run couldn't even start"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="NOT RUN: only root mounts a small disk")
def test_a_full_disk_is_no_verdict_on_the_framework(tmp_path):
    """A real file system of 600 kB, which the plug-in fills up."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"NOT RUN: no small disk can be mounted here ({mounted.stderr.decode().strip()})")
    try:
        filler = f"""
_evaluate, _count = evaluate, [0]
def evaluate(spec, input, target, *, gradient):
    _count[0] += 1
    if _count[0] == 10 and not os.path.exists({str(tmp_path / "freed")!r}):
        try:
            with open({str(disk / "filler")!r}, "wb", buffering=0) as file:
                while file.write(b"x" * 1024): pass
        except OSError:
            pass
    return _evaluate(spec, input, target, gradient=gradient)
"""
        plugin(tmp_path, "fills", filler)
        path = vectors(tmp_path / "my.json", count=30)
        run = ["run", "--adapter", "fills", "--only", "fills", "--vectors", path, "--out", str(disk / "out")]
        done = xent(*run, cwd=tmp_path)
        assert done.returncode in (2, 3), done.stderr
        assert "Free" in done.stderr
        (disk / "filler").unlink()
        (tmp_path / "freed").touch()
        again = xent(*run, cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        found = [json.loads(line) for line in (disk / "out/results/fills.jsonl").read_bytes().splitlines()]
        assert Counter(record["outcome"] for record in found[1:-1]) == {"value": 30}
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def test_an_empty_name_is_no_folder(tmp_path, two_sets):
    for arguments in (
        ["run", "--only", "numpy", "--out", ""],
        ["report", "x.jsonl", "--out", " "],
        ["show", "x", "--in", ""],
    ):
        done = xent(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "names no folder" in done.stderr


def test_evidence_that_cannot_be_written_costs_its_column_and_not_the_report(tmp_path, two_sets):
    (tmp_path / "out/results/numpy.jsonl.partial").mkdir(parents=True)
    plugin(tmp_path, "mine")
    run = ["run", "--adapter", "mine", "--only", "numpy,mine", "--vectors", two_sets[0], "--out", "out"]
    done = xent(*run, cwd=tmp_path)
    assert done.returncode == 3
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["summary"] == {"numpy": {"no evidence": 1}, "mine": {"agrees": 1}}
    assert (tmp_path / "out/results/numpy.jsonl.partial").is_dir()

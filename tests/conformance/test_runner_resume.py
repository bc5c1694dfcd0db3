"""An interrupted run goes on where it was; whoever else is writing, or a full disk, ends in one clear message."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from xent.conformance.evidence import results
from xent.conformance.implementations import Implementation
from xent.conformance.protocol.case import Case
from xent.conformance.running.supervisor import run_worker
from xent.errors import Unavailable
from xent.spec import Arguments

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COUNTS = Implementation("counts", "plugins.counts", str(HERE))
PYTHON = SimpleNamespace(path=sys.executable)
CASES = 30


def make_cases(count=CASES, numbers=None):
    return [
        Case(f"case/{number}", Arguments(), np.full((2, 3), number, dtype=np.float32), np.array([0, 1]))
        for number in numbers or range(count)
    ]


PARENT = """
import sys
sys.path[:0] = [{here!r}, {root!r}]
from test_runner_resume import COUNTS, PYTHON, make_cases, run_worker
print("go", flush=True)
run_worker(COUNTS, PYTHON, make_cases(numbers={numbers!r}), {folder!r})
"""


@pytest.fixture
def counts(tmp_path, monkeypatch):
    path = tmp_path / "counts"
    path.touch()
    monkeypatch.setenv("XENT_TEST_COUNTS", str(path))

    def read():
        return [tuple(map(int, line.split())) for line in path.read_text(encoding="ascii").splitlines()]

    return read


def start_parent(folder, numbers=None, **options):
    script = PARENT.format(here=str(HERE), root=str(ROOT), folder=str(folder), numbers=numbers)
    return subprocess.Popen([sys.executable, "-c", script], **options)


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_ended_midway_resumes_without_repeating_or_losing_a_case(tmp_path, counts, ending):
    folder = tmp_path / "results"
    parent = start_parent(folder, stderr=subprocess.DEVNULL)
    partial = folder / "counts.jsonl.partial"
    wait_until(lambda: partial.exists() and len(partial.read_bytes().splitlines()) > 7)
    parent.send_signal(ending)
    assert parent.wait(30) != 0
    worker = counts()[0][1]
    wait_until(lambda: not is_running(worker), seconds=10)
    before = results.read(partial)
    assert not before.complete
    assert len(before.records) >= 7
    assert not (folder / "counts.jsonl").exists()

    found = run_worker(COUNTS, PYTHON, make_cases(), folder)
    assert found.complete
    assert [record.case for record in found.records] == [case.id for case in make_cases()]
    assert found.header.started == before.header.started
    times = Counter(number for number, _ in counts())
    assert set(times) == set(range(CASES))
    recorded = {record.case for record in before.records}
    assert [number for number, count in times.items() if count > 1 and f"case/{number}" in recorded] == []
    assert sum(times.values()) <= CASES + 2  # the one under way, and one that the parent hadn't seen
    assert sorted(path.name for path in folder.iterdir()) == ["counts.jsonl"]


def test_a_worker_that_hangs_does_not_outlive_its_parent(tmp_path, counts):
    parent = start_parent(tmp_path / "results", numbers=[200])
    wait_until(counts)
    worker = counts()[0][1]
    assert is_running(worker)
    parent.kill()
    parent.wait(30)
    wait_until(lambda: not is_running(worker), seconds=10)


def test_a_case_that_forks_does_not_run_the_others_twice(tmp_path, counts):
    found = run_worker(COUNTS, PYTHON, make_cases(numbers=[1, 100, 2, 3, 4]), tmp_path / "results")
    assert [record.outcome for record in found.records] == ["value"] * 5
    assert [number for number, _ in counts()] == [1, 100, 2, 3, 4]


def test_a_child_that_a_case_left_behind_ends_with_the_run(tmp_path, counts):
    found = run_worker(COUNTS, PYTHON, make_cases(numbers=[300, 1]), tmp_path / "results")
    assert [record.outcome for record in found.records] == ["value"] * 2
    pids = {pid for _, pid in counts()}
    assert len(pids) == 2
    wait_until(lambda: not any(map(is_running, pids)), seconds=10)


@pytest.fixture(scope="module")
def six_cases(tmp_path_factory):
    """The lines of a completed run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XENT_TEST_COUNTS", os.devnull)
        found = run_worker(COUNTS, PYTHON, make_cases(6), tmp_path_factory.mktemp("six"))
    return found.path.read_bytes().splitlines(keepends=True)


def partial_of(lines, folder, cut=0):
    """A partial file of 4 records (and half a fifth), as a killed parent leaves it."""
    header = json.loads(lines[0])
    header["implementation"]["kernels"] = ""
    folder.mkdir()
    partial = folder / "counts.jsonl.partial"
    partial.write_bytes(results.line(header) + b"".join(lines[1:5]) + lines[5][:cut])
    return partial, header


def test_half_a_line_at_the_end_is_run_again(tmp_path, counts, six_cases):
    folder = tmp_path / "results"
    partial_of(six_cases, folder, cut=50)
    assert len(run_worker(COUNTS, PYTHON, make_cases(6), folder).records) == 6
    assert [number for number, _ in counts()] == [4, 5]


@pytest.mark.parametrize("what", ["version", "python", "digest", "adapter", "id", "nonsense", "empty", "cases"])
def test_evidence_of_something_else_is_not_taken_over(tmp_path, counts, six_cases, what):
    folder = tmp_path / "results"
    partial, header = partial_of(six_cases, folder)
    rest = partial.read_bytes().splitlines(keepends=True)[1:]
    if what in ("version", "id"):
        header["implementation"][what] = "other"
    elif what == "python":
        header["python"] = "3.8.0"
    elif what == "digest":
        header["case_set"]["sha256"] = "0" * 64
    elif what == "adapter":
        header["adapter"]["sha256"] = "0" * 64
    elif what == "nonsense":
        rest = [b"nonsense\n"]
    partial.write_bytes(b"" if what == "empty" else results.line(header) + b"".join(rest))
    count = 7 if what == "cases" else 6
    assert len(run_worker(COUNTS, PYTHON, make_cases(count), folder).records) == count
    assert [number for number, _ in counts()] == list(range(count))


def test_a_completed_run_is_taken_over_only_when_asked(tmp_path, counts):
    first = run_worker(COUNTS, PYTHON, make_cases(3), tmp_path / "results")
    written = first.path.read_bytes()
    again = run_worker(COUNTS, PYTHON, make_cases(3), tmp_path / "results", reuse=True)
    assert (again.header, again.footer) == (first.header, first.footer)
    assert again.path.read_bytes() == written
    assert len(counts()) == 3
    run_worker(COUNTS, PYTHON, make_cases(3), tmp_path / "results")
    assert len(counts()) == 6
    run_worker(COUNTS, PYTHON, make_cases(4), tmp_path / "results", reuse=True)
    assert len(counts()) == 10


def test_two_runs_on_one_folder_do_not_mix(tmp_path, counts):
    folder = tmp_path / "results"
    parent = start_parent(folder)
    wait_until(lambda: len(counts()) >= 3)
    with pytest.raises(Unavailable, match=r"another run is writing to .*counts\.jsonl\.partial\. Wait for its end"):
        run_worker(COUNTS, PYTHON, make_cases(), folder)
    assert parent.wait(60) == 0
    assert len(counts()) == CASES
    assert results.read(folder / "counts.jsonl").complete


def test_what_a_killed_run_left_is_cleared_away(tmp_path, counts):
    left = tmp_path / "results" / ".counts.work-abc"
    (left / "0" / "scratch").mkdir(parents=True)
    other = tmp_path / "results" / ".counts-jit.work-abc"
    other.mkdir()
    run_worker(COUNTS, PYTHON, make_cases(1), tmp_path / "results")
    assert not left.exists()
    assert other.exists()  # another implementation's, which may be running


FULL = """
import resource, signal, sys
sys.path[:0] = [{here!r}, {root!r}]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from test_runner_resume import COUNTS, PYTHON, make_cases, run_worker
from xent.errors import UnreadableInput
def fill(event):
    if event.done == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, resource.RLIM_INFINITY))
try:
    run_worker(COUNTS, PYTHON, make_cases(), {folder!r}, on_event=fill)
except UnreadableInput as error:
    print(error)
    sys.exit(2)
"""


def test_a_disk_that_fills_up_midway_is_one_clear_error_and_the_run_resumes(tmp_path, counts):
    folder = tmp_path / "results"
    script = FULL.format(here=str(HERE), root=str(ROOT), folder=str(folder))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "counts.jsonl.partial: can't be written (File too large). Free some space" in done.stdout
    kept = results.read(folder / "counts.jsonl.partial")
    assert len(kept.records) >= 3
    found = run_worker(COUNTS, PYTHON, make_cases(), folder)
    assert len(found.records) == CASES
    assert sum(Counter(number for number, _ in counts()).values()) <= CASES + 3


def test_an_error_of_the_callers_own_is_not_blamed_on_the_folder(tmp_path, counts):
    def broken_pipe(event):
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        run_worker(COUNTS, PYTHON, make_cases(3), tmp_path / "results", on_event=broken_pipe)
    assert not list((tmp_path / "results").glob(".counts.work-*"))

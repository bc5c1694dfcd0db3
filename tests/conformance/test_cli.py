"""The command line as its user meets it: real processes, exit codes, and one clear message for whatever is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import VECTOR, vectors, workers, xent

from xent.conformance.cases import clauses

SLOW = '''
"""The oracle, slowly: something to interrupt."""
import time
from xent.adapters.numpy import *
from xent.adapters import numpy as _numpy
NAME, FRAMEWORK, capabilities = "slow", "numpy", _numpy.capabilities
version, to_native, from_native = _numpy.version, _numpy.to_native, _numpy.from_native
from_call, source = _numpy.from_call, _numpy.source
def evaluate(spec, input, target, *, gradient):
    time.sleep(0.05)
    return _numpy.evaluate(spec, input, target, gradient=gradient)
'''


def refused(*arguments: str, cwd: Path) -> str:
    done = xent(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_a_users_vectors_run_and_are_judged(tmp_path):
    wrong = {**VECTOR, "id": "mine/two", "expected": {"value": [0.7], "gradient": None, "atol": 5e-5, "rtol": 0}}
    path = vectors(tmp_path / "my.json", VECTOR, wrong)
    done = xent("run", "--only", "numpy", "--vectors", path, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mine/two" in done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert {row["case"]: row["verdict"] for row in report["verdicts"]} == {
        "mine/one": "agrees",
        "mine/two": "deviates",
    }
    assert (tmp_path / "out/index.html").is_file()
    assert not (tmp_path / "out/run.json").exists()
    assert xent("run", "--only", "numpy", "--vectors", path, "--out", "out", "--check", cwd=tmp_path).returncode == 1


def test_json_goes_to_stdout_alone(tmp_path):
    path = vectors(tmp_path / "my.json")
    done = xent("run", "--only", "numpy", "--vectors", path, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["schema"] == "xent-report/2"
    assert "results in" in done.stderr


def test_results_merge_into_the_same_report(tmp_path):
    path = vectors(tmp_path / "my.json")
    assert xent("run", "--only", "numpy", "--vectors", path, "--out", "a", cwd=tmp_path).returncode == 0
    done = xent("report", "a/results/numpy.jsonl", "--out", "b", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "b/report.json").read_text()) == json.loads((tmp_path / "a/report.json").read_text())
    twice = refused("report", "a/results/numpy.jsonl", "a/results/numpy.jsonl", cwd=tmp_path)
    assert "a second file of numpy" in twice
    (tmp_path / "alone").mkdir()
    os.replace(tmp_path / "a/results/numpy.jsonl", tmp_path / "alone/numpy.jsonl")
    assert "--vectors" in refused("report", "alone/numpy.jsonl", cwd=tmp_path)
    assert xent("report", "alone/numpy.jsonl", "--vectors", path, "--out", "c", cwd=tmp_path).returncode == 0


def test_show_prints_numbers_bound_and_a_script_that_runs(tmp_path):
    path = vectors(tmp_path / "my.json")
    xent("run", "--only", "numpy", "--vectors", path, "--out", "out", cwd=tmp_path)
    done = xent("show", "one", "--in", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        "mine/one",
        "0.6931471806",
        "tolerances",
        "agrees",
        "the bound",
        "reproduce it in numpy",
    ):
        assert words in done.stdout, words
    shown = json.loads(xent("show", "mine/one", "--in", "out", "--json", cwd=tmp_path).stdout)
    script = shown["implementations"]["numpy"]["script"]
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "0.693147" in ran.stdout


def test_a_vector_that_asks_for_gradients_by_target_and_weight_is_judged_on_them_and_shown(tmp_path):
    vector = {
        "id": "mine/all",
        "spec": {"weight": {"dtype": "float32", "data": [1, 2]}, "reduction": "sum"},
        "input": {"dtype": "float32", "data": [[0, 0]]},
        "target": {"dtype": "float32", "data": [[0.5, 0.5]]},
        "gradients": ["input", "target", "weight"],
    }
    path = vectors(tmp_path / "my.json", vector)
    done = xent("run", "--only", "numpy", "--vectors", path, "--out", "out", "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (verdict,) = json.loads((tmp_path / "out/report.json").read_text())["verdicts"]
    assert "gradient of target within" in verdict["reason"]
    assert "gradient of weight within" in verdict["reason"]
    shown = xent("show", "mine/all", "--in", "out", cwd=tmp_path).stdout
    for words in ("gradient of target", "1.386294", "gradient of weight", "0.34657359", "sum over rows"):
        assert words in shown, words
    told = json.loads(xent("show", "mine/all", "--in", "out", "--json", cwd=tmp_path).stdout)
    assert told["gradients"]["weight"]["exact"] == pytest.approx([0.34657359] * 2)
    assert set(told["implementations"]["numpy"]["record"]["gradients"]) == {"target", "weight"}


def test_show_gives_a_clause_and_with_clauses_its_text_and_place_and_every_text_letter_by_letter(tmp_path):
    clause = "torch-2.8/loss-indices/none"
    path = vectors(tmp_path / "my.json", {**VECTOR, "note": "w[bold] as [/b] written", "clauses": [clause]})
    xent("run", "--only", "numpy", "--vectors", path, "--out", "out", cwd=tmp_path)
    done = xent("show", "one", "--in", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "w[bold] as [/b] written" in done.stdout
    assert clause in done.stdout
    assert clauses.load()[clause].place not in " ".join(done.stdout.split())
    done = xent("show", "one", "--in", "out", "--clauses", cwd=tmp_path)
    shown = "".join(done.stdout.split())  # a table wraps its cells
    for words in (f"{clause}: ", clauses.load()[clause].text, '(torch-2.8-CrossEntropyLoss.txt, at "Class indices")'):
        assert "".join(words.split()) in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--only", "trch"], "Did you mean 'torch'?"),
        (["run", "--vectors", "none.json"], "none.json"),
        (
            ["run", "--only", "numpy", "--vectors", "my.json", "--python", "numpy=/no/such/python"],
            "no such interpreter",
        ),
        (["run", "--python", "torch"], "NAME=INTERPRETER"),
        (["run", "--adapter", "no.such.adapter", "--only", "no.such.adapter"], "no.such.adapter"),
        (["run", "--adapter", "json", "--only", "json"], "lacks NAME"),
        (["run", "--timeout", "0"], "number of seconds"),
        (["run", "--timeout", "nan"], "number of seconds"),
        (["run", "--jobs", "-1"], "--jobs"),
        (["run", "--only", ","], "names no implementation"),
        (["run", "--only", "numpy", "--vectors", "my.json", "--out", "my.json"], "my.json"),
        (["report", "none.jsonl"], "none.jsonl"),
        (["report", "my.json"], "my.json"),
        (["show", "x", "--in", "nowhere"], "Run `xent run` first"),
        (["frobnicate"], "invalid choice"),
    ],
)
def test_wrong_usage_ends_in_one_message(tmp_path, arguments, says):
    vectors(tmp_path / "my.json")
    if "/no/such/python" in " ".join(arguments):
        done = xent(*arguments, cwd=tmp_path)  # its row says why, and the others run
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
        assert says in done.stderr
    else:
        assert says in refused(*arguments, cwd=tmp_path)


def test_show_suggests_and_lists(tmp_path):
    other = {**VECTOR, "id": "mine/only"}
    xent(
        "run",
        "--only",
        "numpy",
        "--vectors",
        vectors(tmp_path / "my.json", VECTOR, other),
        "--out",
        "out",
        cwd=tmp_path,
    )
    assert "names 2 cases" in refused("show", "mine", "--in", "out", cwd=tmp_path)
    assert "mine/one" in refused("show", "mine/onne", "--in", "out", cwd=tmp_path)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_resumes_and_leaves_no_worker(tmp_path, end):
    (tmp_path / "slow.py").write_text(SLOW)
    entries = [{**VECTOR, "id": f"mine/{number}"} for number in range(60)]
    path = vectors(tmp_path / "my.json", *entries)
    arguments = ["run", "--adapter", "slow", "--only", "slow", "--vectors", path, "--out", "out"]
    command = [sys.executable, "-m", "xent.commands.cli", *arguments]
    first = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    partial = tmp_path / "out/results/slow.jsonl.partial"
    deadline = time.monotonic() + 60
    while not (partial.is_file() and partial.read_text().count("\n") > 8):
        assert time.monotonic() < deadline, "the run did not get going"
        time.sleep(0.02)
    first.send_signal(end)
    _, printed = first.communicate(timeout=30)
    if end == signal.SIGINT:
        assert first.returncode == 3
        assert "resumes" in printed
        assert "Traceback" not in printed
    assert (tmp_path / "out/run.json").is_file()
    kept = partial.read_bytes().splitlines()[1:9]
    time.sleep(0.5)
    assert not workers(tmp_path), "a worker outlived its run"

    done = xent(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out/results/slow.jsonl").read_bytes().splitlines()
    assert lines[1:9] == kept, "what was recorded must not run again"
    assert len(lines) == 62
    assert json.loads(lines[-1]) == {"complete": True, "planned": 60, "recorded": 60}

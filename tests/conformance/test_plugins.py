"""A plug-in's fault costs its own column, whatever it does and whenever; the others run, and are reported."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from command import VECTOR, plugin, vectors, xent

from xent.conformance.running import plugins
from xent.errors import Unavailable

AT_IMPORT = {
    "exits": ("sys.exit(0)", "SystemExit"),
    "leaves": ("os._exit(0)", "ended with exit code 0"),
    "raises": ("raise BaseException('no')", "BaseException: no"),
    "aborts": ("os.abort()", "SIGABRT"),
    "lacks": ("del evaluate", "lacks evaluate"),
    "capable": ("capabilities = 5", "the capabilities of 'capable' is int, not xent.adapters.Capabilities"),
    "sampled": ("SAMPLE = ['a']", "the SAMPLE of 'sampled' is list"),
    "versionless": ("def version(): raise RuntimeError('no version')", "RuntimeError: no version"),
    "deviceless": ("def device(): sys.exit(0)", "SystemExit"),
    "wide": ("capabilities = Capabilities(input_dtypes=Entry(('x',) * 1000, 'c'))", "at most 100"),
}


@pytest.mark.parametrize("name", AT_IMPORT)
def test_what_goes_wrong_before_the_first_case_costs_its_column(tmp_path, name):
    body, says = AT_IMPORT[name]
    plugin(tmp_path, name, body)
    path = vectors(tmp_path / "my.json")
    done = xent("run", "--adapter", name, "--only", f"numpy,{name}", "--vectors", path, "--out", "out", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert {row["implementation"]: row["verdict"] for row in report["verdicts"]} == {
        "numpy": "agrees", name: "no evidence",
    }  # fmt: skip
    (absent,) = report["not_run"]
    assert absent["implementation"] == name
    assert says in absent["reason"]
    alone = xent("run", "--adapter", name, "--only", name, "--vectors", path, "--out", "alone", cwd=tmp_path)
    assert alone.returncode in (2, 3)
    assert says in " ".join(alone.stderr.split())


IN_A_CASE = {
    "odd_lines": """
    with open("../journal", "ab") as file:
        for line in (b'null', b'3', b'[1]', b'{"begin": []}', b'{"case": {}}', b'{"died": "x", "stderr": 0}',
                     b'{"end": 1}', b'{"end": true}', b'{"died": 1e999, "stderr": -1}', b'{"died": 0, "stderr": 0}',
                     b'{"begin": "mine/1", "stderr": "x"}', b"[" * 100000, b"\\xff", b"{" * 2000):
            file.write(b"\\n" + line + b"\\n")
""",
    "no_stderr": "    gone('../stderr')\n    gone('../stdout')\n",
    "pipe_for_stderr": "    gone('../stderr')\n    os.mkfifo('../stderr')\n",
    "no_trouble": "    gone('../trouble')\n",
    "stderr_a_link": "    gone('../stderr')\n    os.symlink('/dev/zero', '../stderr')\n",
    "no_scratch": "    os.rename('../scratch', f'../scratch-{time.monotonic()}')\n",
}
GONE = """
def gone(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
"""


@pytest.mark.parametrize("name", IN_A_CASE)
def test_what_it_does_to_the_workers_files_costs_nothing_but_its_own(tmp_path, name):
    body = GONE + "_evaluate = evaluate\ndef evaluate(spec, input, target, *, gradient):\n" + IN_A_CASE[name]
    plugin(tmp_path, name, body + "    return _evaluate(spec, input, target, gradient=gradient)\n")
    path = vectors(tmp_path / "my.json", count=6)
    run = ["run", "--adapter", name, "--only", f"numpy,{name}", "--vectors", path, "--out", "out", "--timeout", "20"]
    done = xent(*run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["summary"] == {"numpy": {"agrees": 6}, name: {"agrees": 6}}


def test_a_journal_that_it_deletes_again_and_again_costs_its_column_alone(tmp_path):
    body = GONE + "_evaluate = evaluate\ndef evaluate(spec, input, target, *, gradient):\n    gone('../journal')\n"
    plugin(tmp_path, "deletes", body + "    return _evaluate(spec, input, target, gradient=gradient)\n")
    path = vectors(tmp_path / "my.json", count=6)
    run = ["run", "--adapter", "deletes", "--only", "numpy,deletes", "--vectors", path, "--out", "out"]
    xent(*run, cwd=tmp_path)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["summary"]["numpy"] == {"agrees": 6}
    assert set(report["summary"]["deletes"]) <= {"agrees", "no evidence"}


def test_a_line_about_a_case_that_has_not_begun_is_not_believed(tmp_path):
    forged = {"case": "mine/3", "outcome": "value", "value": {"dtype": "float32", "shape": [1], "hex": ["0x1p+9"]}}
    body = f"""
_evaluate = evaluate
def evaluate(spec, input, target, *, gradient):
    with open("../journal", "ab") as file:
        file.write(b'\\n{json.dumps(forged)}\\n')
        file.write(b'\\n{{"begin": "mine/4", "stderr": 0}}\\n{json.dumps({**forged, "case": "mine/4"})}\\n')
    return _evaluate(spec, input, target, gradient=gradient)
"""
    plugin(tmp_path, "forges", body)
    path = vectors(tmp_path / "my.json", count=6)
    done = xent("run", "--adapter", "forges", "--only", "forges", "--vectors", path, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["summary"] == {"forges": {"agrees": 6}}


REFUSED = {**VECTOR, "id": "mine/refused", "spec": {"reduction": "bogus"}, "expected": {"raises": True}}


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("None", "evaluate returned NoneType, not xent.adapters.Evaluation"),
        ("Evaluation(None)", "value must be a NumPy array, not NoneType"),
        ("Evaluation(_np.zeros(3, int))", "dtype int64 is not one of"),
        ("Evaluation(_np.broadcast_to(_np.float32(0), (2**23,)))", "8,388,608 elements, more than 4,194,304"),
        ("Evaluation(_np.zeros((), _np.float32), kernels=Odd())", "no text"),
        ("Evaluation(_np.zeros((), _np.float32), casts=5)", "not iterable"),
    ],
)
def test_what_the_harness_cannot_record_is_no_verdict(tmp_path, returned, says):
    body = f"""
import numpy as _np
class Odd:
    def __str__(self): raise RuntimeError("no text")
def evaluate(spec, input, target, *, gradient):
    return {returned}
"""
    plugin(tmp_path, "odd", body)
    path = vectors(tmp_path / "my.json", VECTOR, REFUSED)
    done = xent("run", "--adapter", "odd", "--only", "odd", "--vectors", path, "--out", "out", "--check", cwd=tmp_path)
    assert done.returncode == 1, "no evidence is no agreement"
    rows = json.loads((tmp_path / "out/report.json").read_text())["verdicts"]
    assert {row["verdict"] for row in rows} == {"no evidence"}
    assert all(says in row["reason"] for row in rows), rows[0]["reason"]
    records = [json.loads(line) for line in (tmp_path / "out/results/odd.jsonl").read_text().splitlines()]
    assert {record["outcome"] for record in records[1:-1]} == {"not-recorded"}


def test_what_it_says_of_itself_is_cut_to_what_can_be_read_again(tmp_path):
    body = """
_evaluate = evaluate
def version(): return "1.0 " + "half \\ud800 a pair " * 20_000
def device(): return "npu\\x1b[31m\\n" * 1000
def evaluate(spec, input, target, *, gradient):
    found = _evaluate(spec, input, target, gradient=gradient)
    return Evaluation(found.value, found.gradient, ("cast " * 1000,) * 40_000, kernels=f"kind {time.time()}" * 100)
"""
    plugin(tmp_path, "wordy", body)
    path = vectors(tmp_path / "my.json", count=20)
    done = xent("run", "--adapter", "wordy", "--only", "wordy", "--vectors", path, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = xent("report", "out/results/wordy.jsonl", "--out", "again", "--check", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert len((tmp_path / "out/results/wordy.jsonl").read_bytes()) < 2_000_000


def test_a_module_whose_import_never_returns_is_given_up(tmp_path):
    plugin(tmp_path, "endless", "time.sleep(1000)")
    started = time.monotonic()
    with pytest.raises(Unavailable, match="didn't answer within 3 s"):
        plugins.named("endless", str(tmp_path), timeout=3)
    assert time.monotonic() - started < 20
    plugin(tmp_path, "printing", "while True: print('x' * 10_000)")
    with pytest.raises(Unavailable, match="printed more than"):
        plugins.named("printing", str(tmp_path), timeout=30)


def test_a_plugin_goes_by_its_name_unless_that_is_taken(tmp_path):
    plugin(tmp_path, "mine")
    (tmp_path / "mine.py").write_text(
        (tmp_path / "mine.py").read_text().replace("NAME, FRAMEWORK", "NAME, FRAMEWORK", 1)
    )
    text = (tmp_path / "mine.py").read_text()
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").touch()
    (tmp_path / "package/loss.py").write_text(text.replace('"mine"', '"our-loss"'))
    (tmp_path / "package/fake.py").write_text(text.replace('"mine"', '"numpy"'))
    (tmp_path / "package/hostile.py").write_text(text.replace('"mine"', '"../../up"'))
    found = {name: plugins.named(f"package.{name}", str(tmp_path)) for name in ("loss", "fake", "hostile")}
    assert found["loss"].id == "our-loss"
    assert found["hostile"].id == "package.hostile"
    path = vectors(tmp_path / "my.json")
    modules = [word for name in found for word in ("--adapter", f"package.{name}")]
    only = "numpy,our-loss,package.fake,package.hostile"
    done = xent("run", *modules, "--only", only, "--vectors", path, "--out", "out", "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = sorted(file.name for file in (tmp_path / "out/results").iterdir())
    assert names == ["numpy.jsonl", "our-loss.jsonl", "package.fake.jsonl", "package.hostile.jsonl"]
    by_path = xent("run", *modules, "--only", "package.loss", "--vectors", path, "--out", "two", cwd=tmp_path)
    assert by_path.returncode == 0
    assert (tmp_path / "two/results/our-loss.jsonl").is_file()


def test_the_tool_itself_imports_no_plugin(tmp_path):
    plugin(tmp_path, "watched", "open('imported-by', 'a').write(str(os.getppid()) + '\\n')")
    found = plugins.named("watched", str(tmp_path))
    assert found.id == "watched"
    assert "watched" not in sys.modules
    assert Path(found.search_path) == tmp_path


def test_doctor_looks_at_plugins_too(tmp_path):
    plugin(tmp_path, "fine")
    plugin(tmp_path, "broken", "sys.exit(0)")
    none_made = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}  # no framework is there to be started
    done = xent("doctor", "--adapter", "fine", "--adapter", "broken", "--json", cwd=tmp_path, env=none_made)
    assert done.returncode == 0, done.stderr
    rows = {row["implementation"]: row for row in json.loads(done.stdout)}
    assert (rows["fine"]["state"], rows["broken"]["state"]) == ("ready", "no")
    assert "SystemExit" in rows["broken"]["missing"]
    assert "torch" in rows

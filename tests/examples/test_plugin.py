"""examples/plugin/: the plug-in for Optax runs on the real Optax, and finds what its README says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import vectors, xent

from xent.conformance.cases import standard
from xent.conformance.implementations import Implementation
from xent.conformance.judging.judge import judge
from xent.conformance.running import interpreters, supervisor
from xent.conformance.running.interpreters import requirements
from xent.conformance.running.interpreters.interpreter import Interpreter
from xent.errors import Unavailable

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "examples" / "plugin"
README = (PLUGIN / "README.md").read_text(encoding="utf-8")
VECTORS = sorted((ROOT / "conformance" / "vectors").glob("*.json"))
_ENVIRONMENT = "environment/bin/python"  # as the README calls it

pytestmark = pytest.mark.xdist_group("optax")


@pytest.fixture(scope="module")
def optax_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of requirements.txt: an environment among the managed ones, or XENT_TEST_PYTHON_OPTAX."""
    if named := os.environ.get("XENT_TEST_PYTHON_OPTAX"):
        return named
    folder = tmp_path_factory.mktemp("environments")
    shutil.copy(PLUGIN / "requirements.txt", folder / "optax.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requirements, "FOLDER", folder)
        try:
            return str(interpreters.resolve("optax", "optax", {}, print).path)
        except Unavailable as error:
            pytest.skip(f"NOT RUN, optax can't be installed here: {error}")


def commands() -> list[list[str]]:
    """The README's commands of ours."""
    (block,) = re.findall(r"^```sh\n(.*?)^```$", README, flags=re.S | re.M)
    return [shlex.split(line) for line in block.splitlines() if line.startswith("xent ")]


def test_the_commands_of_the_readme_run(optax_python, tmp_path):
    shutil.copy(PLUGIN / "xent_optax.py", tmp_path)
    check, run, show = commands()
    check, run = ([word.replace(_ENVIRONMENT, optax_python) for word in words[1:]] for words in (check, run))
    done = xent(*check, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok", "missing", "wrong"))]
    assert len(lines) == 19
    # The documents' cases stand for all of them, which take more than a minute.
    named = [word for path in VECTORS for word in ("--vectors", str(path))]
    done = xent(*run, *named, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    verdicts = json.loads((tmp_path / "report-optax/report.json").read_text())["verdicts"]
    found = {row["case"]: row["verdict"] for row in verdicts}
    assert set(found.values()) == {"agrees", "unsupported"}
    assert {case for case, verdict in found.items() if verdict == "agrees"} == {
        "oneflow-document/none", "oneflow-document/label-smoothing", "oneflow-document/none-int64",
        "oneflow-document/label-smoothing-int64",
    }  # fmt: skip
    done = xent(show[1], "oneflow-document/none", *show[3:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "import xent_optax as adapter" in done.stdout


def test_it_finds_what_the_readme_says(optax_python, tmp_path):
    said = dict(re.findall(r"^\| `([^`]+)` \| (\w+) \|", README, flags=re.M))
    assert len(said) == 9
    cases = {case.id: case for case in standard.cases() if case.id in said}
    assert set(cases) == set(said)
    implementation = Implementation("optax", "xent_optax", str(PLUGIN), "optax")
    evidence = supervisor.run_worker(
        implementation, Interpreter(Path(optax_python), "named"), list(cases.values()), tmp_path
    )
    verdicts = {
        id: judge(case, evidence.by_case[id], evidence.header.capabilities, "optax") for id, case in cases.items()
    }
    assert {id: one.verdict for id, one in verdicts.items()} == said, {id: one.reason for id, one in verdicts.items()}
    assert evidence.header.implementation.device == "cpu"


def test_installed_it_is_an_implementation_by_its_entry_point(optax_python, tmp_path):
    target = tmp_path / "site"
    wheel = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    source = tmp_path / "source"
    shutil.copytree(PLUGIN, source)
    subprocess.run([*wheel, str(source)], check=True, capture_output=True, timeout=120)
    (built,) = tmp_path.glob("xent_optax-*.whl")
    shutil.unpack_archive(built, target, "zip")
    path = os.pathsep.join([str(target), str(ROOT)])
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": path}}
    none_made = {**options["env"], "XDG_CACHE_HOME": str(tmp_path / "cache")}  # no other framework is there
    done = xent("doctor", "--json", "--python", f"optax={optax_python}", **{**options, "env": none_made})
    rows = {row["implementation"]: row for row in json.loads(done.stdout)}
    assert rows["optax"]["state"] == "ready", rows["optax"]
    one = vectors(tmp_path / "one.json")
    done = xent("run", "--only", "optax", "--python", f"optax={optax_python}", "--vectors", one, "--check", **options)
    assert done.returncode == 0, done.stderr


def test_what_it_lacks_it_says_as_data_and_optax_by_name(optax_python):
    script = """
import json, sys
sys.path[:0] = sys.argv[1:]
import numpy as np, xent_optax
from xent.spec import CrossEntropySpec
xent_optax.prepare()
found = {}
for name, value in (("weight", np.ones(3)), ("ignore_index", 2), ("reduction", "mean")):
    spec = CrossEntropySpec(**{"reduction": "none", name: value})
    assert xent_optax.from_native(xent_optax.to_native(spec)) == spec
    try:
        xent_optax.evaluate(spec, np.zeros((2, 3), np.float32), np.array([0, 2]), gradient=False)
    except TypeError as error:
        found[name] = str(error)
print(json.dumps(found))
"""
    command = [optax_python, "-c", script, str(ROOT), str(PLUGIN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for name, said in json.loads(done.stdout).items():
        assert f"unexpected keyword argument '{name}'" in said
    assert set(json.loads(done.stdout)) == {"weight", "ignore_index", "reduction"}

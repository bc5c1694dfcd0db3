"""The folders that are to run on Python 3.8 do, with NumPy 1.19 alone; and a worker finds there what it finds here."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from xent import dtypes
from xent.conformance import kit
from xent.conformance.evidence.record_json import record_data
from xent.conformance.implementations import Implementation
from xent.conformance.protocol.case import Case
from xent.conformance.running.supervisor import run_worker
from xent.spec import Arguments

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = re.findall(r'^"(.+)/\*\*" = "py38"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), flags=re.M)
# A portable loss subclasses its framework's modules, so what only it imports can't be imported without the framework.
FRAMEWORK_FREE = ("__init__", "native", "ported", "jit", "standin", "kernels")
pytestmark = pytest.mark.xdist_group("python 3.8")  # one environment


def modules():
    """{file: module} of the folders; "" for a module that imports its framework."""
    names = {}
    for folder in FOLDERS:
        files = sorted((ROOT / folder).rglob("*.py"))  # which doesn't follow the links inside xent/
        assert files, folder
        for path in files:
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if parts[0] == "xent" else ("xent", *parts)
            framework = parts[1] == "adapters" and len(parts) > 3 and parts[2] != "portable"
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            names[str(path)] = "" if framework and path.stem not in FRAMEWORK_FREE else name
    return names


def test_every_module_of_a_worker_compiles_and_imports(old_python):
    script = """
import importlib, sys
import numpy
assert numpy.__version__ == "1.19.5" and sys.version_info[:2] == (3, 8)
for pair in sys.argv[1:]:
    path, _, name = pair.rpartition("=")
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
    if name:
        importlib.import_module(name)
        print(name)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    found = modules()
    assert {"xent.reference.precise", "xent.conformance.worker.__main__", "xent.adapters.torch"} <= set(found.values())
    pairs = [f"{path}={name}" for path, name in found.items()]
    done = subprocess.run(
        [old_python, "-c", script, *pairs], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [name for name in found.values() if name]


def test_a_worker_runs_there_and_finds_what_it_finds_here(old_python, tmp_path):
    rng = np.random.default_rng(3)
    cases = [
        Case(
            f"{name}/{reduction}",
            Arguments(reduction=reduction),
            dtypes.from_float64(rng.normal(size=(4, 3)), name),
            target,
        )
        for name in dtypes.FLOATS
        for reduction in ("mean", "sum", "bogus")
        for target in [rng.integers(0, 3, size=4)]
    ]
    there = run_worker(plugin(), SimpleNamespace(path=old_python), cases, tmp_path / "there")
    here = run_worker(plugin(), SimpleNamespace(path=sys.executable), cases, tmp_path / "here")
    assert there.header.python.startswith("3.8.")
    assert there.header.packages["numpy"] == "1.19.5"
    assert there.header.case_set == here.header.case_set
    strip = {"ms": None, "stderr": ""}
    found = [[{**record_data(record), **strip} for record in evidence.records] for evidence in (there, here)]
    assert found[0] == found[1]
    assert {record.outcome for record in there.records} == {"value"}
    for case, record in zip(cases, there.records, strict=True):
        assert (dtypes.bits(record.value) == dtypes.bits(case.input[0, 0])).all()


def test_the_kit_runs_there(old_python):
    report = kit.check("numpy", interpreter=str(old_python))
    assert [one for one in report.checks if one.status != "ok"] == []
    assert (report.version, report.interpreter) == ("1.19.5", str(old_python))


def plugin():
    return Implementation("echoes", "plugins.echoes", str(ROOT / "tests" / "conformance"))

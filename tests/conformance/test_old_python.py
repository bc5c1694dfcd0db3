"""What runs in a worker runs on Python 3.8 with NumPy 1.19 and nothing else: old frameworks need old interpreters."""

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from xent import dtypes
from xent.conformance import kit
from xent.conformance.evidence.records import record_data
from xent.conformance.protocol.case import Case
from xent.conformance.running.supervisor import Implementation, run_worker
from xent.spec import Arguments

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
NUMPY = "numpy==1.19.5"
WORKER_SIDE = [
    "xent/*.py", "adapters/**/*.py", "conformance/__init__.py", "conformance/files/*.py", "conformance/protocol/*.py",
    "conformance/worker/**/*.py",
]  # fmt: skip
# A portable loss subclasses its framework's modules, so what only it imports can't be imported without the framework.
FRAMEWORK_FREE = ("__init__", "native", "ported", "jit", "standin", "kernels")


def modules():
    """{file: module} of all that a worker imports."""
    files = sorted(path for pattern in WORKER_SIDE for path in ROOT.glob(pattern))
    assert len(files) >= 10, files
    names = {}
    for path in files:
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        parts = parts if parts[0] == "xent" else ["xent", *parts]
        names[str(path)] = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return names


def find_python():
    """A Python 3.8 that runs (pyenv's shim is there even when its 3.8 isn't activated, and then fails)."""
    named = [os.environ.get("XENT_TEST_PYTHON_38"), shutil.which("python3.8")]
    roots = [os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), os.path.expanduser("~/miniconda3")]
    found = [path for root in roots for path in sorted(glob.glob(f"{root}/*/*3.8*/bin/python3.8"))]
    for path in [*named, *found]:
        if path and _says(path, "import sys, venv; print(sys.version_info[:2] == (3, 8))") == "True":
            return path
    return None


def _says(python, script):
    try:
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return ""
    return done.stdout.strip()


@pytest.fixture(scope="module")
def old_python(tmp_path_factory):
    """A virtual environment of Python 3.8 and NumPy 1.19.5."""
    base = find_python()
    if base is None:
        pytest.skip("NOT RUN, no Python 3.8 here: name one in XENT_TEST_PYTHON_38 or install it with pyenv")
    folder = tmp_path_factory.mktemp("old") / "env"
    subprocess.run([base, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary=:all:", NUMPY]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode != 0:
        pytest.skip(f"NOT RUN, {NUMPY} can't be installed for Python 3.8: {done.stderr.strip()[-300:]}")
    return python


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
    named = modules()
    free = {
        path: name
        for path, name in named.items()
        if name.count(".") < 3 or name.startswith("xent.conformance.") or Path(path).stem in FRAMEWORK_FREE
    }
    pairs = [f"{path}={free.get(path, '')}" for path in named]
    done = subprocess.run(
        [old_python, "-c", script, *pairs], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(free.values())


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
    report = kit.check("numpy", interpreter=old_python)
    assert [one for one in report.checks if one.status != "ok"] == []
    assert (report.version, report.interpreter) == ("1.19.5", old_python)


def plugin():
    return Implementation("echoes", "plugins.echoes", str(HERE))

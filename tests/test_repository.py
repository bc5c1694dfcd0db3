"""The house: one import package, and no framework at import time. Which module may import which: pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = {"torch", "mindspore", "oneflow", "paddle"}
LINKED = ("adapters", "conformance", "commands")
HOUSES = {house: ROOT / house for house in ("xent", *LINKED)}


@pytest.mark.parametrize("house", LINKED)
def test_the_links_make_one_package(house):
    assert (ROOT / "xent" / house).resolve() == ROOT / house
    assert not (ROOT / "xent" / house).readlink().is_absolute()


def test_the_public_modules_of_adapters_import_no_framework():
    """Nor do they without one: what only a portable loss needs waits until that loss is asked for."""
    public = ("__init__", "native", "ported", "jit")
    names = [
        ".".join(["xent", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
        for path in HOUSES["adapters"].rglob("*.py")
        if path.parent.name == "adapters" or path.stem in public
    ]
    assert len(names) > 12
    code = (
        "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
        f"found = {FRAMEWORKS!r} & set(sys.modules)\nassert not found, found"
    )
    subprocess.run([sys.executable, "-c", code, *names], check=True, cwd=ROOT)


def test_importing_xent_is_lazy():
    code = "import sys, xent; assert 'numpy' not in sys.modules; xent.CrossEntropySpec; assert 'numpy' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom xent import __main__\nsys.argv[1:] = ['--help']\n"
        "try:\n    __main__.main()\nexcept SystemExit as end:\n    assert end.code in (0, None)\n"
        "heavy = {'numpy', 'rich', 'jinja2', 'mpmath', 'torch', 'mindspore', 'oneflow', 'paddle'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5  # the aim is 150 ms; this bar only catches a heavy import on a noisy machine


def test_the_wheel_holds_one_package_with_its_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"xent"}
    for house in LINKED:
        for path in HOUSES[house].rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"xent/{path.relative_to(ROOT)}" in names, f"{path.relative_to(ROOT)} is not in the wheel"


@pytest.mark.xdist_group("one worker")
def test_tests_of_one_group_go_to_one_worker(request):
    """pytest-xdist names a test's group at the end of its id; where it can't, each worker makes what a group shares."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@one worker")

"""The house: one import package, one-way imports, no framework at import time."""

from __future__ import annotations

import ast
import shutil
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


def modules(house: str) -> list[Path]:
    """The house's own modules: rglob doesn't follow the links inside xent/."""
    links = [ROOT / "xent" / house for house in LINKED]
    return [path for path in HOUSES[house].rglob("*.py") if not any(path.is_relative_to(link) for link in links)]


def imported(path: Path, *, at_import_time: bool) -> set[str]:
    """Absolute names of what a module imports; relative ones resolved from where it stands in the package."""
    house = path.relative_to(ROOT).parts[0]
    package = ["xent", *([] if house == "xent" else [house]), *path.relative_to(ROOT / house).parts[:-1]]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    if at_import_time:
        inside = {
            id(node)
            for item in nodes
            if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
            for node in ast.walk(item)
        }
        inside |= {
            id(node)
            for item in nodes
            if isinstance(item, ast.If) and "TYPE_CHECKING" in ast.unparse(item.test)
            for node in ast.walk(item)
        }
        nodes = [node for node in nodes if id(node) not in inside]
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names |= {stem, *(f"{stem}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("house", LINKED)
def test_the_links_make_one_package(house):
    assert (ROOT / "xent" / house).resolve() == ROOT / house
    assert not (ROOT / "xent" / house).readlink().is_absolute()


def test_imports_run_one_way():
    wrong = [
        (path.relative_to(ROOT), name)
        for house, barred in (("xent", ("xent.conformance", "xent.adapters")), ("adapters", ("xent.conformance",)))
        for path in modules(house)
        for name in imported(path, at_import_time=True)
        if name.startswith(barred) and path.name != "__init__.py"
    ]
    assert wrong == []


@pytest.mark.parametrize("house", HOUSES)
def test_no_module_imports_a_framework_at_import_time(house):
    found = modules(house)
    assert len(found) > 2
    for path in found:
        assert {name.split(".")[0] for name in imported(path, at_import_time=True)} & FRAMEWORKS == set(), path


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
        "import sys\nfrom xent.commands import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit as end:\n    assert end.code in (0, None)\n"
        "heavy = {'numpy', 'rich', 'jinja2', 'mpmath', 'torch', 'mindspore', 'oneflow', 'paddle'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5  # the aim is 150 ms; this bar only catches a heavy import on a noisy machine


def test_the_wheel_holds_one_package_with_its_data(tmp_path):
    # From a copy: setuptools leaves metadata beside the sources, and what is stale there would be found before ours.
    source = tmp_path / "source"
    source.mkdir()
    for name in HOUSES:
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("xent_loss-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"xent"}
    for house in LINKED:
        for path in HOUSES[house].rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"xent/{path.relative_to(ROOT)}" in names, f"{path.relative_to(ROOT)} is not in the wheel"

"""The frameworks' own interpreters, an old one, and what users install, for tests that need them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from interpreters import Environment, python_38

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "tests" / "adapters" / "native"
OLD_NUMPY = "numpy==1.19.5"
# As many threads as ever, but one that waits gives its core to the other tests instead of spinning.
THREADS = {name: {"OMP_WAIT_POLICY": "PASSIVE"} for name in ("torch", "mindspore", "paddle")}

# The processes that tests start by the hundred find the bytecode of those before them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Whose tests are long; they begin in this order, before all others, so that no core is idle at the end.
LONGEST = (
    "test_loss_bench", "test_mindspore_portable", "test_torch_portable", "test_portable_properties", "test_plugin",
    "test_kit_guide", "test_gradients", "test_oneflow_portable", "test_linear_in_the_harness", "test_port", "test_mint",
    "test_native_adapters", "test_linear", "test_refusals", "test_install", "test_kit_built_in", "test_mending",
    "test_environment_making", "test_results", "test_doctor", "test_plugins",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", type=int, default=300, metavar="N", help="inputs for each reader (default: 300)")
    parser.addoption("--fuzz-seed", type=int, default=0, metavar="S", help="of these inputs (default: 0)")


@pytest.fixture(scope="session")
def framework_python() -> Callable[[str], str]:
    """The interpreter that has a framework: XENT_TEST_PYTHON_TORCH and its like, else as `xent run` finds it.

    A framework that can't be installed here skips the test, and pytest's closing lines say which and why.
    """
    found: dict[str, str] = {}

    def find(framework: str) -> str:
        named = os.environ.get(f"XENT_TEST_PYTHON_{framework.upper()}")
        if named:
            return named
        if framework not in found:
            from xent.conformance.running import interpreters
            from xent.errors import Unavailable

            try:
                found[framework] = str(interpreters.resolve(framework, framework, {}, print).path)
            except Unavailable as error:
                pytest.skip(f"NOT RUN, {framework} can't be installed here: {error}")
        return found[framework]

    return find


@pytest.fixture(scope="session")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment that has Python 3.8, NumPy 1.19.5 and nothing else."""
    base = python_38()
    if base is None:
        pytest.skip("NOT RUN, no Python 3.8 here: name one in XENT_TEST_PYTHON_38 or install it with pyenv")
    environment = Environment(base, tmp_path_factory.mktemp("old") / "environment")
    try:
        environment.install("--only-binary=:all:", OLD_NUMPY)
    except AssertionError as error:
        pytest.skip(f"NOT RUN, {OLD_NUMPY} can't be installed for Python 3.8: {str(error)[-300:]}")
    return environment.python


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of this checkout."""
    folder = tmp_path_factory.mktemp("distributions")
    build = [sys.executable, "-m", "build", "--wheel", "--sdist", "--no-isolation"]
    done = subprocess.run(
        [*build, "--outdir", str(folder), str(ROOT)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    """The wheel."""
    (found,) = distributions.glob("xent_loss-*.whl")
    return found


@pytest.fixture(scope="session")
def source_distribution(distributions: Path) -> Path:
    """The source distribution."""
    (found,) = distributions.glob("xent_loss-*.tar.gz")
    return found


@pytest.fixture(scope="session")
def native_checks(framework_python: Callable[[str], str]) -> Callable[..., dict[str, str]]:
    """Runs tests/adapters/native/SCRIPT in a framework's interpreter: {check: "" or what failed}."""

    def run(framework: str, script: str, *arguments: str, timeout: float = 300) -> dict[str, str]:
        from xent.conformance.running.launch import launched

        with launched("xent") as environment:
            del environment["PYTHONDONTWRITEBYTECODE"]  # what only these scripts import is compiled once, too
            done = subprocess.run(
                [framework_python(framework), str(NATIVE / script), *arguments],
                capture_output=True, text=True, timeout=timeout, env={**THREADS.get(framework, {}), **environment},
                check=False,
            )  # fmt: skip
        checks = {}
        for line in done.stdout.splitlines():
            if line.startswith("ok "):
                checks[line[3:].strip()] = ""
            elif line.startswith("FAILED "):
                name, _, message = line[7:].partition(":")
                checks[name.strip()] = message.strip() or "failed"
        if done.returncode != 0:
            checks[f"{script} ends"] = f"exit code {done.returncode}: {done.stderr[-2000:]}"
        return checks

    return run


@pytest.fixture(scope="session")
def native_folder() -> Path:
    """Where the scripts are that run in a framework's interpreter."""
    return NATIVE

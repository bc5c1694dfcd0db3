"""Looking for a Python of a given version, activated or not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from xent.conformance.running.interpreters import bounded, pythons

RUNNING = "{}.{}".format(*sys.version_info)


def stub(path: Path, version: str = "[3, 99, 1]") -> Path:
    """A program that answers the probe like a Python of that version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = f'{{"version": {version}, "cpython": true, "threaded": true, "packages": {{}}}}'
    path.write_text(f"#!/bin/sh\necho 'xent-probe {answer}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[], pythons.Probe | None]:
    """Looks for a Python 3.99 on a machine whose home and PATH lie under tmp_path."""
    shim = tmp_path / "path" / "python3.99"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.99: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    environ = {"HOME": str(tmp_path), "PATH": str(shim.parent)}
    return lambda: pythons.find("3.99", Path("/bin/false"), environ)


@pytest.mark.parametrize(
    "place",
    [
        "path/python3", ".pyenv/versions/3.99.1/bin/python", "miniconda3/envs/other/bin/python3.99",
        "miniforge3/bin/python3.99",
    ],
)  # fmt: skip
def test_found_wherever_it_lies_past_a_shim_that_fails(
    tmp_path: Path, machine: Callable[[], pythons.Probe | None], place: str
) -> None:
    assert machine() is None
    stub(tmp_path / place)
    found = machine()
    assert found is not None
    assert (found.path, found.release) == (tmp_path / place, "3.99.1")


def test_found_by_conda_s_own_list(tmp_path: Path, machine: Callable[[], pythons.Probe | None]) -> None:
    stub(tmp_path / "elsewhere" / "bin" / "python3.99")
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"/gone\n{tmp_path / 'elsewhere'}\n")
    assert machine() is not None


def test_found_beside_the_conda_on_the_path(tmp_path: Path, machine: Callable[[], pythons.Probe | None]) -> None:
    (tmp_path / "path" / "conda").symlink_to(stub(tmp_path / "shared" / "bin" / "conda"))
    stub(tmp_path / "shared" / "envs" / "other" / "bin" / "python3.99")
    assert machine() is not None


def test_another_version_or_another_kind_is_passed_over(
    tmp_path: Path, machine: Callable[[], pythons.Probe | None]
) -> None:
    other = stub(tmp_path / "path" / "python3", version="[3, 9, 9]")
    assert machine() is None
    stub(other)
    other.write_text(other.read_text().replace('"cpython": true', '"cpython": false'))
    assert machine() is None


def test_the_running_version_is_found_without_looking_far() -> None:
    found = pythons.find(RUNNING, Path("/bin/false"), {"HOME": "/nowhere", "PATH": ""})
    assert found is not None
    assert found.minor == RUNNING


def test_places_that_are_no_paths_are_passed_over(tmp_path: Path, machine: Callable[[], pythons.Probe | None]) -> None:
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"/{'x' * 5000}\n/a\0b\n{tmp_path / 'elsewhere'}\n")
    stub(tmp_path / "elsewhere" / "bin" / "python3.99")
    assert machine() is not None


@pytest.mark.parametrize(
    "answer", ["printf '/%05000d\\n' 7", "printf '/\\377\\n'", "printf 'a\\0b\\nc\\n'", "exit 9", "kill $$"]
)
def test_a_uv_that_answers_oddly_or_is_not_there_finds_nothing(tmp_path: Path, answer: str) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\n{answer}\n")
    uv.chmod(0o755)
    environ = {"HOME": str(tmp_path), "PATH": ""}
    assert pythons.find("3.99", uv, environ) is None
    assert pythons.find("3.99", tmp_path / "gone", environ) is None


def test_a_python_that_prints_for_ever_or_hangs_does_not_hide_the_next(
    tmp_path: Path, machine: Callable[[], pythons.Probe | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "LIMIT", 4 * 2**20)
    endless = stub(tmp_path / "path" / "python3")
    endless.write_text(
        "#!/bin/sh\nwhile :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n"
    )
    stub(tmp_path / ".pyenv" / "versions" / "3.99.1" / "bin" / "python")
    found = machine()
    assert found is not None
    assert ".pyenv" in str(found.path)

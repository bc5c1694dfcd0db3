"""A framework called `toy`, whose wheel is made here and pinned: environments without a network."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from xent.conformance.running import interpreters
from xent.conformance.running.interpreters import requirements
from xent.errors import Unavailable

ROOT = Path(__file__).resolve().parent.parent.parent

RUNNING = "{}.{}".format(*sys.version_info)
# Slow to import when told to, so that a test can catch it in the act; broken when told to.
TOY = """
import os, time
time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
if os.environ.get("TOY_BROKEN"):
    raise ImportError("libtoy.so.8: cannot open shared object file")
"""


def quiet(message: str) -> None:
    pass


def make_wheel(folder: Path, version: str = "1.0", text: str = TOY) -> str:
    """Writes the wheel of `toy` and returns its sha256."""
    folder.mkdir(exist_ok=True)
    info = f"toy-{version}.dist-info"
    files = {
        "toy/__init__.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: toy\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = folder / f"toy-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pin(folder: Path, hash: str, *, name: str = "toy", version: str = "1.0", platforms: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text(
        f"# framework: toy\n# pythons: {RUNNING}\n# platforms: {platforms or requirements.this_platform()}\n"
        f"# size: 0.1 GB\ntoy=={version} --hash=sha256:{hash}\n"
    )


def stub(path: Path, version: str = "[3, 99, 1]", packages: str = "{}") -> Path:
    """A program that answers the probe like a Python of that version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = f'{{"version": {version}, "cpython": true, "threaded": true, "packages": {packages}}}'
    path.write_text(f"#!/bin/sh\necho 'xent-probe {answer}'\n")
    path.chmod(0o755)
    return path


def pyenv_pythons(version: str) -> list[Path]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return [path for path in (root / "versions").glob(f"{version}*/bin/python") if path.exists()]


def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which `toy` 1.0 is pinned and lies in pip's find-links folder; no index, an empty cache."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(requirements, "FOLDER", tmp_path / "environments")
    pin(tmp_path / "environments", make_wheel(tmp_path / "wheels"))
    return tmp_path


def unpack(toy: Path, *, owned: bool = True) -> str:
    """`toy` as an installed package in a folder for PYTHONPATH."""
    folder = toy / "site"
    with zipfile.ZipFile(toy / "wheels" / "toy-1.0-py3-none-any.whl") as wheel:
        wheel.extractall(folder, [name for name in wheel.namelist() if owned or name.startswith("toy/")])
    return str(folder)


def refusal(overrides: Mapping[str, str] | None = None) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        interpreters.resolve("toy-jit", "toy", overrides or {}, quiet)
    assert caught.value.implementation == "toy-jit"
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return caught.value


def nothing_complete(toy: Path) -> bool:
    return not list((toy / "cache").rglob(requirements.MARKER)) and requirements.existing("toy") is None

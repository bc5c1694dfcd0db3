"""What `xent doctor` says of a plug-in whose framework is ready, missing, broken, or still to be made."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from xent import adapters
from xent.conformance import doctor
from xent.conformance.interpreters import requirements

ADAPTER = """
NAME = "{name}"
FRAMEWORK = "{framework}"
capabilities = None
def version():
    print("a framework that talks", end="")
    import {framework}
    return {framework}.__version__
def device():
    return "abacus"
to_native = from_native = from_call = source = evaluate = None
"""


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module path for an adapter of the framework `toyworks`, which the running interpreter has."""
    name = f"plugins_of_{tmp_path.name}"
    (tmp_path / "code" / name).mkdir(parents=True)
    (tmp_path / "code" / name / "toy.py").write_text(ADAPTER.format(name="toy", framework="toyworks"))
    site = tmp_path / "site"
    (site / "toyworks").mkdir(parents=True)
    (site / "toyworks" / "__init__.py").write_text("__version__ = '4.2'")
    (site / "toyworks-4.2.dist-info").mkdir()
    (site / "toyworks-4.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toyworks\nVersion: 4.2\n")
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(requirements, "FOLDER", tmp_path)
    return f"{name}.toy"


def examine(name: str, **overrides: str) -> doctor.Row:
    row, ascend = doctor.examine(overrides, [name])
    assert ascend.implementation == doctor.ASCEND
    assert row.implementation == name
    return row


def test_ready_means_that_the_framework_was_imported(plug_in: str, tmp_path: Path) -> None:
    row = examine(plug_in)
    assert row == doctor.Row(plug_in, "ready", "running", sys.executable, "4.2", "abacus")
    assert not (tmp_path / "cache").exists()


def test_a_framework_that_is_there_and_broken(plug_in: str, tmp_path: Path) -> None:
    (tmp_path / "site" / "toyworks" / "__init__.py").write_text("raise ImportError('libtoy.so.8 is missing')")
    row = examine(plug_in)
    assert (row.state, row.interpreter) == ("no", sys.executable)
    assert "toyworks can't be imported there (ImportError: libtoy.so.8 is missing)" in row.missing
    assert row.remedy


def test_an_environment_that_is_still_to_be_made(plug_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    running = "{}.{}".format(*sys.version_info)
    for name, size in (("toyworks", "0.8"), ("toyworks-index", "10.5")):
        (tmp_path / f"{name}.txt").write_text(
            f"# framework: toyworks\n# pythons: {running}\n# size: {size} GB\n"
            f"# platforms: {requirements.this_platform()}\n"
        )
    row = examine(plug_in)
    assert (row.state, row.remedy) == ("on first run", f"xent run --only {plug_in}")
    assert f"up to 10.5 GB; Python {sys.version.split()[0]} is here" in row.missing
    assert not (tmp_path / "cache").exists()


def test_a_framework_that_is_nowhere(plug_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    row = examine(plug_in)
    assert (row.state, row.remedy) == ("no", f"xent run --python {plug_in}=INTERPRETER")
    assert "toyworks isn't in this interpreter" in row.missing


def test_an_interpreter_that_cannot_be_used_and_an_adapter_that_does_not_import(plug_in: str) -> None:
    row = examine(plug_in, toyworks="/nowhere/python")
    assert (row.state, row.missing) == ("no", f"--python {plug_in}=/nowhere/python: there is no such interpreter")
    assert examine("no.such.adapter").state == "no"


def test_all_installed_adapters_by_default() -> None:
    rows = doctor.examine(dict.fromkeys(adapters.names(), "/nowhere/python"))
    assert [row.implementation for row in rows] == [*adapters.names(), doctor.ASCEND]


def test_ascend_is_never_called_ready() -> None:
    row = doctor.examine({}, [])[-1]
    assert row.state != "ready"
    assert "never run" in row.missing


ROWS = [
    doctor.Row("numpy", "ready", "running", "/usr/bin/python3", "2.4.6", "cpu"),
    doctor.Row("mint", "ready", "managed", "/home/somebody" + "/long" * 20 + "/bin/python", "2.10.0", "cpu"),
    doctor.Row("mint-jit", "ready", "managed", "/home/somebody" + "/long" * 20 + "/bin/python", "2.10.0", "cpu"),
    doctor.Row("oneflow", "on first run", missing="not [made] yet", remedy="xent run --only oneflow" + " word" * 20),
]


@pytest.mark.parametrize("colour", [False, True])
def test_the_table_fits_80_columns_and_commands_stay_whole(colour: bool) -> None:
    out = io.StringIO()
    doctor.render(
        ROWS, Console(file=out, width=80, force_terminal=colour, color_system="truecolor" if colour else None)
    )
    text = out.getvalue()
    table = text.split("\n\n")[0]
    assert [line.split()[0] for line in table.splitlines()][-4:] == ["numpy", "mint", "mint-jit", "oneflow"]
    if not colour:
        assert max(map(len, table.splitlines())) <= 80
        assert "\x1b" not in text
    assert ROWS[1].interpreter is not None
    assert f"  mint, mint-jit\n    {ROWS[1].interpreter}\n" in text
    assert f"oneflow: {ROWS[3].missing}\n    {ROWS[3].remedy}\n" in text


def test_json_holds_the_rows() -> None:
    data = json.loads(doctor.to_json(ROWS))
    assert [doctor.Row(**row) for row in data] == ROWS
    assert data[3]["version"] is None
    assert os.path.isabs(data[0]["interpreter"])

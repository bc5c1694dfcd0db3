"""What `xent doctor` says of a plug-in whose framework is ready, missing, broken, or still to be made."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from xent.commands import selection
from xent.conformance import implementations
from xent.conformance.report import doctor as rendering
from xent.conformance.running import doctor, plugins
from xent.conformance.running.interpreters import requirements

ROOT = Path(__file__).resolve().parent.parent.parent
ADAPTER = """
NAME = "{name}"
FRAMEWORK = "{framework}"
from xent.capabilities import Capabilities
capabilities = Capabilities()
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
    assert row.module == name
    return row


def test_ready_means_that_the_framework_was_imported(plug_in: str, tmp_path: Path) -> None:
    row = examine(plug_in)
    assert row == doctor.Row("toy", "ready", "running", sys.executable, "4.2", "abacus", module=plug_in)
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
    assert (row.state, row.remedy) == ("on first run", f"xent run --only toy --adapter {plug_in}")
    assert f"up to 10.5 GB; Python {sys.version.split()[0]} is here" in row.missing
    assert not (tmp_path / "cache").exists()


def test_a_framework_that_is_nowhere(plug_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    row = examine(plug_in)
    command = f"xent run --only toy --adapter {plug_in} --python toy=INTERPRETER"
    assert (row.state, row.remedy) == ("no", command)
    assert "toyworks isn't in this interpreter" in row.missing


def test_an_interpreter_that_cannot_be_used_and_an_adapter_that_does_not_import(plug_in: str) -> None:
    row = examine(plug_in, toyworks="/nowhere/python")
    assert (row.state, row.missing) == ("no", "--python toy=/nowhere/python: there is no such interpreter")
    assert examine("no.such.adapter").state == "no"


def test_a_plug_in_bears_its_name_and_its_module_path(plug_in: str) -> None:
    row = examine(plug_in)
    assert (row.implementation, row.module, row.label) == ("toy", plug_in, f"toy ({plug_in})")
    assert json.loads(rendering.to_json([row]))[0]["module"] == plug_in
    out = io.StringIO()
    rendering.render([row], Console(file=out, width=200))
    assert out.getvalue().splitlines()[1].startswith("toy  ")
    assert f"\n  toy ({plug_in})\n    {sys.executable}\n" in out.getvalue()
    assert [row.module for row in doctor.examine({}, ["numpy"])] == ["", ""]


def test_the_command_line_may_name_an_interpreter_for_a_plug_in_by_its_name(plug_in: str) -> None:
    found = doctor.find(["numpy", plug_in, "no.such.adapter"])
    known = [one for one in found if not isinstance(one, doctor.Row)]
    overrides = selection.overrides(["toy=/nowhere/python"], known)
    rows = doctor.examine(overrides, found)
    assert [row.implementation for row in rows] == ["numpy", "toy", "no.such.adapter", doctor.ASCEND]
    assert "--python toy=/nowhere/python: there is no such interpreter" in rows[1].missing


def test_a_name_that_is_taken_leaves_the_module_path(plug_in: str, tmp_path: Path) -> None:
    names = [plug_in]
    for number, called in enumerate(("toy", "torch", "not a name")):
        names.append(f"other{number}_{tmp_path.name}")
        text = ADAPTER.format(name=called, framework="toyworks")
        (tmp_path / "code" / f"{names[-1]}.py").write_text(text)
    rows = doctor.examine({}, [*names, plug_in])[:-1]
    assert [row.implementation for row in rows] == ["toy", *names[1:]]
    assert [row.label for row in rows[1:]] == names[1:]
    assert {row.state for row in rows} == {"ready"}


def test_a_plug_in_may_stand_where_the_command_was_started(
    plug_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    module = f"beside_{tmp_path.name}"
    (here / f"{module}.py").write_text(ADAPTER.format(name="toy", framework="toyworks"))
    monkeypatch.chdir(here)
    before = list(sys.path)
    assert examine(module).state == "ready"
    assert sys.path == before
    monkeypatch.chdir(tmp_path)
    here.rename(tmp_path / "moved")
    assert "no adapter imports as" in examine(module).missing


def test_where_we_stand_may_be_gone(plug_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    assert examine(plug_in).state == "ready"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; sys.exit('enough')", "SystemExit: enough"),
        ("class Odd(BaseException): pass\nraise Odd('mine')", "Odd: mine"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("class Mute(BaseException):\n    def __str__(self): raise RuntimeError\nraise Mute", "RuntimeError"),
        ("raise RuntimeError('\\x1b[31mred\\n' + 'x' * 10 ** 7)", "red xxx"),
        ("NAME = 1", "lacks FRAMEWORK"),
        ("import time; time.sleep(600)", "didn't answer within 8 s"),
        ("while True: print('again')", "didn't answer within 8 s"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import os; os.abort()", "SIGABRT"),
        (
            ADAPTER.format(name="toy", framework="toyworks") + "FRAMEWORK = 'a b'",
            "its FRAMEWORK is 'a b', not an import",
        ),
        (
            ADAPTER.format(name="toy", framework="toyworks") + "FRAMEWORK = '../x'",
            "its FRAMEWORK is '../x', not an imp",
        ),
        ("def __getattr__(name): raise SystemExit(name)", "SystemExit: NAME"),
    ],
)
def test_a_plug_in_that_fails_in_any_way_costs_its_own_row(
    plug_in: str, tmp_path: Path, code: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = plugins.named
    monkeypatch.setattr(plugins, "named", lambda module, folder: ask(module, folder, timeout=8))
    module = f"bad_{tmp_path.name}"
    (tmp_path / "code" / f"{module}.py").write_text(code)
    bad, good, _ = doctor.examine({}, [module, plug_in])
    assert (bad.module, bad.state) == (module, "no")
    assert bad.implementation in (module, "toy")
    assert says in bad.missing
    assert bad.missing.isprintable()
    assert len(bad.missing) <= 1000
    assert bad.remedy
    assert good.state == "ready"


def test_ctrl_c_ends_what_it_waits_for(plug_in: str, tmp_path: Path) -> None:
    (tmp_path / "site" / "toyworks" / "__init__.py").write_text(
        f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    code = f"from xent.conformance.running import doctor; doctor.examine({{}}, [{plug_in!r}])"
    path = os.pathsep.join((os.environ["PYTHONPATH"], str(tmp_path / "code"), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert process.poll() is None
            time.sleep(0.05)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
    assert time.monotonic() - started < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_all_installed_adapters_by_default() -> None:
    rows = doctor.examine(dict.fromkeys(implementations.names(), "/nowhere/python"))
    assert [row.implementation for row in rows] == [*implementations.names(), doctor.ASCEND]


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
    rendering.render(
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
    data = json.loads(rendering.to_json(ROWS))
    assert [doctor.Row(**row) for row in data] == ROWS
    assert data[3]["version"] is None
    assert os.path.isabs(data[0]["interpreter"])

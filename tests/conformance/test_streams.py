"""A command's streams, as shells hand them over: closed, full, without a reader, in an encoding that lacks a letter."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

VECTOR = {
    "id": "mine/one",
    "spec": {"weight": None, "ignore_index": -100, "reduction": "none", "label_smoothing": 0.0},
    "input": {"dtype": "float32", "data": [[0.0, 0.0]]},
    "target": {"dtype": "int64", "data": [0]},
    "note": "Verlust \u640d\u5931 [/] tensor[n] end \u202e \x1b[31m",
}
XENT = f"{shlex.quote(sys.executable)} -m xent.commands.cli"
ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command as bash runs it, with `xent` for the tool; the exit code is that of xent in a pipe, too."""
    script = f'set -o pipefail; xent() {{ {XENT} "$@"; }}\n{command}'
    fixed = {"PYTHONUNBUFFERED": "", "XDG_CACHE_HOME": str(cwd / "cache")}  # buffered, and no framework to import
    environment = {**os.environ, **fixed, **environment}
    return subprocess.run(
        ["bash", "-c", script], cwd=cwd, env=environment, capture_output=True, timeout=120,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in `out`."""
    folder = tmp_path_factory.mktemp("streams")
    many = [{**VECTOR, "id": f"mine/{'case' * 20}-{number}"} for number in range(150)]
    content = {"schema": "xent-vectors/1", "vectors": [VECTOR, *many]}
    (folder / "my.json").write_text(json.dumps(content), encoding="utf-8")
    done = shell("xent run --only numpy --vectors my.json --out out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def quiet(done: subprocess.CompletedProcess[bytes], code: int = 0) -> None:
    assert done.returncode == code, done.stderr
    for noise in (b"Traceback", b"Exception", b"Error", b"Broken"):
        assert noise not in done.stderr


COMMANDS = ("show mine/one --in out", "report out/results/numpy.jsonl --json --out again", "doctor --json", "--help")


@pytest.mark.parametrize("command", [*COMMANDS, "report out/results/numpy.jsonl --out again"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_takes_what_it_is_given(folder: Path, command: str, closed: str) -> None:
    quiet(shell(f"xent {command} {closed}", folder))


def test_a_closed_stream_is_nobody_elses_file(folder: Path) -> None:
    """The next file that is opened takes the free descriptor, and what a child prints would stand in it."""
    quiet(shell("xent run --only numpy --vectors my.json --out closed <&- >&- 2>&-", folder))
    first, second = ((folder / name / "results/numpy.jsonl").read_bytes().splitlines() for name in ("out", "closed"))
    assert len(first) == len(second) == 153
    assert (folder / "closed/report.json").read_bytes() == (folder / "out/report.json").read_bytes()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("reader", ["| head -1", "2>&1 | true"])
def test_a_reader_that_has_seen_enough_ends_nothing(folder: Path, command: str, reader: str) -> None:
    quiet(shell(f"xent {command} {reader}", folder))


def test_what_was_asked_for_is_done_without_a_reader(folder: Path) -> None:
    quiet(shell("xent report out/results/numpy.jsonl --json --out unread 2>&1 | true", folder))
    assert json.loads((folder / "unread/report.json").read_text())["schema"] == "xent-report/2"
    quiet(shell("xent run --only numpy --vectors my.json --out unread-run 2>&1 | true", folder))
    assert (folder / "unread-run/results/numpy.jsonl").is_file()
    wrong = {**VECTOR, "expected": {"value": [0.7], "gradient": None, "atol": 5e-5, "rtol": 0}}
    (folder / "wrong.json").write_text(json.dumps({"schema": "xent-vectors/1", "vectors": [wrong]}))
    quiet(shell("xent run --only numpy --vectors wrong.json --out wrong --check --json | true", folder), 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("command", COMMANDS[:3])
def test_a_full_disk_is_told_of(folder: Path, command: str) -> None:
    done = shell(f"xent {command} > /dev/full", folder)
    assert done.returncode == 2
    assert b"xent: no space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("command", ["show mine/one --in out", "report out/results/numpy.jsonl --out ascii", "doctor"])
@pytest.mark.parametrize("environment", [ASCII, {"PYTHONIOENCODING": "ascii:strict"}, {"PYTHONIOENCODING": "latin-1"}])
def test_a_terminal_without_a_letter_gets_its_escape(folder: Path, command: str, environment: dict[str, str]) -> None:
    done = shell(f"xent {command}", folder, **environment)
    quiet(done)
    if command.startswith("show"):
        assert rb"Verlust \u640d\u5931 [/] tensor[n] end \u202e \x1b[31m" in done.stdout.replace(b"\n", b" ")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (r"run --only $'\x1b[31m'", rb"\x1b[31m"),
        (r"run $'\x1b[31m'", rb"unrecognized arguments: \x1b[31m"),
        (r"$'\x1b[31m'", rb"invalid choice: '\x1b[31m'"),
        (r"run --jobs $'\x1b]0;x\x07'", rb"\x1b]0;x\x07"),
        (r"show x --in $'no\x1b[31m\nwhere'", rb"no\x1b[31m\nwhere"),
        (r"report $'no\x1b[2J\nwhere\xff.jsonl'", rb"no\x1b[2J\nwhere\udcff.jsonl"),
        (r"run --vectors $'\u202eno.json'", rb"\u202eno.json"),
        (r"show $'\x1b[31m' --in out", rb"\x1b[31m"),
        (r"run --only numpy --vectors my.json --out $'my.json/[/b]\x1b'", rb"my.json/[/b]\x1b"),
    ],
)
def test_a_message_shows_what_was_typed(folder: Path, command: str, says: bytes) -> None:
    done = shell(f"xent {command}", folder)
    quiet(done, 2)
    assert says in done.stderr.replace(b"\n", b" ").replace(b"  ", b" ")
    assert b"\x1b" not in done.stdout + done.stderr
    assert "\u202e".encode() not in done.stderr


def test_a_message_keeps_our_own_lines(folder: Path) -> None:
    done = shell("xent show mine --in out", folder)
    quiet(done, 2)
    first, *others = done.stderr.decode().splitlines()
    assert first == "xent: mine: names 151 cases. Name one of them:"
    assert others[0] == "  mine/one"
    assert others[-1] == "  and 131 more"


@pytest.mark.parametrize("name", ["a[/b]", "[bold]x", "a\nb", "a\x1b[31mb", "\udcff", "\u202ex", ":smile:"])
def test_a_folder_may_be_called_anything(folder: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xent.commands.cli", "run", "--only", "numpy", "--vectors", "my.json", "--out", name],
        cwd=folder, capture_output=True, timeout=120, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    quiet(done)
    assert (folder / name / "index.html").is_file()
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)
    assert f"report: {shown}/index.html\n".encode() in done.stderr
    assert b"\x1b" not in done.stderr

"""Programs whose output is read: whatever they do, the caller goes on, and nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xent.conformance.running.interpreters import bounded, pip_settings, probe, pythons

LEAVES_A_CHILD = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session={apart})
print(child.pid, flush=True)
"""


def python(code: str, timeout: float = 30, **options: object) -> bounded.Ended:
    return bounded.run([sys.executable, "-c", code], timeout, **options)  # type: ignore[arg-type]  # passed on


def alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(process: int) -> bool:
    """Whether it ends soon: a killed process takes a moment."""
    deadline = time.monotonic() + 5
    while alive(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(process)


def test_both_streams_and_the_exit_code() -> None:
    ended = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert ended == bounded.Ended(3, b"out\n", b"err\n")
    assert ended.account("it") == "it ended with exit code 3: err"


@pytest.mark.parametrize(
    "code",
    [
        "while True: print('again')",
        "import sys\nwhile True: sys.stdout.write('x' * 4096)",  # one line without end
        "import sys\nwhile True: print('again', file=sys.stderr)",
        "import os\nwhile True: os.write(1, bytes(65536)); os.write(2, bytes(65536))",
    ],
)
def test_a_program_that_prints_for_ever_is_ended_and_little_of_it_kept(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "LIMIT", 4 * 2**20)
    ended = python(code, timeout=60)
    assert ended.stopped == "printed more than 4 MiB"
    assert len(ended.stdout) <= bounded.KEPT
    assert len(ended.stderr) <= bounded.KEPT


def test_of_much_output_the_end_is_kept() -> None:
    ended = python("print('x' * (3 * 2 ** 20)); print('the answer')")
    assert len(ended.stdout) == bounded.KEPT
    assert ended.stdout.endswith(b"x\nthe answer\n")


@pytest.mark.parametrize("closes", ["", "import os; os.close(1); os.close(2)"])
def test_a_program_that_hangs_is_ended_with_its_children(closes: str) -> None:
    started = time.monotonic()
    ended = python(f"{LEAVES_A_CHILD.format(apart=False)}\n{closes}\nimport time; time.sleep(60)", timeout=1.5)
    assert ended.stopped == "didn't answer within 2 s"
    assert ended.how == ended.stopped
    assert gone(int(ended.stdout))
    assert time.monotonic() - started < 20


def test_a_child_that_holds_the_output_open_is_ended_once_its_parent_has_answered() -> None:
    started = time.monotonic()
    ended = python(LEAVES_A_CHILD.format(apart=False))
    assert (ended.status, ended.stopped) == (0, "")
    assert gone(int(ended.stdout))
    assert time.monotonic() - started < 20


def test_a_child_in_a_session_of_its_own_is_not_waited_for() -> None:
    started = time.monotonic()
    ended = python(LEAVES_A_CHILD.format(apart=True))
    assert (ended.status, ended.stopped) == (0, "")
    os.kill(int(ended.stdout), 9)
    assert time.monotonic() - started < 20


def test_a_child_that_prints_for_ever_holds_nobody_up() -> None:
    chatter = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'while True: print(0)']{apart})"
    for apart in ("", ", start_new_session=True"):  # the latter dies of SIGPIPE or BrokenPipeError
        assert python(chatter.format(apart=apart), timeout=20).status == 0


def test_an_event_ends_it_as_ctrl_c_would() -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        python("import time; time.sleep(60)", stop=stop)
    assert time.monotonic() - started < 20


def test_a_caller_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        f"import os, sys, time; open({str(pid)!r}, 'w').write(str(os.getpid())); "
        "print('x', file=sys.stderr, flush=True); time.sleep(60)"
    )

    def fail(line: str | None) -> None:
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="the caller's own"):
        python(code, follow=fail)
    assert gone(int(pid.read_text()))


def test_lines_come_as_they_are_written_and_silence_is_told_of() -> None:
    told: list[str | None] = []
    code = (
        "import sys, time\n"
        "for line in ('  \\x1b[1mone\\x1b[0m', 'x' * 9000):\n    print(line, file=sys.stderr, flush=True)\n"
        "time.sleep(1)\nprint('three', end='', file=sys.stderr)"
    )
    python(code, follow=told.append, heartbeat=0.2)
    assert told[:2] == ["  one", "x" * 4096]
    assert None in told[2:-1]
    assert told[-1] == "three"


@pytest.mark.parametrize("command", [["/nowhere/program"], [os.sep], ["a\0b"], ["echo", "a\0b"], ["echo", "\ud800"]])
def test_what_cannot_be_started_is_one_kind_of_error(command: list[str]) -> None:
    with pytest.raises(OSError, match=r"No such file|Permission denied|null byte|surrogates not allowed"):
        bounded.run(command, 10)


# What faulthandler writes, and its end, which is what the end of a long stderr may hold.
DUMP = """Fatal Python error: Aborted

Current thread 0x00007f5d1a7c0740 (most recent call first):
  File "/somewhere/torch/__init__.py", line 1 in <module>
  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed
  ...

Thread 0x00007f5d1a7c0741 (most recent call first):
  <no Python frame>

Extension modules: numpy._core._multiarray_umath, numpy.linalg._umath_linalg (total: 2)
"""


@pytest.mark.parametrize(
    ("status", "stderr", "account"),
    [
        (-9, "Downloading", "uv was killed by SIGKILL: is memory short?"),
        (137, "", "uv was killed by SIGKILL: is memory short?"),
        (-4, "", "uv was killed by SIGILL: is it built for another processor?"),
        (-15, "", "uv was killed by SIGTERM"),
        (-11, "", "uv was killed by SIGSEGV"),
        (-7, "", "uv was killed by SIGBUS: is one of its files cut off?"),
        (-6, f"what(): bad\n{DUMP}", "uv was killed by SIGABRT: what(): bad"),
        (-11, DUMP[200:], "uv was killed by SIGSEGV"),
        (-11, '  File "/somewhere/x.py", line 1 in <module>\n', "uv was killed by SIGSEGV"),
        (1, 'Traceback:\n  File "/somewhere/x.py", line 1\nImportError: no\n\n', "ImportError: no"),
        (1, "", "uv ended with exit code 1"),
        (77, "\x1b[31mred\x1b[0m\x07", "uv ended with exit code 77: red?"),
        (0, "", "uv ended with exit code 0"),
    ],
)
def test_how_a_process_ended_in_one_line(status: int, stderr: str, account: str) -> None:
    assert bounded.account("uv", status, stderr) == account


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2.13.0+cpu", "2.13.0+cpu"),
        (" a\n\tb ", "a b"),
        ("\x1b[31m2.0\x1b[0m\x00\u202e\x9b", "2.0???"),
        ("half \ud83d a pair", "half ? a pair"),
        ("9" * 10_000_000, "9" * 200),
        ("\x1b]0;title\x07late", "late"),
    ],
)
def test_text_from_outside_becomes_one_short_printable_line(text: str, shown: str) -> None:
    assert bounded.one_line(text) == shown
    shown.encode("utf-8")


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport os, subprocess, sys, time\n{body}\n")
    path.chmod(0o755)
    return path


MISBEHAVIOUR = {
    "prints": "while True: print('again')",
    "one line": "while True: sys.stdout.write('x' * 4096)",
    "floods": "while True: sys.stderr.write('x' * 4096)",
    "hangs": "time.sleep(60)",
    "held open": "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])",
}


def ask_in_vain(path: Path) -> None:
    with contextlib.suppress(probe.NotPython):
        probe.ask(path, timeout=3)
        pytest.fail("that was no Python")


READERS: dict[str, Callable[[Path], object]] = {
    "an interpreter": ask_in_vain,
    "pip": lambda path: pip_settings.read(),
    "uv": lambda path: pythons.find("3.99", path, {"HOME": "/nowhere", "PATH": ""}),
}


@pytest.mark.parametrize("behaviour", MISBEHAVIOUR)
@pytest.mark.parametrize("reader", READERS)
def test_whoever_reads_an_answer_goes_on(
    behaviour: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "bin" / "pip3", MISBEHAVIOUR[behaviour])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    monkeypatch.setenv("PATH", str(path.parent))
    monkeypatch.setattr(pip_settings, "_TIMEOUT", 3.0)
    monkeypatch.setattr(pythons, "_TIMEOUT", 3.0)
    monkeypatch.setattr(bounded, "LIMIT", 4 * 2**20)
    started = time.monotonic()
    READERS[reader](path)
    assert time.monotonic() - started < 30


def test_an_answer_counts_although_a_child_holds_the_output_open(tmp_path: Path) -> None:
    answer = '{"version": [3, 99, 1], "cpython": true, "threaded": true, "packages": {}}'
    body = f"print('xent-probe ' + {answer!r}, flush=True); {MISBEHAVIOUR['held open']}"
    started = time.monotonic()
    assert probe.ask(program(tmp_path / "python", body)).release == "3.99.1"
    assert time.monotonic() - started < 20


def test_a_real_interpreter_is_asked_in_a_moment() -> None:
    took = []
    for _ in range(5):
        started = time.monotonic()
        probe.ask(Path(sys.executable))
        took.append(time.monotonic() - started)
    plain = []
    for _ in range(5):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "import json, platform"], check=True)
        plain.append(time.monotonic() - started)
    assert min(took) < min(plain) + 0.2

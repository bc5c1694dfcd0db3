"""Making environments: what can go wrong, who else is at it, and that nothing unfinished counts as finished."""

from __future__ import annotations

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from toy_environment import RUNNING, make_wheel, nothing_complete, pin, quiet, refusal

from xent.conformance.running import interpreters
from xent.conformance.running.interpreters import bounded, managed, requirements, uv_process

ROOT = Path(__file__).resolve().parent.parent.parent


class TestFailures:
    def test_a_wheel_that_is_not_the_pinned_one(self, toy: Path) -> None:
        pin(toy / "environments", "0" * 64)
        error = refusal()
        assert "a package isn't the one that was pinned" in error.reason
        assert "Hash mismatch for `toy==1.0`" in error.reason
        assert "--python toy-jit=INTERPRETER" in str(error)
        assert nothing_complete(toy)

    def test_nothing_offers_the_pinned_version(self, toy: Path) -> None:
        (toy / "wheels" / "toy-1.0-py3-none-any.whl").unlink()
        error = refusal()
        assert "toy was not found in the provided package locations" in error.reason
        assert "pip config list" in str(error)
        assert nothing_complete(toy)

    def test_no_network_and_no_password_in_the_message(self, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("PIP_INDEX_URL", "http://somebody:secret@127.0.0.1:9/simple")
        error = refusal()
        assert "toy couldn't be installed (Failed to fetch: http" in error.reason
        assert "Connection refused" in error.reason
        assert "secret" not in str(error)
        assert nothing_complete(toy)

    def test_a_constraint_of_pip_s_that_excludes_the_pin(self, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (toy / "constraints.txt").write_text("toy<1\n")
        monkeypatch.setenv("PIP_CONSTRAINT", str(toy / "constraints.txt"))
        assert "toy<1" in refusal().reason
        (toy / "constraints.txt").write_text("toy<2\n")
        assert interpreters.resolve("toy", "toy", {}, quiet).how == "managed"

    @pytest.mark.parametrize("place", ["cache", "cache/xent"])
    def test_a_cache_that_cannot_be_written(self, toy: Path, place: str) -> None:
        (toy / place).parent.mkdir(exist_ok=True)
        (toy / place).write_text("a file where the folder should be")
        error = refusal()
        assert str(toy / "cache") in error.reason
        assert "XDG_CACHE_HOME" in str(error)

    def test_a_framework_that_does_not_import(self, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOY_BROKEN", "1")
        assert "toy was installed but doesn't import (ImportError: libtoy.so.8" in refusal().reason
        assert nothing_complete(toy)
        assert not list((toy / "cache").rglob("bin/python"))

    @pytest.mark.parametrize(
        ("number", "says"),
        [
            (4, "python was killed by SIGILL: is it built for another processor?"),
            (6, "python was killed by SIGABRT: terminate called"),
            (9, "python was killed by SIGKILL: is memory short?"),
            (11, "python was killed by SIGSEGV: terminate called"),
        ],
    )
    def test_a_framework_that_dies_of_a_signal_when_first_imported(self, toy: Path, number: int, says: str) -> None:
        text = f"import os, sys; print('terminate called', file=sys.stderr, flush=True); os.kill(os.getpid(), {number})"
        pin(toy / "environments", make_wheel(toy / "wheels", text=text))
        error = refusal()
        assert f"toy was installed but doesn't import ({says})" in error.reason
        assert ("Free memory" in str(error.remedy)) == (number == 9)
        assert nothing_complete(toy)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("import time; time.sleep(60)", "python didn't answer within 2 s"),
            ("import os; os._exit(77)", "python ended with exit code 77"),
            ("import sys; sys.exit(5)", "python ended with exit code 5"),
        ],
    )
    def test_a_framework_that_hangs_or_exits_when_first_imported(
        self, toy: Path, text: str, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(uv_process.LIMITS, "import", 2.0 if "sleep" in text else 60.0)
        pin(toy / "environments", make_wheel(toy / "wheels", text=text))
        assert f"toy was installed but doesn't import ({says})" in refusal().reason
        assert nothing_complete(toy)

    @pytest.mark.parametrize(
        ("script", "says"),
        [
            ("kill -KILL $$", "uv was killed by SIGKILL: is memory short?"),
            ("kill -SEGV $$", "uv was killed by SIGSEGV"),
            ("kill -TERM $$", "uv was killed by SIGTERM"),
            ("exit 137", "uv was killed by SIGKILL: is memory short?"),
            ("exit 77", "uv ended with exit code 77"),
            ("echo 'no libz here' >&2; exit 77", "uv ended with exit code 77: no libz here"),
            ("printf '\033[1m\033[31merror\033[39m\033[0m: A\n  \033[31mcause\033[0m: B\n' >&2; exit 2", "A: B"),
            ("echo 'error: A' >&2; kill -KILL $$", "uv was killed by SIGKILL: is memory short?"),
            ("yes >&2", "uv printed more than 4 MiB"),
            ("yes | tr -d '\n' >&2", "uv printed more than 4 MiB"),
        ],
    )
    @pytest.mark.parametrize("step", ["venv", "pip"])
    def test_uv_dies_or_fails_oddly(
        self, toy: Path, script: str, says: str, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = uv_process.find_uv()
        fake = toy / "bin" / "uv"
        fake.parent.mkdir()
        news = "echo 'Resolved 1 package in 2ms' >&2\necho 'Downloading toy (1.0GiB)' >&2\n"
        fake.write_text(f'#!/bin/sh\n[ "$1" = {step} ] || exec {real} "$@"\n{news}{script}\n')
        fake.chmod(0o755)
        monkeypatch.setattr(managed, "find_uv", lambda: fake)
        monkeypatch.setattr(bounded, "LIMIT", 4 * 2**20)
        error = refusal()
        what = "its environment couldn't be created" if step == "venv" else "toy couldn't be installed"
        assert error.reason == f"{what} ({says})"
        assert "Downloading" not in error.reason
        assert ("Free memory" in str(error.remedy)) == ("SIGKILL" in says)
        assert nothing_complete(toy)

    def test_no_fitting_python(self, toy: Path) -> None:
        file = toy / "environments" / "toy.txt"
        file.write_text(file.read_text().replace(f"pythons: {RUNNING}", "pythons: 3.99"))
        assert "no Python that it runs on is here, and none could be downloaded (" in refusal().reason

    def test_uv_itself_refuses(self, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UV_OFFLINE", "perhaps")
        assert "its environment couldn't be created (Failed to parse" in refusal().reason

    def test_a_platform_without_wheels(self, toy: Path) -> None:
        pin(toy / "environments", "0" * 64, platforms="linux-pdp11")
        assert "there is no managed environment for toy on" in refusal().reason

    def test_no_uv(self, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "uv", None)
        monkeypatch.setenv("PATH", "")
        assert "python -m pip install uv" in str(refusal())

    @pytest.mark.parametrize(
        "said",
        [
            "error: Failed to write to the cache\n  cause: failed to write: No space left on device (os error 28)",
            "  × Failed to download `toy==1.0`\n  ├─▶ Failed to extract\n  ╰─▶ No space left on device (os error 28)",
        ],
    )
    def test_a_full_disk_in_the_words_of_both_generations_of_uv(self, said: str) -> None:
        failure = uv_process.Failure("install", uv_process.summary(said.splitlines()))
        reason, remedy = uv_process.explain(failure, "toy", "0.1 GB", Path("cache"))
        assert reason.startswith("the disk is full (Failed to ")
        assert reason.endswith("No space left on device (os error 28))")
        assert "Free 0.1 GB or more" in remedy

    def test_a_reason_is_one_line_without_passwords_whoever_said_it(self) -> None:
        lines = ["Traceback:", "  deep", "ImportError: no http://me:pass@host/x", ""]
        assert uv_process.summary(lines) == "ImportError: no http://host/x"
        chain = ["error: Failed to fetch:", "  `http://me:pass@host`", "  cause: a", "  cause: b.", "hint: c"]
        assert uv_process.summary(chain) == "Failed to fetch: `http://host`: b"
        assert uv_process.summary([]) == ""

    def test_the_second_requirement_file_is_for_a_version_that_is_not_offered_only(self, toy: Path) -> None:
        hash = make_wheel(toy / "wheels", "1.1")
        pin(toy / "environments", hash, name="toy-index", version="1.1")
        pin(toy / "environments", "0" * 64)  # offered, but another file: something is wrong, so nothing is installed
        assert "Hash mismatch" in refusal().reason
        (toy / "wheels" / "toy-1.0-py3-none-any.whl").unlink()
        said: list[str] = []
        found = interpreters.resolve("toy", "toy", {}, said.append)
        assert found.environment is not None
        assert found.environment.name.startswith("toy-index-")
        assert "toy: toy isn't offered here, trying toy-index" in said


SCRIPT = textwrap.dedent("""
    import sys
    from pathlib import Path
    from xent.conformance.running import interpreters
    from xent.conformance.running.interpreters import requirements
    requirements.FOLDER = Path(sys.argv[1])
    found = interpreters.resolve("toy", "toy", {}, lambda line: print(line, flush=True))
    print("found", found.path, flush=True)
""")


def start(toy: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(toy / "environments")], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_the_first_import_leaves_its_bytecode(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch compiles for 2 s at each start without; and where the user wants none in her own folders, it's ours."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(toy / "elsewhere"))
    found = interpreters.resolve("toy", "toy", {}, quiet).environment
    assert found is not None
    assert list(found.rglob("site-packages/toy/__pycache__/*.pyc"))


class TestOthersAtIt:
    def test_two_processes_make_it_once(self, toy: Path) -> None:
        both = [start(toy, TOY_SLEEP="1"), start(toy, TOY_SLEEP="1")]
        outputs = [process.communicate(timeout=60)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0]
        assert sum("making the toy environment" in output for output in outputs) == 1
        assert sum("another process is making this environment; waiting" in output for output in outputs) == 1
        assert outputs[0].splitlines()[-1] == outputs[1].splitlines()[-1]

    def test_a_killed_maker_leaves_nothing_that_counts_as_finished(self, toy: Path) -> None:
        with start(toy, TOY_SLEEP="3") as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "importing toy for the first time" in line:
                    time.sleep(0.5)  # said before the import starts
                    process.send_signal(signal.SIGKILL)
                    break
        assert list((toy / "cache").rglob("site-packages/toy"))  # it was killed late
        assert nothing_complete(toy)
        said: list[str] = []
        started = time.monotonic()
        found = interpreters.resolve("toy", "toy", {}, said.append)
        # The orphan that the killed process had started still held the lock.
        assert "toy: another process is making this environment; waiting for it" in said
        assert "toy: removing an unfinished environment" in said
        assert requirements.existing("toy") == found.environment
        assert time.monotonic() - started < 30

    def test_ctrl_c_leaves_nothing(self, toy: Path) -> None:
        with start(toy, TOY_SLEEP="20") as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "importing toy for the first time" in line:
                    process.send_signal(signal.SIGINT)
                    break
        assert process.returncode != 0
        assert nothing_complete(toy)
        assert not list((toy / "cache").rglob("bin/python"))

    def test_a_thread_that_makes_or_waits_for_one_ends_by_its_event(self, toy: Path) -> None:
        with start(toy, TOY_SLEEP="20") as other:
            assert other.stdout is not None
            for line in other.stdout:
                if "importing toy for the first time" in line:
                    break
            self.stop_when("waiting for it")
            other.send_signal(signal.SIGINT)
        assert nothing_complete(toy)
        text = "import time; time.sleep(60)"
        pin(toy / "environments", make_wheel(toy / "wheels", text=text))
        self.stop_when("importing toy for the first time")
        assert nothing_complete(toy)
        assert not list((toy / "cache").rglob("bin/python"))

    def stop_when(self, told: str) -> None:
        stop, started = threading.Event(), time.monotonic()

        def say(line: str) -> None:
            if told in line:
                stop.set()

        with pytest.raises(KeyboardInterrupt):
            interpreters.resolve("toy", "toy", {}, say, stop)
        assert time.monotonic() - started < 20

    def test_silence_is_broken(self, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(uv_process, "_HEARTBEAT", 0.1)
        monkeypatch.setenv("TOY_SLEEP", "0.5")
        said: list[str] = []
        interpreters.resolve("toy", "toy", {}, said.append)
        assert any(re.fullmatch(r"toy: still at it after \d+ s", line) for line in said)


def test_uv_is_looked_for_by_one_thread_at_a_time(monkeypatch):
    """CPython 3.11's sysconfig fills its table while others read it: "uv" + None, and no report."""
    import uv

    inside: list[int] = []

    def slow() -> str:
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.01)
        inside.pop()
        return sys.executable

    monkeypatch.setattr(uv, "find_uv_bin", slow)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: uv_process.find_uv(), range(16)))
    assert set(found) == {Path(sys.executable)}

"""Finding, checking and making interpreters, with a framework called `toy` whose wheel is made here: no network."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from xent.conformance import interpreters
from xent.conformance.interpreters import bounded, managed, probe, requirements, uv_process
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


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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


class TestOrder:
    def test_a_managed_environment_is_made_once_and_found_again(self, toy: Path) -> None:
        said: list[str] = []
        found = interpreters.resolve("toy", "toy", {}, said.append)
        assert found.how == "managed"
        assert found.environment is not None
        assert found.environment.parent == toy / "cache" / "xent" / "environments"
        assert subprocess.run([found.path, "-c", "import toy"], check=False).returncode == 0
        assert any("making the toy environment (once, 0.1 GB" in line for line in said)
        assert all(line.startswith("toy: ") and "\n" not in line for line in said)
        again: list[str] = []
        assert interpreters.resolve("toy-jit", "toy", {}, again.append) == found
        assert again == []

    def test_available_makes_nothing(self, toy: Path) -> None:
        assert interpreters.available("toy", "toy", {}) is None
        assert not (toy / "cache").exists()

    def test_the_running_interpreter_comes_before_a_managed_one(
        self, toy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        interpreters.resolve("toy", "toy", {}, quiet)
        monkeypatch.setenv("PYTHONPATH", unpack(toy))
        assert interpreters.resolve("toy", "toy", {}, quiet) == interpreters.Interpreter(
            Path(sys.executable), "running"
        )

    def test_an_override_comes_first_and_the_implementation_before_its_framework(
        self, toy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONPATH", unpack(toy))
        one, two = (stub(toy / name, packages='{"toy": "1.0", "numpy": "1.26.4"}') for name in ("one", "two"))
        overrides = {"toy": str(one), "toy-jit": str(two)}
        assert interpreters.resolve("toy-jit", "toy", overrides, quiet) == interpreters.Interpreter(two, "named")
        assert interpreters.resolve("toy-eager", "toy", overrides, quiet).path == one

    def test_a_stand_in_or_a_folder_of_that_name_is_not_the_framework(
        self, toy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "toy", types.ModuleType("toy"))
        (toy / "here" / "toy").mkdir(parents=True)
        monkeypatch.chdir(toy / "here")
        assert interpreters.available("toy", "toy", {}) is None
        monkeypatch.setenv("PYTHONPATH", unpack(toy, owned=False))  # importable, but installed by nobody
        assert interpreters.available("toy", "toy", {}) is None

    def test_numpy_itself_runs_here(self) -> None:
        assert interpreters.resolve("numpy", "numpy", {}, quiet).path == Path(sys.executable)

    def test_an_environment_whose_python_is_gone_is_made_again(self, toy: Path) -> None:
        found = interpreters.resolve("toy", "toy", {}, quiet)
        found.path.unlink()
        found.path.symlink_to(toy / "gone")
        assert interpreters.available("toy", "toy", {}) is None
        assert interpreters.resolve("toy", "toy", {}, quiet) == found
        assert found.path.exists()

    def test_other_pins_are_another_environment(self, toy: Path) -> None:
        first = interpreters.resolve("toy", "toy", {}, quiet)
        pin(toy / "environments", make_wheel(toy / "wheels", "1.1"), version="1.1")
        second = interpreters.resolve("toy", "toy", {}, quiet)
        assert first.environment != second.environment


class TestOverride:
    def test_that_does_not_exist(self, toy: Path) -> None:
        error = refusal({"toy-jit": str(toy / "nowhere")})
        assert f"--python toy-jit={toy / 'nowhere'}: there is no such interpreter" in str(error)

    def test_that_is_a_shell_script(self, toy: Path) -> None:
        script = toy / "script"
        script.write_text("#!/bin/sh\necho nonsense >&2\nexit 3\n")
        script.chmod(0o755)
        error = refusal({"toy-jit": str(script)})
        assert "is not a working Python interpreter (exit code 3: nonsense)" in str(error)

    @pytest.mark.parametrize(("mode", "says"), [(0o755, "Exec format error"), (0o644, "Permission denied")])
    def test_that_cannot_be_run(self, toy: Path, mode: int, says: str) -> None:
        (toy / "data").write_bytes(b"\0\1\2\3")
        (toy / "data").chmod(mode)
        assert says in str(refusal({"toy-jit": str(toy / "data")}))

    def test_that_answers_nonsense_or_never(self, toy: Path) -> None:
        assert "makes no sense" in str(refusal({"toy-jit": str(stub(toy / "odd", version='"three"'))}))
        (toy / "sleeper").write_text("#!/bin/sh\nexec sleep 20\n")
        (toy / "sleeper").chmod(0o755)
        with pytest.raises(probe.NotPython, match="didn't answer within 0 s"):
            probe.ask(toy / "sleeper", timeout=0.2)

    @pytest.mark.parametrize(
        "answer",
        [
            '{"version": [3, 11, Infinity], "cpython": true, "threaded": true, "packages": {}}',
            '{"version": [3, 11, -1], "cpython": true, "threaded": true, "packages": {}}',
            '{"version": [3, 11, 1e2], "cpython": true, "threaded": true, "packages": {}}',
            '{"version": [3, 11, true], "cpython": true, "threaded": true, "packages": {}}',
            '{"version": [3, 11, ' + "9" * 5000 + '], "cpython": true, "threaded": true, "packages": {}}',
            '{"version": [3, 11], "cpython": true, "threaded": true, "packages": {}}',
            '{"version": {"3": 1, "11": 2, "7": 3}, "cpython": true, "threaded": true, "packages": {}}',
            '{"version": [3, 11, 7], "cpython": "yes", "threaded": true, "packages": {}}',
            '{"version": [3, 11, 7], "cpython": true, "threaded": true, "packages": "toy numpy"}',
            '{"version": [3, 11, 7], "cpython": true, "threaded": true, "packages": ["toy", "numpy"]}',
            '{"version": [3, 11, 7], "cpython": true, "threaded": true, "packages": {"toy": ["1.0"]}}',
            '{"version": [3, 11, 7], "cpython": true, "threaded": true, "packages": {"toy": 1.0}}',
            '{"version": [3, 11, 7], "cpython": true, "threaded": true, "packages": null}',
            "[]",
            "7",
            "[" * 100_000,
            "{",
        ],
        ids=lambda answer: answer[:70],
    )
    def test_that_answers_in_another_form(self, toy: Path, answer: str) -> None:
        (toy / "answer").write_text(f"xent-probe {answer}\n")
        path = toy / "odd"
        path.write_text(f"#!/bin/sh\ncat '{toy / 'answer'}'\n")
        path.chmod(0o755)
        assert "it is not a working Python interpreter (its answer makes no sense)" in str(refusal({"toy": str(path)}))

    def test_whose_packages_are_named_strangely_or_endlessly(self, toy: Path) -> None:
        many = {f"package{number}": "1" for number in range(20_000)}
        packages = {**many, "toy": "1.0\x1b[31m\n\ud83d" + "9" * 1000, "numpy": "1.26"}
        answer = {"version": [3, 11, 7], "cpython": True, "threaded": True, "packages": packages}
        (toy / "answer").write_text(f"xent-probe {json.dumps(answer)}\n")
        path = toy / "odd"
        path.write_text(f"#!/bin/sh\ncat '{toy / 'answer'}'\n")
        path.chmod(0o755)
        found = probe.ask(path, ("toy", "numpy", "absent"))
        assert set(found.packages) == {"toy", "numpy"}
        assert re.fullmatch(r"1\.0 \?9{1,99}", found.packages["toy"])

    def test_that_is_killed(self, toy: Path) -> None:
        path = toy / "dies"
        path.write_text("#!/bin/sh\nkill -SEGV $$\n")
        path.chmod(0o755)
        assert "is not a working Python interpreter (it was killed by SIGSEGV)" in str(refusal({"toy": str(path)}))

    @pytest.mark.parametrize("given", ["~nobody-of-that-name/bin/python", "a\0b", "x" * 5000, "\ud800"])
    def test_that_no_file_can_be_called(self, toy: Path, given: str) -> None:
        assert "there is no such interpreter" in str(refusal({"toy": given}))

    def test_a_command_to_paste_keeps_a_path_with_a_space_whole(self, toy: Path) -> None:
        path = stub(toy / "with $HOME and spaces" / "python")
        error = refusal({"toy": str(path)})
        assert shlex.split(str(error.remedy).removeprefix("Run: ").split(". Or")[0]) == [
            str(path), "-m", "pip", "install", "toy", "numpy",
        ]  # fmt: skip
        assert f"--python 'toy-jit={path}'" in error.reason

    def test_that_is_too_old(self, toy: Path) -> None:
        error = refusal({"toy-jit": str(stub(toy / "old", version="[3, 7, 16]", packages='{"toy": "1"}'))})
        assert "it is Python 3.7.16, too old" in str(error)
        assert "3.8 or newer" in str(error)

    def test_a_real_old_python_can_say_so(self) -> None:
        old = [path for version in ("2.7", "3.6", "3.7") for path in pyenv_pythons(version)]
        if not old:
            pytest.skip("no Python older than 3.8 here")
        for path in old:
            assert probe.ask(path, ("toy",)).version < (3, 8)

    def test_that_lacks_the_framework(self, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert f"that Python {sys.version.split()[0]} lacks toy. " in str(refusal({"toy": sys.executable}))
        monkeypatch.setenv("PYTHONPATH", "")
        bare = stub(toy / "bare")
        error = refusal({"toy-jit": str(bare)})
        assert "lacks toy and numpy" in str(error)
        assert f"{bare} -m pip install toy numpy" in str(error)

    def test_may_be_a_command_or_an_environment_folder(self, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        python = stub(toy / "env" / "bin" / "python", packages='{"toy": "1", "numpy": "1"}')
        assert interpreters.resolve("toy", "toy", {"toy": str(toy / "env")}, quiet).path == python
        monkeypatch.setenv("PATH", str(python.parent))
        assert interpreters.resolve("toy", "toy", {"toy": "python"}, quiet).path == python
        monkeypatch.chdir(toy)
        assert interpreters.resolve("toy", "toy", {"toy": "env/bin/python"}, quiet).path == python

    def test_an_environment_s_link_is_not_followed_out_of_it(self, toy: Path) -> None:
        (toy / "link").symlink_to(sys.executable)
        assert probe.locate(str(toy / "link")) == toy / "link"

    def test_values_of_the_option(self) -> None:
        parse = interpreters.parse_overrides
        known = ("toy", "toy-jit")
        assert parse(["toy=a=b", "toy-jit=/c d"], known) == {"toy": "a=b", "toy-jit": "/c d"}
        with pytest.raises(ValueError, match="expected NAME=INTERPRETER"):
            parse(["toy"], known)
        with pytest.raises(ValueError, match="no implementation is called 'tow'; there are toy, toy-jit"):
            parse(["tow=python"], known)
        with pytest.raises(ValueError, match="'toy' is given twice"):
            parse(["toy=a", "toy=b"], known)


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
    from xent.conformance import interpreters
    from xent.conformance.interpreters import requirements
    requirements.FOLDER = Path(sys.argv[1])
    found = interpreters.resolve("toy", "toy", {}, lambda line: print(line, flush=True))
    print("found", found.path, flush=True)
""")


def start(toy: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(toy / "environments")], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


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

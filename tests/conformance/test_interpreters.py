"""Finding and checking interpreters, with a framework called `toy` whose wheel is made here: no network."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest
from toy_environment import make_wheel, pin, pyenv_pythons, quiet, refusal, stub, unpack

from xent.conformance.running import interpreters
from xent.conformance.running.interpreters import probe

ROOT = Path(__file__).resolve().parent.parent.parent


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

"""A damaged environment is recognised by `xent run` as by `xent doctor`, with the command that mends it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from xent.commands import cli
from xent.conformance.implementations import Implementation
from xent.conformance.running import doctor, interpreters, supervisor
from xent.conformance.running.interpreters import mending, requirements
from xent.errors import NotStarted, Unavailable

ROOT = Path(__file__).resolve().parent.parent.parent
RUNNING = "{}.{}".format(*sys.version_info)
ADAPTER = '''
"""The oracle under another name, for a framework that there isn't."""
from xent.adapters.numpy import *
from xent.adapters import numpy as _numpy
NAME, FRAMEWORK, capabilities = "toy", "toyworks", _numpy.capabilities
to_native, from_native, from_call = _numpy.to_native, _numpy.from_native, _numpy.from_call
source, evaluate = _numpy.source, _numpy.evaluate
def version():
    import toyworks
    return toyworks.__version__
'''
VECTOR = {
    "id": "mine/one",
    "spec": {"weight": None, "ignore_index": -100, "reduction": "none", "label_smoothing": 0.0},
    "input": {"dtype": "float32", "data": [[0.0, 0.0]]},
    "target": {"dtype": "int64", "data": [0]},
    "expected": {"value": [0.6931], "gradient": None, "atol": 5e-5, "rtol": 0},
}
SITE = Path("lib") / f"python{RUNNING}" / "site-packages"


def xent_run(name: str, folder: Path, *options: str) -> tuple[int, str]:
    """The exit code of `xent run` on one vector, and what its report says of the implementation; "" where it ran."""
    (folder / "one.json").write_text(json.dumps({"schema": "xent-vectors/1", "vectors": [VECTOR]}))
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    code = cli.main(["run", "--only", name, "--vectors", str(folder / "one.json"), "--out", str(out), *options])
    report = json.loads((out / "report.json").read_text())
    return code, "; ".join(entry["reason"] for entry in report["not_run"])


class Toy:
    """A managed environment, made here, of a framework of a few lines that needs another package, and NumPy."""

    def __init__(self, folder: Path, module: str) -> None:
        self.folder = folder
        self.module = module
        files = requirements.for_framework("toyworks")
        self.environment = requirements.environment_folder(files[0], RUNNING)
        venv.create(self.environment, symlinks=True)
        self.site = self.environment / SITE
        self.framework = self.site / "toyworks" / "__init__.py"
        self.framework.parent.mkdir()
        self.framework.write_text("import toyneeds\n__version__ = '4.2'\n")
        (self.site / "toyneeds.py").write_text("")
        for package in ("numpy", "numpy.libs"):
            if (Path(np.__file__).parent.parent / package).exists():
                (self.site / package).symlink_to(Path(np.__file__).parent.parent / package)
        (self.environment / requirements.MARKER).write_text("{}")

    @property
    def remedy(self) -> str:
        return f"rm -r {shlex.quote(str(self.environment))}; xent run --only toy --adapter {self.module}"

    def run(self) -> tuple[int, str]:
        return xent_run(self.module, self.folder, "--adapter", self.module)

    def doctor(self, timeout: float = 60) -> doctor.Row:
        return doctor.examine({}, [self.module], timeout=timeout)[0]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    module = f"adapter_of_{tmp_path.name}"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / f"{module}.py").write_text(ADAPTER)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "toyworks.txt").write_text(
        f"# framework: toyworks\n# pythons: {RUNNING}\n# platforms: {requirements.this_platform()}\n# size: 0.1 GB\n"
    )
    monkeypatch.setattr(requirements, "FOLDER", tmp_path / "environments")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache of $USER"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "code")
    return Toy(tmp_path, module)


def replace(path: Path, content: bytes | str) -> None:
    """Never written through: the file may be a hard link to another environment's."""
    path.unlink()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


DAMAGES: dict[str, tuple[Callable[[Toy], object], str]] = {
    "a file that is cut off": (lambda toy: replace(toy.framework, "import toyneeds\n__version__ = ("), "SyntaxError"),
    "a file of nothing but zeros": (lambda toy: replace(toy.framework, bytes(100)), "SyntaxError"),
    "a shared library that is cut off": (
        lambda toy: (
            (toy.site / "toylib.so").write_bytes(b"\x7fELF\2\1\1" + bytes(20)),
            replace(toy.framework, f"import ctypes; ctypes.CDLL({str(toy.site / 'toylib.so')!r})"),
        ),
        "OSError",
    ),
    "the framework is gone": (lambda toy: shutil.rmtree(toy.framework.parent), "No module named 'toyworks'"),
    "a package that it needs is gone": (lambda toy: (toy.site / "toyneeds.py").unlink(), "No module named 'toyneeds'"),
    "NumPy is gone": (lambda toy: (toy.site / "numpy").unlink(), "No module named 'numpy'"),
    "all packages are gone": (lambda toy: shutil.rmtree(toy.site), "No module named 'numpy'"),
    "its settings are gone": (lambda toy: (toy.environment / "pyvenv.cfg").unlink(), "No module named"),
    "it aborts": (lambda toy: replace(toy.framework, "import os; os.abort()"), "was killed by SIGABRT"),
    "it crashes": (lambda toy: replace(toy.framework, "import os; os.kill(os.getpid(), 11)"), "was killed by SIGSEGV"),
    "it hits the end of a file": (
        lambda toy: replace(toy.framework, "import os; os.kill(os.getpid(), 7)"),
        "was killed by SIGBUS",
    ),
    "it exits": (lambda toy: replace(toy.framework, "import sys; sys.exit(3)"), "SystemExit: 3"),
    "it leaves": (lambda toy: replace(toy.framework, "import os; os._exit(3)"), "python ended with exit code 3"),
    "it leaves as if all were well": (lambda toy: replace(toy.framework, "import os; os._exit(0)"), "exit code 0"),
    "it raises what nobody catches": (
        lambda toy: replace(
            toy.framework, "class Odd(BaseException): pass\nraise Odd('\\ud83d\\x1b[31m\\n' + 'x' * 10**6)"
        ),
        "Odd: ",
    ),
    "its Python doesn't start": (
        lambda toy: replace(toy.environment / "bin" / "python", "nothing"),
        "can't be started",
    ),
}  # fmt: skip


def test_an_environment_that_is_well(toy: Toy) -> None:
    assert toy.run() == (0, "")
    row = toy.doctor()
    assert (row.state, row.how, row.version) == ("ready", "managed", "4.2")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_environment_is_named_with_what_mends_it(damage: str, toy: Toy) -> None:
    harm, says = DAMAGES[damage]
    harm(toy)
    row = toy.doctor()
    assert (row.state, row.how, row.remedy) == ("no", "managed", toy.remedy)
    code, told = toy.run()
    assert code == 3
    assert told.endswith(f". {toy.remedy}")
    for text in (row.missing, told):
        assert "its environment doesn't work: toyworks can't be imported there (" in text
        assert says in text
        assert text.isprintable()
        assert len(text) < 1500


@pytest.mark.parametrize("code", ["import time; time.sleep(60)", "while True: pass"])
def test_a_framework_that_hangs_when_imported(code: str, toy: Toy) -> None:
    replace(toy.framework, code)
    row = toy.doctor(timeout=3)
    assert (row.state, row.remedy) == ("no", toy.remedy)
    assert "can't be imported there (python didn't answer within 3 s)" in row.missing
    found = interpreters.available("toy", "toyworks", {})
    assert found is not None
    implementation = Implementation("toy", toy.module)
    with pytest.raises(Unavailable) as caught, mending.explained(found, "toyworks", toy.module, timeout=3):
        supervisor.run_worker(implementation, found, [], toy.folder / "results", startup_timeout=3)
    assert caught.value.remedy == toy.remedy
    assert "toyworks can't be imported there (its worker was not ready after 3 s)" in caught.value.reason


def test_a_framework_that_prints_for_ever_when_imported(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xent.conformance.running.interpreters.bounded.LIMIT", 4 * 2**20)
    replace(toy.framework, "while True: print('again')")
    row = toy.doctor()
    assert (row.state, row.remedy) == ("no", toy.remedy)
    assert "can't be imported there (python printed more than 4 MiB)" in row.missing


def test_memory_that_is_short_is_no_damage(toy: Toy) -> None:
    replace(toy.framework, "import os; os.kill(os.getpid(), 9)")
    row = toy.doctor()
    code, told = toy.run()
    assert code == 3
    for text in (f"{row.missing}. {row.remedy}", told):
        assert "toyworks can't be imported there (python was killed by SIGKILL: is memory short?)" in text
        assert "rm -r" not in text
        assert "Free memory" in text


@pytest.mark.parametrize(
    "fault",
    ["raise RuntimeError('mine')", "import os; os.abort()", "import sys; sys.exit('mine')", "import os; os._exit(9)"],
)
def test_an_adapter_that_fails_where_its_framework_is_well_costs_no_environment(toy: Toy, fault: str) -> None:
    (toy.folder / "code" / f"{toy.module}.py").write_text(f"{ADAPTER}    \ndef prepare():\n    {fault}\n")
    row = toy.doctor()
    code, told = toy.run()
    assert code == 3
    for text in (f"{row.missing}. {row.remedy}", told):
        assert f"its adapter {toy.module} fails there (" in text
        assert "toyworks imports there" in text
        assert "rm -r" not in text


def test_a_version_that_is_not_text_or_endless(toy: Toy) -> None:
    adapter = toy.folder / "code" / f"{toy.module}.py"
    adapter.write_text(f"{ADAPTER}\ndef version():\n    return ['4', 2]\n")
    row = toy.doctor()
    assert row.state == "no"
    assert "TypeError: version() gave list, not text" in row.missing
    adapter.write_text(
        f"{ADAPTER}\ndef version():\n    return '4.2\\x1b[31m\\n\\ud83d' + '9' * 1000\ndevice = version\n"
    )
    row = toy.doctor()
    assert row.state == "ready"
    for text in (row.version, row.device):
        assert text is not None
        assert text.startswith("4.2 ?9999")
        assert text.isprintable()
        assert len(text) == 100
    adapter.write_text(f"{ADAPTER}\ndef version():\n    return '9' * (8 * 2 ** 20)\n")
    assert toy.doctor().state == "no"


@pytest.mark.parametrize("how", ["named", "running"])
def test_an_interpreter_that_is_not_ours_is_never_to_be_removed(
    toy: Toy, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = toy.folder / "of the user" / "bin" / "python"
    shutil.move(toy.environment, python.parent.parent)
    site = python.parent.parent / SITE
    replace(site / "toyworks" / "__init__.py", "raise ImportError('libtoy.so.8')")
    (site / "toyworks-4.2.dist-info").mkdir()
    (site / "toyworks-4.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toyworks\nVersion: 4.2\n")
    if how == "running":
        monkeypatch.setattr(sys, "executable", str(python))
    options = ["--python", f"toyworks={python}"] if how == "named" else []
    row = doctor.examine({"toyworks": str(python)} if how == "named" else {}, [toy.module])[0]
    code, told = xent_run(toy.module, toy.folder, "--adapter", toy.module, *options)
    assert code == 3
    assert row.how == how
    assert shlex.split(row.remedy, comments=True) == [
        str(python), "-m", "pip", "install", "--force-reinstall", "toyworks",
    ]  # fmt: skip
    assert ("--python" in row.remedy) == (how == "named")
    for text in (f"{row.missing}. {row.remedy}", told):
        assert f"{python}: toyworks can't be imported there (ImportError: libtoy.so.8)" in text
        assert row.remedy in text
        assert "rm -r" not in text


def test_a_command_names_a_plug_in_as_the_command_line_needs_it() -> None:
    assert mending.command("torch", "xent.adapters.torch") == "xent run --only torch"
    assert mending.command("torch+xent", "xent.adapters.torch.ported") == "xent run --only torch+xent"
    assert mending.command("mine", "my.adapter") == "xent run --only mine --adapter my.adapter"
    assert mending.command("my.adapter", "my.adapter") == "xent run --only my.adapter --adapter my.adapter"


@pytest.mark.parametrize(
    "path",
    [
        "/plain/path",
        "/with a space",
        "/$HOME/`x`",
        "/it's \\ \"",
        "/new\nline\x1b[31m",
        "/caf\xe9\u202e",
        "/\udcff\n\xe9'",
    ],
)
def test_a_path_in_a_command_is_one_word_of_the_shell_and_one_line(path: str) -> None:
    said = mending.quoted(path)
    assert said.isprintable()
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("NOT RUN, no bash here")
    done = subprocess.run([shell, "-c", f"printf %s {said}"], capture_output=True, check=True)
    assert done.stdout == os.fsencode(path)


def test_what_is_no_matter_of_the_environment_goes_through() -> None:
    found = interpreters.Interpreter(Path(sys.executable), "running")
    with pytest.raises(Unavailable, match="another run has the folder"), mending.explained(found, "numpy", "x"):
        raise Unavailable("numpy", "another run has the folder")
    failure = NotStarted("torch", "no torch", status=-11, stderr="a\nb")
    assert (failure.status, failure.stderr, failure.reason) == (-11, "a\nb", "no torch")


# The real environments, as hard links: gigabytes copied in a second. A file in there may be replaced, never changed.


@pytest.fixture(scope="module")
def copy(framework_python: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def copy(framework: str) -> Path:
        framework_python(framework)
        original = requirements.existing(framework)
        if original is None:
            pytest.skip(f"NOT RUN, {framework} is in an interpreter of the user's here")
        if framework not in made:
            cache = tmp_path_factory.mktemp(f"cache-{framework}")
            made[framework] = cache / "xent" / "environments" / original.name
            shutil.copytree(original, made[framework], symlinks=True, copy_function=link)
        return made[framework]

    return copy


def link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another disk
        os.symlink(source, target)


@pytest.fixture
def broken(copy: Callable[[str], Path]) -> Iterator[Callable[[str, str, bytes | None], Path]]:
    """Puts other bytes, or nothing, in the place of what the pattern names; afterwards all is as it was."""
    moved: list[tuple[Path, Path]] = []

    def broken(framework: str, pattern: str, content: bytes | None) -> Path:
        environment = copy(framework)
        (path,) = environment.glob(f"lib/python*/site-packages/{pattern}")
        aside = environment / "aside"
        path.rename(aside)
        moved.append((aside, path))
        if content is not None:
            path.write_bytes(content if content else aside.read_bytes()[: aside.stat().st_size // 2])
        return environment

    yield broken
    for aside, path in moved:
        path.unlink(missing_ok=True)
        aside.rename(path)


HALF = b""
REAL = [
    ("torch", "torch/__init__.py", b"def broken(:\n", "SyntaxError"),
    ("torch", "torch/lib/libtorch_cpu.so", HALF, r"SIGBUS: is one of its files cut off|libtorch_cpu\.so"),
    ("torch", "torch/lib/libc10.so", HALF, r"SIGBUS: is one of its files cut off|libc10\.so"),
    ("torch", "numpy", None, "numpy"),
    ("torch", "typing_extensions.py", None, "typing_extensions"),
    ("oneflow", "oneflow/__init__.py", HALF, "oneflow"),
    ("oneflow", "numpy", None, "numpy"),
]


@pytest.mark.parametrize(("framework", "pattern", "content", "says"), REAL, ids=lambda value: str(value)[:30])
def test_a_damaged_environment_of_a_real_framework(
    framework: str,
    pattern: str,
    content: bytes | None,
    says: str,
    broken: Callable[[str, str, bytes | None], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    environment = broken(framework, pattern, content)
    monkeypatch.setenv("XDG_CACHE_HOME", str(environment.parent.parent.parent))
    found = interpreters.available(framework, framework, {})
    assert found == interpreters.Interpreter(environment / "bin" / "python", "managed", environment)
    remedy = f"rm -r {environment}; xent run --only {framework}"
    row = doctor.examine({}, [framework])[0]
    code, told = xent_run(framework, tmp_path)
    assert (row.state, row.remedy, code) == ("no", remedy, 3)
    for text in (f"{row.missing}. {row.remedy}", told):
        assert "its environment doesn't work: " in text
        assert re.search(says, text)
        assert text.endswith(f". {remedy}")
        assert text.isprintable()

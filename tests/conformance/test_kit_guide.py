"""docs/adding-a-framework.md as it stands: its blocks make an adapter that passes the kit, its commands run."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
from command import xent

from xent.conformance.kit.checks import GUIDE
from xent.conformance.running.interpreters import requirements

pytestmark = pytest.mark.xdist_group("kit guide")

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / GUIDE).read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", PAGE, flags=re.S | re.M)


def files() -> dict[str, str]:
    """The page's files: blocks of one name are one file, in their order."""
    found: dict[str, str] = {}
    for language, name, text in BLOCKS:
        if language == "python":
            found[name] = f"{found[name]}\n\n{text}" if name in found else text
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader stands who has copied every block."""
    place = tmp_path_factory.mktemp("guide")
    for name, text in files().items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    return place


def commands() -> list[list[str]]:
    lines = [line for language, _, text in BLOCKS if language == "sh" for line in text.splitlines()]
    return [shlex.split(line) for line in lines]


@pytest.fixture(scope="module")
def ran(folder, framework_python):
    """Every command of the page, in its order: {command: what it printed}."""
    found = {}
    for words in commands():
        assert words[0] == "xent"
        named = ["--python", framework_python("torch")]
        named[1] = f"torch={named[1]}" if words[1] == "run" else named[1]
        done = xent(*words[1:], *named, cwd=folder, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        found[" ".join(words)] = done.stdout
    return found


def test_the_page_has_an_adapter_a_portable_loss_and_its_adapter():
    assert set(files()) == {"mine/__init__.py", "mine/portable.py", "mine/ported.py"}
    assert len(files()["mine/portable.py"].splitlines()) <= 75


def test_every_check_of_the_kit_is_ok(ran):
    for command in ("xent adapter check mine", "xent adapter check mine.ported"):
        lines = [line for line in ran[command].splitlines() if not line.lstrip().startswith("note")]
        assert len(lines) >= 19
        assert all(line.startswith("ok ") for line in lines), ran[command]
    assert "portable" in ran["xent adapter check mine"]


def test_the_portable_loss_agrees_on_every_case(ran, folder):
    """The judge's bounds, value and all gradients: with the oracle, on what everybody else is judged on."""
    report = json.loads((folder / "report-xent/report.json").read_text())
    found = Counter(row["verdict"] for row in report["verdicts"] if row["implementation"] == "mine+xent")
    assert sum(found.values()) > 1200
    assert set(found) == {"agrees"}, [
        (row["case"], row["reason"]) for row in report["verdicts"]
        if row["implementation"] == "mine+xent" and row["verdict"] != "agrees"
    ][:5]  # fmt: skip


def test_the_native_adapter_finds_what_the_built_in_one_finds(ran, folder):
    verdicts = json.loads((folder / "report-mine/report.json").read_text())["verdicts"]
    mine, own = (
        {row["case"]: row["verdict"] for row in verdicts if row["implementation"] == name} for name in ("mine", "torch")
    )
    assert mine == own
    assert len(mine) > 1200


def test_the_distribution_has_the_entry_points_that_the_page_says(folder):
    (text,) = [text for language, _, text in BLOCKS if language == "toml"]
    project = pytest.importorskip("tomllib").loads(text)  # Python 3.11 has it
    points = project["project"]["entry-points"]["xent.adapters"]
    for module in points.values():
        path = folder / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), module
    assert project["project"]["dependencies"] == ["xent-loss"]


def test_the_environment_file_begins_as_one_of_ours_does(tmp_path):
    (text,) = [text for language, _, text in BLOCKS if language == "text"]
    (tmp_path / "NAME.txt").write_text(text)
    assert requirements.load(tmp_path / "NAME.txt").framework == "NAME"


def test_what_the_page_names_is_there():
    named = set(re.findall(r"`((?:adapters|conformance|examples|tests|docs)/[\w./-]*|\w+\.(?:toml|md))`", PAGE))
    assert "examples/plugin/" in named
    lacking = [name for name in named if "NAME" not in name and not (ROOT / name).exists()]
    assert lacking == []
    assert not re.search(r"\b(?:is|are) (?:proven|guaranteed)\b", PAGE)

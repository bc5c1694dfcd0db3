"""What newcomers read: its Python runs and gives the output shown, its commands, paths, names and links exist."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xent import CrossEntropySpec, reference
from xent.conformance.cases import vectors
from xent.conformance.running.interpreters import requirements

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
README, CONTRIBUTING = TEXTS["README.md"], TEXTS["CONTRIBUTING.md"]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
MADE = {".git", ".venv", "build", "dist", "report"}  # by git, make and the build
TOP = {path.name for path in ROOT.iterdir()} - MADE
FENCE = re.compile(r"^```.*?^```$", flags=re.S | re.M)
# A span of code that looks like a path, or is in code, and names nothing in this folder.
ELSEWHERE = re.compile(
    r"xent-\w+/\d"  # a schema
    r"|\.venv/.*|report[\w-]*/.*|results/ID\.jsonl|index\.html|loss\.(json|md|png)"  # what a command makes
    r"|mine(/.*|\.py)"  # the guide's example
    r"|DOC/topic/aspect|(torch-\d\.\d|mint|oneflow|differences)/[\w-]+/[\w-]+"  # clauses
    r"|\w+\.toml/.*"
)


def spans(page: str) -> list[str]:
    """The page's code in lines, without the blocks."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", TEXTS[page]))


def python_blocks() -> list[tuple[str, str]]:
    """(code, the output that stands below, "" for none) of the pages whose blocks stand alone."""
    found = re.findall(r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", README + CONTRIBUTING, flags=re.S | re.M)
    assert len(found) >= 3
    return found


# ---- code


@pytest.mark.parametrize("block", range(len(python_blocks())))
def test_the_python_runs_and_gives_the_output_shown(block, framework_python):
    code, output = python_blocks()[block]
    python = framework_python("torch") if "torch" in code else sys.executable
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if output:
        assert done.stdout == output
    else:
        assert "mindspore.nn.CrossEntropyLoss(weight=mindspore.Tensor([1.0, 2.0, 0.5]" in done.stdout


def test_the_vector_is_one_and_its_number_right(tmp_path):
    (text,) = re.findall(r"^```json\n(.*?)^```", CONTRIBUTING, flags=re.S | re.M)
    (tmp_path / "my.json").write_text(text)
    (case,) = vectors.read(tmp_path / "my.json")
    exact = reference.value(CrossEntropySpec(*case.arguments), case.input, case.target)
    assert case.expected.value is not None
    assert abs(case.expected.value - np.float64(exact)) <= case.expected.atol
    assert json.loads(text)["vectors"][0]["expected"]["atol"] < 1e-3


def test_the_commands_exist():
    named = set(re.findall(r"^(?:tool/bin/)?xent (\w+)", README, flags=re.M))
    assert {"run", "report", "show", "doctor", "adapter"} <= named
    for command in named:
        subprocess.run([sys.executable, "-m", "xent.commands.cli", command, "--help"], check=True, capture_output=True)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        targets = set(re.findall(r"^make (\w+)|`make (\w+)`", TEXTS[page], flags=re.M))
        assert [target for pair in targets for target in pair if target and f"\n{target}:" not in makefile] == []
    assert {"report", "test"} <= set(re.findall(r"^make (\w+)", README, flags=re.M))


# ---- what is named


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page):
    """A capital NAME stands for any; a file's name alone is one of some folder."""
    looked, wrong = 0, []
    for span in spans(page):
        path = span.split("::")[0].rstrip("/")
        if not re.fullmatch(r"[\w.+*-]+(/[\w.+*-]+)*", path) or ELSEWHERE.fullmatch(span):
            continue
        if "/" not in span and not re.search(r"\.(py|md|toml|json|txt|html)$", path):
            continue
        looked += 1
        if not exists(re.sub(r"\bNAME\b", "*", path)):
            wrong.append(span)
    assert wrong == []
    assert looked >= 2


def exists(pattern: str) -> bool:
    """Whether a path of the project has that form."""
    top, _, rest = pattern.partition("/")
    if top in TOP:
        return any(ROOT.glob(pattern))
    return not rest and any(any((ROOT / folder).rglob(pattern)) for folder in TOP if (ROOT / folder).is_dir())


@pytest.mark.parametrize("page", PAGES)
def test_every_dotted_name_exists(page):
    """Up to where it needs a framework."""
    wrong = []
    for span in spans(page):
        found = re.fullmatch(r"(?:python -m )?((?:xent|benchmarks)(?:\.[a-z]\w*|\.[A-Z]\w*[a-z]\w*)+)", span)
        if found and not resolves(found[1]):
            wrong.append(span)
    assert wrong == []


def resolves(name: str) -> bool:
    """Whether it is a module, or what a module holds."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if not ".".join(parts[:length]).startswith(str(error.name)):
                return True  # it is there, and its framework isn't
            continue
        try:
            for attribute in parts[length:]:
                found = getattr(found, attribute)
        except AttributeError:
            return False
        except ImportError:
            return True
        return True
    return False


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "examples/port/README.md", "examples/plugin/README.md"])
def test_every_link_leads_somewhere(page):
    here = ROOT / page
    text = FENCE.sub("", here.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert "://" not in target, target
        path, _, anchor = target.partition("#")
        file = (here.parent / path) if path else here
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def anchors(file: Path) -> set[str]:
    """Of a page's headings, as a renderer makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", file.read_text(encoding="utf-8")), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ---- what is told of the project


def test_the_layout_is_the_folders_that_there_are():
    (block,) = re.findall(r"^## Layout\n\n```\n(.*?)^```", README, flags=re.S | re.M)
    outer, inner = (set(re.findall(rf"^{indent}(\w+)/", block, flags=re.M)) for indent in ("", "  "))
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("NOT RUN, no checkout of git's")
    files = [path.split("/") for path in done.stdout.splitlines()]
    assert outer == {parts[0] for parts in files if len(parts) > 1 and not parts[0].startswith(".")}
    folders = {parts[1] for parts in files if parts[0] == "conformance" and len(parts) > 2}
    assert inner <= folders
    assert folders <= set(re.findall(r"\b(\w+)/", block))


def test_the_folders_that_run_on_old_pythons_are_named():
    (sentence,) = re.findall(r"^These folders run on Python 3\.8.*?(?=\. The rest)", CONTRIBUTING, flags=re.S | re.M)
    folders = re.findall(r'^"(.+)/\*\*" = "py38"$', PYPROJECT, flags=re.M)
    assert {span.rstrip("/") for span in re.findall(r"`([\w/]+)`", sentence)} == set(folders)


def test_the_layers_are_those_that_are_held():
    (sentence,) = re.findall(r"^Within `conformance/`, from the top: (.*?)\.\n\n", CONTRIBUTING, flags=re.S | re.M)
    written = [
        {re.sub(r"^conformance/|/$|\.py$", "", span) for span in re.findall(r"`([\w./]+)`", layer)}
        for layer in sentence.split(";")
    ]
    (contract,) = re.findall(r'id = "conformance".*?layers = \[(.*?)^\]', PYPROJECT, flags=re.S | re.M)
    held = [set(re.findall(r"\w+", layer)) for layer in re.findall(r'"(.+)"', contract)]
    there = {path.stem for path in (ROOT / "conformance").iterdir()}
    assert written == [layer & there for layer in held if layer & there]


def test_the_size_of_all_environments_is_told():
    least, most = re.findall(r"\b(\d+\.\d) GB\b", README)
    sizes = {path.stem: float(requirements.load(path).size.split()[0]) for path in requirements.FOLDER.glob("*.txt")}
    ours, index = sizes.pop("torch"), sizes.pop("torch-index")
    others = sum(sizes.values())
    assert [float(least), float(most)] == pytest.approx([others + ours, others + index])


def test_the_changelog_has_what_is_to_come_and_every_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+)\]", text, flags=re.M)
    version = re.findall(r'^version = "(.+)"$', PYPROJECT, flags=re.M)[0]
    assert headings[0] == "Unreleased"
    assert version in headings
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, flags=re.M)) <= kinds

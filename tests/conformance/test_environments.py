"""The requirement files that xent ships, and where the environments made from them lie."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xent.conformance.running.interpreters import managed, requirements

FILES = sorted(requirements.FOLDER.glob("*.txt"))


def test_the_frameworks_are_pinned() -> None:
    pins = {line.split(" ")[0] for file in FILES for line in file.read_text().splitlines() if re.match(r"[a-z]", line)}
    assert pins >= {
        "torch==2.13.0", "torch==2.13.0+cpu", "mindspore==2.10.0", "oneflow==0.9.0",
        "paddlepaddle==3.3.1", "nvidia-cudnn-cu11==8.9.6.50", "nvidia-cublas-cu11==11.11.3.6",
    }  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_requirement_is_exact_and_hashed_and_no_place_is_named(file: Path) -> None:
    loaded = requirements.load(file)
    assert loaded.framework == file.stem.split("-")[0]
    assert loaded.pythons
    assert re.fullmatch(r"\d+\.\d GB", loaded.size)
    assert "linux-x86_64" in loaded.platforms
    assert "://" not in loaded.text
    assert not re.search(r"^--|\s/\w+/|@ ", loaded.text, re.MULTILINE)
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", loaded.text, flags=re.MULTILINE))
    for line in text.splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.+]+( ;[^#]+?)?\s+(--hash=sha256:[0-9a-f]{64}\s*)+", line), line[:80]


def test_a_file_without_its_first_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "toy.txt").write_text("# framework: toy\n")
    with pytest.raises(ValueError, match=r"toy.txt lacks the line '# pythons: ...'"):
        requirements.load(tmp_path / "toy.txt")


@pytest.mark.parametrize("framework", ["", "../environments/torch", "tor*", "a b", "torch.nn", "/etc/hosts"])
def test_only_an_import_name_has_files(framework: str) -> None:
    assert requirements.for_framework(framework) == ()
    assert requirements.existing(framework) is None


def test_the_cache_is_the_user_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert requirements.cache_folder() == Path("/home/me/.cache/xent/environments")
    monkeypatch.setenv("XDG_CACHE_HOME", "/else")
    assert requirements.cache_folder() == Path("/else/xent/environments")


def test_people_are_always_told_of_the_option() -> None:
    assert managed.own("mint") == "Or name an interpreter that has it: --python mint=INTERPRETER."

"""docs/benchmarks.md: its tables are the goals in the code, its words say what a goal means, its commands run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benchmarks import aims, harness, loss, plan

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
SECTIONS = {"Time": plan.BOTH, "Memory": plan.MEMORY}
TIMES = {"µs": 1e-6, "ms": 1e-3}


def goals(what: str) -> dict[tuple[str, str, str], str]:
    """The table of that section: {(framework, shape, variant): the goal, "" where there is none}."""
    (title,) = (title for title, of in SECTIONS.items() if of == what)
    (section,) = re.findall(rf"^## {title}\b.*?\n(.*?)(?=^## )", PAGE, flags=re.S | re.M)
    header, _, *lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"
    ]
    assert all(len(line) == len(header) for line in lines)
    found: dict[tuple[str, str, str], str] = {}
    for name, *cells in lines:
        framework, _, arguments = name.partition(", ")
        variants = plan.VARIANTS if arguments in ("all", "others") else (arguments,)
        for variant in variants:
            for shape, cell in zip(header[1:], cells, strict=True):
                key = framework, shape, variant
                assert key not in found or arguments == "others", f"{key} stands twice"
                found.setdefault(key, cell)
    return found


@pytest.mark.parametrize("what", SECTIONS.values())
def test_the_tables_are_the_goals(what):
    found = {}
    for framework in plan.FRAMEWORKS:
        for shape in plan.SHAPES:
            for variant in plan.VARIANTS:
                aim = aims.aim_of(framework, shape, variant, what)
                found[framework, shape, variant] = aim.text if aim else ""
    assert goals(what) == found


def test_every_goal_is_of_a_table():
    assert {aim.what for aim in aims.AIMS} == set(SECTIONS.values())


@pytest.mark.parametrize("aim", aims.AIMS, ids=lambda aim: f"{aim.framework}: {aim.text}")
def test_a_goal_means_what_its_words_say(aim):
    said = re.fullmatch(r"at most ([\d.]+)x(?: \+ (\d+) (µs|ms))?", aim.text)
    faster, share = re.fullmatch(r"([\d.]+)x faster", aim.text), re.fullmatch(r"at most (\d+) %", aim.text)
    if aim.text == "at most native":
        factor, slack = 1.0, 0.0
    elif said:
        factor, slack = float(said[1]), int(said[2] or 0) * TIMES.get(said[3], 0.0)
    elif faster:
        factor, slack = 1 / float(faster[1]), 0.0
    else:
        assert share, aim.text
        factor, slack = int(share[1]) / 100, 0.0
    assert (aim.factor, aim.slack) == (pytest.approx(factor), pytest.approx(slack))
    assert (aim.what == plan.MEMORY) == bool(share)


def test_the_harness_has_the_goal_that_the_page_names():
    assert f"at most {aims.HARNESS} times what the start-up" in PAGE


def test_the_commands_are_ones_that_there_are():
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.S | re.M)
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert commands.pop(0) == ["make", "bench"]
    parsers = {"benchmarks.loss": loss.parser, "benchmarks.harness": harness.parser}
    for python, option, module, *arguments in commands:
        assert (python, option) == (".venv/bin/python", "-m")
        parsers[module]().parse_args(arguments)
    assert {module for _, _, module, *_ in commands} == set(parsers)

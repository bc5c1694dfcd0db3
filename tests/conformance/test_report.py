"""The report: totals that add up, JSON that keeps to its schema, and renderings that no framework's output fools."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from xent.conformance.cases import vectors
from xent.conformance.judging import verdicts as kinds
from xent.conformance.judging.verdicts import Verdict
from xent.conformance.protocol.case import Case
from xent.conformance.report import files, junit, markdown, matrix, model, page, terminal
from xent.spec import Arguments

SCHEMA = Path(model.__file__).parent.parent / "schemas" / "xent-report-2.json"
HOSTILE = "</td><script>alert(1)</script> | \x1b[31mred\x1b[0m \x00 [bold]markup[/] ]]> & \ud800"


def case(id: str, *tags: str) -> Case:
    return Case(id, Arguments(np.ones(3, dtype=np.float32)), np.zeros((2, 3), dtype=np.float32), np.array([0, 1]), tags)


CASES = [case("oneflow-document/none", "document"), case("a/one", "indices", "mean"), case("a/two", "indices")]
IMPLEMENTATIONS = [
    {"id": "torch", "name": "torch", "version": "2.13.0+cpu", "device": "cpu", "mode": "eager", "kernels": "native"},
    {"id": "mint", "name": "mint", "version": "2.10.0", "device": "cpu", "mode": "eager", "kernels": "stand-in"},
    {"id": "absent", "name": "absent", "version": "not run", "device": "-", "mode": "eager", "kernels": "-"},
]


def verdicts() -> list[Verdict]:
    return [
        Verdict("oneflow-document/none", "torch", "agrees", (), 0.5, 1.0, "Value 0.5 bounds."),
        Verdict("a/one", "torch", "deviates", ("value", "nan"), float("inf"), None, HOSTILE),
        Verdict("a/two", "torch", "crashes", ("error",), None, None, "The process died (SIGABRT)."),
        *[Verdict(one.id, "mint", "unsupported", reason="by its document") for one in CASES],
        *[Verdict(one.id, "absent", "no evidence", reason="not run: no such thing") for one in CASES],
    ]


@pytest.fixture
def report() -> dict:
    return model.assemble(CASES, IMPLEMENTATIONS, verdicts(), [("absent", "no such thing")])


def test_the_json_keeps_to_its_schema(report):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    back = json.loads(json.dumps(report, allow_nan=False))
    jsonschema.Draft202012Validator(schema).validate(back)
    back["verdicts"][0]["verdict"] = "passes"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(back)


def test_the_schema_knows_every_part_that_a_verdict_can_name():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert tuple(schema["properties"]["verdicts"]["items"]["properties"]["parts"]["items"]["enum"]) == kinds.PARTS


def test_planned_is_judged_plus_skipped(report):
    for counts in report["summary"].values():
        assert sum(counts.values()) == report["case_set"]["count"] == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[1:],
        lambda rows: [*rows, rows[0]],
        lambda rows: [*rows, Verdict("a/three", "torch", "agrees")],
    ],
)
def test_a_verdict_missing_doubled_or_unplanned_is_refused(change):
    with pytest.raises(ValueError, match="planned and judged differ"):
        model.assemble(CASES, IMPLEMENTATIONS, change(verdicts()), [])


def test_check_accepts_agreement_only(report):
    assert not model.accepted(report)
    good = [Verdict(one.id, "torch", "agrees") for one in CASES]
    assert model.accepted(model.assemble(CASES, IMPLEMENTATIONS[:1], good, []))
    nothing = [Verdict(one.id, "torch", "no evidence") for one in CASES]
    assert not model.accepted(model.assemble(CASES, IMPLEMENTATIONS[:1], nothing, []))
    one_absent = model.assemble(CASES, IMPLEMENTATIONS[:1], good, [("absent", "no such thing")])
    assert not model.accepted(one_absent)


def test_a_cell_never_counts_what_did_not_run(report):
    rows = dict(dict(matrix.sections(report))["CASES"])
    torch, mint, absent = rows["class indices"]
    assert (torch.text, torch.worst) == ("0/2", "crashes")
    assert (mint.text, absent.text) == ("unsupp.", "-")


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_shows_everything_without_colour(report, width):
    out = io.StringIO()
    terminal.show(report, Console(file=out, width=width, no_color=True, force_terminal=False))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for word in (
        "torch",
        "2.13.0",
        "stand-in",
        "deviates",
        "crashes",
        "unsupported",
        "no evidence",
        "planned",
        "Ascend: never run",
    ):
        assert word in " ".join(text.split()), word
    assert "\x1b" not in text


MANY = (
    "torch", "torch+xent", "torch-linear", "torch-linear-chunked", "mint", "mint+xent", "mint-jit", "mindspore",
    "mindspore+xent", "oneflow", "oneflow+xent", "paddle", "paddle+xent", "my.company.losses.adapter",
)  # fmt: skip
ALL_TAGS = tuple(tag for _, tags in matrix.ROWS for tag in tags)


def shown(names: Sequence[str], width: int) -> str:
    """The matrix of these implementations, whose verdicts go round in a circle, with every row that it can have."""
    columns = [{**IMPLEMENTATIONS[0], "id": name, "mode": "portable" if "+" in name else "eager"} for name in names]
    cases = [case("oneflow-document/label-smoothing-int64", "document"), *(case(f"a/{n}", *ALL_TAGS) for n in range(9))]
    rows = [
        Verdict(one.id, name, kinds.VERDICTS[(row + place) % 9])
        for place, name in enumerate(names)
        for row, one in enumerate(cases)
    ]
    out = io.StringIO()
    terminal.show(model.assemble(cases, columns, rows, []), Console(file=out, width=width, no_color=True))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("count", [1, 4, 10, 14])
def test_every_name_and_head_stays_whole_at_any_width(width, count):
    names = MANY[-count:]
    text = shown(names, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in text
    found = text.split()
    for name in names:
        assert name in found, name
    for label, _ in matrix.ROWS:
        assert all(word in found for word in label.split()), label
    for verdict in kinds.VERDICTS:
        assert all(word in found for word in verdict.split()), verdict
    assert "portable" in found or count == 1


def test_a_further_implementation_costs_rows_and_no_block():
    heads = [text.count("label\n") for text in (shown(MANY[:6], 80), shown(MANY, 80))]
    blocks = [text.count("───\n") for text in (shown(MANY[:6], 80), shown(MANY, 80))]
    assert heads[0] == heads[1]
    assert blocks[0] == blocks[1] > 4
    assert shown(MANY, 160).count("───\n") < blocks[0]


def test_every_kind_of_the_matrix_has_cases_among_the_built_in_ones():
    tags = {tag for one in vectors.cases([]) for tag in one.tags}
    assert [label for label, wanted in matrix.ROWS if not tags & set(wanted)] == []


def test_one_implementation_is_a_column():
    lines = shown(["numpy"], 80).splitlines()
    assert [line.split() for line in lines if line.startswith(("version", "class indices"))] == [
        ["version", "2.13.0+cpu"], ["class", "indices", "1/7"]
    ]  # fmt: skip


def test_single_cases_say_who_agrees_and_who_does_what_else():
    names = ("torch", "mint", "mindspore", "oneflow", "absent")
    columns = [{**IMPLEMENTATIONS[0], "id": name} for name in names]
    cases = [case(f"torch-2.8-document/{name}", "document") for name in ("one", "two")]
    rows = [Verdict(one.id, name, "no evidence" if name == "absent" else "agrees") for one in cases for name in names]
    rows[2] = Verdict(cases[0].id, "mindspore", "imprecise")
    out = io.StringIO()
    terminal.show(model.assemble(cases, columns, rows, []), Console(file=out, width=80, no_color=True))
    told = [line.rstrip() for line in out.getvalue().splitlines()]
    at = told.index("DOCUMENTS")
    assert told[at + 1 : at + 4] == [
        "no evidence: absent",
        "torch-2.8: one  agrees: torch, mint, oneflow; imprecise: mindspore",
        "torch-2.8: two  all 4 agree",
    ]


def test_each_verdict_has_a_tone_that_every_rendering_knows():
    page_text = (Path(page.__file__).with_name("page.html")).read_text(encoding="utf-8")
    for kind in kinds.KINDS:
        assert f".{kind.tone} {{" in page_text
        assert terminal.style_of(kind.name)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert tuple(schema["$defs"]["verdict"]["enum"]) == kinds.VERDICTS


def test_the_gravest_verdict_is_the_one_that_a_cell_shows():
    order = ("agrees", "imprecise", "rejects", "deviates", "accepts", "hangs", "crashes")
    for place, verdict in enumerate(order):
        assert kinds.worst([*order[: place + 1], *kinds.OUTSIDE]) == verdict
    assert kinds.worst(kinds.OUTSIDE) is None
    assert set(order) | set(kinds.OUTSIDE) == set(kinds.VERDICTS)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)


def test_the_page_escapes_what_frameworks_print(report):
    html = page.render(report)
    tags = Tags()
    tags.feed(html)
    assert "script" not in tags.seen
    assert "&lt;script&gt;" in html
    assert "a/one" in html
    assert "http" not in html  # one file that needs no network


def test_junit_is_xml_and_counts_right(report):
    root = ElementTree.fromstring(junit.render(report))
    suites = {suite.get("name"): suite for suite in root}
    assert (suites["torch"].get("tests"), suites["torch"].get("failures"), suites["torch"].get("skipped")) == (
        "3",
        "2",
        "0",
    )
    assert (suites["absent"].get("tests"), suites["absent"].get("failures"), suites["absent"].get("skipped")) == (
        "3",
        "0",
        "3",
    )


def test_markdown_is_a_table(report):
    text = markdown.render(report)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {len(IMPLEMENTATIONS) + 2}


def test_files_are_written_whole(report, tmp_path):
    index = files.write(report, tmp_path / "new" / "folder")
    assert {path.name for path in index.parent.iterdir()} == {"report.json", "report.md", "junit.xml", "index.html"}
    assert json.loads((index.parent / "report.json").read_text(encoding="utf-8")) == report


def test_a_folder_that_cannot_be_written_is_named(report, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"file.*can't be written.*--out"):
        files.write(report, tmp_path / "file")

"""The report: totals that add up, JSON that keeps to its schema, and renderings that no framework's output fools."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from xent.conformance.judging import judge
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


def verdicts() -> list[judge.Verdict]:
    return [
        judge.Verdict("oneflow-document/none", "torch", "agrees", (), 0.5, 1.0, "Value 0.5 bounds."),
        judge.Verdict("a/one", "torch", "deviates", ("value", "nan"), float("inf"), None, HOSTILE),
        judge.Verdict("a/two", "torch", "crashes", ("error",), None, None, "The process died (SIGABRT)."),
        *[judge.Verdict(one.id, "mint", "unsupported", reason="by its document") for one in CASES],
        *[judge.Verdict(one.id, "absent", "no evidence", reason="not run: no such thing") for one in CASES],
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
    assert tuple(schema["properties"]["verdicts"]["items"]["properties"]["parts"]["items"]["enum"]) == judge.PARTS


def test_planned_is_judged_plus_skipped(report):
    for counts in report["summary"].values():
        assert sum(counts.values()) == report["case_set"]["count"] == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[1:],
        lambda rows: [*rows, rows[0]],
        lambda rows: [*rows, judge.Verdict("a/three", "torch", "agrees")],
    ],
)
def test_a_verdict_missing_doubled_or_unplanned_is_refused(change):
    with pytest.raises(ValueError, match="planned and judged differ"):
        model.assemble(CASES, IMPLEMENTATIONS, change(verdicts()), [])


def test_check_accepts_agreement_only(report):
    assert not model.accepted(report)
    good = [judge.Verdict(one.id, "torch", "agrees") for one in CASES]
    assert model.accepted(model.assemble(CASES, IMPLEMENTATIONS[:1], good, []))
    nothing = [judge.Verdict(one.id, "torch", "no evidence") for one in CASES]
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


def test_a_narrow_terminal_gets_several_tables_and_loses_no_cell():
    names = [f"{name}{kind}" for name in ("torch", "mint", "mindspore", "oneflow") for kind in ("", "+xent")]
    names += ["mint-jit", "numpy"]
    columns = [
        {**IMPLEMENTATIONS[0], "id": name, "mode": "portable" if name.endswith("+xent") else "eager"} for name in names
    ]
    rows = [judge.Verdict(one.id, name, "unsupported") for name in names for one in CASES]
    report = model.assemble(CASES, columns, rows, [])
    for width, tables in ((80, 2), (160, 1)):
        out = io.StringIO()
        terminal.show(report, Console(file=out, width=width, no_color=True))
        text = out.getvalue()
        assert text.count("VERDICTS") == tables
        assert "…" not in text
        assert all(name in text for name in names)
        assert max(map(len, text.splitlines())) <= width


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

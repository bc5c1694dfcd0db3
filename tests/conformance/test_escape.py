"""Whatever a file, a plug-in or a framework puts into a text: no terminal obeys it, no format breaks on it, and it is
seen."""

from __future__ import annotations

import contextlib
import io
import json
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, Iterator
from unittest import mock
from xml.etree import ElementTree

import numpy as np
import pytest
import rich.console
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.text import Text
from sheets import column, exact_record, numbers_of, sheet_of_columns, text_of

from xent.commands import cli
from xent.conformance.evidence.records import AdapterSource, Raised, Record
from xent.conformance.judging.verdicts import QUIET, VERDICTS, Verdict
from xent.conformance.protocol import case_file, limits
from xent.conformance.protocol.case import ID, Case, digest
from xent.conformance.report import (
    blocks,
    console,
    escape,
    files,
    junit,
    markdown,
    matrix,
    model,
    page,
    sheet,
    terminal,
)
from xent.conformance.report import doctor as rendering
from xent.conformance.running import doctor
from xent.spec import Arguments

# Said apart from the module: what no output may hold, whatever Python's tables call printable.
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U0001fffe\U0001ffff"
    "\U000e0000-\U000e0fff\U0010fffe\U0010ffff]"
)
NASTY = (
    "</td><script>alert(1)</script>", "<b>", "&lt;", "&#124;", "&amp", "]]>", "<!--", '" onclick="x', "'", "{{ 7 }}",
    "{% raw %}", "see [/] here", "[bold]x[/bold]", "tensor[n] end", "[link=file:///]x[/]", ":smile:", "\\[x]", "{0}",
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b[2J", "\x9b31m", "\x00", "\x08\x08", "\r", "\r\n", "\n", "\n\n# x",
    "\t", "\x0b", "\x0c", "\x85", "\u202e", "\u2066", "\u2069", "\u200b", "\u200d", "\ufeff", "\u2028", "\u2029",
    "\ufffe", "\uffff", "\U0010ffff", "\U000e0041", "\u3164", "\xad", "\xa0", "\u3000", "e\u0301", "\u0301",
    "| a |", "|", "\\|", "\\", "`code`", "```", "[x](javascript:alert(1))", "![x](y)", "[x]: y", "# head", "- item",
    "+ item", "1. item", "2) item", "===", "---", "***", "_x_", "__x__", "~~x~~", "~~~", "> quote", "    code", "$x$",
    "https://x.example", "<https://x.example>", "ÄÖ", "損失", "🙂", "",
)  # fmt: skip
nasty = st.sampled_from(NASTY)
texts = st.one_of(
    nasty,
    st.lists(nasty, max_size=5).map("".join),
    st.lists(st.one_of(nasty, st.text(max_size=5), st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))).map(
        "".join
    ),
    st.text(),
)
in_files = texts.map(lambda text: re.sub("[\ud800-\udfff]", "", text)[: limits.NAME]).filter(bool)
case_ids = st.from_regex(ID, fullmatch=True)
reports = st.fixed_dictionaries(
    {
        "ids": st.lists(texts.filter(bool), min_size=1, max_size=3, unique=True),
        "fields": st.lists(st.lists(texts, min_size=5, max_size=5), min_size=3, max_size=3),
        "cases": st.lists(case_ids, min_size=1, max_size=2, unique=True),
        "tags": st.lists(texts, max_size=3),
        "clauses": st.lists(texts, max_size=2),
        "prose": st.lists(texts, min_size=2, max_size=2),
        "verdicts": st.lists(st.sampled_from(VERDICTS), min_size=9, max_size=9),
        "reasons": st.lists(texts, min_size=9, max_size=9),
        "kernels": texts,
        "not_run": st.lists(texts.filter(bool), max_size=2),
        "flaws": st.lists(texts.filter(bool), max_size=2),
    }
)  # fmt: skip
many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def visible(text: str) -> str:
    """The rule in other words: what shows nothing by itself is written as Python's repr writes it."""
    written = (one if unicodedata.category(one) == "Zs" else repr(one)[1:-1] for one in text)
    shown = "".join(one if one not in ("\\\\", "\\'") else one[1:] for one in written)
    return FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], shown)


def assemble(drawn: dict[str, Any]) -> dict[str, Any]:
    """A report in which every field that comes from outside holds drawn text."""
    cases = [
        Case(
            name, Arguments(np.ones(3, dtype=np.float32)), np.zeros((2, 3), dtype=np.float32), np.array([0, 1]),
            ("document", "indices", *drawn["tags"]), tuple(drawn["clauses"]),
            source=drawn["prose"][0], note=drawn["prose"][1],
        )
        for name in drawn["cases"]
    ]  # fmt: skip
    names = ("name", "version", "device", "mode", "kernels")
    implementations = [
        {"id": id, "implementation": id, **dict(zip(names, fields, strict=True))}
        for id, fields in zip(drawn["ids"], drawn["fields"], strict=False)
    ]
    rows = iter(zip(drawn["verdicts"], drawn["reasons"], strict=True))
    verdicts = [
        Verdict(case.id, id, found, (), float("inf"), None, reason, drawn["kernels"])
        for id in drawn["ids"]
        for case in cases
        for found, reason in [next(rows)]
    ]
    not_run, flaws = (list(zip(drawn["ids"], drawn[name], strict=False)) for name in ("not_run", "flaws"))
    return model.assemble(cases, implementations, verdicts, not_run, flaws)


def words(text: str) -> str:
    """Without the white space, in which a rendering is free."""
    return re.sub(r"\s", "", text)


@many
@given(text=texts)
def test_what_cannot_be_shown_is_visible_and_nothing_is_dropped(text):
    assert escape.line(text) == visible(text)
    assert not FORBIDDEN.search(escape.line(text))
    assert "\n" not in escape.line(text)
    assert escape.block(text) == "\n".join(visible(one.expandtabs()) for one in text.split("\n"))
    assert escape.line(escape.line(text)) == escape.line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202eabc\u2069", r"\u202eabc\u2069"),
        ("\ud800", r"\ud800"),
        ("C:\\nan", "C:\\nan"),
        ("損失 e\u0301 🙂 a\xa0b", "損失 e\u0301 🙂 a\xa0b"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_the_rule(text, shown):
    assert escape.line(text) == shown


def test_what_is_too_long_keeps_its_ends():
    assert escape.line("abcdefghij", 10) == "abcdefghij"
    assert escape.line("abcdefghijk", 7) == "abc…ijk"
    assert escape.line("\x1b" * 200_000, 9) == "\\x1b…\\x1b"
    assert len(escape.line("\u0301" * 200_000, 60)) == 60


@many
@given(text=texts)
def test_only_our_own_lines_of_a_message_begin_at_the_left(text):
    shown = escape.message(f"xent: {text}")
    assert not FORBIDDEN.search(shown)
    assert all(one[:1] in ("", " ") for one in shown.split("\n")[1:])


@many
@given(drawn=reports)
@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_gets_no_command(drawn, width):
    report = assemble(drawn)
    out = io.StringIO()
    terminal.show(report, rich.console.Console(file=out, width=width, no_color=True, force_terminal=False))
    text = out.getvalue()
    assert not FORBIDDEN.search(text)
    assert max(map(cell_len, text.splitlines())) <= width
    for note in matrix.notes(report):
        assert words(escape.line(note)) in words(text)
    for count in (1, 14):  # few names head columns, many head rows
        names = [Text(escape.line(name)) for name in (drawn["ids"] * 14)[:count]]
        columns = [blocks.Column(Text(escape.line(name)), names) for name in [*drawn["reasons"], "agrees"]]
        for table in blocks.tables(names, columns, width):
            text = rendered(table, width)
            assert not FORBIDDEN.search(text)
            assert max(map(cell_len, text.splitlines())) <= width


def rendered(what: Any, width: int) -> str:
    out = io.StringIO()
    rich.console.Console(file=out, width=width, no_color=True).print(what)
    return out.getvalue()


@many
@given(drawn=reports)
def test_markdown_is_the_planned_tables_and_texts(drawn):
    report = assemble(drawn)
    text = markdown.render(report)
    assert not FORBIDDEN.search(text)
    assert "<" not in text
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    sections = list(matrix.sections(report))
    assert sum(token.type == "table_open" for token in tokens) == 1 + len(sections)
    assert {token.type for token in tokens if token.nesting >= 0 and not token.type.startswith(("t", "bullet"))} <= {
        "list_item_open", "paragraph_open", "inline",
    }  # fmt: skip
    columns = 1 + len(report["implementations"])
    cells = [b for a, b in pairwise(tokens) if a.type in ("th_open", "td_open")]
    counts = {name for found in report["summary"].values() for name in found}
    rows = 1 + len(counts) + 1 + sum(1 + len(lines) for _, lines in sections)
    assert len(cells) == rows * columns
    ours = ("text", "text_special", "strong_open", "strong_close")
    assert all(child.type in ours for token in tokens for child in token.children or [])
    heads = [words("".join(child.content for child in cell.children)) for cell in cells[1:columns]]
    for head, item in zip(heads, report["implementations"], strict=True):
        parts = [escape.line(item[name], escape.NAME) for name in ("id", "version", "device", "mode")]
        assert head == words("".join(parts))
    items = [token for before, token in zip(tokens, tokens[2:], strict=False) if before.type == "list_item_open"]
    told = [words("".join(child.content for child in item.children)) for item in items]
    assert told == [words(escape.line(note)) for note in matrix.notes(report)]


@many
@given(drawn=reports)
def test_junit_is_xml_and_its_names_come_back(drawn):
    report = assemble(drawn)
    text = junit.render(report)
    assert not FORBIDDEN.search(text)
    suites = list(ElementTree.fromstring(text))
    assert [suite.get("name") for suite in suites] == [visible(item["id"]) for item in report["implementations"]]
    for suite in suites:
        assert [test.get("name") for test in suite] == list(report["cases"])
    told = {row["reason"] for row in report["verdicts"] if row["verdict"] != "agrees"}
    messages = "\n".join(message.get("message") or "" for suite in suites for test in suite for message in test)
    assert all(visible(reason) in messages for reason in told)


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, and all of its text, attributes included."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[Any] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.text += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment",))


def harmless(drawn: dict[str, Any]) -> dict[str, Any]:
    """The same report with harmless texts."""
    return {
        **drawn,
        "ids": [f"id{number}" for number, _ in enumerate(drawn["ids"])],
        "fields": [[text if text in ("native", "-", "") else "x" for text in row] for row in drawn["fields"]],
        "tags": [tag and "x" for tag in drawn["tags"]],
        "clauses": ["x" for _ in drawn["clauses"]],
        "reasons": [reason and "x" for reason in drawn["reasons"]],
        "kernels": drawn["kernels"] if drawn["kernels"] == "native" else "x",
        "not_run": ["x" for _ in drawn["not_run"]],
        "flaws": ["x" for _ in drawn["flaws"]],
    }  # fmt: skip


@many
@given(drawn=reports)
def test_the_page_has_our_elements_only_and_shows_the_rest(drawn):
    report = assemble(drawn)
    text = page.render(report)
    assert not FORBIDDEN.search(text)
    found, ours = Elements(text), Elements(page.render(assemble(harmless(drawn))))
    assert found.tags == ours.tags
    seen = "".join(found.text)
    assert not FORBIDDEN.search(seen)
    for item in report["implementations"]:
        assert all(escape.line(item[name], escape.NAME) in seen for name in ("id", "version", "device", "mode"))
    for row in report["verdicts"]:
        if row["verdict"] not in QUIET:
            assert visible(row["reason"]) in seen


def strictly(text: str) -> Any:
    def refuse(what: Any) -> Any:
        raise AssertionError(f"{what} is no JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)


@many
@given(drawn=reports)
def test_the_json_is_strict_and_loses_nothing(drawn):
    report = assemble(drawn)
    text = escape.to_json(report, 1)
    assert text.isascii()
    assert not FORBIDDEN.search(text)
    assert words(text) == words(json.dumps(report, allow_nan=False))
    back = strictly(text)
    # Two halves of one character that stand side by side are that character: JSON has no other form for them.
    whole = [reason.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") for reason in drawn["reasons"]]
    assert [row["reason"] for row in back["verdicts"]] == whole[: len(back["verdicts"])]
    assert [row["error_in_bounds"] for row in back["verdicts"]] == ["inf"] * len(back["verdicts"])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_lacks_travels_as_text(number):
    assert strictly(escape.to_json({"a": [number, (number, 1.5)]})) == {"a": [str(number), [str(number), 1.5]]}


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("letter", ["x", "損", "\x1b", "\u0301", "[/]", "\n"])
def test_texts_without_end_leave_the_matrix_readable(width, letter, tmp_path):
    long = letter * 200_000
    drawn = {
        "ids": ["torch", f"a{long}", f"{long}b"],
        "fields": [["torch", "2.13.0", "cpu", "eager", "native"], [long] * 5, [long] * 5],
        "cases": ["a" * 200, "b/c"], "tags": [], "clauses": [long], "prose": [long, long],
        "verdicts": ["deviates"] * 9,
        "reasons": [long] * 9, "kernels": long, "not_run": ["short", long], "flaws": [long],
    }  # fmt: skip
    report = assemble(drawn)
    out = io.StringIO()
    terminal.show(report, rich.console.Console(file=out, width=width, no_color=True))
    text = out.getvalue()
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len(lines) < 400
    for head, cell in (("version", "2.13.0"), ("deviates", "2"), ("class indices", "0/2")):  # torch is the first
        assert re.search(rf"^(torch( +native)?|{head}) +{cell}(\s|$)", text, re.MULTILINE), head
    assert "…" in text
    assert len(markdown.render(report)) < 100_000
    assert len(page.render(report)) < 200_000
    files.write(report, tmp_path)


def hostile_sheet(drawn: dict[str, Any], *, soft: bool) -> sheet.Sheet:
    """A case and its evidence in which every text that comes from outside is a drawn one."""
    tags, cited, (source, note) = tuple(drawn["tags"]), tuple(drawn["clauses"]), drawn["prose"]
    target = np.full((2, 3), 0.25, np.float32) if soft else np.array([0, 1])
    asked = ("input", "target", "weight")
    case = Case(
        drawn["cases"][0], Arguments(np.ones(3, np.float32), reduction="none"), np.eye(2, 3, dtype=np.float32), target,
        tags, cited, asked, source=source, note=note,
    )  # fmt: skip
    one, two, three = drawn["reasons"][:3]
    error = Raised(one or "E", two, "forward")
    records = [
        exact_record(case, casts=(one, two), kernels=three, ms=1.0),
        Record(case.id, "error", error=error),
        Record(case.id, "crash", signal="SIGABRT", stderr=three),
        Record(case.id, "not-recorded", reason=two),
        replace(exact_record(case), value=np.full((3, 1), np.nan, np.float64), gradients=None, kernels=one),
        None,
    ]
    labels = [f"{drawn['ids'][0]}{number}" for number, _ in enumerate(records)]
    adapter = AdapterSource(drawn["kernels"], 64 * "0")
    found = [column(name, record, id=one or "x", adapter=adapter) for name, record in zip(labels, records, strict=True)]
    return sheet_of_columns(case, found)


@settings(many, max_examples=40)
@given(drawn=reports, soft=st.booleans())
@pytest.mark.parametrize("width", [80, 160])
def test_a_sheet_is_text(drawn, soft, width):
    shown = hostile_sheet(drawn, soft=soft)
    text = text_of(shown, width, clauses=soft)
    assert not FORBIDDEN.search(text)
    assert max(map(cell_len, numbers_of(text).splitlines())) <= width
    for said in (shown.case.source, shown.case.note, shown.case.id, *shown.case.tags):
        assert words(escape.block(said)) in words(text)
    for one in shown.implementations:
        if one.verdict.verdict != "agrees":
            assert words(escape.block(one.verdict.reason)) in words(text)
    told = strictly(escape.to_json(shown.to_dict()))
    assert [told["source"], told["case"], told["tags"]] == json.loads(
        json.dumps([shown.case.source, shown.case.id, list(shown.case.tags)])
    )
    assert len(told["implementations"]) == 6


@pytest.mark.parametrize("reduction", ["\u3164\u202e", "\x1b[2J", "[bold]x[/bold]"])
def test_arguments_that_are_refused_are_text_in_the_script_too(reduction):
    case = Case("a/odd", Arguments(reduction=reduction), np.zeros((2, 3), np.float32), np.array([0, 1]))
    text = text_of(sheet_of_columns(case, [column("numpy", None)]))
    assert "import xent.adapters.numpy" in text
    assert not FORBIDDEN.search(text)
    assert text.count(repr(reduction).replace("\u3164", r"\u3164")) == 3  # the spec's line, the refusal, the script


# What a command prints, from files that hold anything.


def write_run(folder: Path, hostile: str) -> None:
    """A run's folder: cases, and one implementation's results, with that text in every field that may hold it."""
    case = Case(
        "a/one", Arguments(None, reduction="none"), np.zeros((2, 3), dtype=np.float32), np.array([0, 1]),
        ("indices", "tensor[n]"), ("tensor[n]/end",), source=hostile, note=hostile,
    )  # fmt: skip
    cases = [replace(case, id=name) for name in SHOWN]
    (folder / "results").mkdir()
    case_file.write(folder / "cases.safetensors", cases)
    names = ("id", "name", "version", "device", "mode", "kernels")
    header = {
        "schema": "xent-results/2", "implementation": dict.fromkeys(names, hostile),
        "python": hostile, "platform": hostile, "packages": {hostile: hostile},
        "case_set": {"sha256": digest(cases), "count": len(cases)}, "started": hostile,
        "adapter": {"module": hostile, "sha256": 64 * "0"},
    }  # fmt: skip
    value = {"dtype": "float32", "shape": [2], "hex": ["0x1p+0", "inf"]}
    records = [
        {"case": "a/one", "outcome": "value", "value": value, "casts": [hostile], "kernels": hostile, "ms": 1.0},
        {"case": "a/two", "outcome": "error", "error": {"type": hostile, "message": hostile, "phase": "forward"}},
        {"case": "a/three", "outcome": "crash", "signal": "SIGABRT", "stderr": hostile},
        {"case": "a/four", "outcome": "not-recorded", "reason": hostile},
        {"complete": True, "planned": 4, "recorded": 4, "left_out": {hostile: 1}},
    ]
    with open(folder / "results" / "one.jsonl", "w", encoding="ascii") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in [header, *records])


SHOWN = {"a/one": 4, "a/two": 3, "a/three": 3, "a/four": 3}
"""The cases of `write_run`, and how often the text stands at least in what `xent show` prints of each."""


@contextlib.contextmanager
def printed(width: int) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    out, errors = io.StringIO(), io.StringIO()
    environment = mock.patch.dict("os.environ", {"COLUMNS": str(width)})
    with environment, contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        yield out, errors


@settings(many, max_examples=25)
@example(hostile="see [/] here")
@example(hostile="tensor[n] end")
@example(hostile="\x1b[31m\u202e")
@given(hostile=in_files)
@pytest.mark.parametrize("width", [80, 160])
def test_commands_print_what_a_file_holds_as_text(tmp_path_factory, width, hostile):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, hostile)
    for case, fields in SHOWN.items():
        with printed(width) as (out, errors):
            assert cli.main(["show", case, "--in", str(folder)]) == 0
        text = out.getvalue() + errors.getvalue()
        assert not FORBIDDEN.search(text)
        numbers = text.split("reproduce it")[0]
        assert max(map(cell_len, numbers.splitlines())) <= width
        if "\n" not in hostile and (whole := words(escape.block(hostile))):
            assert words(text).count(whole) >= fields
        with printed(width) as (out, _):
            assert cli.main(["show", case, "--in", str(folder), "--json"]) == 0
        shown = strictly(out.getvalue())
        assert out.getvalue().isascii()
        assert shown["case"] == case
        assert list(shown["implementations"]) == [hostile]
    with printed(width) as (out, errors):
        assert cli.main(["report", str(folder / "results/one.jsonl"), "--out", str(folder / "out")]) == 0
    assert not FORBIDDEN.search(out.getvalue() + errors.getvalue())
    for name in ("index.html", "report.md", "junit.xml", "report.json"):
        text = (folder / "out" / name).read_text(encoding="utf-8")
        assert not FORBIDDEN.search(text), name
    report = strictly((folder / "out/report.json").read_text(encoding="utf-8"))
    assert set(report["implementations"][0].values()) == {hostile}


@many
@given(drawn=st.lists(texts, min_size=7, max_size=7))
@pytest.mark.parametrize("width", [80, 160])
def test_the_doctor_shows_what_a_plug_in_says(width, drawn):
    name, version, device, path, missing, remedy, other = drawn
    rows = [
        doctor.Row(name, "ready", "running", path, version, device),
        doctor.Row(other, "on first run", missing=missing, remedy=remedy),
    ]
    out = io.StringIO()
    rendering.render(rows, rich.console.Console(file=out, width=width, no_color=True))
    text = out.getvalue()
    assert not FORBIDDEN.search(text)
    for said in (missing and f"{other}: {missing}", missing and remedy, path):
        assert words(escape.line(said)) in words(text)
    table = text.split("\n\n")[0].splitlines()
    assert len(table) == 3
    assert max(map(cell_len, table)) <= 80
    assert strictly(rendering.to_json(rows))[0]["version"] is not None


@many
@given(drawn=st.lists(texts, min_size=3, max_size=3))
def test_a_console_of_ours_believes_no_text(drawn):
    from rich.table import Table

    out = io.StringIO()
    ours = console.make(file=out, width=80, no_color=True)
    table = Table()
    for text in drawn:
        table.add_column(text)
        ours.print(text)
        ours.print(Text(text))
        ours.rule(text)
    table.add_row(*drawn)
    ours.print(table)
    with console.progress(ours) as bars:
        bars.add_task(drawn[0], name=drawn[1], total=1)
    assert not FORBIDDEN.search(out.getvalue())

"""A results file says what its schema says, or is refused with its line; the JSON Schema agrees with the reader."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest

from xent import conformance
from xent.conformance import results
from xent.errors import UnreadableInput

ARRAY = {"dtype": "float32", "shape": [2], "hex": ["0x1.9p-1", "nan"]}
HEADER = {
    "schema": "xent-results/1",
    "implementation": {
        "id": "mint-jit", "name": "mint", "version": "2.10.0", "device": "cpu", "mode": "jit", "kernels": "native",
    },
    "python": "3.11.7",
    "platform": "Linux",
    "packages": {"numpy": "1.26.4"},
    "case_set": {"sha256": "0" * 64, "count": 9},
    "started": "2026-11-22T00:00:00+00:00",
    "adapter": {"module": "xent.adapters.mint.jit", "sha256": "f" * 64},
}  # fmt: skip
VALUE = {
    "case": "a/value", "outcome": "value", "value": ARRAY, "gradient": None, "casts": ["weight bfloat16 -> float32"],
    "kernels": "stand-in", "ms": 1.25,
}  # fmt: skip
ERROR = {
    "case": "a/error", "outcome": "error", "ms": 0,
    "error": {"type": "ValueError", "message": "no", "phase": "construct"},
}  # fmt: skip
CRASH = {"case": "a/crash", "outcome": "crash", "signal": "SIGABRT", "stderr": "aborted"}
TIMEOUT = {"case": "a/timeout", "outcome": "timeout", "stderr": ""}
UNSUPPORTED = {"case": "a/unsupported", "outcome": "unsupported"}
RECORDS = [VALUE, ERROR, CRASH, TIMEOUT, UNSUPPORTED]
FOOTER = {"complete": True, "planned": 5, "recorded": 5, "left_out": {"only cases tagged sample run": 4}}
LINES = [HEADER, *RECORDS, FOOTER]


def written(path, lines):
    path.write_bytes(b"".join(map(results.line, lines)))
    return path


def changed(content, place, value):
    """A copy with the value at a dotted place; ... removes it."""
    content = copy.deepcopy(content)
    *parents, last = place.split(".")
    inner = content
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return content


def test_what_is_written_is_read(tmp_path):
    results.write(tmp_path / "r.jsonl", HEADER, RECORDS, FOOTER)
    found = results.read(tmp_path / "r.jsonl")
    assert found.complete
    assert (found.header, found.footer) == (HEADER, FOOTER)
    assert results.implementation_id(found.header) == "mint-jit"
    assert [record["case"] for record in found.records] == [record["case"] for record in RECORDS]
    assert found.by_case["a/value"] == {**VALUE, "error": None, "signal": None, "stderr": ""}
    assert found.by_case["a/unsupported"]["value"] is None


def test_kernels_of_a_record_without_them_are_the_headers(tmp_path):
    header = changed(HEADER, "implementation.kernels", "stand-in")
    found = results.read(written(tmp_path / "r.jsonl", [header, *RECORDS, FOOTER]))
    assert found.by_case["a/error"]["kernels"] == "stand-in"


def test_without_its_footer_a_file_is_incomplete(tmp_path):
    found = results.read(written(tmp_path / "r.jsonl", LINES[:-1]))
    assert (found.complete, found.footer, len(found.records)) == (False, None, 5)


def test_half_a_last_line_is_expected_in_a_partial_file_only(tmp_path):
    whole = written(tmp_path / "r.jsonl.partial", LINES[:-1]).read_bytes()
    cut = whole[:-20]
    for path in (tmp_path / "r.jsonl.partial", tmp_path / "r.jsonl"):
        path.write_bytes(cut)
    assert len(results.read(tmp_path / "r.jsonl.partial").records) == 4
    with pytest.raises(UnreadableInput, match="line 6: the file is truncated in this line"):
        results.read(tmp_path / "r.jsonl")


BAD = [
    (HEADER, "schema", "xent-results/2", "the schema is 'xent-results/2'"),
    (HEADER, "schema", ..., "no header"),
    (HEADER, "extra", 1, "header has the unknown field 'extra'"),
    (HEADER, "python", ..., "header lacks the field 'python'"),
    (HEADER, "python", 3.11, "header.python is 3.11, not text"),
    (HEADER, "implementation.version", ..., "header.implementation lacks the field 'version'"),
    (HEADER, "implementation.extra", 1, "unknown field 'extra'"),
    (HEADER, "implementation", "torch", "header.implementation is 'torch', not an object"),
    (HEADER, "packages.numpy", 1.26, "not an object of texts"),
    (HEADER, "case_set.sha256", "0" * 63, "64 hexadecimal digits"),
    (HEADER, "case_set.count", -1, "whole number"),
    (HEADER, "case_set.count", True, "whole number"),
    (HEADER, "adapter.extra", "x", "header.adapter has the unknown field"),
    (VALUE, "outcome", "pass", "no outcome that is one of"),
    (VALUE, "outcome", ["value"], "no outcome that is one of"),
    (VALUE, "case", "A b", "record.case is 'A b', not the id of a case"),
    (VALUE, "case", 3, "record.case is 3"),
    (VALUE, "value", ..., "lacks the field 'value'"),
    (VALUE, "value", None, "record.value is None"),
    (VALUE, "value.shape", [3], "record.value.hex: 2 elements"),
    (VALUE, "value.shape", [-2], "record.value.shape: "),
    (VALUE, "value.dtype", "float8", "record.value.dtype: "),
    (VALUE, "value.extra", 1, "exactly dtype, shape and hex"),
    (VALUE, "value.hex", ["0x1p+0", "1.5"], r"record\.value\.hex\[1\]: '1.5'"),
    (VALUE, "gradient", [1.0], "record.gradient is"),
    (VALUE, "error", {}, "unknown field 'error'"),
    (VALUE, "ms", -1, "record.ms is -1"),
    (VALUE, "ms", "1", "record.ms is '1'"),
    (VALUE, "casts", "none", "not a list of texts"),
    (VALUE, "casts", [1], "not a list of texts"),
    (VALUE, "kernels", None, "record.kernels is None"),
    (ERROR, "value", ARRAY, "unknown field 'value'"),
    (ERROR, "error", ..., "lacks the field 'error'"),
    (ERROR, "error.phase", "import", "record.error.phase is 'import', not one of construct"),
    (ERROR, "error.message", None, "record.error.message"),
    (ERROR, "error.extra", "x", "record.error has the unknown field"),
    (CRASH, "signal", "abort", "a signal's name"),
    (CRASH, "signal", ..., "lacks the field 'signal'"),
    (CRASH, "ms", 1, "unknown field 'ms'"),
    (TIMEOUT, "stderr", 1, "record.stderr is 1, not text"),
    (UNSUPPORTED, "stderr", "", "unknown field 'stderr'"),
    (FOOTER, "complete", False, "footer.complete is False, not true"),
    (FOOTER, "planned", 1.5, "whole number"),
    (FOOTER, "left_out", ["x"], "an object of counts"),
    (FOOTER, "extra", 1, "unknown field"),
]
BAD_IDS = [f"{index}-{place}" for index, (_, place, _, _) in enumerate(BAD)]
VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((Path(conformance.__path__[0]) / "schemas" / "xent-results-1.json").read_text(encoding="utf-8"))
)


@pytest.mark.parametrize(("content", "place", "value", "message"), BAD, ids=BAD_IDS)
def test_a_wrong_line_is_refused_with_its_number(tmp_path, content, place, value, message):
    at = LINES.index(content)
    lines = [*LINES[:at], changed(content, place, value), *LINES[at + 1 :]]
    path = written(tmp_path / "r.jsonl", lines)
    with pytest.raises(UnreadableInput, match=message) as caught:
        results.read(path)
    assert str(caught.value).startswith(f"{path}: line {at + 1}: ")
    assert str(caught.value).endswith(". Make it again with xent run.")


@pytest.mark.parametrize(("content", "place", "value", "message"), BAD, ids=BAD_IDS)
def test_the_json_schema_refuses_the_same(content, place, value, message):
    beyond_it = message.endswith("hex: 2 elements")  # it can't compare a shape with a number of elements
    assert VALIDATOR.is_valid(changed(content, place, value)) == beyond_it


@pytest.mark.parametrize(
    "content", LINES, ids=["header", "value", "error", "crash", "timeout", "unsupported", "footer"]
)
def test_the_json_schema_accepts_the_same(content):
    VALIDATOR.validate(content)


def test_the_json_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, VALUE, VALUE], "line 3: a second record of the case 'a/value'"),
        ([HEADER, HEADER], "line 2: not the record of a case"),
        ([HEADER, VALUE, changed(FOOTER, "planned", 2)], "line 3: footer: planned 2, recorded 5, and the file has 1"),
        ([HEADER, *RECORDS, FOOTER, FOOTER], "line 8: more lines follow the footer"),
        ([VALUE], "line 1: the first line is no header"),
        ([[1]], "line 1: the first line is no header"),
        ([HEADER, 3], "line 2: not the record of a case"),
    ],
)
def test_lines_that_do_not_go_together(tmp_path, lines, message):
    with pytest.raises(UnreadableInput, match=message):
        results.read(written(tmp_path / "r.jsonl", lines))


GOOD_HEADER = results.line(HEADER)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n", "line 1: not JSON"),
        (b"PK\x03\x04\xff\xfe\n", "line 1: not JSON .not UTF-8"),
        (b'{"schema": \n', "line 1: not JSON"),
        (GOOD_HEADER[:-1], "line 1: the file is truncated"),
        (GOOD_HEADER + b"[" * 100_000 + b"\n", "line 2: not JSON that this schema has"),
        (GOOD_HEADER + b'{"case": "a", "case": "b", "outcome": "unsupported"}\n', "line 2: a field occurs twice"),
        (GOOD_HEADER + b'{"case": "a", "outcome": "error", "ms": NaN}\n', "line 2: not JSON .NaN is no JSON number"),
        (GOOD_HEADER + b'{"case": "a", "outcome": "value", "ms": ' + b"9" * 5000 + b"}\n", "line 2: "),
        (GOOD_HEADER + b'{"case": "a", "outcome": "timeout", "stderr": "\\ud800"}\n', "line 2: record.stderr"),
        (GOOD_HEADER + b"\n", "line 2: not JSON"),
    ],
)
def test_what_is_not_json_lines(tmp_path, data, message):
    (tmp_path / "r.jsonl").write_bytes(data)
    with pytest.raises(UnreadableInput, match=message):
        results.read(tmp_path / "r.jsonl")


def test_a_hundred_megabytes_of_nonsense_are_refused_at_the_start(tmp_path):
    path = tmp_path / "r.jsonl"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(UnreadableInput, match="line 1: the line is longer than 100,000 bytes"):
        results.read(path)
    with path.open("wb") as file:
        file.write(GOOD_HEADER)
        file.truncate(100_000_000)
    with pytest.raises(UnreadableInput, match="line 2: the line is longer than 64,000,000 bytes"):
        results.read(path)


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UnreadableInput, match="can't be read"):
            results.read(path)

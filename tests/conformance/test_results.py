"""A results file says what its schema says, or is refused with its line; the JSON Schema agrees with the reader."""

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from xent import conformance
from xent.conformance.evidence import record_json, records, results
from xent.conformance.protocol import arrays, limits
from xent.errors import UnreadableInput

ARRAY = {"dtype": "float32", "shape": [2], "hex": ["0x1.9p-1", "nan"]}
HEADER = {
    "schema": "xent-results/2",
    "implementation": {
        "id": "mint-jit", "name": "mint", "version": "2.10.0", "device": "cpu", "mode": "jit", "kernels": "native",
    },
    "python": "3.11.7",
    "platform": "Linux",
    "packages": {"numpy": "1.26.4"},
    "case_set": {"sha256": "0" * 64, "count": 9},
    "started": "2026-11-22T00:00:00+00:00",
    "adapter": {"module": "xent.adapters.mint.jit", "sha256": "f" * 64},
    "capabilities": {"input_ranks": {"allowed": [2, 3], "clause": "mint/input/rank"}},
    "sample": "jit-sample",
}  # fmt: skip
VALUE = {
    "case": "a/value", "outcome": "value", "value": ARRAY, "gradient": None, "gradients": {"weight": ARRAY},
    "casts": ["weight bfloat16 -> float32"], "kernels": "stand-in", "ms": 1.25,
}  # fmt: skip
ERROR = {
    "case": "a/error", "outcome": "error", "ms": 0,
    "error": {"type": "ValueError", "message": "no", "phase": "construct"},
}  # fmt: skip
CRASH = {"case": "a/crash", "outcome": "crash", "signal": "SIGABRT", "stderr": "aborted"}
TIMEOUT = {"case": "a/timeout", "outcome": "timeout", "stderr": ""}
UNSUPPORTED = {"case": "a/unsupported", "outcome": "unsupported"}
LOST = {"case": "a/lost", "outcome": "not-recorded", "reason": "its value can't be recorded"}
RECORDS = [VALUE, ERROR, CRASH, TIMEOUT, UNSUPPORTED, LOST]
FOOTER = {"complete": True, "planned": 6, "recorded": 6, "left_out": {"only cases tagged sample run": 3}}
LINES = [HEADER, *RECORDS, FOOTER]
OLD_HEADER = {name: value for name, value in HEADER.items() if name not in ("capabilities", "sample")}
OLD_HEADER["schema"] = "xent-results/1"


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
    path = written(tmp_path / "first.jsonl", LINES)
    found = results.read(path)
    assert found.complete
    assert record_json.header_data(found.header) == HEADER
    assert record_json.footer_data(found.footer) == FOOTER
    assert [record.case for record in found.records] == [record["case"] for record in RECORDS]
    value, lost = found.by_case["a/value"], found.by_case["a/lost"]
    assert arrays.encode(value.value) == ARRAY
    assert (value.gradient, list(value.gradients)) == (None, ["weight"])
    assert (value.casts, value.kernels, value.ms) == (("weight bfloat16 -> float32",), "stand-in", 1.25)
    assert lost.reason == LOST["reason"]
    results.write(tmp_path / "second.jsonl", found.header, map(results.line, RECORDS), found.footer)
    assert (tmp_path / "second.jsonl").read_bytes() == path.read_bytes()


def test_a_file_of_the_first_schema_is_read(tmp_path):
    old = [{name: value for name, value in record.items() if name != "gradients"} for record in RECORDS[:-1]]
    footer = {**FOOTER, "planned": 5, "recorded": 5}
    found = results.read(written(tmp_path / "r.jsonl", [OLD_HEADER, *old, footer]))
    assert found.complete
    assert (found.header.schema, found.header.capabilities) == ("xent-results/1", None)


def test_kernels_of_a_record_without_them_are_the_headers(tmp_path):
    header = changed(HEADER, "implementation.kernels", "stand-in")
    found = results.read(written(tmp_path / "r.jsonl", [header, *RECORDS, FOOTER]))
    assert found.by_case["a/error"].kernels == "stand-in"


def test_without_its_footer_a_file_is_incomplete(tmp_path):
    found = results.read(written(tmp_path / "r.jsonl", LINES[:-1]))
    assert (found.complete, found.footer, len(found.records)) == (False, None, 6)


def test_half_a_last_line_is_expected_in_a_partial_file_only(tmp_path):
    whole = written(tmp_path / "r.jsonl.partial", LINES[:-1]).read_bytes()
    cut = whole[:-20]
    for path in (tmp_path / "r.jsonl.partial", tmp_path / "r.jsonl"):
        path.write_bytes(cut)
    assert len(results.read(tmp_path / "r.jsonl.partial").records) == 5
    with pytest.raises(UnreadableInput, match="line 7: the file is truncated in this line"):
        results.read(tmp_path / "r.jsonl")


BAD = [
    (HEADER, "schema", "xent-results/3", 'the schema is "xent-results/3"'),
    (HEADER, "schema", ..., "no header"),
    (HEADER, "extra", 1, 'unknown field "extra"'),
    (HEADER, "python", ..., 'the field "python" is missing'),
    (HEADER, "python", 3.11, "python: must be text, got 3.11"),
    (HEADER, "implementation.version", ..., 'implementation: the field "version" is missing'),
    (HEADER, "implementation.version", "1" * 2000, "version: has 2,000 characters, more than 300"),
    (HEADER, "implementation.extra", 1, 'unknown field "extra"'),
    (HEADER, "implementation", "torch", 'implementation: must be an object, got "torch"'),
    (HEADER, "packages.numpy", 1.26, "packages.numpy: must be text"),
    (HEADER, "packages", {str(n): "1" for n in range(101)}, "packages: has 101 fields, more than 100"),
    (HEADER, "case_set.sha256", "0" * 63, "64 hexadecimal digits"),
    (HEADER, "case_set.count", -1, "whole number"),
    (HEADER, "case_set.count", True, "whole number"),
    (HEADER, "case_set.count", 10**30, "whole number"),
    (HEADER, "adapter.extra", "x", 'adapter: unknown field "extra"'),
    (HEADER, "capabilities", [], "capabilities: capabilities are an object"),
    (HEADER, "capabilities", {"ranks": {"allowed": [], "clause": ""}}, "no entry 'ranks'"),
    (HEADER, "capabilities.input_ranks.allowed", "2", "input_ranks.allowed must be a list"),
    (HEADER, "capabilities.input_ranks.allowed", [2.5], "input_ranks.allowed must be a list"),
    (HEADER, "capabilities.input_ranks.allowed", [1] * 101, "input_ranks.allowed must be a list of at most 100"),
    (HEADER, "capabilities.input_ranks.clause", 1, "input_ranks.clause must be"),
    (HEADER, "sample", "not a tag", "sample: must be a tag"),
    (VALUE, "outcome", "pass", "no outcome that is one of"),
    (VALUE, "outcome", ["value"], "no outcome that is one of"),
    (VALUE, "case", "A b", "case: must be the id of a case"),
    (VALUE, "case", 3, "case: must be the id of a case"),
    (VALUE, "value", ..., 'the field "value" is missing'),
    (VALUE, "value", None, "value: an array is an object"),
    (VALUE, "value.shape", [3], "value: hex: 2 elements"),
    (VALUE, "value.shape", [-2], "value: shape: "),
    (VALUE, "value.dtype", "float8", "value: dtype: "),
    (VALUE, "value.extra", 1, "exactly dtype, shape and hex"),
    (VALUE, "value.hex", ["0x1p+0", "1.5"], r"value: hex\[1\]: '1.5'"),
    (VALUE, "gradient", [1.0], "gradient: an array is an object"),
    (VALUE, "gradients", [ARRAY], "gradients: must be an object"),
    (VALUE, "gradients.bias", ARRAY, 'gradients: unknown field "bias"'),
    (VALUE, "gradients.weight", None, "gradients.weight: an array is an object"),
    (VALUE, "error", {}, 'unknown field "error"'),
    (VALUE, "ms", -1, "ms: must be a number"),
    (VALUE, "ms", "1", "ms: must be a number"),
    (VALUE, "casts", "none", "casts: must be a list"),
    (VALUE, "casts", [1], r"casts\[0\]: must be text"),
    (VALUE, "casts", ["x"] * 40_000, "casts: has 40,000 items, more than 100"),
    (VALUE, "kernels", None, "kernels: must be text"),
    (ERROR, "value", ARRAY, 'unknown field "value"'),
    (ERROR, "error", ..., 'the field "error" is missing'),
    (ERROR, "error.phase", "import", 'error.phase: must be one of construct, forward, backward, got "import"'),
    (ERROR, "error.message", None, "error.message: must be text"),
    (ERROR, "error.extra", "x", 'error: unknown field "extra"'),
    (CRASH, "signal", "abort", "a signal's name"),
    (CRASH, "signal", ..., 'the field "signal" is missing'),
    (CRASH, "ms", 1, 'unknown field "ms"'),
    (TIMEOUT, "stderr", 1, "stderr: must be text"),
    (UNSUPPORTED, "stderr", "", 'unknown field "stderr"'),
    (LOST, "reason", ..., 'the field "reason" is missing'),
    (LOST, "reason", "x" * 8001, "reason: has 8,001 characters"),
    (LOST, "value", ARRAY, 'unknown field "value"'),
    (FOOTER, "complete", False, "complete: must be true"),
    (FOOTER, "planned", 1.5, "whole number"),
    (FOOTER, "left_out", ["x"], "left_out: must be an object"),
    (FOOTER, "left_out", {"x": -1}, "left_out.x: must be a whole number"),
    (FOOTER, "extra", 1, "unknown field"),
]
BAD_IDS = [f"{index}-{place}" for index, (_, place, _, _) in enumerate(BAD)]
VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((Path(conformance.__path__[0]) / "schemas" / "xent-results-2.json").read_text(encoding="utf-8"))
)


@pytest.mark.parametrize(("content", "place", "value", "message"), BAD, ids=BAD_IDS)
def test_a_wrong_line_is_refused_with_its_number(tmp_path, content, place, value, message):
    at = LINES.index(content)
    lines = [*LINES[:at], changed(content, place, value), *LINES[at + 1 :]]
    path = written(tmp_path / "r.jsonl", lines)
    with pytest.raises(UnreadableInput, match=message) as caught:
        results.read(path)
    assert str(caught.value).startswith(f"{path}: line {at + 1}")


@pytest.mark.parametrize(("content", "place", "value", "message"), BAD, ids=BAD_IDS)
def test_the_json_schema_refuses_the_same(content, place, value, message):
    # It can't compare a shape with a number of elements, and doesn't know the entries by name.
    beyond_it = message.endswith("hex: 2 elements") or message.startswith("no entry")
    assert VALIDATOR.is_valid(changed(content, place, value)) == beyond_it


@pytest.mark.parametrize(
    "content", LINES, ids=["header", "value", "error", "crash", "timeout", "unsupported", "lost", "footer"]
)
def test_the_json_schema_accepts_the_same(content):
    VALIDATOR.validate(content)


def test_the_json_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, VALUE, VALUE], "line 3: a second record of the case a/value"),
        ([HEADER, HEADER], "line 2: not the record of a case"),
        ([HEADER, VALUE, changed(FOOTER, "planned", 2)], "line 3: planned 2, recorded 6, and the file has 1"),
        ([HEADER, *RECORDS, FOOTER, FOOTER], "line 9: more lines follow the footer"),
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
        (b"\n", "line 1: is empty"),
        (b"PK\x03\x04\xff\xfe\n", "line 1: not UTF-8"),
        (b'{"schema": \n', "line 1 column 12: ends in the middle"),
        (b'{"schema": ]\n', "line 1 column 12: not JSON"),
        (GOOD_HEADER[:-1], "line 1: the file is truncated"),
        (GOOD_HEADER + b"[" * 99_000 + b"\n", "line 2: lists or objects nest too deep"),
        (GOOD_HEADER + b"[" * 200_000 + b"\n", "line 2: lists or objects nest too deep"),
        (GOOD_HEADER + b'{"case": "a", "case": "b", "outcome": "timeout"}\n', 'line 2: the field "case" stands twice'),
        (GOOD_HEADER + b'{"case": "a", "outcome": "error", "error": {}, "ms": NaN}\n', "line 2: "),
        (GOOD_HEADER + b'{"case": "a", "outcome": "not-recorded", "reason": "", "ms": NaN}\n', "line 2: ms: .* NaN"),
        (GOOD_HEADER + b'{"case": "a", "outcome": "not-recorded", "reason": "", "ms": 1e999}\n', "line 2: ms: "),
        (GOOD_HEADER + b'{"case": "a", "outcome": "value", "ms": ' + b"9" * 5000 + b"}\n", "line 2: "),
        (GOOD_HEADER + b'{"case": "a", "outcome": "timeout", "stderr": "\\ud800"}\n', "line 2: stderr: holds half"),
        (GOOD_HEADER + b"\n", "line 2: is empty"),
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
        file.truncate(300_000_000)
    with pytest.raises(UnreadableInput, match="line 2: the line is longer than 268,435,456 bytes"):
        results.read(path)


def test_a_file_that_is_not_there(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name, says in (("none.jsonl", "no such file"), ("", "is a folder"), ("pipe.jsonl", "is a pipe, not a file")):
        with pytest.raises(UnreadableInput, match=says):
            results.read(tmp_path / name)


def test_long_and_short_lines_are_read_alike(tmp_path):
    rng = np.random.default_rng(5)
    for size in (3, 300, 30_000):
        value = rng.normal(size=size).astype(np.float32)
        value[0] = np.nan
        line = {"case": "a", "outcome": "value", "value": arrays.encode(value), "gradient": arrays.encode(-value)}
        content = {**line, "gradients": {"target": arrays.encode(2 * value)}}
        (record,) = results.read(written(tmp_path / "r.jsonl", [HEADER, content])).records
        np.testing.assert_array_equal(record.value, value)
        np.testing.assert_array_equal(record.gradient, -value)
        np.testing.assert_array_equal(record.gradients["target"], 2 * value)


@pytest.mark.parametrize(
    "hex",
    [b'["0x1p+0",]', b'["0x1p+0" "0x1p+0"]', b"[0x1p+0]", b'["0x1p+0", "1.5"]', b'["nan", null]', b'["nan"', b'"nan"'],
)
def test_a_long_line_is_read_as_strictly(tmp_path, hex):
    padding = b" " * 200_000
    line = b'{"case": "a", "outcome": "value", "value": {"dtype": "float32", "shape": [2], "hex": ' + hex + b"}}"
    (tmp_path / "r.jsonl").write_bytes(GOOD_HEADER + padding + line + b"\n")
    with pytest.raises(UnreadableInput, match="line 2"):
        results.read(tmp_path / "r.jsonl")


FLOOD = """
import sys
from peak import peak_kib
from xent.conformance.evidence import results
from xent.errors import UnreadableInput
try:
    results.read(sys.argv[1])
except UnreadableInput as error:
    print(error)
print(peak_kib() // 1024)
"""


def test_millions_of_numbers_are_refused_or_read_below_a_gigabyte(tmp_path):
    def record(name, count):
        array = b'{"dtype": "float32", "shape": [%d], "hex": [' % count + b'"nan", ' * (count - 1) + b'"nan"]}'
        return b'{"case": "%s", "outcome": "value", "value": ' % name + array + b"}\n"

    path = tmp_path / "r.jsonl"
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests" / "shared")])}
    for count, says in ((10_000_000, "larger than the 4,194,304 elements"), (arrays.MAX_ELEMENTS, "")):
        with path.open("wb") as file:
            file.write(GOOD_HEADER)
            for name in (b"a", b"b", b"c"):
                file.write(record(name, count))
        done = subprocess.run(
            [sys.executable, "-c", FLOOD, path], capture_output=True, text=True, check=True, env=environment
        )
        *told, peak = done.stdout.splitlines()
        assert says in "".join(told)
        assert bool(told) == bool(says)
        assert int(peak) < 1000, f"{peak} MB"


def test_what_the_worker_may_write_the_reader_takes():
    assert records.kernels_of([records.Record(str(n), "value", kernels=f"kind {n}" * 30) for n in range(500)])
    many = [records.Record(str(n), "value", kernels=f"{n:0290}") for n in range(500)]
    assert len(records.kernels_of(many)) <= limits.NAME
    header = record_json.header(HEADER, results.Place("here"))
    longest = replace(header.implementation, kernels=records.kernels_of(many), version="9" * limits.NAME)
    assert len(results.line(record_json.header_data(replace(header, implementation=longest)))) < limits.HEADER

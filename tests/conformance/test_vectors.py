"""Vector files that users write, right and wrong, and the schema that says the same."""

from __future__ import annotations

import copy
import json
import os
import re
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xent import dtypes
from xent.conformance import strict_json, vectors
from xent.errors import UnreadableInput

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "conformance" / "schemas" / "xent-vectors-1.json").read_text(encoding="utf-8"))
GOOD: dict[str, Any] = {
    "schema": "xent-vectors/1",
    "vectors": [
        {
            "id": "mine/one",
            "spec": {"weight": {"dtype": "float32", "data": [1, 2.5, 0]}, "reduction": "none"},
            "input": {"dtype": "float32", "data": [[0.1, "-inf", 3], [4, 5, 6]]},
            "target": {"dtype": "int32", "data": [0, 2]},
            "expected": {"value": [1, "nan"], "gradient": None, "atol": 5e-5},
            "clauses": ["mint/input/dtype"],
            "tags": ["mine"],
        },
        {
            "id": "mine/refused",
            "source": "by hand",
            "note": "out of range",
            "spec": {"label_smoothing": 1.1},
            "input": {"dtype": "bfloat16", "data": [0, 1]},
            "target": {"dtype": "int64", "data": 7},
            "expected": {"raises": True},
        },
    ],
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: Any) -> Path:
        path = tmp_path / "my.json"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


def changed(steps: str, value: Any) -> dict[str, Any]:
    """GOOD with one value set, the steps written as in a message: `vectors[0].input.data[1]`."""
    content = copy.deepcopy(GOOD)
    *way, last = (int(step) if step.isdigit() else step for step in re.findall(r"\w+", steps))
    inner: Any = content
    for step in way:
        inner = inner[step]
    inner[last] = value
    return content


def refusal(path: Path) -> UnreadableInput:
    with pytest.raises(UnreadableInput) as caught:
        vectors.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))
    return caught.value


# ---- what a user may write


def test_a_good_file_is_read(write: Write) -> None:
    one, refused = vectors.read(write(GOOD))
    assert one.id == "mine/one"
    assert one.source == "my.json"
    assert one.arguments.weight.dtype == np.float32
    assert one.arguments[1:] == (-100, "none", 0.0)
    np.testing.assert_array_equal(one.input, np.array([[0.1, -np.inf, 3], [4, 5, 6]], np.float32))
    np.testing.assert_array_equal(one.target, np.array([0, 2], np.int32))
    assert one.expected is not None
    assert one.expected.value is not None
    assert one.expected.value[0] == 1
    assert np.isnan(one.expected.value[1])
    assert (one.expected.gradient, one.expected.atol, one.expected.rtol) == (None, 5e-5, 0.0)
    assert not one.gradient  # nothing was printed of it
    assert (one.clauses, one.tags) == (("mint/input/dtype",), ("mine",))
    assert refused.arguments.label_smoothing == 1.1
    assert dtypes.name(refused.input) == "bfloat16"
    assert refused.target.shape == ()
    assert refused.target == 7
    assert refused.expected is not None
    assert refused.expected.raises
    assert (refused.source, refused.note) == ("by hand", "out of range")


@pytest.mark.parametrize("value", [None, True, 1.5, -(2**70), "sum ", "nan"])
def test_arguments_may_be_wrong_on_purpose(write: Write, value: Any) -> None:
    case = vectors.read(write(changed("vectors[1].spec", {"ignore_index": value, "reduction": value})))[1]
    assert case.arguments.ignore_index == value
    assert case.arguments.reduction == value


def test_nan_smoothing_and_odd_weights_may_be_written(write: Write) -> None:
    spec = {"label_smoothing": "nan", "weight": {"dtype": "int8", "data": [[1]]}}
    case = vectors.read(write(changed("vectors[1].spec", spec)))[1]
    assert np.isnan(case.arguments.label_smoothing)
    assert case.arguments.weight.shape == (1, 1)


@pytest.mark.parametrize(
    ("dtype", "text", "value"),
    [
        ("float16", "0.1", 0.0999755859375),
        ("float16", "65519.9", 65504.0),
        ("bfloat16", "0.1", 0.10009765625),
        ("float32", "0.1", 0.100000001490116119384765625),
        ("float64", "0.1", 0.1),
        ("float64", "9007199254740993", 9007199254740992.0),
        ("float32", "1e-60", 0.0),
        ("uint64", "18446744073709551615", 18446744073709551615),
        ("int64", "-9223372036854775808", -9223372036854775808),
    ],
)
def test_numbers_are_rounded_once_to_their_dtype(write: Write, dtype: str, text: str, value: float) -> None:
    content = json.dumps(changed("vectors[1].target", {"dtype": dtype, "data": "HERE"})).replace('"HERE"', f"[{text}]")
    target = vectors.read(write(content))[1].target
    assert dtypes.name(target) == dtype
    assert (dtypes.to_float64(target) if dtypes.is_float(target) else target).tolist() == [value]


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        ({"data": []}, (0,)),
        ({"data": [[], []]}, (2, 0)),
        ({"data": [[], []], "shape": [2, 0]}, (2, 0)),
        ({"data": [], "shape": [0, 5]}, (0, 5)),
        ({"data": [], "shape": [3, 0, 2]}, (3, 0, 2)),
        ({"data": [[1, 2]], "shape": [1, 2]}, (1, 2)),
        ({"data": 3, "shape": []}, ()),
    ],
)
def test_empty_and_scalar_arrays_can_be_written(write: Write, array: dict[str, Any], shape: tuple[int, ...]) -> None:
    content = changed("vectors[1].input", {"dtype": "float32", **array})
    assert vectors.read(write(content))[1].input.shape == shape


def test_an_empty_result_can_be_written(write: Write) -> None:
    vector = {
        "id": "empty", "spec": {"reduction": "none"}, "expected": {"value": [], "gradient": []},
        "input": {"dtype": "float32", "data": [], "shape": [0, 5, 2]},
        "target": {"dtype": "int64", "data": [], "shape": [0, 2]},
    }  # fmt: skip
    (case,) = vectors.read(write({"schema": "xent-vectors/1", "vectors": [vector]}))
    assert case.expected is not None
    assert case.expected.value is not None
    assert case.expected.gradient is not None
    assert (case.expected.value.shape, case.expected.gradient.shape) == ((0, 2), (0, 5, 2))


def test_a_byte_order_mark_is_allowed(write: Write) -> None:
    assert len(vectors.read(write(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()))) == 2


# ---- what is refused, where, and with which words

WRONG: list[tuple[str, Any, str, str]] = [  # what is set to what; the place named; words of the message
    ("schema", "xent-vectors/2", "", 'schema "xent-vectors/2" instead of "xent-vectors/1"'),
    ("schema", ["xent-vectors/1"], "", "not a vector file: schema a list of 1"),
    ("vectors", [], "vectors", "at least one vector"),
    ("vectors", {}, "vectors", "must be a list"),
    ("vectors[1]", 3, "vectors[1]", "must be an object, got 3"),
    ("vectorz", [], "", 'unknown field "vectorz". Did you mean "vectors"?'),
    ("vectors[0].expcted", None, "vectors[0]", 'unknown field "expcted". Did you mean "expected"?'),
    ("vectors[0].input", {"dtype": "float32"}, "vectors[0].input", 'the field "data" is missing'),
    ("vectors[0].id", "Mine", "vectors[0].id", '"Mine" is no name. Use lower-case'),
    ("vectors[0].id", "mine\n", "vectors[0].id", "is no name"),
    ("vectors[0].id", None, "vectors[0].id", "null is no name"),
    ("vectors[1].id", "mine/one", "vectors[1].id", '"mine/one" is the id of vectors[0] too'),
    ("vectors[0].source", 3, "vectors[0].source", "must be text, got 3"),
    ("vectors[0].note", "\ud800", "vectors[0].note", "half a surrogate pair"),
    ("vectors[0].spec", None, "vectors[0].spec", "must be an object, got null"),
    ("vectors[0].spec.smoothing", 0.1, "vectors[0].spec", 'unknown field "smoothing". Did you mean "label_smoothing"?'),
    ("vectors[0].spec.reduction", ["mean"], "vectors[0].spec.reduction", "must be a single value, got a list of 1"),
    ("vectors[0].spec.reduction", "\udfff", "vectors[0].spec.reduction", "half a surrogate pair"),
    ("vectors[0].spec.weight", [1, 2, 3], "vectors[0].spec.weight", "must be an object, got a list of 3"),
    ("vectors[0].spec.weight.data[1]", "1", "vectors[0].spec.weight.data[1]", '"1" is no float32 number'),
    ("vectors[0].input.dtype", "floot32", "vectors[0].input.dtype", 'unknown dtype "floot32". Did you mean "float32"?'),
    ("vectors[0].input.dtype", "bool", "vectors[0].input.dtype", 'unknown dtype "bool"'),
    ("vectors[0].input.dtype", 32, "vectors[0].input.dtype", "unknown dtype 32. Known: float16"),
    ("vectors[0].input.data[1]", [4, 5], "vectors[0].input.data[1]", "ragged data: shape [2] where [0] has shape [3]"),
    ("vectors[0].input.data[1]", 4, "vectors[0].input.data[1]", "ragged data: 4 where [0] is a list"),
    ("vectors[0].input.data[0]", 4, "vectors[0].input.data[1]", "ragged data: a list of 3 where [0] is a single value"),
    ("vectors[0].input.data[1][2]", [6], "vectors[0].input.data[1][2]", "ragged data"),
    ("vectors[0].input.data[1][2]", True, "vectors[0].input.data[1][2]", "true is no float32 number"),
    ("vectors[0].input.data[1][2]", None, "vectors[0].input.data[1][2]", "null is no float32 number"),
    ("vectors[0].input.data[1][2]", {}, "vectors[0].input.data[1][2]", "an object of 0 is no float32 number"),
    ("vectors[0].input.data[1][2]", "Infinity", "vectors[0].input.data[1][2]", '"nan", "inf", "-inf" in quotes'),
    ("vectors[0].input.data[1][2]", float("nan"), "vectors[0].input.data[1][2]", "NaN is no float32 number"),
    ("vectors[0].input.data[1][2]", float("-inf"), "vectors[0].input.data[1][2]", "-Infinity is no float32 number"),
    ("vectors[0].input.data[1][2]", 1e39, "vectors[0].input.data[1][2]", "1e+39 does not fit float32"),
    ("vectors[0].input.data[1][2]", 10**350, "vectors[0].input.data[1][2]", "does not fit float32"),
    ("vectors[0].input.data[1][2]", 10**4000, "vectors[0].input.data[1][2]", "0... is no float32 number"),
    ("vectors[0].input.shape", [3, 2], "vectors[0].input.shape", "[3, 2] is not the shape of data, [2, 3]"),
    ("vectors[0].input.shape", [0, 3], "vectors[0].input.shape", "[0, 3] is not the shape of data, [2, 3]"),
    ("vectors[0].input.shape", [2, -3], "vectors[0].input.shape[1]", "must be a length"),
    ("vectors[0].input.shape", [True], "vectors[0].input.shape[0]", "must be a length"),
    ("vectors[0].input.shape", [0] * 33, "vectors[0].input.shape", "at most 32 lengths"),
    ("vectors[0].input.shape", [0, 2**31 - 1, 2], "vectors[0].input.shape", "larger than any array"),
    ("vectors[0].target.data[1]", 2**31, "vectors[0].target.data[1]", "2147483648 does not fit int32. It holds -2147"),
    ("vectors[0].target.data[1]", 1.0, "vectors[0].target.data[1]", "1.0 is no integer, and dtype is int32. Write 1."),
    ("vectors[0].target.data[1]", 1.5, "vectors[0].target.data[1]", "1.5 is no integer"),
    ("vectors[0].target.data[1]", False, "vectors[0].target.data[1]", "false is no integer"),
    ("vectors[0].target.data[1]", "nan", "vectors[0].target.data[1]", '"nan" is no integer'),
    ("vectors[1].target.data", True, "vectors[1].target.data", "true is no integer"),
    ("vectors[0].expected", {"raises": True, "value": 1}, "vectors[0].expected", "both that the call raises and what"),
    ("vectors[0].expected", {"raises": False}, "vectors[0].expected.raises", "must be true, got false"),
    ("vectors[0].expected", {"raises": 1}, "vectors[0].expected.raises", "must be true, got 1"),
    ("vectors[0].expected", {}, "vectors[0].expected", "neither a value nor a gradient"),
    ("vectors[0].expected", [1, 2], "vectors[0].expected", "must be an object, got a list of 2"),
    ("vectors[0].expected.value", [1, 2, 3], "vectors[0].expected.value", "has shape [3], and the result of this call"),
    (
        "vectors[0].expected.value",
        1,
        "vectors[0].expected.value",
        "has shape [], and the result of this call has shape [2]",
    ),
    ("vectors[0].expected.value", [1, [2]], "vectors[0].expected.value[1]", "ragged"),
    ("vectors[0].expected.value", [1, "big"], "vectors[0].expected.value[1]", '"big" is no float64 number'),
    (
        "vectors[0].expected.gradient",
        [[1, 2, 3]],
        "vectors[0].expected.gradient",
        "has shape [1, 3], and the result of this call",
    ),
    ("vectors[0].expected.atol", -1, "vectors[0].expected.atol", "must be a number of at least 0, got -1"),
    ("vectors[0].expected.atol", True, "vectors[0].expected.atol", "must be a number"),
    ("vectors[0].expected.rtol", "0", "vectors[0].expected.rtol", "must be a number"),
    ("vectors[0].expected.rtol", float("nan"), "vectors[0].expected.rtol", "must be a number of at least 0, got NaN"),
    (
        "vectors[0].clauses[0]",
        "mint/input/dtyp",
        "vectors[0].clauses[0]",
        'unknown clause "mint/input/dtyp". Did you mean "mint/input/dtype"?',
    ),
    ("vectors[0].clauses[0]", "zzz", "vectors[0].clauses[0]", 'unknown clause "zzz"'),
    ("vectors[0].clauses", "mint/input/dtype", "vectors[0].clauses", "must be a list of names"),
    ("vectors[0].tags", ["a", "a"], "vectors[0].tags[1]", '"a" stands twice'),
    ("vectors[0].tags", [""], "vectors[0].tags[0]", "is no name"),
]


@pytest.mark.parametrize(("steps", "value", "place", "words"), WRONG)
def test_a_wrong_value_is_refused_with_its_place(write: Write, steps: str, value: Any, place: str, words: str) -> None:
    sys.set_int_max_str_digits(0) if hasattr(sys, "set_int_max_str_digits") else None
    try:
        content = json.dumps(changed(steps, value))
    finally:
        sys.set_int_max_str_digits(4300) if hasattr(sys, "set_int_max_str_digits") else None
    error = refusal(write(content))
    assert (error.place or "") == place
    assert words in str(error)


def test_a_number_beyond_float64_is_refused(write: Write) -> None:
    content = json.dumps(changed("vectors[0].input.data[1][2]", "HERE")).replace('"HERE"', "-1e999")
    error = refusal(write(content))
    assert error.place == "vectors[0].input.data[1][2]"
    assert "-1e999 is no float32 number" in str(error)


def test_a_field_that_stands_twice_is_refused(write: Write) -> None:
    error = refusal(write(json.dumps(GOOD).replace('"dtype": "int64"', '"dtype": "int64", "dtype": "int32"')))
    assert error.place == "vectors[1].target"
    assert 'the field "dtype" stands twice' in str(error)


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b"", None, "the file is empty"),
        (b" \n\n", None, "the file is empty"),
        (b"[]", None, "not a vector file: no schema"),
        (b"null", None, "not a vector file: no schema"),
        (b"hello", "line 1 column 1", "not JSON (Expecting value)"),
        (b'{"schema": "xent-vectors/1",\n "vectors": [}', "line 2 column 14", "not JSON"),
        (b'{"schema": "xent-vectors/1"} trailing', "line 1 column 30", "not JSON (Extra data)"),
        (b'{"schema": "xent-vec', "line 1 column 12", "ends in the middle"),
        (b'{"schema": "\xff"}', None, "not UTF-8 (byte 12 is 0xff)"),
        ('{"schema": "xent-vectors/1"}'.encode("utf-16"), None, "UTF-16, not UTF-8"),
        (b"[" * 200_000, None, "nest too deep"),
        (b'{"a":' * 200_000, None, "nest too deep"),
        (b"\x00" * 100, "line 1 column 1", "not JSON"),
        (b"9" * 5_000, None, "not a vector file"),
    ],
)
def test_a_file_that_is_no_vector_file_is_refused(write: Write, content: bytes, place: str | None, words: str) -> None:
    error = refusal(write(content))
    assert error.place == place
    assert words in str(error)


def test_data_that_nests_deeper_than_any_array_is_refused(write: Write) -> None:
    error = refusal(write(changed("vectors[0].input.data", json.loads("[" * 40 + "1" + "]" * 40))))
    assert "nests deeper than 32 lists" in str(error)


def test_every_truncation_is_refused(write: Write) -> None:
    text = json.dumps(GOOD)
    for length in range(0, len(text), 7):
        assert refusal(write(text[:length])).problem


def test_a_missing_file_a_folder_and_an_impossible_name_are_refused(tmp_path: Path) -> None:
    assert "no such file" in str(refusal(tmp_path / "absent.json"))
    assert "is a folder" in str(refusal(tmp_path))
    assert "can't be read" in str(refusal(Path("nul\0.json")))
    assert "can't be read" in str(refusal(tmp_path / ("long" * 200)))


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="NOT RUN: no file here that not even root can read")
def test_an_unreadable_file_is_refused() -> None:
    assert "can't be read (Input/output error)" in str(refusal(Path("/proc/self/mem")))


@pytest.mark.parametrize("pattern", [b"nonsense ", b"[[],", b'{"a":[', b"[1,2],"])
def test_a_hundred_megabytes_of_nonsense_end_soon(tmp_path: Path, pattern: bytes) -> None:
    path = tmp_path / "huge.json"
    path.write_bytes(pattern * (100 * 2**20 // len(pattern)))
    tracemalloc.start()
    started = time.monotonic()
    try:
        assert "larger than the 16 MiB" in str(refusal(path))
        assert time.monotonic() - started < 5
        assert tracemalloc.get_traced_memory()[1] < 4 * strict_json.MAX_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="NOT RUN: no endless file here")
def test_a_file_without_end_is_refused() -> None:
    assert "larger than the 16 MiB" in str(refusal(Path("/dev/zero")))


# ---- the schema for editors says the same

_STRUCTURE = jsonschema.Draft202012Validator(SCHEMA)


def test_the_shipped_vectors_follow_the_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for path in vectors.FOLDER.glob("*.json"):
        _STRUCTURE.validate(json.loads(path.read_text(encoding="utf-8")))


def test_the_good_file_follows_the_schema() -> None:
    _STRUCTURE.validate(GOOD)


# What a schema can't say: `read` refuses these too, and the schema doesn't.
BEYOND = (
    "ragged", "does not fit", "is no integer", "unknown clause", "is the id of", "surrogate", "result of this call",
    "the shape of data", "nests deeper", "larger than any array",
)  # fmt: skip
BEYOND_PYTHON = ("NaN", "Infinity", "0... is no float32 number")  # numbers to jsonschema, though not to JSON


@pytest.mark.parametrize(("steps", "value", "place", "words"), WRONG)
def test_the_schema_refuses_what_is_structural(steps: str, value: Any, place: str, words: str) -> None:
    if not any(phrase in words for phrase in BEYOND + BEYOND_PYTHON):
        assert not _STRUCTURE.is_valid(changed(steps, value))


_SCALARS = st.none() | st.booleans() | st.integers(-3, 300) | st.floats(-9, 9) | st.sampled_from(
    ["nan", "inf", "x", "", "float16", "uint8", "mean", "mint/input/dtype", "tag", "xent-vectors/1"]
)  # fmt: skip
_KEYS = st.sampled_from([
    "schema", "vectors", "id", "source", "spec", "input", "target", "expected", "note", "clauses", "tags", "weight",
    "reduction", "dtype", "data", "shape", "raises", "value", "gradient", "atol", "rtol", "other",
])  # fmt: skip
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=6
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """GOOD with one to three places replaced, added or removed."""
    content: Any = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        inner = content
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(inner[key], (dict, list)) and draw(st.integers(0, 3)):
                inner = inner[key]
                continue
            what = draw(st.sampled_from(["replace", "remove", "add"]))
            if what == "replace":
                inner[key] = draw(_VALUES)
            elif what == "remove":
                del inner[key]
            elif isinstance(inner, dict):
                inner[draw(_KEYS)] = draw(_VALUES)
            else:
                inner.insert(key, draw(_VALUES))
            break
    return content


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vectors") / "mutated.json"


def read_or_refused(path: Path) -> str | None:
    """None where the file was read, else the problem; any other exception goes through."""
    try:
        assert vectors.read(path)
    except UnreadableInput as error:
        return error.problem
    return None


@settings(max_examples=1000, deadline=None)
@given(content=mutated())
def test_a_mutated_file_is_read_or_refused_as_the_schema_says(scratch: Path, content: Any) -> None:
    scratch.write_text(json.dumps(content), encoding="utf-8")
    problem = read_or_refused(scratch)
    if problem is None:
        assert _STRUCTURE.is_valid(content), "the schema refuses what is read"
    elif not any(phrase in problem for phrase in BEYOND):
        assert not _STRUCTURE.is_valid(content), f"the schema allows what is refused: {problem}"


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_a_file_with_wrong_bytes_is_read_or_refused(scratch: Path, data: st.DataObject) -> None:
    content = bytearray(json.dumps(GOOD).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    scratch.write_bytes(content)
    read_or_refused(scratch)

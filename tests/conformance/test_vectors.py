"""Vector files that users write, right and wrong."""

from __future__ import annotations

import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vector_files import GOOD, WRONG, changed

from xent import dtypes
from xent.conformance.cases import vectors
from xent.conformance.files import strict_json
from xent.errors import UnreadableInput

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
    assert "is a device, not a file" in str(refusal(Path("/dev/zero")))

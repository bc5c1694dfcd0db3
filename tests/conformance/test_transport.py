"""Cases arrive as they were sent, and a hostile file ends in one clear error."""

import json
import os
import struct
import threading

import numpy as np
import pytest
from safetensors.numpy import load_file

from xent import dtypes
from xent.conformance.protocol import case_file
from xent.conformance.protocol.case import Case, Expected, digest
from xent.errors import UnreadableInput
from xent.spec import Arguments

RNG = np.random.default_rng(7)


def case(name, input=None, target=None, **fields):
    input = np.zeros((2, 3), dtype=np.float32) if input is None else input
    return Case(
        name, fields.pop("arguments", Arguments()), input, np.array([0, 1]) if target is None else target, **fields
    )


def there_and_back(path, cases):
    case_file.write(path, cases)
    return case_file.read(path)


def test_every_dtype_arrives(tmp_path):
    cases = []
    for name in dtypes.FLOATS:
        bits = RNG.integers(0, 2**16, size=(4, 3)).astype(dtypes.bits(dtypes.from_float64(np.zeros(1), name)).dtype)
        array = dtypes.from_bits(bits, name)
        cases.append(case(f"input/{name}", input=array, arguments=Arguments(weight=array[0])))
    for name in (*dtypes.INTEGERS, "bool"):
        extremes = [0, 1] if name == "bool" else [np.iinfo(name).min, np.iinfo(name).max]
        cases.append(case(f"target/{name}", target=np.array(extremes, dtype=name)))
    back = there_and_back(tmp_path / "cases", cases)
    assert digest(back) == digest(cases)
    for sent, got in zip(cases, back, strict=True):
        assert sent.input.dtype == got.input.dtype
        assert sent.target.dtype == got.target.dtype
        assert sent.input.tobytes() == got.input.tobytes()
        assert sent.target.tobytes() == got.target.tobytes()


def test_bits_of_bfloat16_arrive_where_its_package_is_absent(tmp_path, monkeypatch):
    bits = np.array([[0x3F80, 0x7FC1, 0x8000]], dtype=np.uint16)
    case_file.write(tmp_path / "cases", [case("a", input=dtypes.from_bits(bits, "bfloat16"))])
    structured = np.dtype([("bfloat16", "<u2")])
    monkeypatch.setattr(dtypes, "BFLOAT16", structured)
    (back,) = case_file.read(tmp_path / "cases")
    assert back.input.dtype == structured
    assert (back.input["bfloat16"] == bits).all()


def test_shapes_memory_order_and_writability(tmp_path):
    cube = RNG.normal(size=(2, 3, 4)).astype(np.float32)
    inputs = {
        "scalar": np.float64([[1]]).reshape(()),
        "empty": np.zeros((0, 3), dtype=np.float16),
        "permuted": cube.transpose(0, 2, 1),
        "fortran": np.asfortranarray(cube),
        "reversed": cube[:, ::-1],
        "strided": cube[:, :, ::2],
        "broadcast": np.broadcast_to(np.float32([1, 2]), (3, 2)),
        "single": cube.T[:1, :1],
        "swapped": cube.astype(">f4"),
    }
    cases = [case(name, input=array) for name, array in inputs.items()]
    back = {got.id: got.input for got in there_and_back(tmp_path / "cases", cases)}
    for name, array in inputs.items():
        assert back[name].shape == array.shape
        assert (back[name] == array).all(), name
        assert back[name].flags.writeable
        assert back[name].dtype.isnative
    assert back["permuted"].strides == inputs["permuted"].strides
    assert back["fortran"].strides == inputs["fortran"].strides
    assert not back["permuted"].flags.c_contiguous
    assert digest(cases) == digest(there_and_back(tmp_path / "cases", cases))


def test_everything_else_arrives(tmp_path):
    sent = case(
        "a/b",
        arguments=Arguments(ignore_index=-(2**63), reduction="bogus", label_smoothing=float("nan")),
        tags=("capability", "x"),
        clauses=("torch-2.8/weight/size",),
        gradients=(),
        expected=Expected(value=np.float64([0.1, np.nan]), gradient=None, atol=1e-3, rtol=1e-5),
        source="document é",
        note="a note",
    )
    refused = case("refused", expected=Expected(raises=True))
    got, second = there_and_back(tmp_path / "cases", [sent, refused])
    for field in ("id", "tags", "clauses", "gradient", "source", "note"):
        assert getattr(got, field) == getattr(sent, field)
    assert got.arguments[:3] == sent.arguments[:3]
    assert np.isnan(got.arguments.label_smoothing)
    np.testing.assert_array_equal(got.expected.value, sent.expected.value)
    assert (got.expected.gradient, got.expected.atol, got.expected.rtol) == (None, 1e-3, 1e-5)
    assert second.expected.raises
    assert second.arguments.weight is None


def test_the_safetensors_package_reads_it(tmp_path):
    weight = RNG.normal(size=3)
    case_file.write(tmp_path / "cases", [case("a", arguments=Arguments(weight=weight)), case("b")])
    tensors = load_file(tmp_path / "cases")
    assert sorted(tensors) == ["a#input", "a#target", "a#weight", "b#input", "b#target"]
    np.testing.assert_array_equal(tensors["a#weight"], weight)


def test_write_refuses_what_it_cannot_ship_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="two cases have the id a"):
        case_file.write(tmp_path / "cases", [case("a"), case("a")])
    with pytest.raises(ValueError, match=r"case a: target has dtype .* can't be shipped"):
        case_file.write(tmp_path / "cases", [case("a", target=np.array(["x"]))])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    case_file.write(tmp_path / "cases", [case("old")])

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        case_file.write(tmp_path / "cases", [case("new")])
    assert [got.id for got in case_file.read(tmp_path / "cases")] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["cases"]


ARGUMENTS = {"weight": None, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}
EXPECTED = {"atol": 0, "rtol": 0, "raises": False}


def pack(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def description(**changes):
    entry = {
        "id": "a", "arguments": ARGUMENTS, "axes": {"input": [0], "target": []}, "tags": [], "clauses": [],
        "gradients": ["input"], "expected": None, "source": "", "note": "", **changes,
    }  # fmt: skip
    return {"xent": json.dumps({"schema": "xent-cases/2", "cases": [entry]})}


def argument(**changes):
    return description(arguments={**ARGUMENTS, **changes})


def header(**changes):
    good = {
        "__metadata__": description(),
        "a#input": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "a#target": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]},
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def tensor(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


BODY = bytes(16)
HOSTILE = {
    "empty": b"",
    "seven bytes": b"\x01" * 7,
    "header beyond the file": struct.pack("<Q", 2**63) + b"{}",
    "header of a gigabyte": struct.pack("<Q", 2**30) + b"{}",
    "not JSON": pack(b"{nonsense"),
    "not UTF-8": pack(b'{"a": "\xff"}'),
    "a list": pack(b"[]"),
    "nested": pack(b"[" * 100_000),
    "no metadata": pack(header(__metadata__=None), BODY),
    "metadata without xent": pack(header(__metadata__={}), BODY),
    "another schema": pack(header(__metadata__={"xent": '{"schema": "xent-cases/3", "cases": []}'}), BODY),
    "cases no list": pack(header(__metadata__={"xent": '{"schema": "xent-cases/2", "cases": {}}'}), BODY),
    "description a list": pack(header(__metadata__={"xent": "[]"}), BODY),
    "repeated name": pack(b'{"a": 1, "a": 2}'),
    "truncated": pack(header(), BODY[:-1]),
    "bytes over": pack(header(), BODY + b"x"),
    "overlap": pack(header(**{"a#target": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}}), BODY),
    "hole": pack(header(**{"a#target": {"dtype": "I64", "shape": [], "data_offsets": [9, 17]}}), BODY + b"x"),
    "negative offset": pack(header(**{"a#input": tensor(data_offsets=[-8, 0])}), BODY),
    "offsets a text": pack(header(**{"a#input": tensor(data_offsets="08")}), BODY),
    "offsets of floats": pack(header(**{"a#input": tensor(data_offsets=[0.0, 8.0])}), BODY),
    "huge offset": pack(header(**{"a#input": tensor(data_offsets=[0, 10**30])}), BODY),
    "no offsets": pack(header(**{"a#input": {"dtype": "F32", "shape": [2]}}), BODY),
    "unknown dtype": pack(header(**{"a#input": tensor(dtype="F8_E4M3")}), BODY),
    "dtype a list": pack(header(**{"a#input": tensor(dtype=["F32"])}), BODY),
    "shape too large": pack(header(**{"a#input": tensor(shape=[3])}), BODY),
    "shape negative": pack(header(**{"a#input": tensor(shape=[-2])}), BODY),
    "shape of minus one": pack(header(**{"a#input": tensor(shape=[-1])}), BODY),
    "shape huge and empty": pack(header(**{"a#input": tensor(shape=[0, 2**62, 2**62], data_offsets=[0, 0])}), BODY[8:]),
    "shape too deep": pack(header(**{"a#input": tensor(shape=[1] * 64 + [2])}), BODY),
    "shape a number": pack(header(**{"a#input": tensor(shape=2)}), BODY),
    "bool of other bytes": pack(header(**{"a#input": tensor(dtype="BOOL", shape=[8])}), b"\x02" * 16),
    "tensor missing": pack(header(**{"a#target": None}), BODY[:8]),
    "tensor over": pack(header(**{"b#input": tensor(data_offsets=[16, 24])}), BODY + bytes(8)),
    "tensor a number": pack(header(**{"a#input": 3}), BODY),
    "axes wrong": pack(header(__metadata__=description(axes={"input": [1], "target": []})), BODY),
    "axes a number": pack(header(__metadata__=description(axes=3)), BODY),
    "unknown field": pack(header(__metadata__=description(extra=1)), BODY),
    "id with a slash first": pack(header(__metadata__=description(id="/a")), BODY),
    "unknown argument": pack(header(__metadata__=description(arguments={"weights": None})), BODY),
    "arguments a list": pack(header(__metadata__=description(arguments=[1])), BODY),
    "expected unknown": pack(header(__metadata__=description(expected={"value": 1})), BODY),
    "tags a number": pack(header(__metadata__=description(tags=1)), BODY),
    "tags a text": pack(header(__metadata__=description(tags="abc")), BODY),
    "tags of numbers": pack(header(__metadata__=description(tags=[1])), BODY),
    "a million tags": pack(header(__metadata__=description(tags=["t"] * 1_000_000)), BODY),
    "gradients a text": pack(header(__metadata__=description(gradients="input")), BODY),
    "gradients unknown": pack(header(__metadata__=description(gradients=["bias"])), BODY),
    "gradients twice": pack(header(__metadata__=description(gradients=["input", "input"])), BODY),
    "source a number": pack(header(__metadata__=description(source=1)), BODY),
    "half a surrogate pair": pack(header(__metadata__=description(note="\ud800")), BODY),
    "argument missing": pack(header(__metadata__=description(arguments={})), BODY),
    "argument a list": pack(header(__metadata__=argument(reduction=["mean"])), BODY),
    "argument an object": pack(header(__metadata__=argument(ignore_index={})), BODY),
    "argument of a surrogate": pack(header(__metadata__=argument(reduction="\ud800")), BODY),
    "argument not a number": pack(json.dumps(header(__metadata__=argument(label_smoothing=1e999))).encode(), BODY),
    "weight beside its tensor": pack(header(__metadata__=argument(weight={"dtype": "float32", "data": [1]})), BODY),
    "atol a text": pack(header(__metadata__=description(expected={**EXPECTED, "atol": "abc"})), BODY),
    "atol negative": pack(header(__metadata__=description(expected={**EXPECTED, "atol": -1})), BODY),
    "atol infinite": pack(header(__metadata__=description(expected={**EXPECTED, "atol": 1e999})), BODY),
    "raises a number": pack(header(__metadata__=description(expected={**EXPECTED, "raises": 1})), BODY),
    "axes of a rank that isn't": pack(header(__metadata__=description(axes={"input": [0], "target": [0]})), BODY),
    "axes true": pack(header(__metadata__=description(axes={"input": [False], "target": []})), BODY),
    "role unknown": pack(header(__metadata__=description(axes={"input": [0], "target": [], "bias": []})), BODY),
    "two cases of one id": pack(
        header(__metadata__={"xent": json.dumps({"schema": "xent-cases/2", "cases": [{"id": "a"}, {"id": "a"}]})}), BODY
    ),
    "shape free beside a 0": pack(
        header(**{"a#input": tensor(shape=[2_000_000_000, 0], data_offsets=[0, 0])}), BODY[8:]
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_error(tmp_path, name):
    path = tmp_path / "cases"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(UnreadableInput) as caught:
        case_file.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 1000


def test_the_hostile_files_start_from_a_good_one(tmp_path):
    (tmp_path / "cases").write_bytes(pack(header(), BODY))
    assert [got.id for got in case_file.read(tmp_path / "cases")] == ["a"]


@pytest.mark.parametrize("asked", [True, False])
def test_a_file_of_the_first_schema_is_read(tmp_path, asked):
    entry = json.loads(description()["xent"])["cases"][0]
    entry = {name: value for name, value in entry.items() if name != "gradients"} | {"gradient": asked}
    old = {"xent": json.dumps({"schema": "xent-cases/1", "cases": [entry]})}
    (tmp_path / "cases").write_bytes(pack(header(__metadata__=old), BODY))
    (got,) = case_file.read(tmp_path / "cases")
    assert got.gradients == (("input",) if asked else ())


def test_a_file_too_large_for_memory_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "cases").open("wb") as file:
        file.truncate(20 * 10**9)  # on the disk it takes nothing
    with pytest.raises(UnreadableInput, match="larger than the 256 MiB"):
        case_file.read(tmp_path / "cases")
    listed = b'{"a": [' + b"{}," * 33_000_000 + b"{}]}"
    (tmp_path / "cases").write_bytes(pack(listed))
    with pytest.raises(UnreadableInput, match=r"header of 99,000,\d+ bytes"):
        case_file.read(tmp_path / "cases")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "a pipe"), ("/dev/zero", "a device")):
        with pytest.raises(UnreadableInput, match=f"is {what}, not a file"):
            case_file.read(path)


def test_a_file_that_is_not_there(tmp_path):
    for path, says in ((tmp_path / "none", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(UnreadableInput, match=says):
            case_file.read(path)


def test_two_threads_write_one_file(tmp_path):
    threads = [threading.Thread(target=case_file.write, args=(tmp_path / "cases", [case(f"t{i}")])) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(case_file.read(tmp_path / "cases")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cases"]

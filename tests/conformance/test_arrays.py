"""Arrays survive the way through JSON bit for bit, and nothing else passes for one."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xent import dtypes
from xent.conformance.protocol import arrays

BITS = {"float16": np.uint16, "bfloat16": np.uint16, "float32": np.uint32, "float64": np.uint64}


def there_and_back(array):
    return arrays.decode(json.loads(json.dumps(arrays.encode(array), allow_nan=False)))


@pytest.mark.parametrize("name", dtypes.FLOATS)
@given(data=st.data())
def test_any_bits_come_back(name, data):
    bits = data.draw(hnp.arrays(BITS[name], hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)))
    array = dtypes.from_bits(bits, name)
    back = there_and_back(array)
    assert dtypes.name(back) == name
    assert back.shape == array.shape
    nan = np.isnan(dtypes.to_float64(array))
    assert (np.isnan(dtypes.to_float64(back)) == nan).all()
    assert (dtypes.bits(back)[~nan] == bits[~nan]).all()


def test_every_float16_and_bfloat16():
    for name in ("float16", "bfloat16"):
        array = dtypes.from_bits(np.arange(2**16, dtype=np.uint16), name)
        nan = np.isnan(dtypes.to_float64(array))
        assert (dtypes.bits(there_and_back(array))[~nan] == np.flatnonzero(~nan)).all()


def test_the_form_is_the_documented_one():
    array = np.array([[1.5625 / 2, -0.0, 1.0], [np.nan, np.inf, -np.inf]], dtype=np.float32)
    assert arrays.encode(array) == {
        "dtype": "float32",
        "shape": [2, 3],
        "hex": ["0x1.9p-1", "-0x0p+0", "0x1p+0", "nan", "inf", "-inf"],
    }


def test_memory_order_and_the_form_of_bfloat16_do_not_show():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert arrays.encode(np.asfortranarray(array)) == arrays.encode(array)
    assert arrays.encode(array[::-1][::-1]) == arrays.encode(array)
    bits = np.array([0x3F80, 0x4000], dtype=np.uint16)
    assert arrays.encode(bits.view(np.dtype([("bfloat16", "<u2")])))["hex"] == ["0x1p+0", "0x1p+1"]


@pytest.mark.parametrize("array", [np.arange(3), np.array([True]), np.array(["a"]), np.array([1j]), np.array([None])])
def test_other_dtypes_are_refused(array):
    with pytest.raises(ValueError, match=r"dtype .* is not one of"):
        arrays.encode(array)


def test_a_huge_array_is_refused_without_being_copied():
    with pytest.raises(ValueError, match="elements, more than"):
        arrays.encode(np.broadcast_to(np.float32(1), (2**40,)))


GOOD = {"dtype": "float16", "shape": [2], "hex": ["0x1p+0", "nan"]}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"dtype": "float8"}, "dtype: "),
        ({"dtype": ["float16"]}, "dtype: "),
        ({"dtype": "int32"}, "dtype: "),
        ({"shape": 2}, "shape: "),
        ({"shape": [-2]}, "shape: "),
        ({"shape": [True, 2]}, "shape: "),
        ({"shape": [2.0]}, "shape: "),
        ({"shape": [1] * 33 + [2]}, "shape: "),
        ({"shape": [0, 2**62, 2**62], "hex": []}, "shape: "),
        ({"shape": [2_000_000_000, 0], "hex": []}, "shape: "),
        ({"shape": [0, 10**40], "hex": []}, "shape: "),
        ({"shape": [3]}, "hex: 2 elements"),
        ({"shape": [10**30]}, "shape: .*larger"),
        ({"hex": "nan"}, "hex: "),
        ({"hex": ["0x1p+0", 1.0]}, r"hex\[1\]"),
        ({"hex": ["0x1p+0", "1.5"]}, r"hex\[1\]"),
        ({"hex": ["infinity", "nan"]}, r"hex\[0\]"),
        ({"hex": ["0x1p+0", " nan"]}, r"hex\[1\]"),
        ({"hex": ["0x1p+0", "nan\n"]}, r"hex\[1\]"),
        ({"hex": ["0x1p+0", "-nan"]}, r"hex\[1\]"),
        ({"hex": ["0x1p+9999", "nan"]}, r"hex\[0\].*beyond"),
        ({"hex": ["nan", "0x1.0001p+0"]}, r"hex\[1\].*not a number of float16"),
        ({"hex": ["nan", "0x1p+16"]}, r"hex\[1\].*not a number of float16"),
        ({"extra": 1}, "exactly dtype, shape and hex"),
    ],
)
def test_what_encode_did_not_write_is_refused_with_its_place(change, place):
    arrays.decode(GOOD)
    with pytest.raises(ValueError, match=place):
        arrays.decode({**GOOD, **change})


@pytest.mark.parametrize("data", [None, [], "nan", 1.0, {}, {"dtype": "float16", "shape": []}])
def test_what_is_no_array_at_all_is_refused(data):
    with pytest.raises(ValueError, match="an array is an object"):
        arrays.decode(data)


def test_thousands_of_elements_take_milliseconds():
    array = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    best = min(_seconds(lambda: there_and_back(array)) for _ in range(5))
    assert best < 0.1, f"{best * 1000:.1f} ms for 4,000 elements, there and back"


def _seconds(call):
    started = time.perf_counter()
    call()
    return time.perf_counter() - started

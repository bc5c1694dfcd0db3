"""Conversions between dtypes: exact where they say so, one rounding where they round."""

from __future__ import annotations

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent import dtypes

BITS = np.dtype([("bfloat16", "<u2")])


@pytest.mark.parametrize("name", dtypes.FLOATS)
def test_name_and_dtype_are_inverse(name):
    assert dtypes.name(dtypes.dtype(name)) == name
    assert dtypes.name(np.zeros(2, dtype=dtypes.dtype(name))) == name


def test_both_forms_of_bfloat16_are_bfloat16():
    values = np.array([1.5, -0.0, np.inf], dtype=ml_dtypes.bfloat16)
    assert dtypes.name(values.view(BITS)) == dtypes.name(values) == "bfloat16"
    np.testing.assert_array_equal(dtypes.to_float64(values.view(BITS)), [1.5, -0.0, np.inf])
    np.testing.assert_array_equal(dtypes.bits(values.view(BITS)), dtypes.bits(values))


@pytest.mark.parametrize("name", ["float8", "complex64", "", "object"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="unknown"):
        dtypes.dtype(name)


def test_bool_is_neither_float_nor_integer():
    assert not dtypes.is_float(np.zeros(1, dtype=bool))
    assert not dtypes.is_integer(np.zeros(1, dtype=bool))
    assert not dtypes.is_float(np.zeros(1, dtype=object))


@given(st.integers(0, 2**16 - 1))
def test_bfloat16_bits_round_trip(word):
    array = dtypes.from_bits(np.uint16(word), "bfloat16")
    back = dtypes.from_float64(dtypes.to_float64(array), "bfloat16")
    assert dtypes.bits(back) == word or np.isnan(dtypes.to_float64(array))


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_float64_to_bfloat16_rounds_once_to_nearest_even(value):
    rounded = float(dtypes.to_float64(dtypes.from_float64(np.float64(value), "bfloat16")))
    if not np.isfinite(value) or value == 0:
        assert rounded == value or np.isnan(value)
    elif abs(value) >= 2.0**128 - 2.0**119:  # the midpoint above the largest finite bfloat16
        assert rounded == np.copysign(np.inf, value)
    else:
        spacing = 2.0 ** max(int(np.frexp(value)[1]) - 8, -133)
        exact = mpmath.mpf(value) / spacing
        assert rounded == float(mpmath.nint(exact)) * spacing  # mpmath.nint rounds halves to even


def test_a_double_rounding_through_float32_would_be_seen():
    value = 1 + 2.0**-8 + 2.0**-40  # just above the midpoint of two bfloat16; float32 would round it onto the midpoint
    assert float(dtypes.to_float64(dtypes.from_float64(np.float64(value), "bfloat16"))) == 1 + 2.0**-7


@pytest.mark.parametrize("name", [*dtypes.FLOATS, *dtypes.INTEGERS, "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_data_round_trips(name, shape):
    array = np.ones(shape, dtype=np.float64)
    array = dtypes.from_float64(array, name) if name in dtypes.FLOATS else array.astype(name)
    back = dtypes.from_data(dtypes.to_data(array), name)
    assert dtypes.name(back) == name
    assert back.tobytes() == array.tobytes()


def test_not_finite_data_travels_as_words():
    assert dtypes.to_data(np.array([np.nan, np.inf, -np.inf, 1.0])) == ["nan", "inf", "-inf", 1.0]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ([1.5], "int8"),
        ([300], "int8"),
        ([-1], "uint8"),
        ([2**64], "uint64"),
        ([True], "float32"),
        (["x"], "float32"),
        ([1, [2]], "int32"),
        ([1], "bool"),
    ],
)
def test_data_that_does_not_fit_is_refused(data, name):
    with pytest.raises((ValueError, TypeError)):
        dtypes.from_data(data, name)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_bits_keep_the_shape(shape):
    assert dtypes.bits(np.zeros(shape, dtype=np.float32)).shape == shape
    assert dtypes.bits(np.zeros((4, 6), dtype=np.float16)[::2, ::3]).shape == (2, 2)

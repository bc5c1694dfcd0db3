"""Specs as values: equality, JSON, pickling, torch's legacy arguments, and how they show themselves."""

from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xent import CrossEntropySpec, dtypes
from xent.errors import SpecError, SpecTypeError, SpecValueError
from xent.spec import Arguments, arguments_from_dict, arguments_to_dict

WEIGHTS = st.none() | st.builds(
    lambda values, name: dtypes.from_float64(values, name),
    hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(-6e4, 6e4)),
    st.sampled_from(dtypes.FLOATS),
)
SPECS = st.builds(
    CrossEntropySpec,
    weight=WEIGHTS,
    ignore_index=st.integers(-(2**63), 2**63 - 1),
    reduction=st.sampled_from(["none", "mean", "sum"]),
    label_smoothing=st.floats(0, 1),
)


@given(SPECS)
def test_a_spec_survives_json_pickle_and_copy(spec):
    assert CrossEntropySpec.from_dict(json.loads(json.dumps(spec.to_dict(), allow_nan=False))) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec  # our own object: data loaders hand theirs on this way
    assert copy.deepcopy(spec) == spec
    assert hash(copy.deepcopy(spec)) == hash(spec)


@given(SPECS, SPECS)
@example(CrossEntropySpec(np.zeros(1)), CrossEntropySpec(-np.zeros(1)))
def test_equality_and_hash_go_together(a, b):
    assert (a == b) == (json.dumps(a.to_dict()) == json.dumps(b.to_dict()))  # as text: to Python 0.0 == -0.0
    assert a != b or hash(a) == hash(b)


def test_specs_differ_by_weight_dtype_and_sign_of_zero():
    assert CrossEntropySpec(np.ones(2)) != CrossEntropySpec(np.ones(2, dtype=np.float32))
    assert CrossEntropySpec(np.zeros(2)) != CrossEntropySpec(-np.zeros(2))
    assert CrossEntropySpec() != "spec"


def test_a_spec_is_frozen():
    with pytest.raises(AttributeError):
        CrossEntropySpec().reduction = "sum"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("size_average", "reduce", "expected"),
    [
        (None, None, "sum"),
        (True, None, "mean"),
        (False, None, "sum"),
        (None, True, "mean"),
        (None, False, "none"),
        (True, True, "mean"),
        (False, True, "sum"),
        (True, False, "none"),
        (False, False, "none"),
        (0, 1, "sum"),
    ],
)
def test_legacy_arguments_fold_as_torch_folds_them(size_average, reduce, expected):
    spec = CrossEntropySpec.from_legacy(size_average=size_average, reduce=reduce, reduction="sum")
    assert spec.reduction == expected


def test_arguments_carry_what_the_spec_refuses():
    for arguments in (
        Arguments(np.ones((2, 2), dtype=np.int32), 1.5, None, 1.1),
        Arguments(np.array([np.nan, np.inf]), True, "avg", -0.1),
    ):
        text = json.dumps(arguments_to_dict(arguments), allow_nan=False)
        back = arguments_from_dict(json.loads(text))
        np.testing.assert_array_equal(back.weight, arguments.weight)
        assert back.weight.dtype == arguments.weight.dtype
        assert back[1:] == arguments[1:]
    nan = arguments_from_dict(json.loads(json.dumps(arguments_to_dict(Arguments(label_smoothing=math.nan)))))
    assert math.isnan(nan.label_smoothing)


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"wieght": None},
        {"weight": [1.0]},
        {"weight": {"dtype": "float32"}},
        {"weight": {"dtype": "float31", "data": [1]}},
        {"weight": {"dtype": "float32", "data": [[1], [1, 2]]}},
        {"weight": {"dtype": "float32", "data": ["one"]}},
        {"weight": {"dtype": "float32", "data": [True]}},
        {"weight": {"dtype": "int8", "data": [300]}},
    ],
)
def test_from_dict_refuses_what_is_no_spec(data):
    with pytest.raises(SpecError):
        CrossEntropySpec.from_dict(data)


def test_from_dict_suggests_the_argument():
    with pytest.raises(SpecValueError, match="did you mean 'weight'"):
        CrossEntropySpec.from_dict({"wieght": None})


def test_a_spec_error_survives_pickling():
    with pytest.raises(SpecTypeError) as caught:
        CrossEntropySpec(ignore_index=True)
    error = caught.value
    back = pickle.loads(pickle.dumps(error))  # our own object: a worker process hands its refusal on this way
    assert (str(back), back.rule, back.clause) == (str(error), error.rule, error.clause)


def test_repr_shows_the_arguments():
    assert repr(CrossEntropySpec(np.ones(2, dtype=np.float32), 255)) == (
        "CrossEntropySpec(weight=float32[1.0, 1.0], ignore_index=255, reduction='mean', label_smoothing=0.0)"
    )

"""What refusals say about the likely mistake: there where it is likely, and silent elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistakes import ARGUMENTS, MISTAKES, parts_missing

from xent import CrossEntropySpec, hints, reference
from xent.adapters.numpy import CrossEntropyLoss
from xent.errors import SpecError, SpecTypeError


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_named_by_spec_and_reference_alike(mistake):
    def refused(call):
        with pytest.raises(SpecError) as caught:
            call(CrossEntropySpec(mistake.weight, mistake.ignore_index), mistake.input, mistake.target)
        return str(caught.value)

    message = refused(reference.value)
    assert parts_missing(message, mistake.says, mistake.never) == (), message
    assert refused(reference.gradient) == message
    assert refused(lambda spec, *tensors: CrossEntropyLoss(spec.weight, spec.ignore_index)(*tensors)) == message
    try:
        spec = CrossEntropySpec(mistake.weight, mistake.ignore_index)
    except SpecError:
        return  # refused already when it was made
    assert spec.check(None, mistake.input, mistake.target)[0].message == message


@pytest.mark.parametrize(("name", "value", "says", "never"), ARGUMENTS)
def test_an_argument_in_anothers_place_is_named(name, value, says, never):
    with pytest.raises(SpecError) as caught:
        CrossEntropySpec(**{name: value})
    assert parts_missing(str(caught.value), says, never) == (), str(caught.value)


class Foreign:
    """A tensor of a framework that nobody here knows."""

    shape, dtype = (2, 3), "bfloat16"

    def __init__(self, *methods):
        for method in methods:
            setattr(self, method, None)


class Output:
    """As model libraries return it."""

    logits = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, ("None", "is it missing")),
        ([[1.0, 2.0]], ("list", "numpy.asarray(input) makes one")),
        (3, ("int 3", "numpy.asarray(input) makes one")),
        ((np.zeros(3), np.zeros(3)), ("tuple", "take an entry, such as input[0]")),
        ({"out": np.zeros(3)}, ("dict", "input['out']")),
        ({}, ("dict", "input['logits']")),
        (Output(), ("Output", "input.logits")),
        (Foreign("detach"), ("Foreign of bfloat16, shape (2, 3)", ": input.detach().cpu().numpy() makes one")),
        (Foreign("asnumpy"), (": input.asnumpy() makes one",)),
        (Foreign("numpy"), (": input.numpy() makes one",)),
        (Foreign("__array__"), (": numpy.asarray(input) makes one",)),
        (np.ma.masked_array(np.zeros((2, 3))), ("a masked array of float64", "input.filled(...)")),
    ],
)  # fmt: skip
def test_what_is_no_array_says_how_to_make_one(value, says):
    with pytest.raises(SpecTypeError) as caught:
        CrossEntropySpec().validate(value, np.array([0, 1]))
    assert parts_missing(str(caught.value), says) == (), str(caught.value)


@pytest.mark.parametrize("value", [object(), "text", Foreign()])
def test_what_nothing_makes_an_array_of_gets_no_advice(value):
    assert hints.conversion("target", value, "torch.as_tensor") == ""


def test_a_conversion_goes_through_numpy():
    assert hints.conversion("target", Foreign("detach"), "mindspore.Tensor") == (
        "mindspore.Tensor(target.detach().cpu().numpy()) makes one"
    )
    assert hints.conversion("weight", [1, 2], "torch.as_tensor") == (
        "torch.as_tensor(weight, dtype=torch.float32) makes one"
    )
    layer = type("Linear", (), {"weight": np.zeros((3, 4))})()
    assert "linear_weight.weight" in hints.conversion("linear_weight", layer, "torch.as_tensor")
    assert hints.conversion("target", layer, "torch.as_tensor") == ""


@pytest.mark.parametrize(
    ("target", "probabilities", "says"),
    [
        ((4, 1), False, "squeeze target to shape (4,)"),
        ((4, 3), False, "one-hot"),
        ((4,), True, "cast to an integer dtype"),
        ((4, 1), True, "cast to an integer dtype; squeeze"),
        ((5,), False, ""),
    ],
)
def test_linear_targets(target, probabilities, says):
    hint = hints.linear_target_shape((4,), 3, target, probabilities)
    assert says in hint if says else hint == ""


def test_a_transposed_linear_weight():
    assert "transposed" in hints.linear_weight_shape((2, 4), (4, 3))
    assert hints.linear_weight_shape((2, 4), (3, 5)) == hints.linear_weight_shape((2, 4), (4, 4, 4)) == ""
    assert hints.linear_weight_shape((), (4, 3)) == ""


shapes = st.lists(st.integers(0, 4), max_size=5).map(tuple)


@given(shapes, shapes)
def test_no_two_shapes_break_a_hint(input, target):
    for hint in (hints.index_shape, hints.probability_shape):
        assert isinstance(hint(input, target), str)
    assert isinstance(hints.linear_target_shape(input, 3, target, True), str)


@given(
    st.sampled_from(["int8", "uint8", "int64", "uint64"]),
    st.lists(st.integers(0, 2**63 - 1) | st.integers(-(2**63), 5), min_size=1, max_size=6),
    st.integers(1, 5),
    st.sampled_from([-100, -1, 0, 255, -(2**63), 2**63 - 1]),
)
def test_no_labels_break_a_hint(dtype, numbers, classes, ignore_index):
    target = np.array(numbers, np.int64).astype(dtype)
    found = CrossEntropySpec(ignore_index=ignore_index).check(None, np.zeros((len(numbers), classes)), target)
    assert [finding.argument for finding in found] in ([], ["target"])


def test_a_list_of_millions_is_not_written_out():
    with pytest.raises(SpecTypeError) as caught:
        CrossEntropySpec().validate([0.0] * 5_000_000, np.array([0]))
    assert len(str(caught.value)) < 400

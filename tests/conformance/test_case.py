"""A case refuses what it can't hold; the digest changes with all that matters and with nothing else."""

import dataclasses

import numpy as np
import pytest

from xent import dtypes
from xent.conformance.protocol.case import Case, Expected, digest
from xent.spec import Arguments

BASE = Case(
    "a/b-1.x+y_z",
    Arguments(weight=np.ones(3, dtype=np.float32)),
    np.zeros((2, 3), dtype=np.float32),
    np.array([0, 1]),
    expected=Expected(value=np.array(1.5)),
)


def changed(**fields):
    return dataclasses.replace(BASE, **fields)


@pytest.mark.parametrize("name", ["", "-a", "[a]", "/a", "a b", "a#b", "é", "a\n", None, 3])
def test_an_id_is_refused(name):
    with pytest.raises(ValueError, match="case id"):
        changed(id=name)


@pytest.mark.parametrize("name", ["A", "_a", "test_NCd1[mean]", "tests/test_loss.py::test_sum[float32-C=1]", "a" * 200])
def test_an_id_is_taken(name):
    assert changed(id=name).id == name


def test_gradients_are_of_three_in_their_order():
    assert changed(gradients=("input", "target", "weight")).gradient
    for wrong in (("weight", "input"), ("input", "input"), ("bias",)):
        with pytest.raises(ValueError, match="gradients are of input, target, weight, in that order"):
            changed(gradients=wrong)


@pytest.mark.parametrize(
    "fields",
    [{"input": [1.0]}, {"target": 3}, {"arguments": Arguments(weight=[1.0])}, {"tags": ["a"]}, {"clauses": (1,)}],
)
def test_other_types_are_refused(fields):
    with pytest.raises(TypeError, match=r"case a/b-1\.x\+y_z: "):
        changed(**fields)


def test_expected_is_a_result_or_a_refusal():
    with pytest.raises(ValueError, match="raises"):
        Expected(value=np.array(1.0), raises=True)


def test_digest_is_the_same_in_any_order_and_for_what_does_not_matter():
    other = changed(id="other")
    assert digest([BASE, other]) == digest([other, BASE])
    swapped = BASE.input.astype(BASE.input.dtype.newbyteorder())
    for same in ({"note": "n"}, {"source": "s"}, {"clauses": ("c",)}, {"input": swapped}):
        assert digest([changed(**same)]) == digest([BASE]), same
    assert digest([changed(tags=("a", "b"))]) == digest([changed(tags=("b", "a"))])


def test_digest_changes_with_all_that_a_worker_or_a_judge_sees():
    negative = BASE.input.copy()
    negative[0, 0] = -0.0
    changes = [
        {"id": "other"},
        {"input": negative},
        {"input": BASE.input.astype(np.float64)},
        {"input": BASE.input.reshape(3, 2)},
        {"input": np.asfortranarray(BASE.input)},
        {"target": np.array([0, 2])},
        {"target": np.array([0, 1], dtype=np.uint64)},
        {"arguments": Arguments()},
        {"arguments": BASE.arguments._replace(weight=np.array([1, 1, 2], dtype=np.float32))},
        {"arguments": BASE.arguments._replace(ignore_index=-1)},
        {"arguments": BASE.arguments._replace(ignore_index="-100")},
        {"arguments": BASE.arguments._replace(label_smoothing=float("nan"))},
        {"tags": ("capability",)},
        {"gradients": ()},
        {"gradients": ("input", "weight")},
        {"expected": None},
        {"expected": Expected(value=np.array(1.5), atol=1e-3)},
        {"expected": Expected(gradient=np.array(1.5))},
        {"expected": Expected(raises=True)},
    ]
    digests = [digest([BASE]), digest([]), digest([BASE, changed(id="other")])] + [
        digest([changed(**c)]) for c in changes
    ]
    assert len(set(digests)) == len(digests)


def test_digest_does_not_tell_the_two_forms_of_bfloat16_apart():
    bits = np.array([[0x3F80, 0x7FC0, 0x8000]], dtype=np.uint16)
    as_bits = bits.view(np.dtype([("bfloat16", "<u2")]))
    assert digest([changed(input=as_bits)]) == digest([changed(input=dtypes.from_bits(bits, "bfloat16"))])

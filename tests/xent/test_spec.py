"""Rules S1 to S8 at their edges: what is accepted, what is refused, and what the refusal says."""

from __future__ import annotations

import decimal
import fractions
import math
import warnings

import ml_dtypes
import numpy as np
import pytest

from xent import CrossEntropySpec, dtypes
from xent.adapters import Capabilities, Entry
from xent.errors import SpecError, SpecIndexError, SpecTypeError, SpecValueError, XentWarning

BITS = np.dtype([("bfloat16", "<u2")])


class Array(np.ndarray):
    """A subclass, as users' arrays sometimes are."""


def refused(rule: str, kind: type[SpecError], **arguments: object) -> SpecError:
    with pytest.raises(kind) as caught:
        CrossEntropySpec(**arguments)  # type: ignore[arg-type]
    error = caught.value
    assert (error.rule, [error.argument]) == (rule, list(arguments))
    assert error.clause in str(error)
    assert error.argument in str(error)
    return error


# S1


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, ">f4", ">f8"])
def test_weight_of_every_floating_dtype_is_kept_exactly(dtype):
    weight = np.array([0.5, -2.0, 0.0], dtype=dtype)
    spec = CrossEntropySpec(weight)
    assert dtypes.to_float64(spec.weight).tolist() == [0.5, -2.0, 0.0]
    assert spec.weight.dtype.isnative


def test_bfloat16_as_bits_equals_bfloat16():
    real = np.array([0.5, -2.0], dtype=ml_dtypes.bfloat16)
    assert CrossEntropySpec(real.view(BITS)) == CrossEntropySpec(real)


@pytest.mark.parametrize(
    "weight", [np.ones(6)[::2], np.ones(3).view(Array), np.broadcast_to(np.float32(1), (3,)), np.ones((3, 2))[:, 0]]
)
def test_weight_of_any_memory_is_accepted(weight):
    assert CrossEntropySpec(weight).weight.tolist() == [1, 1, 1]
    assert type(CrossEntropySpec(weight).weight) is np.ndarray


def test_weight_is_a_read_only_copy():
    weight = np.ones(3)
    spec = CrossEntropySpec(weight)
    weight[0] = 7
    assert spec.weight.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        spec.weight[0] = 7


def test_read_only_weight_is_accepted():
    weight = np.ones(3)
    weight.flags.writeable = False
    assert CrossEntropySpec(weight).weight.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("weight", "kind"),
    [
        ([1.0, 2.0], SpecTypeError),
        (1.0, SpecTypeError),
        (np.float32(1), SpecTypeError),
        ("1, 2", SpecTypeError),
        (np.ones(3, dtype=int), SpecTypeError),
        (np.ones(3, dtype=bool), SpecTypeError),
        (np.ones(3, dtype=complex), SpecTypeError),
        (np.ones(3, dtype=object), SpecTypeError),
        (np.ma.masked_array([1.0, 2.0], mask=[True, False]), SpecTypeError),
        (np.array(1.0), SpecValueError),
        (np.ones((1, 3)), SpecValueError),
        (np.ones(0), SpecValueError),
        (np.array([1.0, np.nan]), SpecValueError),
        (np.array([1.0, np.inf]), SpecValueError),
        (np.array([1.0, -np.inf], dtype=ml_dtypes.bfloat16), SpecValueError),
    ],
)
def test_weight_refused(weight, kind):
    refused("S1", kind, weight=weight)


def test_infinite_weight_says_which_entry():
    assert "entry 1 is inf" in str(refused("S1", SpecValueError, weight=np.array([1.0, np.inf])))


@pytest.mark.parametrize("length", [2, 4])
def test_weight_of_length_c_plus_or_minus_1_refused(length):
    spec = CrossEntropySpec(np.ones(length))
    with pytest.raises(SpecValueError, match=f"weight has {length} values for C = 3") as caught:
        spec.validate(np.zeros((2, 3)), np.array([0, 1]))
    assert caught.value.rule == "S1"


# S2


@pytest.mark.parametrize("value", [0, -1, 255, 2**32, 2**63 - 1, -(2**63), np.int8(-1), np.uint64(7)])
def test_ignore_index_accepts_integers_that_fit_int64(value):
    assert CrossEntropySpec(ignore_index=value).ignore_index == int(value)
    assert type(CrossEntropySpec(ignore_index=value).ignore_index) is int


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, SpecTypeError),
        (np.True_, SpecTypeError),
        (1.0, SpecTypeError),
        (math.nan, SpecTypeError),
        (None, SpecTypeError),
        ("1", SpecTypeError),
        (np.array(1), SpecTypeError),
        (np.array([1]), SpecTypeError),
        (2**63, SpecValueError),
        (-(2**63) - 1, SpecValueError),
        (10**400, SpecValueError),
        (np.uint64(2**63), SpecValueError),
    ],
)
def test_ignore_index_refused(value, kind):
    refused("S2", kind, ignore_index=value)


def test_a_huge_value_does_not_flood_the_message():
    assert len(str(refused("S2", SpecValueError, ignore_index=10**4000))) < 400


# S3


@pytest.mark.parametrize("value", ["none", "mean", "sum", np.str_("sum")])
def test_reduction_accepts_exactly_three(value):
    assert type(CrossEntropySpec(reduction=value).reduction) is str


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Mean", SpecValueError),
        ("avg", SpecValueError),
        ("", SpecValueError),
        ("mean ", SpecValueError),
        (None, SpecTypeError),
        (b"mean", SpecTypeError),
        (0, SpecTypeError),
        (["mean"], SpecTypeError),
    ],
)
def test_reduction_refused(value, kind):
    refused("S3", kind, reduction=value)


def test_reduction_suggests():
    assert "did you mean 'mean'?" in str(refused("S3", SpecValueError, reduction="meen"))


# S4


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, 0.1, np.float32(0.5), np.float16(1), fractions.Fraction(1, 3), -0.0])
def test_label_smoothing_accepts_the_closed_range(value):
    smoothing = CrossEntropySpec(label_smoothing=value).label_smoothing
    assert smoothing == float(value)
    assert type(smoothing) is float


def test_negative_zero_smoothing_is_zero():
    assert math.copysign(1, CrossEntropySpec(label_smoothing=-0.0).label_smoothing) == 1
    assert CrossEntropySpec(label_smoothing=-0.0) == CrossEntropySpec()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, SpecTypeError),
        (False, SpecTypeError),
        ("0.1", SpecTypeError),
        (None, SpecTypeError),
        (np.array(0.1), SpecTypeError),
        (0.1j, SpecTypeError),
        (decimal.Decimal("0.1"), SpecTypeError),
        (math.nan, SpecValueError),
        (np.float16("nan"), SpecValueError),
        (-0.1, SpecValueError),
        (1.1, SpecValueError),
        (math.inf, SpecValueError),
        (-5e-324, SpecValueError),
        (math.nextafter(1, 2), SpecValueError),
        (2, SpecValueError),
    ],
)
def test_label_smoothing_refused(value, kind):
    refused("S4", kind, label_smoothing=value)


# S5 to S8

LOGITS = np.zeros((2, 3))


def rules(spec: CrossEntropySpec, input: object, target: object) -> list[str | None]:
    return [finding.rule for finding in spec.check(None, input, target)]


@pytest.mark.parametrize(
    ("shape", "target_shape"),
    [
        ((3,), ()),
        ((2, 3), (2,)),
        ((2, 3, 4), (2, 4)),
        ((2, 3, 1, 2, 1, 2, 1), (2, 1, 2, 1, 2, 1)),
        ((0, 3), (0,)),
        ((2, 3, 0), (2, 0)),
    ],
)
@pytest.mark.parametrize("dtype", dtypes.FLOATS)
def test_shapes_accepted(shape, target_shape, dtype):
    input = dtypes.from_float64(np.zeros(shape), dtype)
    assert rules(CrossEntropySpec(), input, np.zeros(target_shape, dtype=np.int64)) == []
    assert rules(CrossEntropySpec(), input, dtypes.from_float64(np.zeros(shape), dtype)) == []


@pytest.mark.parametrize(
    "input",
    [
        [[0.0, 1.0, 2.0]],
        0.0,
        np.float32(0),
        np.array(0.0),
        np.zeros((2, 3), dtype=int),
        np.zeros((2, 3), dtype=bool),
        np.zeros((2, 3), dtype=complex),
        np.zeros((2, 0)),
        np.zeros((0, 0)),
        np.zeros(0),
        np.ma.masked_array(LOGITS),
        None,
    ],
)
def test_input_refused(input):
    assert rules(CrossEntropySpec(), input, np.array([0, 1])) == ["S5"]


@pytest.mark.parametrize("dtype", dtypes.INTEGERS)
def test_class_indices_of_every_integer_dtype(dtype):
    assert rules(CrossEntropySpec(), LOGITS, np.array([0, 2], dtype=dtype)) == []
    assert rules(CrossEntropySpec(), LOGITS, np.array([0, 3], dtype=dtype)) == ["S6"]


@pytest.mark.parametrize("bad", [3, -1, -3, 2**62, -(2**63)])
def test_a_class_index_out_of_range_is_refused_and_named(bad):
    with pytest.raises(SpecIndexError, match=r"target\[1\] is -?\d+, outside \[0, 3\)") as caught:
        CrossEntropySpec().validate(LOGITS, np.array([0, bad]))
    assert isinstance(caught.value, IndexError)


@pytest.mark.parametrize("index", [-1, 3, 255, 2**63 - 1, -(2**63)])
def test_the_ignore_index_is_allowed_anywhere(index):
    assert rules(CrossEntropySpec(ignore_index=index), LOGITS, np.array([0, index])) == []


def test_uint64_beyond_int64_is_out_of_range_even_where_it_wraps_to_ignore_index():
    target = np.array([0, 2**64 - 100], dtype=np.uint64)
    assert target.astype(np.int64)[1] == -100
    assert rules(CrossEntropySpec(ignore_index=-100), LOGITS, target) == ["S6"]


@pytest.mark.parametrize(
    "target",
    [
        [0, 1],
        0,
        np.array([True, False]),
        np.array([0j, 1j]),
        np.array(["a", "b"]),
        np.array([0, 1], dtype=object),
        np.zeros((2, 1), dtype=int),
        np.zeros((1, 2), dtype=int),
        np.zeros((), dtype=int),
        np.zeros(3, dtype=int),
        np.zeros((2, 3), dtype=int),
    ],
)
def test_target_refused(target):
    assert rules(CrossEntropySpec(), LOGITS, target) == ["S6"]


@pytest.mark.parametrize("shape", [(2,), (3,), (3, 2), (6,), (2, 3, 1), ()])
def test_probabilities_need_inputs_shape(shape):
    assert rules(CrossEntropySpec(), LOGITS, np.zeros(shape)) == ["S7"]


@pytest.mark.parametrize("value", [-0.5, 1.5, np.nan, np.inf])
def test_probabilities_outside_the_range_warn_and_pass(value):
    with pytest.warns(XentWarning, match=r"should lie in \[0, 1\]"):
        CrossEntropySpec().validate(LOGITS, np.full((2, 3), value))


def test_probabilities_inside_the_range_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CrossEntropySpec().validate(LOGITS, np.array([[0.0, 1.0, 0.5]] * 2))
        CrossEntropySpec().validate(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize(("index", "found"), [(-1, []), (-100, []), (0, ["S8"]), (255, ["S8"])])
def test_probabilities_need_a_negative_ignore_index(index, found):
    assert rules(CrossEntropySpec(ignore_index=index), LOGITS, np.zeros((2, 3))) == found


def test_subclasses_and_strided_arrays_are_read_as_arrays():
    input = np.zeros((3, 4)).T[::2].view(Array)
    assert rules(CrossEntropySpec(), input, np.array([2, 9, 0])[::2].view(Array)) == []


# Capabilities


def test_capabilities_add_their_findings_with_the_clause():
    narrow = Capabilities(input_dtypes=Entry(("float32",), "mint/input/dtype"))
    (finding,) = CrossEntropySpec().check(narrow, LOGITS, np.array([0, 1]))
    assert (finding.rule, finding.entry, finding.clause) == (None, "input_dtypes", "mint/input/dtype")
    assert "float64" in finding.message
    assert CrossEntropySpec().check(narrow, LOGITS.astype(np.float32), np.array([0, 1])) == []
    assert CrossEntropySpec().check(Capabilities(), LOGITS, np.array([0, 1])) == []


@pytest.mark.parametrize(
    ("field", "allowed", "spec", "input", "target"),
    [
        ("input_ranks", (2, 3), {}, np.zeros(3), np.array(0)),
        ("index_dtypes", ("int32",), {}, LOGITS, np.array([0, 1])),
        ("probability_dtypes", ("float32",), {}, LOGITS, LOGITS),
        ("weight_dtypes", ("float32",), {"weight": np.ones(3)}, LOGITS, np.array([0, 1])),
        ("weight_dtypes", (), {"weight": np.ones(3)}, LOGITS, np.array([0, 1])),
        ("target_kinds", ("indices",), {}, LOGITS, LOGITS),
        ("reductions", ("none", "sum"), {}, LOGITS, np.array([0, 1])),
        ("ignored_rows", ("none",), {"ignore_index": 1}, LOGITS, np.array([0, 1])),
        ("label_smoothing", ("zero",), {"label_smoothing": 0.1}, LOGITS, np.array([0, 1])),
        ("probability_ignore_index", ("negative",), {"ignore_index": 1}, LOGITS, LOGITS),
    ],
)
def test_each_entry_of_capabilities_excludes(field, allowed, spec, input, target):
    found = CrossEntropySpec(**spec).check(Capabilities(**{field: Entry(allowed, "a/b/c")}), input, target)
    assert [finding.entry for finding in found if finding.rule is None] == [field]


def test_an_entry_that_allows_nothing_says_so():
    found = CrossEntropySpec(np.ones(3)).check(
        Capabilities(weight_dtypes=Entry((), "no argument")), LOGITS, np.array([0, 1])
    )
    assert [finding.message for finding in found] == [
        "weight dtype is float64, documented are none at all (no argument)"
    ]


@pytest.mark.parametrize(
    ("ignore_index", "target"),
    [(-100, np.array([0, 1])), (255, np.array([0, 1], np.int8)), (-100, np.array([0, 1], np.uint8)), (2, LOGITS)],
)
def test_an_ignore_index_that_no_row_holds_is_no_narrowing(ignore_index, target):
    narrow = Capabilities(ignored_rows=Entry(("none",), "no argument"))
    found = CrossEntropySpec(ignore_index=ignore_index).check(narrow, LOGITS, target)
    assert [finding for finding in found if finding.entry is not None] == []

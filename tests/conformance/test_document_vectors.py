"""The vectors that ship: every example of the five documents, with the dtypes and shapes as written there.

That their numbers are the documents' own is shown in `test_documents.py`, where the documents are at hand.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from xent import reference
from xent.conformance.cases import vectors
from xent.conformance.protocol.case import Case
from xent.spec import CrossEntropySpec


def document_case(id: str) -> Case:
    return next(case for case in vectors.document_vectors() if case.id == id)


def test_every_example_of_the_documents_is_a_vector() -> None:
    ids = [case.id for case in vectors.document_vectors()]
    assert len(ids) == len(set(ids))
    six = ("none", "sum", "mean", "ignore-0", "label-smoothing", "probabilities")
    expected = {f"oneflow-document/{name}" for name in six}
    expected |= {"differences-document/torch", "differences-document/mindspore", "torch-1.8-document/class-indices"}
    expected |= {
        f"{name}-document/class-{kind}" for name in ("torch-2.8", "mint") for kind in ("indices", "probabilities")
    }
    assert {id for id in ids if not id.endswith("-int64")} == expected


def test_the_documents_dtypes_and_shapes_are_kept() -> None:
    def drawn(id: str) -> tuple[Any, ...]:
        case = document_case(id)
        return case.input.dtype, case.input.shape, case.target.dtype, case.target.shape

    assert drawn("oneflow-document/none") == ("float32", (3, 3), "int32", (3,))
    assert drawn("oneflow-document/probabilities") == ("float32", (3, 3), "float32", (3, 3))
    assert drawn("differences-document/torch") == ("float64", (3, 5), "int64", (3,))
    assert drawn("differences-document/mindspore") == ("float32", (3, 5), "int32", (3,))
    assert drawn("mint-document/class-indices") == ("float32", (3, 5), "int32", (3,))
    for id in ("torch-1.8-document/class-indices", "torch-2.8-document/class-indices"):
        assert drawn(id) == ("float32", (3, 5), "int64", (3,))
    for id in ("torch-2.8-document/class-probabilities", "mint-document/class-probabilities"):
        assert drawn(id) == ("float32", (3, 5), "float32", (3, 5))


def test_random_examples_hold_what_their_notes_say() -> None:
    drawn = [case for case in vectors.document_vectors() if case.expected is None]
    assert len(drawn) == 5
    for case in drawn:
        seed = re.search(r"RandomState\((\d+)\)", case.note)
        assert seed
        random = np.random.RandomState(int(seed[1]))
        np.testing.assert_array_equal(case.input, random.randn(3, 5).astype(np.float32))
        if "softmax" in case.note:
            power = np.exp(random.randn(3, 5))
            np.testing.assert_allclose(case.target, power / power.sum(1, keepdims=True), rtol=1e-7)
        elif "randn(3, 5) as written" in case.note:
            np.testing.assert_array_equal(case.target, random.randn(3, 5).astype(np.float32))
        elif "randint" in case.note:
            np.testing.assert_array_equal(case.target, random.randint(0, 5, 3))
        else:
            np.testing.assert_array_equal(case.target, [1, 0, 4])


@pytest.mark.filterwarnings("ignore::xent.errors.XentWarning")
@pytest.mark.parametrize("id", [case.id for case in vectors.document_vectors() if case.expected is not None])
def test_the_reference_gives_what_the_documents_print(id: str) -> None:
    case = document_case(id)
    assert case.expected is not None
    value = reference.value(CrossEntropySpec(*case.arguments), case.input, case.target)
    np.testing.assert_allclose(value.astype(np.float64), case.expected.value, rtol=0, atol=case.expected.atol * 1.001)

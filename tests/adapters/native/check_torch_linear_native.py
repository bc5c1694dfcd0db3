"""torch's own linear_cross_entropy as adapters (linear_native.py, linear_chunked.py), in torch 2.13."""

from __future__ import annotations

import functools
import importlib

import numpy as np
import torch
from adapter_checks import raised, run, same

from xent.adapters.torch import linear_chunked, linear_native, native
from xent.errors import Unavailable
from xent.spec import Arguments, CrossEntropySpec

ADAPTERS = linear_native, linear_chunked
LABELS = np.array([0, 4, 2, 1, 3, 0])


def specs_go_to_torchs_function_and_come_back():
    half = np.array([0.5, 2.0, 1.0], np.float16)
    for adapter in ADAPTERS:
        for spec in (
            CrossEntropySpec(),
            CrossEntropySpec(half, 2, "none", 0.1),
            CrossEntropySpec(ignore_index=-1, reduction="sum"),
        ):
            loss = adapter.to_native(spec)
            same(adapter.from_native(loss), spec)
            # Our own text: that it evaluates is the claim.
            again = eval(adapter.source(spec), {"functools": functools, "torch": torch})
            same(adapter.from_native(again), spec)
            same(type(again.keywords.get("options")), type(loss.keywords.get("options")))
        for other in (object(), None, functools.partial(print), torch.nn.CrossEntropyLoss(), functools.partial):
            assert isinstance(raised(adapter.from_native, other), TypeError), other
        same(adapter.from_call(), CrossEntropySpec())
        same(adapter.from_call(weight=torch.tensor(half), ignore_index=7), CrossEntropySpec(half, 7))
    same(linear_native.source(CrossEntropySpec()), f"functools.partial({linear_native.FUNCTION})")
    assert "options" not in linear_native.to_native(CrossEntropySpec()).keywords
    assert linear_chunked.to_native(CrossEntropySpec()).keywords["options"] is not None


def logits_of_every_rank_go_through_the_identity():
    """Value and gradient are bit for bit those of torch.nn.CrossEntropyLoss, whose kernels run last."""
    random = np.random.RandomState(4)
    for shape in ((5,), (6, 5), (6, 5, 2), (2, 5, 3, 2), (1, 1)):
        input = random.standard_normal(shape).astype(np.float32)
        places = shape[:1] + shape[2:] if len(shape) > 1 else ()
        shares = random.random_sample(shape).astype(np.float32)
        for target, arguments in (
            (np.asarray(random.randint(0, input.shape[min(1, input.ndim - 1)], places)), {"ignore_index": 2}),
            (shares, {"label_smoothing": 0.1}),
            (shares, {"ignore_index": -5, "reduction": "none"}),  # not used, and torch would refuse to hear of it
        ):
            spec = CrossEntropySpec(**arguments)
            found = linear_native.evaluate(spec, input, target, gradient=True)
            right = native.evaluate(spec, input, target, gradient=True)
            np.testing.assert_array_equal(found.value, right.value)
            np.testing.assert_array_equal(found.gradient, right.gradient)
    refused = raised(linear_native.evaluate, CrossEntropySpec(ignore_index=1), input, shares, gradient=False)
    assert "ignore_index" in str(refused), repr(refused)


def the_chunked_path_is_what_runs():
    called = []
    module = importlib.import_module("torch.nn.modules.linear_cross_entropy")
    chunked = module._linear_cross_entropy_batch_chunked
    module._linear_cross_entropy_batch_chunked = lambda *arguments: called.append(arguments) or chunked(*arguments)
    try:
        for adapter, times in ((linear_native, 0), (linear_chunked, 1)):
            called.clear()
            input = np.random.RandomState(0).standard_normal((6, 5)).astype(np.float32)
            found, right = (one.evaluate(CrossEntropySpec(), input, LABELS, gradient=True) for one in (adapter, native))
            same(len(called), times, adapter.__name__)
            np.testing.assert_allclose(found.gradient, right.gradient, rtol=1e-5, atol=1e-7)
    finally:
        module._linear_cross_entropy_batch_chunked = chunked
    assert called[0][8] < len(LABELS), called[0][8]  # batch_chunk_size: more than one chunk
    for target, shape, arguments in (
        (LABELS, (6, 5), {"label_smoothing": 0.1}),
        (np.full((6, 5), 0.2, np.float32), (6, 5), {}),
        (np.zeros((6, 2), np.int64), (6, 5, 2), {}),
    ):
        arguments = Arguments(**arguments)
        input = np.zeros(shape, np.float32)
        assert linear_native.evaluate(arguments, input, target, gradient=False).value > 1
        error = raised(linear_chunked.evaluate, arguments, input, target, gradient=False)
        assert isinstance(error, Unavailable), repr(error)
        assert "other path" in str(error), error
    error = raised(linear_chunked.evaluate, Arguments(label_smoothing=1.1), input[..., 0], LABELS, gradient=False)
    assert not isinstance(error, Unavailable), repr(error)  # torch's own refusal


def what_no_product_gives_is_no_evidence():
    for input in (np.array([[0.0, -np.inf]], np.float32), np.zeros((1, 5000), np.float32), np.zeros((1, 90, 90))):
        for adapter in ADAPTERS:
            target = np.zeros(input.shape[:1] + input.shape[2:], np.int64)
            error = raised(adapter.evaluate, CrossEntropySpec(), input, target, gradient=True)
            assert isinstance(error, Unavailable), repr(error)


def an_older_torch_is_told():
    function = torch.nn.functional.linear_cross_entropy
    del torch.nn.functional.linear_cross_entropy
    try:
        for adapter in ADAPTERS:
            error = raised(adapter.to_native, CrossEntropySpec())
            assert isinstance(error, Unavailable), repr(error)
            assert "came with 2.13" in str(error), error
    finally:
        torch.nn.functional.linear_cross_entropy = function


if __name__ == "__main__":
    run(
        specs_go_to_torchs_function_and_come_back,
        logits_of_every_rank_go_through_the_identity,
        the_chunked_path_is_what_runs,
        what_no_product_gives_is_no_evidence,
        an_older_torch_is_told,
    )

"""The portable loss in the real torch: the specification's semantics, by each of the three ways to compute it."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from adapter_checks import raised, run, same
from torch_portable import WAYS, compare, near, spec_of, way

from xent import dtypes, reference
from xent.adapters.torch import CrossEntropyLoss, cross_entropy, linear, linear_cross_entropy, native, ported
from xent.errors import SpecIndexError, SpecTypeError, SpecValueError

FLOATS = ("float16", "bfloat16", "float32", "float64")
INF, NAN = float("inf"), float("nan")


def every_reduction_weight_and_smoothing():
    generator = np.random.RandomState(1)
    for rank, kind in itertools.product((1, 2, 3, 4), ("indices", "probabilities")):
        shape = (7,) if rank == 1 else (6, 7, 3, 2)[:rank]
        input = dtypes.from_float64(generator.standard_normal(shape) * 3, "float32")
        target = generator.randint(0, 7, shape[:1] + shape[2:] if rank > 1 else ())
        if kind == "probabilities":
            target = dtypes.from_float64(generator.random_sample(shape), "float32")
        elif rank > 1:
            target[1] = -7
        for reduction, smoothing in itertools.product(("none", "mean", "sum"), (0.0, 0.3, 1.0)):
            for weight in (None, [0.5, 1, 2, 0, -0.25, 1, 3]) if rank < 4 else ([0.5, 1, 2, 0, -0.25, 1, 3],):
                spec = spec_of(weight, ignore_index=-7, reduction=reduction, label_smoothing=smoothing)
                compare(spec, input, target, f"rank {rank} {kind}")


def hostile_logits():
    generator = np.random.RandomState(2)
    rows = {
        "closed": [-INF, 0, 1, -INF, 2],
        "all closed": [-INF] * 5,
        "open": [INF, 0, 1, 2, 3],
        "nan": [NAN, 0, 1, 2, 3],
        "equal": [1e8] * 5,
        "huge": [1e38, -1e38, 0, 1e38, 3e38],
        "sure": [1000, 0, 0, 0, 0],
    }
    for name, row in rows.items():
        for dtype in ("float32", "bfloat16"):
            input = generator.standard_normal((9, 5))
            input[2] = input[5] = row
            input = dtypes.from_float64(input, dtype)
            for labels in ([0, 1, -100, 3, 4, 0, 1, 2, 3], [0, 1, 1, 3, 4, 4, 1, 2, 3]):
                for reduction, smoothing in itertools.product(("none", "mean"), (0.0, 0.1)):
                    for weight in (None, [0, 1, 2, 0.5, 1], [1, 0, 0, 0, 0]):
                        spec = spec_of(weight, reduction=reduction, label_smoothing=smoothing)
                        # Without a look at values nothing tells an overflow of float32 from an infinity.
                        ways = ("small", "fused") if name == "huge" else WAYS
                        compare(spec, input, np.array(labels), f"{name} {dtype}", ways=ways)


def both_sides_of_the_thresholds():
    """Where torch's own loss comes first, and what it gives up on goes to the fused sweep; and where the sweep does."""
    generator = np.random.RandomState(4)
    ways = itertools.cycle([("none", 0.0, True), ("mean", 0.1, True), ("mean", 0.0, False), ("sum", 0.0, True)])
    for shape in ((300, 100), (40, 30, 25), (1400, 200), (30000, 12), (20, 70, 15, 14)):
        places = shape[:1] + shape[2:]
        for hostile in (None, -INF, NAN, INF, 1e38, "ignored rows"):
            input = (generator.standard_normal(shape) * 3).astype(np.float32)
            target = generator.randint(0, shape[1], places)
            target.reshape(-1)[::7] = -100
            if hostile == "ignored rows":
                input[np.broadcast_to(np.expand_dims(target == -100, 1), shape)] = NAN
            elif hostile is not None:
                input[generator.random_sample(shape) < 3e-5] = hostile
            for reduction, smoothing, weighted in itertools.islice(ways, 3):
                weight = generator.random_sample(shape[1]) + 0.1 if weighted else None
                spec = spec_of(weight, reduction=reduction, label_smoothing=smoothing)
                compare(spec, input, target, f"{shape} {hostile}", ways=("small",))
        for wrong in (shape[1], -1, -101):
            target.reshape(-1)[5] = wrong
            for integers in (torch.int64, torch.int32, torch.int16):
                for logits in (torch.zeros(shape), torch.zeros(shape, requires_grad=True)):
                    error = raised(cross_entropy, logits, torch.from_numpy(target).to(integers))
                    assert isinstance(error, SpecIndexError), repr(error)
                    assert f"is {wrong}, outside" in str(error), error


def zero_probabilities_on_closed_classes():
    input = dtypes.from_float64([[-INF, 0, 1], [0.5, -INF, -INF], [1, 2, 3]], "float32")
    target = dtypes.from_float64([[0, 0.5, 0.5], [1, 0, 0], [0.2, 0.3, 0.5]], "float32")
    for reduction in ("none", "mean", "sum"):
        compare(spec_of(reduction=reduction), input, target)
        compare(spec_of([0, 1, 0], reduction=reduction), input, target[::-1].copy())


def float16_at_its_limits():
    input = dtypes.from_float64([[6e4, -6e4, 6e4], [65504, 65504, 65504], [-6e4, -INF, 1]], "float16")
    for reduction in ("none", "mean", "sum"):
        compare(spec_of(reduction=reduction), input, np.array([0, 1, 2]))
        compare(spec_of(reduction=reduction), input, np.array([1, 1, 0]), value_only=True)


def nothing_selected():
    input = dtypes.from_float64(np.random.RandomState(3).standard_normal((4, 3)), "float32")
    for reduction, smoothing in itertools.product(("none", "mean", "sum"), (0.0, 0.2)):
        spec = spec_of(reduction=reduction, label_smoothing=smoothing)
        compare(spec, input, np.full(4, -100))
        compare(spec, input[:0], np.zeros(0, np.int64))
        compare(spec, np.full((4, 3), np.nan, np.float32), np.full(4, -100))
        for weight in ([0, 1, 2], [0, 0, 0]):
            spec = spec_of(weight, reduction=reduction, label_smoothing=smoothing)
            compare(spec, input, np.zeros(4, np.int64), value_only=True)
    closed = dtypes.from_float64([-INF, 0, 1], "float32")
    compare(spec_of([0, 1, 2]), closed, np.array(0))


def one_class_and_one_row():
    for shape, target in (((1,), 0), ((5, 1), [0] * 5), ((1, 4), [2]), ((2, 1, 3), [[0] * 3] * 2)):
        input = dtypes.from_float64(np.random.RandomState(4).standard_normal(shape), "float32")
        for reduction, smoothing in itertools.product(("none", "mean"), (0.0, 0.5)):
            compare(spec_of(reduction=reduction, label_smoothing=smoothing), input, np.array(target))


def weights_that_overflow_when_added():
    input = dtypes.from_float64(np.random.RandomState(5).standard_normal((8, 3)) * 0.1, "float32")
    spec = spec_of([2e38, 1e38, 3e38])
    for name in ("small", "fused"):
        with way(name):
            found = ported.evaluate(spec, input, np.arange(8) % 3, gradient=True)
        near(found.value, reference.value(spec, input, np.arange(8) % 3), name)
        near(found.gradient, reference.gradient(spec, input, np.arange(8) % 3), name)


def every_dtype():
    generator = np.random.RandomState(6)
    for of_input, of_weight, of_target in itertools.product(FLOATS, FLOATS, FLOATS):
        input = dtypes.from_float64(generator.standard_normal((6, 5)), of_input)
        target = dtypes.from_float64(generator.random_sample((6, 5)), of_target)
        spec = spec_of([0.5, 1, 2, 0.25, 1], of_weight, reduction="none")
        compare(spec, input, target, f"{of_input} {of_weight} {of_target}")
        if of_target != of_input:
            continue
        for index in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
            compare(spec, input, np.array([0, 1, 4, 3, 2, 0], index), f"{of_input} {index}")


def memory_orders():
    generator = np.random.RandomState(7)
    input = dtypes.from_float64(generator.standard_normal((4, 6, 3, 5)), "float32")
    target = generator.randint(0, 6, (4, 3, 5))
    spec = spec_of(reduction="none")
    for order in itertools.permutations(range(4)):
        laid = np.transpose(np.ascontiguousarray(np.transpose(input, order)), np.argsort(order))
        compare(spec, laid, np.asfortranarray(target), f"order {order}")
        compare(spec, laid, np.ascontiguousarray(np.exp(laid)), f"order {order} probabilities")
    compare(spec, input[::2, :, ::-1, 1:], target[::2, ::-1, 1:], "strided")


def rows_of_vanishing_probability():
    input = np.zeros((70, 100), np.float32)
    input[:, 0] = 100
    input[::7, 0] = 1e4
    compare(spec_of(reduction="none"), input, np.arange(70))
    compare(spec_of(), input, np.arange(70))


def labels_out_of_range():
    for count, classes in ((5, 3), (500, 3), (3000, 70)):
        input = torch.randn(count, classes)
        for bad in (classes, -1, -99, 2**62, -(2**63)):
            target = torch.zeros(count, dtype=torch.int64)
            target[count // 2] = bad
            target[0] = -100
            for loss in (cross_entropy, CrossEntropyLoss()):
                error = raised(loss, input, target)
                assert isinstance(error, SpecIndexError), repr(error)
                assert f"target[{count // 2}] is {bad}" in str(error), error
            linear_error = raised(linear_cross_entropy, input, torch.randn(classes, classes), target)
            assert isinstance(linear_error, SpecIndexError), repr(linear_error)
    huge = torch.full((5,), 2**64 - 100, dtype=torch.uint64)  # -100 as int64
    assert isinstance(raised(cross_entropy, torch.randn(5, 3), huge), SpecIndexError)


def refusals():
    input, target = torch.randn(8, 5), torch.zeros(8, dtype=torch.int64)
    probabilities = torch.rand(8, 5)
    for error, arguments in (
        (SpecValueError, (input, target.reshape(2, 4))),
        (SpecValueError, (input, target[:7])),
        (SpecValueError, (input, target[0])),
        (SpecValueError, (input, probabilities[:, :4])),
        (SpecValueError, (input[0, 0], target[0])),
        (SpecValueError, (input[:, :0], target)),
        (SpecTypeError, (input.long(), target)),
        (SpecTypeError, (input.to(torch.complex64), target)),
        (SpecTypeError, (input, target.bool())),
        (SpecTypeError, (input.numpy(), target)),
        (SpecTypeError, (input, None)),
        (SpecTypeError, (input, target, [1.0] * 5)),
        (SpecTypeError, (input, target, torch.ones(5, dtype=torch.int64))),
        (SpecValueError, (input, target, torch.ones(5, 1))),
        (SpecValueError, (input, target, torch.tensor([1, 1, 1, 1, NAN]))),
        (SpecValueError, (input, target, torch.tensor([1, 1, 1, 1, INF]))),
        (SpecTypeError, (input, target, None, 1.0)),
        (SpecTypeError, (input, target, None, True)),
        (SpecValueError, (input, target, None, 2**63)),
        (SpecValueError, (input, target, None, -100, "elementwise_mean")),
        (SpecValueError, (input, target, None, -100, "mean", 1.1)),
        (SpecValueError, (input, target, None, -100, "mean", NAN)),
    ):
        found = raised(cross_entropy, *arguments)
        assert type(found) is error, (repr(found), arguments)
        if len(arguments) > 2:
            found = raised(CrossEntropyLoss, *arguments[2:])
            assert type(found) is error, (repr(found), arguments)
    for arguments in ((input, target, torch.ones(4)), (input, probabilities, None, 0)):
        for loss in (cross_entropy, lambda input, target, *rest: CrossEntropyLoss(*rest)(input, target)):
            assert type(raised(loss, *arguments)) is SpecValueError, arguments
    for ignore_index in (2**32, -(2**63), 2**63 - 1):
        same(cross_entropy(input, target, None, ignore_index), cross_entropy(input, target))


def validate_off_leaves_labels_to_torch():
    input, target = torch.randn(8, 5), torch.arange(8) % 5
    target[2] = -100
    for name in WAYS:
        with way(name):
            near(
                native.as_array(torch, cross_entropy(input, target, validate=False)),
                native.as_array(torch, cross_entropy(input, target)),
                name,
            )
    assert not isinstance(raised(cross_entropy, input, target + 5, validate=False), SpecIndexError)


def chunks_of_linear_are_the_whole():
    generator = torch.Generator().manual_seed(8)
    kept = linear._CHUNK, linear._LEAST_ROWS
    try:
        for shape, bias, kind in itertools.product(((20,), (4, 5), ()), (False, True), ("indices", "probabilities")):
            tensors = [torch.randn(*shape, 6, generator=generator), torch.randn(11, 6, generator=generator)]
            tensors += [torch.randn(11, generator=generator)] if bias else []
            target = torch.randint(0, 11, shape, generator=generator)
            if kind == "probabilities":
                target = torch.rand(*shape, 11, generator=generator)
            elif shape:
                target.view(-1)[3] = -100
            for reduction, smoothing, weight in itertools.product(
                ("none", "mean", "sum"), (0.0, 0.1), (None, torch.rand(11, generator=generator))
            ):
                found = []
                for rows, dtype in ((7, torch.float32), (64, torch.float64)):
                    linear._CHUNK, linear._LEAST_ROWS = 1, rows
                    leaves = [tensor.to(dtype).requires_grad_() for tensor in tensors]
                    arguments = {"reduction": reduction, "label_smoothing": smoothing, "weight": weight}
                    loss = linear_cross_entropy(
                        leaves[0], leaves[1], target, linear_bias=leaves[2] if bias else None, **arguments
                    )
                    same(loss.dtype, dtype)
                    found.append(
                        [
                            loss,
                            *torch.autograd.grad(
                                loss, leaves, torch.arange(1.0, 1 + loss.numel()).reshape(loss.shape).to(dtype)
                            ),
                        ]
                    )
                    if rows == 64:
                        flat = target.reshape(-1, 11) if kind == "probabilities" else target.reshape(-1)
                        whole = torch.nn.functional.linear(leaves[0].reshape(-1, 6), *leaves[1:])
                        whole = cross_entropy(whole, flat, **arguments).reshape(loss.shape)
                        torch.testing.assert_close(loss, whole)
                for chunked, exact in zip(*found, strict=True):
                    torch.testing.assert_close(chunked.double(), exact, rtol=1e-4, atol=1e-5)
    finally:
        linear._CHUNK, linear._LEAST_ROWS = kept


def linear_mends_its_rows():
    hidden = torch.tensor([[1.0, 0.0], [1e30, 1.0], [0.0, 1.0], [NAN, 1.0]], requires_grad=True)
    projection = torch.tensor([[1e5, 1.0], [-1e30, 2.0], [0.0, 3.0]], requires_grad=True)
    target = torch.tensor([0, 2, 1, -100])
    loss = linear_cross_entropy(hidden, projection, target, reduction="sum")
    (slope,) = torch.autograd.grad(loss, hidden)
    logits = hidden @ projection.T
    whole = cross_entropy(logits, target, reduction="sum")
    torch.testing.assert_close(loss, whole)
    torch.testing.assert_close(slope, torch.autograd.grad(whole, hidden)[0])
    assert not slope[3].any(), slope


def source_and_from_native_are_inverse():
    for spec in (spec_of(), spec_of([0.5, 1.0], "float16", ignore_index=3, reduction="sum", label_smoothing=0.1)):
        loss = ported.to_native(spec)
        same(ported.from_native(loss), spec)
        same(ported.from_call(loss.weight, spec.ignore_index, spec.reduction, spec.label_smoothing), spec)
        import xent

        # Our own text: that it evaluates is the claim.
        again = eval(ported.source(spec), {"torch": torch, "xent": xent})
        same(ported.from_native(again), spec)


if __name__ == "__main__":
    run(
        every_reduction_weight_and_smoothing,
        hostile_logits,
        both_sides_of_the_thresholds,
        zero_probabilities_on_closed_classes,
        float16_at_its_limits,
        nothing_selected,
        one_class_and_one_row,
        weights_that_overflow_when_added,
        every_dtype,
        memory_orders,
        rows_of_vanishing_probability,
        labels_out_of_range,
        refusals,
        validate_off_leaves_labels_to_torch,
        chunks_of_linear_are_the_whole,
        linear_mends_its_rows,
        source_and_from_native_are_inverse,
    )

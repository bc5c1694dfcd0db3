"""The portable loss in the real torch where logits are a DTensor over 2 to 4 gloo processes, against the oracle on the
whole tensor: value and every gradient."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from adapter_checks import raised, same
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch_mesh_cases import Case, index_placement
from torch_processes import run

from xent.adapters.torch import CrossEntropyLoss, cross_entropy, linear_cross_entropy
from xent.errors import SpecError, SpecIndexError, SpecTypeError, SpecValueError
from xent.spec import CrossEntropySpec

NAN = float("nan")


def line(world):
    return init_device_mesh("cpu", (world,))


def rows_and_classes_over_processes(world):
    mesh = line(world)
    for seed in range(15):
        case = Case(seed)
        for placement in (Replicate(), *(Shard(dim) for dim in range(case.input.ndim))):
            case.check(mesh, [placement], f"seed {seed}")


def meshes_of_two_dimensions(world):
    mesh = init_device_mesh("cpu", (2, 2))
    for seed in range(5):
        case = Case(seed, rank=(2, 3)[seed % 2])
        kinds = (Replicate(), Shard(0), Shard(1), Shard(2))[: case.input.ndim + 1]
        for placements in itertools.product(kinds, kinds):
            case.check(mesh, list(placements), f"seed {seed}")


meshes_of_two_dimensions.worlds = (4,)


def means_are_of_the_whole(world):
    """By hand: where processes ignore different numbers of rows, the mean of their means is another number."""
    mesh = line(world)
    input, target = torch.arange(24.0).reshape(6, 4).sin(), torch.tensor([0, -100, -100, 3, 1, 2])
    right = torch.nn.functional.cross_entropy(input, target)
    for placement in (Replicate(), Shard(0), Shard(1)):
        logits = distribute_tensor(input, mesh, [placement]).requires_grad_()
        likes = [index_placement(placement, 2)]
        for loss in (cross_entropy, CrossEntropyLoss()):
            value = loss(logits, distribute_tensor(target, mesh, likes))
            torch.testing.assert_close(value.full_tensor(), right)
            torch.testing.assert_close(value.to_local(), right)
            value.backward()
        alone = input.clone().requires_grad_()
        torch.nn.functional.cross_entropy(alone, target).backward()
        torch.testing.assert_close(logits.grad.full_tensor(), 2 * alone.grad)
        same(logits.grad.placements, (placement,))


def input_over(mesh, input):
    """The logits over the rows' dimension."""
    return distribute_tensor(input, mesh, [Shard(0)], src_data_rank=None)


def a_bad_label_is_refused_everywhere(world):
    mesh, rank = line(world), torch.distributed.get_rank()
    input, target = torch.randn(world * 2, 5), torch.zeros(world * 2, dtype=torch.int64)
    for bad, dtype in ((5, torch.int64), (-1, torch.int32), (2**64 - 100, torch.uint64)):
        # The last process alone holds it under Shard(0).
        target = torch.tensor([0] * (world * 2 - 1) + [bad], dtype=dtype)
        for placement in (Replicate(), Shard(0), Shard(1)):
            logits = distribute_tensor(input, mesh, [placement], src_data_rank=None)
            likes = [index_placement(placement, 2)]
            for labels in (target, distribute_tensor(target, mesh, likes, src_data_rank=None)):
                error = raised(cross_entropy, logits, labels)
                assert isinstance(error, SpecIndexError), repr(error)
                assert f"target[{2 * world - 1}] is {bad}, outside [0, 5)" in str(error), error
    copies = torch.zeros(world * 2, dtype=torch.int64)
    copies[0] = 7 if rank == 0 else 0  # the same tensor, it was promised
    for placement in (Replicate(), Shard(1)):
        error = raised(cross_entropy, distribute_tensor(input, mesh, [placement], src_data_rank=None), copies)
        assert isinstance(error, SpecIndexError), repr(error)
    weight = torch.ones(5) if rank else torch.full((5,), NAN)
    shares = DTensor.from_local(input[: 2 + rank], mesh, [Shard(0)])  # nobody said what the shape of the whole is
    labels = DTensor.from_local(torch.full((2 + rank,), 5 if rank else 0), mesh, [Shard(0)])
    for arguments in ((input_over(mesh, input), target.to(torch.int64) * 0, weight), (shares, labels)):
        error = raised(cross_entropy, *arguments)
        assert isinstance(error, SpecError), repr(error)
    # Everyone is still in step.
    logits = input_over(mesh, input)
    assert cross_entropy(logits, torch.zeros(world * 2, dtype=torch.int64)).isfinite().item()


def forms_are_refused_everywhere(world):
    mesh = line(world)
    input, target = torch.randn(world * 2, 5), torch.zeros(world * 2, dtype=torch.int64)
    logits = input_over(mesh, input)
    own = raised(cross_entropy, logits, target[:2])
    assert isinstance(own, SpecValueError), repr(own)
    assert "must have shape" in str(own), own
    assert "DTensor.from_local(target, mesh, placements)" in str(own), own
    plain = raised(cross_entropy, input, distribute_tensor(target, mesh, [Shard(0)], src_data_rank=None))
    assert isinstance(plain, SpecTypeError), repr(plain)
    assert "input must be a DTensor" in str(plain), plain
    for arguments in ((torch.ones(4),), (torch.tensor([1.0, 1, 1, 1, NAN]),), (None, -100, "avg"), (None, True)):
        assert isinstance(raised(cross_entropy, logits, target, *arguments), (SpecTypeError, SpecValueError))


def without_validation(world):
    mesh = line(world)
    input, target = torch.randn(6, 5), torch.tensor([0, 1, -100, 3, 4, -100])
    for placement in (Replicate(), Shard(0), Shard(1)):
        logits = distribute_tensor(input, mesh, [placement], src_data_rank=None)
        found = cross_entropy(logits, target, validate=False)
        torch.testing.assert_close(found.to_local(), cross_entropy(input, target))


def partial_sums_and_shares_of_local_tensors(world):
    mesh, rank = line(world), torch.distributed.get_rank()
    parts = torch.randn(world, 6, 5)
    target = torch.tensor([0, 1, -100, 3, 4, -100])
    right = cross_entropy(parts.sum(0), target)
    leaf = parts[rank].clone().requires_grad_()
    value = cross_entropy(DTensor.from_local(leaf, mesh, [Partial()]), target)
    torch.testing.assert_close(value.to_local(), right)
    value.backward()
    whole = parts.sum(0).requires_grad_()
    cross_entropy(whole, target).backward()
    torch.testing.assert_close(leaf.grad, whole.grad)
    leaf = parts[rank].clone().requires_grad_()
    value = cross_entropy(DTensor.from_local(leaf, mesh, [Shard(0)]), target.repeat(world), label_smoothing=0.1)
    value.backward()
    whole = parts.flatten(0, 1).requires_grad_()
    cross_entropy(whole, target.repeat(world), label_smoothing=0.1).backward()
    torch.testing.assert_close(leaf.grad, whole.grad[6 * rank : 6 * rank + 6])


def parameters_and_messages_on_their_way(world):
    mesh = line(world)
    input, target = torch.randn(6, 5), torch.tensor([0, 1, -100, 3, 4, -100])
    alone = input.clone().requires_grad_()
    cross_entropy(alone, target, label_smoothing=0.1).backward()
    for placement, to in itertools.product((Shard(0), Shard(1)), (Replicate(), Shard(0), Shard(1))):
        leaf = torch.nn.Parameter(distribute_tensor(input, mesh, [placement]))
        for logits in (leaf, leaf.redistribute(placements=[to], async_op=True)):
            leaf.grad = None
            cross_entropy(logits, target, label_smoothing=0.1).backward()
            torch.testing.assert_close(leaf.grad.full_tensor(), alone.grad)


def far_logits_and_large_weights(world):
    """Sums that overflow float32 although the loss does not."""
    mesh, case = line(world), Case(1, rank=2)
    case.input = np.float32([[3e38, -1e38, 0, 0, 0, 0], [1e4, -1e4, 0, 0, 0, 0], [3e38, 0, 0, 0, 0, 0]])
    case.target = np.array([2, 1, 1])
    for placement in (Replicate(), Shard(0), Shard(1)):
        for weight, smoothing, reduction in itertools.product(
            (None, np.full(6, 0.125, np.float32)), (0.0, 0.1), ("none", "mean")
        ):
            case.spec = CrossEntropySpec(weight, -100, reduction, smoothing)
            case.check(mesh, [placement], "far")
        case.spec = CrossEntropySpec(np.float32([2e38, 1e38, 3e38, 1e38, 1e38, 3e38]))
        near_input, case.input = case.input, np.float32([[0, 1, 2, 3, 4, 5]] * 3)
        case.check(mesh, [placement], "large weights")
        case.input = near_input


def modules_with_weights(world):
    mesh = line(world)
    weight, input, target = torch.rand(5), torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 4, -100])
    right = cross_entropy(input, target, weight)
    for held in (weight, distribute_tensor(weight, mesh, [Replicate()]), distribute_tensor(weight, mesh, [Shard(0)])):
        found = CrossEntropyLoss(held)(distribute_tensor(input, mesh, [Shard(1)]), target)
        torch.testing.assert_close(found.to_local(), right)


def second_derivatives(world):
    """Of the loss over a mesh, along a direction, against those of the whole tensor alone."""
    mesh = line(world)
    input, along = torch.randn(2, 5, 6, dtype=torch.double)
    target = torch.tensor([0, 1, -100, 3, 4])
    for arguments in ({}, {"label_smoothing": 0.1, "weight": torch.arange(1.0, 7.0).double()}):
        alone = input.clone().requires_grad_()
        (slope,) = torch.autograd.grad(cross_entropy(alone, target, **arguments) ** 2, alone, create_graph=True)
        (right,) = torch.autograd.grad((slope * along).sum(), alone)
        for placement in (Replicate(), Shard(0), Shard(1)):
            leaf = distribute_tensor(input, mesh, [placement], src_data_rank=None).requires_grad_()
            value = cross_entropy(leaf, target, **arguments)
            (slope,) = torch.autograd.grad(value**2, leaf, create_graph=True)
            direction = distribute_tensor(along, mesh, [placement], src_data_rank=None)
            (found,) = torch.autograd.grad((slope * direction).sum(), leaf)
            torch.testing.assert_close(found.full_tensor(), right)


def without_gradients(world):
    mesh = line(world)
    input, target = torch.randn(6, 5), torch.tensor([0, 1, -100, 3, 4, -100])
    for placement, mode in itertools.product((Replicate(), Shard(0), Shard(1)), (torch.no_grad, torch.inference_mode)):
        leaf = distribute_tensor(input, mesh, [placement], src_data_rank=None).requires_grad_()
        with mode():
            value = cross_entropy(leaf, target, label_smoothing=0.1)
        torch.testing.assert_close(value.to_local(), cross_entropy(input, target, label_smoothing=0.1))
        assert not value.requires_grad


def linear_layers_over_classes(world):
    mesh = line(world)
    hidden, projection = torch.randn(6, 4), torch.randn(7, 4)
    target = torch.tensor([0, 1, -100, 3, 4, 6])
    alone = [hidden.clone().requires_grad_(), projection.clone().requires_grad_()]
    right = linear_cross_entropy(*alone, target, label_smoothing=0.1)
    right.backward()
    for of_hidden, of_projection in ((Replicate(), Shard(0)), (Shard(0), Replicate())):
        leaves = [
            distribute_tensor(hidden, mesh, [of_hidden], src_data_rank=None).requires_grad_(),
            distribute_tensor(projection, mesh, [of_projection], src_data_rank=None).requires_grad_(),
        ]
        value = linear_cross_entropy(*leaves, target, label_smoothing=0.1)
        torch.testing.assert_close(value.full_tensor(), right)
        value.backward()
        for leaf, whole in zip(leaves, alone, strict=True):
            torch.testing.assert_close(leaf.grad.full_tensor(), whole.grad)


def compiled_code_breaks_its_graph(world):
    mesh = line(world)
    input, target = torch.arange(30.0).reshape(6, 5).sin(), torch.tensor([0, 1, -100, 3, 4, -100])
    compiled = torch.compile(lambda x, y: cross_entropy(2 * x, y), backend="aot_eager")
    for placement in (Replicate(), Shard(0), Shard(1)):
        logits = distribute_tensor(input, mesh, [placement], src_data_rank=None)
        torch.testing.assert_close(compiled(logits, target).full_tensor(), cross_entropy(2 * input, target))


compiled_code_breaks_its_graph.worlds = (2,)

if __name__ == "__main__":
    run(
        means_are_of_the_whole,
        rows_and_classes_over_processes,
        meshes_of_two_dimensions,
        a_bad_label_is_refused_everywhere,
        forms_are_refused_everywhere,
        without_validation,
        partial_sums_and_shares_of_local_tensors,
        parameters_and_messages_on_their_way,
        far_logits_and_large_weights,
        modules_with_weights,
        second_derivatives,
        without_gradients,
        linear_layers_over_classes,
        compiled_code_breaks_its_graph,
    )

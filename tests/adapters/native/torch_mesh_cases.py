"""Cases of the loss over a mesh of processes, drawn the same in each, and the oracle's answers for the whole tensor."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from adapter_checks import same
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import loss_parallel
from torch_portable import near

from xent import dtypes, reference
from xent.adapters.torch import cross_entropy, native
from xent.spec import CrossEntropySpec

INF, NAN = float("inf"), float("nan")
FLOATS = ("float32", "float32", "float64", "float16", "bfloat16")


class Case:
    """A spec with input and target, drawn from a seed, the same in every process; then as DTensors over a mesh."""

    def __init__(self, seed, rank=None):
        draw = self.draw = np.random.RandomState(seed)
        rank = rank or draw.choice([1, 2, 2, 3, 4])
        classes, rows = draw.choice([1, 2, 5, 6, 17]), draw.choice([0, 1, 2, 5, 6])
        shape = (classes,) if rank == 1 else (rows, classes, 2, 3)[:rank]
        places = shape[:1] + shape[2:] if rank > 1 else ()
        logits = draw.standard_normal(shape) * draw.choice([1.0, 30.0])
        logits = np.where(draw.rand(*shape) < draw.choice([0.0, 0.0, 0.3]), -INF, logits)
        if draw.rand() < 0.15 and logits.size:
            logits.flat[draw.randint(logits.size)] = draw.choice([NAN, INF])
        self.input = dtypes.from_float64(logits, draw.choice(FLOATS))
        if draw.rand() < 0.4:
            values = np.where(draw.rand(*shape) < 0.3, 0.0, draw.rand(*shape))
            self.target = dtypes.from_float64(values, draw.choice(FLOATS))
        else:
            dropped = draw.choice([0.0, 0.3, 0.3, 1.0])
            self.target = np.where(draw.rand(*places) < dropped, -100, draw.randint(0, classes, places))
            self.target = self.target.astype(draw.choice(["int64", "int32", "int8"]))
        weight = None
        if draw.rand() < 0.6:
            weight = np.where(draw.rand(classes) < 0.3, 0.0, draw.choice([1.0, 0.25, -0.5], classes))
            weight = dtypes.from_float64(weight, draw.choice(FLOATS))
        reduction, smoothing = draw.choice(["none", "mean", "sum"]), draw.choice([0.0, 0.0, 0.25, 1.0])
        self.spec = CrossEntropySpec(weight, -100, str(reduction), float(smoothing))

    def check(self, mesh, placements, what):
        """Value and gradients of the loss over these placements, with target and weight in some form."""
        draw = self.draw
        input, target = native.as_tensor(torch, self.input), native.as_tensor(torch, self.target)
        weight = None if self.spec.weight is None else native.as_tensor(torch, self.spec.weight)
        leaves = [distribute_tensor(input, mesh, placements, src_data_rank=None).requires_grad_()]
        form = draw.choice(["alike", "replicated", "plain", "plain"])
        if form != "plain":
            likes = [Replicate()] * mesh.ndim
            if form == "alike":
                likes = placements if target.is_floating_point() else self.places(placements)
            target = distribute_tensor(target, mesh, likes, src_data_rank=None)
        if target.is_floating_point():
            leaves.append(target.requires_grad_())
        if weight is not None:
            of_weight = draw.choice(["plain", "plain", "replicated", "sharded"])
            if of_weight != "plain":
                likes = [Shard(0) if of_weight == "sharded" else Replicate()] * mesh.ndim
                weight = distribute_tensor(weight, mesh, likes, src_data_rank=None)
            if draw.rand() < 0.5:
                leaves.append(weight.requires_grad_())
        parallel = loss_parallel() if draw.rand() < 0.5 else contextlib.nullcontext()
        what = f"{what} {placements} target {form} {self.spec}"
        with parallel:
            value = cross_entropy(
                leaves[0], target, weight, self.spec.ignore_index, self.spec.reduction, self.spec.label_smoothing
            )
            found = torch.autograd.grad(value, leaves, torch.ones_like(value))
        where = self.places(placements) if self.spec.reduction == "none" else [Replicate()] * mesh.ndim
        same(list(value.placements), where, what)
        arguments = self.spec, self.input, self.target
        self.near(value, reference.value(*arguments), f"value {what}")
        self.near(found[0], reference.gradient(*arguments), f"gradient {what}")
        rest = iter(found[1:])
        if target.requires_grad:
            self.near(next(rest), reference.gradient_target(*arguments), f"target's gradient {what}")
        if weight is not None and weight.requires_grad:
            self.near(next(rest), reference.gradient_weight(*arguments), f"weight's gradient {what}")

    def places(self, placements):
        """Where labels and losses lie for logits with these placements."""
        return [index_placement(placement, self.input.ndim) for placement in placements]

    def near(self, found, right, what):
        whole = found.full_tensor() if isinstance(found, DTensor) else found
        computed = "float64" if dtypes.name(self.input) == "float64" else "float32"
        near(native.as_array(torch, whole), right, what, computed)


def index_placement(placement, rank):
    """Where labels lie for logits of that rank with this placement."""
    if not isinstance(placement, Shard) or placement.dim == min(1, rank - 1):
        return Replicate()
    return Shard(max(0, placement.dim - 1))

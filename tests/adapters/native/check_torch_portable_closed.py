"""The portable loss in the real torch where classes are closed (a logit of -inf): its gradients with respect to class
probabilities and weight against the oracle, whatever coefficients are 0, by each way, compiled and transformed."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import torch
from adapter_checks import run, same
from torch_portable import WAYS, near, way

from xent import dtypes, reference
from xent.adapters.torch import cross_entropy, native
from xent.spec import CrossEntropySpec

FLOATS = ("float16", "bfloat16", "float32", "float64")
INF, NAN = float("inf"), float("nan")
CLOSED = [-INF, 0.0, 0.0]


class Case:
    """A spec with input and target, drawn from a seed."""

    def __init__(self, seed, kind, classes=None, rows=None):
        draw = self.draw = np.random.RandomState(seed)
        rank = draw.choice([2, 3, 4] if rows else [1, 2, 2, 3, 4])
        classes = classes or draw.choice([1, 2, 3, 5, 17, 90])
        shape = (classes,) if rank == 1 else (rows or draw.randint(1, 6), classes, 2, 3)[:rank]
        places = shape[:1] + shape[2:] if rank > 1 else ()
        of_input, of_weight, of_target = draw.choice(FLOATS, 3) if draw.rand() < 0.5 else ("float32",) * 3
        logits = np.where(draw.rand(*shape) < draw.choice([0.0, 0.3, 0.9]), -INF, draw.standard_normal(shape) * 3)
        if draw.rand() < 0.2:
            logits.flat[draw.randint(logits.size)] = draw.choice([NAN, INF])
        self.input = dtypes.from_float64(logits, of_input)
        if kind == "probabilities":
            target = draw.rand(*shape)
            target = np.where(draw.rand(*shape) < 0.5, 0.0, target)
            self.target = dtypes.from_float64(target, of_target)
        else:
            self.target = np.where(draw.rand(*places) < 0.2, -100, draw.randint(0, classes, places))
        weight = None
        if draw.rand() < 0.7:
            weight = np.where(draw.rand(classes) < 0.4, 0.0, draw.choice([1.0, 0.25, -0.5], classes))
            weight = dtypes.from_float64(weight, of_weight)
        self.spec = CrossEntropySpec(
            weight, -100, str(draw.choice(["none", "mean", "sum"])), float(draw.choice([0.0, 0.25, 1.0]))
        )

    def tensors(self):
        """input, target and weight, which record gradients where they can; None for no weight."""
        input, target = native.as_tensor(torch, self.input), native.as_tensor(torch, self.target)
        weight = None if self.spec.weight is None else native.as_tensor(torch, self.spec.weight).requires_grad_()
        return input.requires_grad_(), target.requires_grad_(target.is_floating_point()), weight

    @functools.cached_property
    def right(self):
        """The oracle's value, and its gradients for what `tensors` records, in that order."""
        arguments = self.spec, self.input, self.target
        gradients = [reference.gradient(*arguments)]
        if dtypes.is_float(self.target):
            gradients.append(reference.gradient_target(*arguments))
        if self.spec.weight is not None:
            gradients.append(reference.gradient_weight(*arguments))
        return reference.value(*arguments), gradients

    def near(self, found, right, what):
        computed = "float64" if dtypes.name(self.input) == "float64" else "float32"
        near(native.as_array(torch, found), right, what, computed)

    def rest(self):
        return self.spec.ignore_index, self.spec.reduction, self.spec.label_smoothing

    def check(self, loss, what):
        input, target, weight = self.tensors()
        value = loss(input, target, weight, *self.rest())
        what = f"{what} {self.spec}"
        self.near(value, self.right[0], f"value {what}")
        leaves = [tensor for tensor in (input, target, weight) if tensor is not None and tensor.requires_grad]
        found = torch.autograd.grad(value, leaves, torch.ones_like(value))
        for slope, right in zip(found, self.right[1], strict=True):
            self.near(slope, right, f"gradient {what}")


def slopes_of(input, target, weight=None, **arguments):
    """Gradients of the summed loss with respect to target and, where there is one, weight, as lists."""
    tensors = [torch.tensor(numbers, requires_grad=True) for numbers in (input, target, weight) if numbers is not None]
    value = cross_entropy(*tensors, **arguments)
    return [slope.tolist() for slope in torch.autograd.grad(value.sum(), tensors[1:])]


def one_row_by_hand():
    log2 = torch.tensor(2.0).log().item()
    for name in WAYS:
        with way(name):
            same(slopes_of(CLOSED, [0.0, 1.0, 0.0]), [[INF, log2, log2]], name)
            same(slopes_of(CLOSED, [0.0, 1.0, 0.0], label_smoothing=1.0), [[0.0, 0.0, 0.0]], name)
            of_target, of_weight = slopes_of(CLOSED, [0.5, 0.5, 0.0], [0.0, 1.0, 1.0])
            same(of_target, [0.0, log2, log2], name)
            same(of_weight, [INF, log2 / 2, 0.0], name)
            same(slopes_of(CLOSED, [0.0, 1.0, 0.0], [-1.0, 1.0, 1.0])[0], [-INF, log2, log2], name)
            invalid = slopes_of([NAN, 0.0, -INF], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0], label_smoothing=1.0)
            assert np.isnan(invalid).all(), (name, invalid)


def drawn_cases_by_each_way():
    for seed, kind in itertools.product(range(150), ("probabilities", "indices")):
        case = Case(seed, kind)
        for name in WAYS:
            with way(name):
                case.check(cross_entropy, f"{name} seed {seed} {kind}")


def large_problems():
    for seed, kind in itertools.product(range(3), ("probabilities", "indices")):
        case = Case(seed, kind, classes=64, rows=300)
        case.check(cross_entropy, f"large, seed {seed} {kind}")


def a_mean_over_nothing():
    for weight, labels in (([0.0, 0.0, 1.0], [0, 1]), ([1.0, -1.0, 1.0], [0, 1]), ([1.0, 2.0, 3.0], [-100, -100])):
        for smoothing, first in itertools.product((0.0, 0.25, 1.0), (0.5, -INF, NAN)):
            case = Case(0, "indices")
            case.spec = CrossEntropySpec(np.float32(weight), -100, "mean", smoothing)
            case.input, case.target = np.float32([[first, 0.0, 1.0], [0.5, 1.0, 0.0]]), np.int64(labels)
            for name in WAYS:
                with way(name):
                    case.check(cross_entropy, name)


def far_logits_of_large_problems_are_not_closed():
    case = Case(0, "probabilities")
    case.spec = CrossEntropySpec(np.full(20000, 0.125, np.float32), reduction="sum")
    case.input = np.zeros((2, 20000), np.float32)
    case.input[0, :2] = 3e38, -1e38
    case.target = np.zeros_like(case.input)
    case.check(cross_entropy, "far")


def compiled():
    for seed, kind in itertools.product(range(30, 35), ("probabilities", "indices")):
        torch.compiler.reset()
        loss = torch.compile(cross_entropy, fullgraph=True, backend="aot_eager")
        Case(seed, kind).check(loss, f"compiled, seed {seed} {kind}")


def func_transforms():
    for seed in range(60, 120):
        case = Case(seed, "probabilities")
        input, target, weight = (None if tensor is None else tensor.detach() for tensor in case.tensors())
        loss = functools.partial(lambda case, *tensors: cross_entropy(*tensors, *case.rest()).sum(), case)
        arguments = (0, 1) if weight is None else (0, 1, 2)
        found = torch.func.grad(loss, arguments)(input, target, weight)
        for slope, right in zip(found, case.right[1], strict=True):
            case.near(slope, right, f"seed {seed} {case.spec}")
        if input.dim() == 2 and case.spec.reduction == "sum":
            each = torch.func.vmap(torch.func.grad(loss, (0, 1)), (0, 0, None))(input, target, weight)
            for slope, right in zip(each, case.right[1], strict=False):
                case.near(slope, right, f"vmap seed {seed} {case.spec}")


def forward_mode():
    import torch.autograd.forward_ad as forward

    def along(tangent, **arguments):
        input, target = torch.tensor(CLOSED), torch.tensor([0.0, 1.0, 0.0])
        with forward.dual_level():
            value = cross_entropy(input, forward.make_dual(target, torch.tensor(tangent)), **arguments)
            return forward.unpack_dual(value).tangent.item()

    same(along([0.5, 0.0, 0.0]), INF)
    same(along([0.0, 1.0, 0.0]), torch.tensor(2.0).log().item())
    same(along([0.5, 0.0, 0.0], label_smoothing=1.0), 0.0)
    same(along([0.5, 0.0, 0.0], weight=torch.tensor([0.0, 1.0, 1.0])), 0.0)
    jacobian = torch.func.jacfwd(torch.func.jacrev(lambda p: cross_entropy(torch.tensor(CLOSED), p)))
    same(jacobian(torch.tensor([0.0, 1.0, 0.0])).tolist(), [[0.0] * 3] * 3)


def mixed_second_derivatives():
    """d/dx[j] of dL/dp[c] = -w[c] (1 - e) log p[c] is w[c] (1 - e) (softmax[j] - [j = c]), for closed classes too."""
    draw = np.random.RandomState(7)
    for name, smoothing, weighted in itertools.product(WAYS, (0.0, 0.25, 1.0), (False, True)):
        x = np.where(draw.rand(5) < 0.4, -INF, draw.standard_normal(5))
        x[2], w = 0.5, np.where(draw.rand(5) < 0.4, 0.0, 1.5) if weighted else np.ones(5)
        input = torch.tensor(x, requires_grad=True)
        target = torch.tensor(np.where(draw.rand(5) < 0.5, 0.0, 0.5), requires_grad=True)
        with way(name):
            weight = torch.tensor(w) if weighted else None
            value = cross_entropy(input, target, weight, label_smoothing=smoothing)
            (slope,) = torch.autograd.grad(value, target, create_graph=True)
        p = torch.softmax(torch.tensor(x), 0)
        for c in range(5):
            (found,) = torch.autograd.grad(slope[c], input, retain_graph=True)
            right = w[c] * (1 - smoothing) * (p - torch.eye(5, dtype=torch.double)[c])
            torch.testing.assert_close(found, right, msg=f"{name} {smoothing} {x} {w} class {c}: {found} {right}")


if __name__ == "__main__":
    torch.set_num_threads(1)  # the problems are small, and threads wait for one another on a busy machine
    run(
        one_row_by_hand,
        drawn_cases_by_each_way,
        large_problems,
        a_mean_over_nothing,
        far_logits_of_large_problems_are_not_closed,
        compiled,
        func_transforms,
        forward_mode,
        mixed_second_derivatives,
    )

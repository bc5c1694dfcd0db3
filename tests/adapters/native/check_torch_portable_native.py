"""The portable loss in the real torch as a native citizen: autograd, torch.compile, torch.func, modules, autocast."""

from __future__ import annotations

import copy
import io
import pickle

import torch
from adapter_checks import raised, run, same
from torch_portable import way

from xent.adapters.torch import CrossEntropyLoss, cross_entropy, fused, linear_cross_entropy
from xent.errors import SpecIndexError, SpecTypeError, SpecValueError

close = torch.testing.assert_close
torch.manual_seed(0)
LOGITS = torch.randn(64, 500)
LABELS = torch.randint(0, 500, (64,))
LABELS[3] = -100
SOFT = torch.softmax(torch.randn(64, 500), 1)
VARIANTS = (
    {"label_smoothing": 0.1},
    {"weight": torch.rand(500), "label_smoothing": 0.1, "reduction": "none"},
)


def slope_of(loss, *arguments):
    leaf = LOGITS.clone().requires_grad_()
    value = loss(leaf, *arguments)
    return torch.autograd.grad(value.sum(), leaf)[0]


def compiles_without_graph_breaks():
    for arguments in VARIANTS:
        torch.compiler.reset()
        module = CrossEntropyLoss(**arguments)
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        for target in (LABELS, SOFT):
            close(slope_of(compiled, target), slope_of(module, target), rtol=1e-4, atol=1e-7)


def compiles_as_a_function_and_for_any_batch():
    compiled = torch.compile(
        lambda x, y: cross_entropy(x, y, label_smoothing=0.1), fullgraph=True, backend="aot_eager", dynamic=True
    )
    for rows in (64, 32, 17):
        close(compiled(LOGITS[:rows], LABELS[:rows]), cross_entropy(LOGITS[:rows], LABELS[:rows], label_smoothing=0.1))
    linear = torch.compile(linear_cross_entropy, fullgraph=True, backend="aot_eager")
    close(
        linear(LOGITS[:, :8], LOGITS[:, 8:16], LABELS % 64),
        linear_cross_entropy(LOGITS[:, :8], LOGITS[:, 8:16], LABELS % 64),
    )


def compiled_code_refuses_bad_labels():
    compiled = torch.compile(CrossEntropyLoss(), fullgraph=True, backend="aot_eager")
    error = raised(compiled, LOGITS, torch.full((64,), 500))
    assert "outside [0, 500)" in str(error), error


def func_transforms():
    def loss(x):
        return cross_entropy(x, LABELS)

    slope = slope_of(cross_entropy, LABELS)
    close(torch.func.grad(loss)(LOGITS), slope)
    each = torch.func.vmap(lambda x, y: cross_entropy(x, y, reduction="sum"))(LOGITS, LABELS)
    close(each, cross_entropy(LOGITS, LABELS, reduction="none"))
    each = torch.func.vmap(torch.func.grad(lambda x, y: cross_entropy(x, y, reduction="sum")))(LOGITS, LABELS)
    close(each, slope_of(lambda x, y: cross_entropy(x, y, reduction="sum"), LABELS))
    _, along = torch.func.jvp(loss, (LOGITS,), (SOFT,))
    close(along, (slope * SOFT).sum())
    curvature = torch.func.hessian(lambda x: cross_entropy(x, LABELS[0]))(LOGITS[0])
    p = torch.softmax(LOGITS[0], 0)
    close(curvature, torch.diag(p) - torch.outer(p, p))


def func_transforms_refuse_bad_labels():
    error = raised(torch.func.vmap(cross_entropy), LOGITS, torch.full((64,), 500))
    assert isinstance(error, SpecIndexError), repr(error)


def forward_mode():
    import torch.autograd.forward_ad as forward

    with forward.dual_level():
        along = forward.unpack_dual(cross_entropy(forward.make_dual(LOGITS, SOFT), LABELS)).tangent
    close(along, (slope_of(cross_entropy, LABELS) * SOFT).sum())


def derivatives_of_derivatives():
    x = torch.randn(3, 4, 2, dtype=torch.double, requires_grad=True)
    y = torch.tensor([[0, 1], [-100, 3], [2, -100]])
    p = torch.softmax(torch.randn(3, 4, 2, dtype=torch.double), 1).requires_grad_()
    w = torch.rand(4, dtype=torch.double, requires_grad=True)
    for name in ("small", "fused", "composed"):
        with way(name):
            for arguments in ({"reduction": "none"}, {"weight": w.detach(), "label_smoothing": 0.2}):
                for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
                    assert check(lambda x: cross_entropy(x, y, **arguments), (x,))  # noqa: B023  # called at once
                    assert check(lambda x, p: cross_entropy(x, p, **arguments), (x, p))  # noqa: B023  # called at once
            assert torch.autograd.gradcheck(lambda x, w: cross_entropy(x, y, w), (x, w))


def linear_derivatives_of_derivatives():
    hidden = torch.randn(6, 4, dtype=torch.double, requires_grad=True)
    projection = torch.randn(5, 4, dtype=torch.double, requires_grad=True)
    for reduction in ("mean", "none"):
        for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
            assert check(
                lambda h, p: linear_cross_entropy(h, p, torch.arange(6) % 5, reduction=reduction),  # noqa: B023
                (hidden, projection),
            )


def backward_again_and_scaled():
    with way("fused"):
        leaf = LOGITS.clone().requires_grad_()
        loss = cross_entropy(leaf, LABELS)
        (one,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        (two,) = torch.autograd.grad(loss, leaf, torch.tensor(2.0), retain_graph=True)
        (three,) = torch.autograd.grad(loss * 3, leaf)
        close(two, one * 2)
        close(three, one * 3)
        assert "second time" in str(raised(torch.autograd.grad, loss, leaf))
        close(one, slope_of(torch.nn.CrossEntropyLoss(), LABELS), rtol=1e-4, atol=1e-7)
        for _ in range(2):
            cross_entropy(leaf, LABELS).backward()
        close(leaf.grad, one * 2)


def a_gradient_that_was_kept_stays():
    with way("fused"):
        leaf = LOGITS.clone().requires_grad_()
        loss = cross_entropy(leaf, LABELS)
        (first,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        before = first.clone()
        torch.autograd.grad(loss, leaf, torch.tensor(5.0))
        assert torch.equal(first, before)


def forward_alone_makes_no_gradient():
    seen = []
    kept, fused.pages.empty_like = fused.pages.empty_like, lambda *arguments: seen.append(arguments)
    try:
        with way("fused"):
            cross_entropy(LOGITS, LABELS)
            with torch.no_grad():
                cross_entropy(LOGITS.clone().requires_grad_(), LABELS)
            same(seen, [])
    finally:
        fused.pages.empty_like = kept


def one_tensor_of_the_logits_size_is_all():
    x = torch.randn(2048, 8192, requires_grad=True)
    y = torch.zeros(2048, dtype=torch.int64)
    with torch.profiler.profile(profile_memory=True) as profile:
        cross_entropy(x, y).backward()
    most = peak(profile)
    assert x.nbytes <= most < 1.6 * x.nbytes, most / x.nbytes
    with torch.profiler.profile(profile_memory=True) as profile, torch.no_grad():
        cross_entropy(x, y)
    assert peak(profile) < 0.4 * x.nbytes, peak(profile) / x.nbytes


def linear_holds_no_logits():
    hidden, projection = torch.randn(4096, 8, requires_grad=True), torch.randn(8192, 8, requires_grad=True)
    y = torch.zeros(4096, dtype=torch.int64)
    with torch.profiler.profile(profile_memory=True) as profile:
        linear_cross_entropy(hidden, projection, y).backward()
    logits = 4096 * 8192 * 4
    assert peak(profile) < 0.4 * logits, peak(profile) / logits


def peak(profile):
    """The most bytes that were held at a time beyond those at the start."""
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def weight_is_a_buffer_as_in_torch():
    weight = torch.rand(500)
    ours, theirs = CrossEntropyLoss(weight), torch.nn.CrossEntropyLoss(torch.rand(500))
    theirs.load_state_dict(ours.state_dict())
    same(torch.equal(theirs.weight, weight), True)
    ours.load_state_dict(torch.nn.CrossEntropyLoss(torch.ones(500)).state_dict())
    same(torch.equal(ours.weight, torch.ones(500)), True)
    same(list(ours.parameters()), [])
    same(CrossEntropyLoss().state_dict(), torch.nn.CrossEntropyLoss().state_dict())
    assert isinstance(ours, torch.nn.CrossEntropyLoss)


def copies_and_pickles():
    module = CrossEntropyLoss(torch.rand(500), label_smoothing=0.1, validate=False)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    # Our own module, pickled here: that a module survives it, and torch.save's pickling, is the claim.
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(file, weights_only=False)):
        same(torch.equal(other(LOGITS, LABELS), module(LOGITS, LABELS)), True)
        same(other.validate, False)


def moves_and_exports():
    module = CrossEntropyLoss(torch.rand(500)).to(torch.double)
    same(module.weight.dtype, torch.double)
    same(module(LOGITS, LABELS).dtype, torch.float32)
    found = CrossEntropyLoss(torch.empty(500, device="meta"))(LOGITS.to("meta"), LABELS.to("meta"))
    same((found.shape, found.is_meta), ((), True))
    exported = torch.export.export(CrossEntropyLoss(), (LOGITS, LABELS))
    close(exported.module()(LOGITS, LABELS), cross_entropy(LOGITS, LABELS))


def autocast_as_in_torch():
    half = LOGITS.bfloat16()
    for loss in (cross_entropy, torch.nn.functional.cross_entropy):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            same(loss(half, LABELS).dtype, torch.float32)
            same(loss(LOGITS, LABELS).dtype, torch.float32)
            leaf = half.clone().requires_grad_()
            loss(leaf, LABELS).backward()
            same(leaf.grad.dtype, torch.bfloat16)
    same(cross_entropy(half, LABELS).dtype, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = linear_cross_entropy(LOGITS[:, :8], LOGITS[:, 8:16], LABELS % 64)
    same(torch.equal(inside, linear_cross_entropy(LOGITS[:, :8], LOGITS[:, 8:16], LABELS % 64)), True)


def scaled_float16_gradients_do_not_vanish():
    leaf = (torch.randn(1024, 512) * 0.01).half().requires_grad_()
    (cross_entropy(leaf, torch.zeros(1024, dtype=torch.int64)) * 65536).backward()
    assert (leaf.grad != 0).all()


def legacy_arguments():
    for arguments, reduction in (
        ({"size_average": False}, "sum"),
        ({"reduce": False}, "none"),
        ({"reduce": True}, "mean"),
    ):
        same(CrossEntropyLoss(**arguments).reduction, reduction)
        legacy, plain = (cross_entropy(LOGITS, LABELS, **some) for some in (arguments, {"reduction": reduction}))
        assert torch.equal(legacy, plain)
    assert isinstance(raised(CrossEntropyLoss, [1.0]), SpecTypeError)
    assert isinstance(raised(CrossEntropyLoss, torch.tensor([1.0, float("inf")])), SpecValueError)
    assert isinstance(raised(CrossEntropyLoss, label_smoothing=2), SpecValueError)


if __name__ == "__main__":
    run(
        compiles_without_graph_breaks,
        compiles_as_a_function_and_for_any_batch,
        compiled_code_refuses_bad_labels,
        func_transforms,
        func_transforms_refuse_bad_labels,
        forward_mode,
        derivatives_of_derivatives,
        linear_derivatives_of_derivatives,
        backward_again_and_scaled,
        a_gradient_that_was_kept_stays,
        forward_alone_makes_no_gradient,
        one_tensor_of_the_logits_size_is_all,
        linear_holds_no_logits,
        weight_is_a_buffer_as_in_torch,
        copies_and_pickles,
        moves_and_exports,
        autocast_as_in_torch,
        scaled_float16_gradients_do_not_vanish,
        legacy_arguments,
    )

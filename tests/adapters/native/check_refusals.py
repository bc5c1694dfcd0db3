"""What a portable loss refuses, in its own framework: argv[1] is torch, mindspore, mint, oneflow or paddle.

Whatever is no tensor of that framework, for every argument and form of the loss, and the mistakes of shared/mistakes.py
with their hints.
"""

from __future__ import annotations

import functools
import importlib
import os
import pathlib
import sys
import tempfile
import types

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "shared"))
from adapter_checks import raised, run, same
from mistakes import ARGUMENTS, MISTAKES, parts_missing

import xent.adapters
from xent.errors import SpecError, SpecTypeError
from xent.spec import CrossEntropySpec

NAME = sys.argv[1]
PACKAGE = {"mint": "mindspore"}.get(NAME, NAME)
FOLDER = tempfile.TemporaryDirectory(prefix="xent-check-")  # for what MindSpore writes where it stands
os.environ["MS_OM_PATH"] = FOLDER.name
framework = importlib.import_module(PACKAGE)
losses = importlib.import_module(f"xent.adapters.{NAME}")
native = importlib.import_module(f"xent.adapters.{PACKAGE}.native")
MAKE = {
    "torch": "torch.as_tensor", "mindspore": "mindspore.Tensor", "oneflow": "oneflow.tensor",
    "paddle": "paddle.to_tensor",
}[PACKAGE]  # fmt: skip


UNTOLD = {("oneflow", "ignore_index in 8 bits")}  # its labels are int64 by the time that they are looked at


def tensor(array):
    return native.as_tensor(framework, array)


ARRAYS = {
    "input": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "target": np.array([0, 1]),
    "weight": np.ones(3, np.float32),
}
LAYER = {
    **ARRAYS,
    "input": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4),
    "linear_weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "linear_bias": np.ones(3, np.float32),
}


WITH_LINEAR = ("torch", "mindspore", "oneflow")  # Paddle has no linear_cross_entropy


def module(input, target, weight, **more):
    return losses.CrossEntropyLoss(weight, **more)(input, target)


def function(input, target, weight, **more):
    return losses.cross_entropy(input, target, weight, **more)


def linear(input, linear_weight, target, linear_bias, weight, **more):
    return losses.linear_cross_entropy(input, linear_weight, target, linear_bias=linear_bias, weight=weight, **more)


def forms():
    """(call, its tensors by name): every way into the losses."""
    yield module, ARRAYS
    yield function, ARRAYS
    if PACKAGE in WITH_LINEAR:
        yield linear, {name: LAYER[name] for name in ("input", "linear_weight", "target", "linear_bias", "weight")}


def pretended(package, method, array):
    """A tensor of a framework that isn't installed here: its class is in that package."""
    cls = type("Tensor", (), {"__module__": package, "shape": (2, 3), "dtype": "float32", "ndim": 2, method: None})
    other = sys.modules.setdefault(package, types.ModuleType(package))
    other.Tensor = getattr(other, "Tensor", cls)
    return cls()


def foreigners():
    """(what makes something of another kind of the right array, its type, parts of the message)."""
    yield lambda array: array, "numpy.ndarray", (f"{MAKE}(ARGUMENT",)
    yield lambda array: array.tolist(), "builtins.list", (f"{MAKE}(ARGUMENT",)
    yield lambda array: float(array.flat[0]), "builtins.float", ()
    yield lambda array: "text", "builtins.str", ("'text'",)
    yield lambda array: (tensor(array), tensor(array)), "builtins.tuple", ()
    for package, method, conversion in (
        ("torch", "detach", "ARGUMENT.detach().cpu().numpy()"),
        ("mindspore", "asnumpy", "ARGUMENT.asnumpy()"),
        ("oneflow", "detach", "ARGUMENT.detach().cpu().numpy()"),
        ("paddle", "numpy", "ARGUMENT.numpy()"),
        ("jaxlib", "__array__", "numpy.asarray(ARGUMENT)"),
    ):
        if package != PACKAGE:
            makes = functools.partial(pretended, package, method)
            yield makes, f"{package}.Tensor", ("of float32, shape (2, 3)", f": {MAKE}({conversion}) makes one")


def what_is_no_tensor_is_named_with_its_argument_and_the_way_to_one():
    for call, arrays in forms():
        right = [tensor(array) for array in arrays.values()]
        assert xent.adapters.framework_of(call(*right)) == PACKAGE
        for at, name in enumerate(arrays):
            others = list(foreigners())
            if name not in ("weight", "linear_bias"):
                others.append((lambda array: None, "builtins.NoneType", ("is it missing",)))
            for other, kind, says in others:
                wrong = [*right[:at], other(arrays[name]), *right[at + 1 :]]
                for more in ({}, {"validate": False}):
                    error = raised(call, *wrong, **more)
                    what = f"{call.__name__} {name} {more}: {error!r}"
                    assert type(error) is SpecTypeError, what
                    same((error.argument, error.received), (name, kind), what)
                    first = f"{name} must be a {PACKAGE}.Tensor; got {kind}"
                    says = tuple(part.replace("ARGUMENT", name) for part in says)
                    same(parts_missing(str(error), (first, *says)), (), what)
                    assert error.clause in str(error), what


def dispatch_refuses_alike():
    right = [tensor(ARRAYS[name]) for name in ("input", "target")]
    spec = CrossEntropySpec()
    cases = (
        ((right[0], ARRAYS["target"], spec), "target", ("numpy.ndarray", MAKE)),
        ((right[0], [0, 1], spec), "target", ("builtins.list", MAKE)),
        ((right[0], None, spec), "target", ("NoneType",)),
        ((ARRAYS["input"], right[1], spec), "target", ("Tensor", "makes one")),
        ((ARRAYS["input"].tolist(), right[1], spec), "input", ("builtins.list", "numpy.asarray(input)")),
        ((None, right[1], spec), "input", ("NoneType", "is it missing")),
        ((*right, None), "spec", ("CrossEntropySpec(", "None")),
        ((*right, {"ignore_index": 255}), "spec", ("CrossEntropySpec(", "dict")),
        ((*right, right[0]), "spec", ("CrossEntropySpec(", "Tensor")),
    )
    for arguments, name, says in cases:
        error = raised(xent.adapters.cross_entropy, *arguments)
        assert type(error) is SpecTypeError, repr(error)
        same((error.argument, parts_missing(str(error), says)), (name, ()), repr(error))


def takes(array):
    try:
        tensor(array)
    except Exception:  # a dtype that the framework lacks
        return False
    return True


def mistakes_get_the_specs_own_hints():
    """The portable loss's message ends as the specification's own does, the hint included."""
    seen = 0
    for mistake in MISTAKES:
        arrays = (mistake.input, mistake.target, *(() if mistake.weight is None else (mistake.weight,)))
        if not all(takes(array) for array in arrays) or (PACKAGE, mistake.name) in UNTOLD:
            continue
        seen += 1
        tensors = [
            None if array is None else tensor(array) for array in (mistake.input, mistake.target, mistake.weight)
        ]
        for call in (module, function):
            error = raised(call, *tensors, ignore_index=mistake.ignore_index)
            assert isinstance(error, SpecError), (mistake.name, repr(error))
            same(parts_missing(str(error), mistake.says, mistake.never), (), f"{mistake.name}: {error}")
    assert seen >= len(MISTAKES) - 3, seen


def arguments_in_anothers_place_are_named():
    for name, value, says, never in ARGUMENTS:
        given = tensor(value) if isinstance(value, np.ndarray) else value
        right = [tensor(ARRAYS[argument]) for argument in ("input", "target")]
        for call in (losses.CrossEntropyLoss, functools.partial(losses.cross_entropy, *right)):
            error = raised(call, **{name: given})
            assert isinstance(error, SpecError), (name, value, repr(error))
            same((error.argument, parts_missing(str(error), says, never)), (name, ()), str(error))


def a_loss_made_of_input_and_target_says_where_they_go():
    error = raised(losses.CrossEntropyLoss, tensor(ARRAYS["input"]), tensor(ARRAYS["target"]))
    assert isinstance(error, SpecError), repr(error)
    assert "CrossEntropyLoss(...)(input, target)" in str(error), error


def layers_that_do_not_fit_are_explained():
    if PACKAGE not in WITH_LINEAR:
        assert not hasattr(losses, "linear_cross_entropy")
        return
    input, linear_weight, target = (tensor(LAYER[name]) for name in ("input", "linear_weight", "target"))
    transposed = tensor(np.ascontiguousarray(LAYER["linear_weight"].T))
    whole = tensor(LAYER["input"].astype(np.int64))
    layer = types.SimpleNamespace(weight=linear_weight)
    bias = {"linear_bias": tensor(np.ones(4, np.float32))}
    for arguments, more, name, says in (
        ((input, transposed, target), {}, "linear_weight", ("is it transposed?", "(C, H)")),
        ((input, layer, target), {}, "linear_weight", ("linear_weight.weight",)),
        ((input, linear_weight, target), bias, "linear_bias", ("must have shape (C)", "linear_bias (4,)")),
        ((whole, linear_weight, target), {}, "input", ("float32",)),
        ((input, tensor(np.ones((3, 4), np.int64)), target), {}, "linear_weight", ("float32",)),
        ((input, linear_weight, tensor(np.zeros((2, 1), np.int64))), {}, "target", ("squeeze target to shape (2,)",)),
        ((input, linear_weight, tensor(np.zeros((2, 3), np.int64))), {}, "target", ("one-hot",)),
        ((input, linear_weight, tensor(np.zeros(2, np.float32))), {}, "target", ("cast to an integer dtype",)),
        ((input, linear_weight, tensor(np.array([1, 3]))), {}, "target", ("labels seem to count from 1",)),
    ):
        error = raised(losses.linear_cross_entropy, *arguments, **more)
        assert isinstance(error, SpecError), repr(error)
        same((error.argument, parts_missing(str(error), says)), (name, ()), repr(error))


def compiled_it_refuses_alike_and_takes_tensors_afterwards():
    """torch.compile and mindspore.jit: a refusal leaves nothing behind that the next call meets."""
    if PACKAGE in ("oneflow", "paddle"):
        return  # nn.Graph takes nothing but its tensors; Paddle has no linear_cross_entropy
    prepared = {
        "torch": lambda call: framework.compile(call, backend="eager"),
        "mindspore": lambda call: framework.jit(call),
    }[PACKAGE]
    for call, arrays in (
        (losses.cross_entropy, ARRAYS),
        (losses.linear_cross_entropy, LAYER),
    ):
        compiled = prepared(call)
        right = {name: tensor(array) for name, array in arrays.items()}
        for name, array in arrays.items():
            for wrong in (array, array.tolist()):
                error = raised(compiled, **{**right, name: wrong})
                assert type(error) is SpecTypeError, (name, repr(error))
                same(error.argument, name, repr(error))
                assert type(wrong).__name__ in str(error), error
            compiled(**right)


if __name__ == "__main__":
    run(
        what_is_no_tensor_is_named_with_its_argument_and_the_way_to_one,
        dispatch_refuses_alike,
        mistakes_get_the_specs_own_hints,
        arguments_in_anothers_place_are_named,
        a_loss_made_of_input_and_target_says_where_they_go,
        layers_that_do_not_fit_are_explained,
        compiled_it_refuses_alike_and_takes_tensors_afterwards,
    )

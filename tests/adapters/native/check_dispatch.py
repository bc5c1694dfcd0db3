"""xent.adapters.cross_entropy picks the framework by the tensor: argv[1] is torch, mindspore, oneflow or paddle.

And the portable losses have the same arguments, in the same order, and the same text in each.
"""

import importlib
import inspect
import sys

import numpy as np

from xent import CrossEntropySpec, reference
from xent.adapters import cross_entropy, framework_of
from xent.adapters.portable import docs

name = sys.argv[1]
framework = importlib.import_module(name)
tensor = {"torch": "tensor", "oneflow": "tensor", "mindspore": "Tensor", "paddle": "to_tensor"}[name]
logits = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]], dtype=np.float32)
spec = CrossEntropySpec(np.array([1.0, 0.5, 2.0], np.float32), ignore_index=-1, label_smoothing=0.1)


def make(array):
    return getattr(framework, tensor)(array)


def check(label, passed):
    print(f"ok {label}" if passed else f"FAILED {label}: see the script", flush=True)


for label, target in (
    ("indices", np.array([2, -1])),
    ("probabilities", np.array([[0.2, 0.3, 0.5], [1, 0, 0]], np.float32)),
):
    result = cross_entropy(make(logits), make(target), spec)
    right = reference.value(spec, logits, target)
    check(f"{label} is a tensor of {name}", framework_of(result) == name)
    got = result.asnumpy() if name == "mindspore" else result.numpy()
    check(f"{label} is right", abs(float(got) - float(right)) < 1e-6)
    check(f"{label} of numpy is the oracle", cross_entropy(logits, target, spec) == right)
try:
    cross_entropy([[1.0]], [0], spec)
    check("a list is refused", False)
except TypeError as error:
    check("a list is refused", "builtins.list" in str(error))
module = importlib.import_module(f"xent.adapters.{name}")
arguments = ["weight=None", "ignore_index=-100", "reduction=mean", "label_smoothing=0.0", "validate=True"]
for portable, text, tensors in (
    (module.CrossEntropyLoss, docs.LOSS, []),
    (module.cross_entropy, docs.FUNCTION, ["input", "target"]),
):
    parameters = inspect.signature(portable).parameters.values()
    found = [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters]
    check(f"{portable.__name__} has the arguments of all", found[: len(tensors) + 5] == tensors + arguments)
    check(f"{portable.__name__} has the text of all", (portable.__doc__ or "").startswith(text))
check("nothing else was imported", not ({"torch", "mindspore", "oneflow", "paddle"} - {name}) & set(sys.modules))

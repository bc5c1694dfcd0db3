"""The gradients with respect to class probabilities and weight, of every adapter of the framework that is here."""

from __future__ import annotations

import importlib.util
import itertools
import warnings

import numpy as np
from adapter_checks import close, run, same

import xent.adapters
from xent import reference
from xent.spec import CrossEntropySpec

warnings.simplefilter("ignore")  # advice on probabilities outside [0, 1], and MindSpore's own
ADAPTERS = {
    "torch": ["torch", "torch.ported"],
    "oneflow": ["oneflow", "oneflow.ported"],
    "mindspore": ["mindspore", "mindspore.ported", "mint", "mint.jit", "mint.ported"],
    "paddle": ["paddle.ported"],  # its own loss is wrong in most of these calls: check_paddle.py says in which
}
FRAMEWORK = next(name for name in ADAPTERS if importlib.util.find_spec(name))
NAMES = ("input", "target", "weight")


def calls(adapter, kind):
    """(spec, input, target) of one kind of target."""
    index_dtype = "int32" if FRAMEWORK == "mindspore" else "int64"
    compiled = getattr(adapter, "MODE", "") == "jit"  # some 0.5 s a call, and 2-D class indices without smoothing alone
    unbatched = compiled or adapter.__name__ != "xent.adapters.oneflow"
    shapes = [(4, 3)] if compiled else [(5,)] * unbatched + [(4, 3), (2, 3, 4), (2, 3, 2, 2)]
    smoothings = (0.0,) if compiled and kind == "indices" else (0.0, 0.1)
    generator = np.random.RandomState(7)
    for shape, smoothing, reduction in itertools.product(shapes, smoothings, ("none", "mean", "sum")):
        axis = min(1, len(shape) - 1)
        places = shape[:axis] + shape[axis + 1 :]
        x = (generator.standard_normal(shape) * 2).astype(np.float32)
        weight = generator.uniform(0.2, 2, shape[axis]).astype(np.float32)
        if kind == "indices":
            target = np.asarray(generator.randint(0, shape[axis], places), dtype=index_dtype)
            if places and not (compiled and reduction == "none"):  # where that kernel leaves ignored rows unwritten
                target.flat[0] = -100
        else:
            target = generator.uniform(0, 1, shape).astype(np.float32)
        yield CrossEntropySpec(weight, -100, reduction, smoothing), x, target


def exact(spec, x, target):
    others = ("target", "weight") if target.dtype.kind == "f" else ("weight",)
    found = reference.exact(spec, x, target, True, others)
    return {name: array.astype(np.float32) for name, array in {"input": found.gradient, **found.gradients}.items()}


def the_offered_gradients_are_right(adapter):
    for kind in ("indices", "probabilities"):
        seen = set()
        for spec, x, target in calls(adapter, kind):
            right = exact(spec, x, target)
            names = tuple(name for name in NAMES if name in right and not adapter.capabilities.withheld(target, [name]))
            got = adapter.evaluate(spec, x, target, gradient=names)
            same(set(got.gradients or {}), set(names) - {"input"})
            for name, array in {"input": got.gradient, **(got.gradients or {})}.items():
                close(array, right[name], f"{kind} {x.shape} {spec} gradient of {name}")
                seen.add(name)
        same(seen, set(names))


def asking_for_more_changes_nothing_else(adapter):
    for kind in ("indices", "probabilities"):
        for spec, x, target in calls(adapter, kind):
            offered = [name for name in NAMES if not adapter.capabilities.withheld(target, [name])]
            names = tuple(name for name in offered if name != "target" or kind == "probabilities")
            plain = adapter.evaluate(spec, x, target, gradient=True)
            more = adapter.evaluate(spec, x, target, gradient=names)
            assert plain.gradients is None
            same(plain.value.tobytes(), more.value.tobytes(), f"{spec}")
            same(plain.gradient.tobytes(), more.gradient.tobytes(), f"{spec}")
            if len(names) > 1:
                alone = adapter.evaluate(spec, x, target, gradient=names[-1:])
                same((alone.gradient, set(alone.gradients)), (None, {names[-1]}))


def a_limit_that_is_stated_is_one(adapter):
    """What an adapter says that it doesn't offer is refused or wrong somewhere; or else the limit is no more."""
    for kind in ("indices", "probabilities"):
        holds = {}
        for spec, x, target in calls(adapter, kind):
            right = exact(spec, x, target)
            for name in adapter.capabilities.withheld(target, right):
                try:
                    got = adapter.evaluate(spec, x, target, gradient=("input", name)).gradients[name]
                except Exception:
                    holds[name] = True
                else:
                    holds[name] = holds.get(name) or not np.allclose(got, right[name], rtol=1e-3, atol=1e-5)
        assert all(holds.values()), f"{kind}: {holds}"


def checks():
    """Each check once an adapter, named after both."""
    for name in ADAPTERS[FRAMEWORK]:
        adapter = xent.adapters.load("xent.adapters." + name)
        getattr(adapter, "prepare", lambda: None)()
        for check in (
            the_offered_gradients_are_right,
            asking_for_more_changes_nothing_else,
            a_limit_that_is_stated_is_one,
        ):

            def bound(check=check, adapter=adapter):
                check(adapter)

            bound.__name__ = f"{name}_{check.__name__}".replace(".", "_")
            yield bound


if __name__ == "__main__":
    run(*checks())

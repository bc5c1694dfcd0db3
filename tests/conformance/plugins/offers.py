"""An adapter that withholds the gradient by weight with class indices, and tells in its value what it was asked for."""

import numpy as np
from plugins import base

from xent.adapters import Capabilities, Entry, Evaluation

base.install(globals())
NAME = "offers"
capabilities = Capabilities(index_gradients=Entry(("input",), "it has no kernel for it"))
SHARES = {"input": 1, "target": 2, "weight": 4}


def evaluate(spec, input, target, *, gradient):
    names = gradient if isinstance(gradient, tuple) else ("input",) if gradient else ()
    told = sum(SHARES[name] for name in names) + 100 * isinstance(gradient, tuple)
    given = {"target": target, "weight": spec.weight}
    others = {name: np.ones_like(given[name]) for name in names if name != "input"}
    slope = np.ones_like(input) if "input" in names else None
    return Evaluation(np.array(told, input.dtype), slope, gradients=others or None)

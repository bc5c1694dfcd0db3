"""What the deliberately broken adapters share: the names of an adapter, and a loss that a test can predict.

The value is the input's first element plus one; test cases put a number there by which a plug-in picks what to break.
"""

import numpy as np

from xent.adapters import Capabilities, Evaluation

FRAMEWORK = "numpy"
capabilities = Capabilities()


def install(namespace):
    """Gives an adapter module all the public names; it then overrides the ones that it breaks."""
    names = ("FRAMEWORK", "capabilities", "version", "to_native", "from_native", "from_call", "source")
    namespace.update({name: globals()[name] for name in names})


def version():
    return "1.0"


def to_native(spec):
    return spec


def from_native(loss):
    return loss


def from_call(*args, **kwargs):
    raise NotImplementedError


def source(spec):
    return "None"


def number(input):
    return int(input.flat[0])


def ordinary(input, gradient):
    value = np.array(input.flat[0] + 1, dtype=input.dtype)
    return Evaluation(value, np.ones_like(input) if gradient else None)

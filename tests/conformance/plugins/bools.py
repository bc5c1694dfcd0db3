"""An adapter that knows of input's gradient alone, and takes a bool for whether it is asked for, as torch does.

Of the input 7 it raises in the backward pass; of 8 and more it raises whatever it is asked for.
"""

from plugins import base

from xent.adapters import phase

base.install(globals())
NAME = "bools"


def evaluate(spec, input, target, *, gradient):
    number = base.number(input)
    if number > 7:
        raise TypeError("no such dtype")
    if number == 7:
        with phase("backward"):
            raise TypeError("no such derivative")
    if type(gradient) is not bool:
        raise TypeError(f"argument 'requires_grad' must be bool, not {type(gradient).__name__}")
    return base.ordinary(input, gradient)

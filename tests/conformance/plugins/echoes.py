"""An adapter that gives back what it was given, untouched: the value is input[0, 0], the gradient the input."""

from plugins import base

from xent.adapters import Evaluation

base.install(globals())
NAME = "echoes"


def evaluate(spec, input, target, *, gradient):
    return Evaluation(input[0, 0:1].reshape(()), input if gradient else None)

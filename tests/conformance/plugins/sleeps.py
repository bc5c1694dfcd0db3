"""An adapter that sleeps for ever in one case."""

import time

from plugins import base

base.install(globals())
NAME = "sleeps"


def evaluate(spec, input, target, *, gradient):
    while base.number(input) == 5:
        time.sleep(1000)
    return base.ordinary(input, gradient)

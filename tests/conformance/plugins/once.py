"""An adapter that aborts in case 3, and whose framework can't be prepared a second time."""

import os

from plugins import base

base.install(globals())
NAME = "once"


def prepare():
    if os.path.basename(os.path.dirname(os.getcwd())) != "0":  # the folder of the first worker
        raise RuntimeError("the device is still in use")


def evaluate(spec, input, target, *, gradient):
    if base.number(input) == 3:
        os.abort()
    return base.ordinary(input, gradient)

"""An adapter whose framework is never done with its preparations."""

import time

from plugins import base

base.install(globals())
NAME = "unready"


def prepare():
    time.sleep(1000)


def evaluate(spec, input, target, *, gradient):
    raise AssertionError("never reached")

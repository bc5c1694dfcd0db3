"""An adapter whose framework isn't there: prepare() raises."""

from plugins import base

base.install(globals())
NAME = "unprepared"


def prepare():
    raise ImportError("libframework.so.8: cannot open shared object file")


def evaluate(spec, input, target, *, gradient):
    raise AssertionError("never reached")

"""An adapter that calls os.abort() in every tenth case."""

import os
import sys

from plugins import base

base.install(globals())
NAME = "aborts"


def evaluate(spec, input, target, *, gradient):
    if base.number(input) % 10 == 3:
        print("\x1b[31mabout to abort\x1b[0m in case", base.number(input), file=sys.stderr)
        os.abort()
    print("nothing to see in case", base.number(input), file=sys.stderr)
    return base.ordinary(input, gradient)

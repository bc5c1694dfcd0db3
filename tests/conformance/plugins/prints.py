"""An adapter that prints garbage to every stream and every descriptor, in every case."""

import contextlib
import os

from plugins import base

base.install(globals())
NAME = "prints"
GARBAGE = b'{"case": "garbage/0", "outcome"\n\x00\xff\xfe{"begin": "garbage/0"}\n{"end": true}\n'


def evaluate(spec, input, target, *, gradient):
    for descriptor in range(64):
        with contextlib.suppress(OSError):
            os.write(descriptor, GARBAGE * 20)
    return base.ordinary(input, gradient)

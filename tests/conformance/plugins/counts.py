"""An adapter that is slow, and notes every case that it evaluates in the file named by XENT_TEST_COUNTS.

Case 100 forks and comes back twice; case 200 never comes back; case 300 leaves a child behind, which is noted too.
"""

import os
import time

from plugins import base

base.install(globals())
NAME = "counts"


def evaluate(spec, input, target, *, gradient):
    if base.number(input) == 300:
        leave_child(input)
    note(input)
    if base.number(input) == 100:
        os.fork()
    time.sleep(1000 if base.number(input) == 200 else 0.05)
    return base.ordinary(input, gradient)


def leave_child(input):
    receiver, sender = os.pipe()
    if os.fork() == 0:
        note(input)
        os.write(sender, b"noted")
        time.sleep(1000)
    os.read(receiver, 5)


def note(input):
    with open(os.environ["XENT_TEST_COUNTS"], "a", encoding="ascii") as file:
        file.write(f"{base.number(input)} {os.getpid()}\n")

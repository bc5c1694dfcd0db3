"""An adapter that misbehaves in as many ways as it has functions; the case's number picks one, from 100 on."""

import ctypes
import os
import resource
import shutil
import signal
import sys
import threading
import time
import warnings

import numpy as np
from plugins import base

from xent.adapters import Evaluation, phase

base.install(globals())
NAME = "misbehaves"


def segfault(input):
    ctypes.string_at(0)


def kill_itself(input):
    os.kill(os.getpid(), signal.SIGKILL)


def exit_silently(input):
    os._exit(0)


def exit_from_python(input):
    sys.exit(0)


def interrupt(input):
    raise KeyboardInterrupt


def sleep(input):
    time.sleep(1000)


def sleep_deaf(input):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(1000)


def close_everything(input):
    os.closerange(0, 256)


def close_and_die(input):
    os.closerange(0, 256)
    os.abort()


def leave_a_child(input):
    if os.fork() == 0:
        time.sleep(1000)


def come_back_twice(input):
    os.fork()


def allocate(input):
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, hard))
    try:
        kept = []
        while True:
            kept.append(np.empty(2**28, dtype=np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def recurse(input):
    return recurse(input)


def no_text(input):
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError

    raise Silent


def coloured_text(input):
    with phase("backward"):
        raise RuntimeError(
            "\n\x1b[1m\x1b[31mCheck failed\x1b[0m: half \ud800 a pair \x00" + "x" * 10_000 + "\nthe cause"
        )


def return_list(input):
    return Evaluation([1.0, 2.0])


def return_object(input):
    return Evaluation(np.array([1, None], dtype=object))


def return_text(input):
    return Evaluation(np.array(["a"]))


def return_integers(input):
    return Evaluation(np.arange(3))


def return_none(input):
    return None


def return_huge(input):
    return Evaluation(np.broadcast_to(np.float32(1), (2**40,)))


def return_masked(input):
    return Evaluation(np.ma.masked_array([1.0], mask=[True]))


def return_bad_gradient(input):
    return Evaluation(np.float64([1.0]), gradient="none")


def return_bad_kernels(input):
    return Evaluation(np.float64([1.0]), casts=("\ud800",), kernels="\ud800")


def leak_numpy_errors(input):
    np.seterr(all="raise")
    warnings.simplefilter("error")


def be_sensitive(input):
    np.float32(3e38) * np.float32(10)
    np.zeros(1) / np.zeros(1)
    warnings.warn("nothing to see", stacklevel=1)


def set_alarm(input):
    signal.setitimer(signal.ITIMER_REAL, 0.05)


def wait_for_alarm(input):
    time.sleep(0.1)


def move_away(input):
    os.chdir("/")


def need_scratch(input):
    assert os.path.basename(os.getcwd()) == "scratch"


def remove_scratch(input):
    shutil.rmtree(os.getcwd())


def break_streams(input):
    sys.stdout.close()
    sys.stdout = sys.stderr = None


def raise_later(input):
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(threading.get_ident()), ctypes.py_object(ZeroDivisionError)
    )


BEHAVIOURS = [
    segfault, kill_itself, exit_silently, exit_from_python, interrupt, sleep, sleep_deaf, close_everything,
    close_and_die, leave_a_child, come_back_twice, allocate, recurse, no_text, coloured_text, return_list,
    return_object, return_text, return_integers, return_none, return_huge, return_masked, return_bad_gradient,
    return_bad_kernels, leak_numpy_errors, be_sensitive, set_alarm, wait_for_alarm, move_away, need_scratch,
    remove_scratch, need_scratch, break_streams, raise_later,
]  # fmt: skip


def evaluate(spec, input, target, *, gradient):
    result = base.ordinary(input, gradient)
    if base.number(input) >= 100:
        behaviour = BEHAVIOURS[base.number(input) - 100]
        returned = behaviour(input)
        if behaviour.__name__.startswith("return"):
            return returned
    return result

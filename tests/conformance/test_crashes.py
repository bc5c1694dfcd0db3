"""A crash is explained by the line that says why, whatever was printed around it."""

import pytest

from xent.conformance.judging.crashes import crash_cause

FAULTHANDLER = """
Fatal Python error: Aborted

Current thread 0x00007fbf8f3fbb80 (most recent call first):
  File "/home/somebody/env/lib/python3.10/site-packages/oneflow/nn/modules/loss.py", line 253 in forward
  File "/home/somebody/run.py", line 7 in <module>

Extension modules: numpy.core._multiarray_umath, numpy.linalg._umath_linalg (total: 14)
"""
GLOG = """
W20261126 02:17:33.661532 12886 cuda_device_descriptor_class.cpp:48] CUDA driver version is insufficient
F20261126 02:17:34.028048 12886 shape.h:140] Check failed: is_initialized()
*** Check failure stack trace: ***
    @     0x7fa7a7dd09ca  google::LogMessage::Fail()
"""


@pytest.mark.parametrize(
    ("printed", "cause"),
    [
        (GLOG + FAULTHANDLER, "Check failed: is_initialized() (shape.h:140)"),
        (FAULTHANDLER, "Aborted in forward (oneflow/nn/modules/loss.py, line 253)"),
        ("free(): invalid pointer\n" + FAULTHANDLER, "free(): invalid pointer"),
        ("*** Error in `python': double free or corruption (out): 0x00007f\n", "double free or corruption (out)"),
        ("*** stack smashing detected ***: terminated\n" + FAULTHANDLER, "stack smashing detected"),
        ("python: loss.c:12: ce: Assertion `n > 0' failed.\n", "python: loss.c:12: ce: Assertion `n > 0' failed."),
        (
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no kernel for it\n"
            + FAULTHANDLER,
            "no kernel for it",
        ),
        (
            "[WARNING] ME(1,2,python):2026-11-26 [a.cc:1] Fn] slow\n"
            "[CRITICAL] KERNEL(1,7f,python):2026-11-26-02:17:33.661.532 [mindspore/nllloss.cc:77] Run] For 'NLLLoss', "
            "target is out of range\n" + FAULTHANDLER,
            "target is out of range",
        ),
        ("a word\nthe last word\n", "the last word"),
        ("", ""),
        ("Extension modules: numpy (total: 1)\n", ""),
    ],
)
def test_the_cause_is_found(printed, cause):
    assert cause in crash_cause(printed)
    assert "Extension modules" not in crash_cause(printed)
    assert bool(crash_cause(printed)) == bool(cause)


def test_a_cause_is_short():
    assert len(crash_cause("x" * 10_000)) <= 300

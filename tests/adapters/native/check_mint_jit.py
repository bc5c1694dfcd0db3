"""adapters/mint/jit.py in the real MindSpore on a CPU, and the stand-ins' licence: where both run, the two agree."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np
from adapter_checks import raised, run, same

import xent.adapters
from xent.adapters import mint
from xent.adapters.mint import jit
from xent.spec import Arguments, CrossEntropySpec

jit.prepare()
GENERATOR = np.random.RandomState(3)
INPUT = (GENERATOR.standard_normal((6, 5)) * 3).astype(np.float32)
PLAIN = np.array([0, 4, 2, 1, 3, 3])
SOME = np.array([0, -100, 2, 1, -100, 3])
NONE = np.full(6, -100)
WEIGHT = np.array([0.3, 1.0, 2.5, 0.7, 1.1], np.float32)


def probabilities(input):
    axis = min(1, input.ndim - 1)
    drawn = np.random.RandomState(4).random_sample(input.shape)
    return (drawn / drawn.sum(axis, keepdims=True)).astype(input.dtype)


def logits(*shape):
    return (np.random.RandomState(5).standard_normal(shape) * 3).astype(np.float32)


def signatures():
    """(spec, input, targets that share the signature): all that the loss can run here, each factor covered."""
    for weight in (None, WEIGHT):
        for reduction in ("none", "mean", "sum"):
            spec = CrossEntropySpec(weight, -100, reduction)
            yield spec, INPUT, (PLAIN, SOME, NONE)
            yield spec, INPUT, (probabilities(INPUT),)
    yield CrossEntropySpec(None, 3), INPUT, (PLAIN,)
    yield CrossEntropySpec(WEIGHT, 255), INPUT, (np.where(SOME == -100, 255, SOME).astype(np.int32),)
    yield CrossEntropySpec(), logits(4, 1), (np.zeros(4, np.int64),)
    yield CrossEntropySpec(), logits(64, 1000), (np.arange(64) * 15,)
    yield CrossEntropySpec(WEIGHT, label_smoothing=0.1), INPUT, (probabilities(INPUT),)
    for shape, reduction in (((5,), "mean"), ((3, 5, 4), "none"), ((2, 5, 3, 2), "mean"), ((2, 5, 2, 2, 2), "sum")):
        yield (
            CrossEntropySpec(WEIGHT, label_smoothing=0.1, reduction=reduction),
            logits(*shape),
            (probabilities(logits(*shape)),),
        )
    half = INPUT.astype(np.float16)
    yield CrossEntropySpec(WEIGHT.astype(np.float16)), half, (PLAIN,)
    yield CrossEntropySpec(reduction="none"), half, (probabilities(half),)


def same_but_for_the_cpus_log_softmax(compiled, eager, spec, input, target, what):
    """MindSpore's float32 log-softmax on a CPU is good to 6e-6 here, so no closer can the two be (measured: 3e-6)."""
    same((compiled.value.shape, compiled.value.dtype), (eager.value.shape, eager.value.dtype), what)
    same((compiled.kernels, eager.kernels), ("native", "stand-in"), what)
    coarse = input.dtype == np.float16
    value, expected = compiled.value, eager.value
    if spec.reduction == "none" and target.dtype.kind != "f":  # the CPU kernel leaves ignored rows as the memory was
        value, expected = value[target != spec.ignore_index], expected[target != spec.ignore_index]
    rtol, atol = (2e-3, 2e-3) if coarse else (2e-6, 6e-6)
    np.testing.assert_allclose(value, expected, rtol, atol, err_msg=what)
    np.testing.assert_allclose(compiled.gradient, eager.gradient, rtol, atol, err_msg=what)


def the_stand_ins_agree_with_the_unmodified_loss():
    for spec, input, targets in signatures():
        for target in targets:
            what = f"{spec} {input.dtype}{input.shape} {target.dtype}{target.shape}"
            compiled, eager = (adapter.evaluate(spec, input, target, gradient=True) for adapter in (jit, mint))
            same_but_for_the_cpus_log_softmax(compiled, eager, spec, input, target, what)


def a_signature_compiles_once():
    spec = CrossEntropySpec(ignore_index=-7)
    jit.evaluate(spec, INPUT, PLAIN, gradient=True)
    graphs = len(jit._compiled)
    function = jit._compiled[jit._key(spec, True)]
    jit.evaluate(Arguments(ignore_index=-7), INPUT + 1, PLAIN, gradient=True)
    same(len(jit._compiled), graphs)
    assert jit._compiled[jit._key(spec, True)] is function
    assert jit._key(Arguments(label_smoothing=0), True) != jit._key(Arguments(label_smoothing=0.0), True)
    assert jit._key(spec, True) != jit._key(spec, False)
    assert jit._key(CrossEntropySpec(WEIGHT), True) != jit._key(CrossEntropySpec(WEIGHT * 2), True)


def without_a_gradient_it_is_the_same_value():
    both = jit.evaluate(CrossEntropySpec(), INPUT, PLAIN, gradient=True)
    alone = jit.evaluate(CrossEntropySpec(), INPUT, PLAIN, gradient=False)
    assert alone.gradient is None
    same(alone.value.tobytes(), both.value.tobytes())


def what_it_cannot_run_is_mindspores_own_refusal():
    for spec, input, target, words in (
        (CrossEntropySpec(label_smoothing=0.1), INPUT, PLAIN, "MaskedFill"),
        (CrossEntropySpec(), logits(5), np.array(1), "dimension of 'logits' should be 2"),
        (CrossEntropySpec(), logits(2, 5, 3), np.zeros((2, 3), np.int64), "NLLLoss2d"),
        (Arguments(label_smoothing=1.1), INPUT, PLAIN, "label_smoothing must be in [0, 1]"),
    ):
        xent.adapters.reset_phases()
        error = raised(jit.evaluate, spec, input, target, gradient=True)
        assert words in str(error), error
        assert jit._key(spec, True) not in jit._compiled
        same(xent.adapters.last_phase(), "forward")


def a_graph_that_failed_spoils_no_later_case():
    good = jit.evaluate(CrossEntropySpec(), INPUT, PLAIN, gradient=True)
    error = raised(jit.evaluate, CrossEntropySpec(), INPUT, PLAIN + 3, gradient=True)
    assert "label must in scope" in str(error), error
    again = jit.evaluate(CrossEntropySpec(), INPUT, PLAIN, gradient=True)
    same((again.value.tobytes(), again.gradient.tobytes()), (good.value.tobytes(), good.gradient.tobytes()))


def a_failed_compilation_leaves_nothing_in_the_folder():
    """MindSpore writes rank_0/om/analyze_fail.ir into the working folder, unless told where."""
    script = (
        "import numpy as np\nfrom xent.adapters.mint import jit\nfrom xent.spec import CrossEntropySpec\n"
        "jit.prepare()\n"
        "x = np.ones((4, 5), np.float32)\n"
        "try:\n    jit.evaluate(CrossEntropySpec(np.ones(4, np.float32)), x, x, gradient=False)\n"
        "except ValueError as error:\n    print('analyze_fail.ir' in str(error))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "MS_OM_PATH"}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as temporary:
        environment["TMPDIR"] = temporary
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        same(done.stdout.split(), ["True"], done.stderr[-500:])
        same((os.listdir(folder), os.listdir(temporary)), ([], []))


def it_has_the_names_of_an_adapter():
    same(xent.adapters.load("xent.adapters.mint.jit").module, jit)
    same((jit.NAME, jit.MODE, jit.SAMPLE, jit.device()), ("mint", "jit", "jit-sample", "cpu"))
    assert jit.capabilities is mint.capabilities


if __name__ == "__main__":
    run(
        the_stand_ins_agree_with_the_unmodified_loss,
        a_signature_compiles_once,
        without_a_gradient_it_is_the_same_value,
        what_it_cannot_run_is_mindspores_own_refusal,
        a_graph_that_failed_spoils_no_later_case,
        a_failed_compilation_leaves_nothing_in_the_folder,
        it_has_the_names_of_an_adapter,
    )

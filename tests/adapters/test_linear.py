"""`linear_cross_entropy` and `LinearCrossEntropyLoss` under torch's names, checked inside each framework's interpreter
against what torch's own do (native/linear_reference.py)."""

from __future__ import annotations

import inspect
import json
import subprocess
import warnings

import numpy as np
import pytest

from xent import reference
from xent.adapters import load
from xent.adapters.portable.linear import renamed
from xent.conformance.protocol.case import Case
from xent.conformance.report import script
from xent.errors import SpecTypeError
from xent.spec import Arguments, CrossEntropySpec

PECULIAR = {"torch": 3, "mindspore": 2, "oneflow": 4}


@pytest.fixture(scope="module")
def torchs_own(framework_python, native_folder, tmp_path_factory):
    """What torch's own are and do, as files."""
    folder = tmp_path_factory.mktemp("linear")
    script = str(native_folder / "linear_reference.py")
    subprocess.run([framework_python("torch"), script, str(folder)], check=True, timeout=120)
    return folder


@pytest.mark.xdist_group("linear")
@pytest.mark.parametrize("name", ["torch", "mindspore", "mint", "oneflow"])
def test_names_states_and_steps_are_torchs(name, native_checks, torchs_own):
    found = native_checks("mindspore" if name == "mint" else name, "check_linear.py", name, str(torchs_own))
    failed = {check: message for check, message in found.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(found) == 9, sorted(found)


@pytest.mark.xdist_group("linear")
@pytest.mark.parametrize("name", PECULIAR)
def test_what_is_peculiar_to_a_framework(name, native_checks, torchs_own):
    found = native_checks(name, f"check_{name}_linear.py", name, str(torchs_own))
    failed = {check: message for check, message in found.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(found) == PECULIAR[name], sorted(found)


def test_torchs_own_as_adapters(native_checks):
    found = native_checks("torch", "check_torch_linear_native.py")
    failed = {check: message for check, message in found.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(found) == 5, sorted(found)


@pytest.mark.parametrize("module", ["linear_native", "linear_chunked"])
def test_a_script_of_torchs_own_reproduces_the_case(module, framework_python):
    adapter = load(f"xent.adapters.torch.{module}")
    random = np.random.RandomState(2)
    logits = random.standard_normal((3, 4)).astype(np.float32)
    cases = [Case("labels", Arguments(np.array([1, 0.5, 2, 1], np.float32), 1, "none"), logits, np.array([3, 1, 0]))]
    if module == "linear_native":
        places = np.asfortranarray(random.standard_normal((2, 4, 3)).astype(np.float32))
        cases.append(Case("places", Arguments(None, -7, "sum"), places, np.array([[0, 1, 2], [3, -7, 0]])))
        cases.append(Case("soft", Arguments(None, -7), logits, np.full((3, 4), 0.25, np.float32)))
    text = "\n".join(script.reproduce(adapter, case) for case in cases)  # pasted one after the other
    done = subprocess.run([framework_python("torch"), "-c", text], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    for case in cases:
        spec = CrossEntropySpec(*case.arguments)
        for right in (
            reference.value(spec, case.input, case.target),
            reference.gradient(spec, case.input, case.target),
        ):
            np.testing.assert_allclose(json.loads(lines.pop(0)), right, rtol=1e-5, atol=1e-6)


@renamed
def plain(input, linear_weight, target, *, linear_bias=None, weight=None, reduction="mean", ignore_index=-100):
    """Its own arguments."""
    return input, linear_weight, target, linear_bias, weight, reduction, ignore_index


def test_new_names_pass_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plain(1, 2, 3, linear_bias=4, reduction="sum") == (1, 2, 3, 4, None, "sum", -100)
        assert plain(input=1, target=3, linear_weight=2) == (1, 2, 3, None, None, "mean", -100)
    assert list(inspect.signature(plain).parameters)[:4] == ["input", "linear_weight", "target", "linear_bias"]
    assert plain.__doc__ == "Its own arguments."


def test_every_old_form_in_one_call():
    with pytest.warns(
        DeprecationWarning, match=r"input= for hidden=; linear_weight= for projection=; linear_bias= for"
    ):
        assert plain(hidden=1, projection=2, target=3, bias=4) == (1, 2, 3, 4, None, "mean", -100)
    with pytest.warns(DeprecationWarning, match=r"weight=, ignore_index=, reduction= for what follows target"):
        assert plain(1, 2, 3, 5, 0, "sum") == (1, 2, 3, None, 5, "sum", 0)
    with pytest.warns(DeprecationWarning, match=r"0\.3 takes no others") as caught:
        plain(1, 2, 3, bias=4)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((1, 2, 3), {"hidden": 1}, "got input twice: hidden=... is the old name of input: write input alone"),
        ((1,), {"linear_weight": 2, "projection": 2, "target": 3}, "got linear_weight twice"),
        ((1, 2, 3, None), {"weight": 4}, "got weight twice: it stands after target and again as weight="),
        ((1, 2, 3, 4, 5, 6, 7, 8), {}, "takes input, linear_weight, target by position; got 8 arguments"),
    ],
)
def test_what_is_given_twice_is_refused(arguments, named, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SpecTypeError) as caught:
            plain(*arguments, **named)
    assert message in str(caught.value)

"""`linear_cross_entropy` and `LinearCrossEntropyLoss` under torch's names, in a framework: argv[1] is torch, mindspore,
mint or oneflow, argv[2] the folder in which linear_reference.py has written what torch's own are and do.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pathlib
import sys
import tempfile
import warnings

import numpy as np
from adapter_checks import raised, run, same

from xent.errors import SpecError, SpecTypeError, SpecValueError

NAME, REFERENCE = sys.argv[1], pathlib.Path(sys.argv[2])
PACKAGE = {"mint": "mindspore"}.get(NAME, NAME)
FOLDER = tempfile.TemporaryDirectory(prefix="xent-check-")  # for what MindSpore writes where it stands
os.environ["MS_OM_PATH"] = FOLDER.name
framework = importlib.import_module(PACKAGE)
losses = importlib.import_module(f"xent.adapters.{NAME}")
native = importlib.import_module(f"xent.adapters.{PACKAGE}.native")
linear_cross_entropy, Loss = losses.linear_cross_entropy, losses.LinearCrossEntropyLoss
CASES = {
    "plain": {},
    "biased": {"bias": True, "ignore_index": 2, "reduction": "sum"},
    "all": {"bias": True, "weight": [0.5, 2.0, 1.0, 0.25, 1.5], "label_smoothing": 0.1},
}
RATE = 0.5


def tensor(array):
    return native.as_tensor(framework, np.asarray(array))


def array(tensor):
    return native.as_array(framework, tensor)


def made(name):
    arguments = dict(CASES[name])
    if "weight" in arguments:
        arguments["weight"] = tensor(np.array(arguments["weight"], np.float32))
    return Loss(4, 5, **arguments)


def state(loss):
    """{name: array} of all that is saved."""
    if PACKAGE == "mindspore":
        return {name: value.asnumpy().copy() for name, value in loss.parameters_dict().items()}
    return {name: array(value).copy() for name, value in loss.state_dict().items()}


def load(loss, saved):
    """Strictly: every name on both sides."""
    if PACKAGE == "mindspore":
        parameters = {name: framework.Parameter(tensor(value), name=name) for name, value in saved.items()}
        missing, unused = framework.load_param_into_net(loss, parameters, strict_load=True)
        same((missing, unused), ([], []))
    else:
        loss.load_state_dict({name: tensor(value) for name, value in saved.items()})


def read(name):
    with np.load(REFERENCE / f"{name}.npz") as file:
        return dict(file)


def part(found, prefix):
    return {key[len(prefix) + 1 :]: value for key, value in found.items() if key.startswith(prefix + " ")}


def gradients(loss, input, target):
    """Value, the input's gradient, and those of the parameters by name."""
    if PACKAGE == "mindspore":
        trained = loss.trainable_params()
        value, (slope, slopes) = framework.value_and_grad(loss, 0, trained)(input, target)
        return value, slope, {one.name: slopes[i] for i, one in enumerate(trained)}
    leaf = input.requires_grad_()
    value = loss(leaf, target)
    value.backward()
    return value, leaf.grad, {name: one.grad for name, one in loss.named_parameters()}


def step(loss, input, target):
    """One of plain SGD."""
    if PACKAGE == "mindspore":
        optimizer = framework.nn.SGD(loss.trainable_params(), RATE)
        optimizer(framework.value_and_grad(loss, None, optimizer.parameters)(input, target)[1])
        return
    optimizer = framework.optim.SGD(loss.parameters(), RATE)
    optimizer.zero_grad()
    loss(input, target).backward()
    optimizer.step()


def signature(function, left_out):
    parameters = inspect.signature(function).parameters.values()
    found = [[one.name, one.kind.name, None if one.default is one.empty else one.default] for one in parameters]
    return [one for one in found if one[0] not in left_out]


def the_signatures_are_torchs():
    """Without what chooses chunks or more dimensions there, with validate; torch's None for ignore_index stands for
    -100."""
    torchs = json.loads((REFERENCE / "torch.json").read_text())
    for ours, theirs, without in (
        (linear_cross_entropy, torchs["function"], {"options"}),
        (Loss, torchs["class"], {"options", "out_features", *(["device"] if PACKAGE == "mindspore" else [])}),
    ):
        wanted = [[name, kind, -100 if name == "ignore_index" else default] for name, kind, default in theirs]
        same(signature(ours, {"validate"}), [one for one in wanted if one[0] not in without])
        same(inspect.signature(ours).parameters["validate"].default, True)


def warned(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = call()
    return array(value), [one for one in caught if one.category is DeprecationWarning and "linear" in str(one.message)]


INPUT = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
LAYER = np.linspace(-2, 1, 20, dtype=np.float32).reshape(5, 4), np.linspace(1, 2, 5, dtype=np.float32)
TARGET, WEIGHT = np.array([0, 4, 2]), np.linspace(0.5, 1, 5, dtype=np.float32)


def old_names_are_taken_with_a_warning():
    x, w, b, y, v = map(tensor, (INPUT, *LAYER, TARGET, WEIGHT))
    new = {"linear_bias": b, "weight": v, "ignore_index": 2, "reduction": "sum", "label_smoothing": 0.1}
    right, said = warned(lambda: linear_cross_entropy(x, w, y, **new))
    same(said, [])
    rest = {name: new[name] for name in ("weight", "ignore_index", "reduction", "label_smoothing")}
    for call, names in (
        (lambda: linear_cross_entropy(hidden=x, projection=w, target=y, bias=b, **rest), ("input= for hidden=",)),
        (lambda: linear_cross_entropy(x, projection=w, target=y, bias=b, **rest), ("linear_weight= for projection=",)),
        (lambda: linear_cross_entropy(x, w, y, bias=b, **rest), ("linear_bias= for bias=",)),
        (lambda: linear_cross_entropy(x, w, y, v, 2, "sum", 0.1, bias=b), ("label_smoothing= for what", "for bias=")),
        (
            lambda: linear_cross_entropy(
                x, w, y, v, linear_bias=b, ignore_index=2, reduction="sum", label_smoothing=0.1
            ),
            ("weight= for what follows target",),
        ),
    ):
        value, said = warned(call)
        np.testing.assert_array_equal(value, right)
        same(len(said), 1)
        same([name for name in names if name not in str(said[0].message)], [], str(said[0].message))
        assert os.path.samefile(said[0].filename, __file__), said[0].filename


def two_names_of_one_argument_are_refused():
    x, w, b, y, v = map(tensor, (INPUT, *LAYER, TARGET, WEIGHT))
    for arguments, named, argument in (
        ((x, w, y), {"hidden": x}, "input"),
        ((x, w, y), {"projection": w}, "linear_weight"),
        ((), {"input": x, "hidden": x, "linear_weight": w, "target": y}, "input"),
        ((x, w, y), {"bias": b, "linear_bias": b}, "linear_bias"),
        ((x, w, y, v), {"weight": v}, "weight"),
        ((x, w, y, v, 2, "sum", 0.1, b), {}, "label_smoothing"),
    ):
        error = raised(linear_cross_entropy, *arguments, **named)
        assert type(error) is SpecTypeError, repr(error)
        same(error.argument, argument, str(error))
    assert isinstance(raised(linear_cross_entropy, x, w, y, options=None), TypeError)


def torchs_state_is_loaded_and_gives_torchs_loss():
    for name in CASES:
        found = read(name)
        loss = made(name)
        saved = part(found, "state")
        same({key: value.shape for key, value in state(loss).items()}, {key: one.shape for key, one in saved.items()})
        load(loss, saved)
        value, slope, slopes = gradients(loss, tensor(found["input"]), tensor(found["target"]))
        np.testing.assert_allclose(array(value), found["value"], rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(array(slope), found["slope"], rtol=1e-4, atol=1e-6, err_msg=name)
        wanted = part(found, "slope")
        same(sorted(slopes), sorted(wanted), name)
        for key, of_parameter in slopes.items():
            np.testing.assert_allclose(array(of_parameter), wanted[key], rtol=1e-4, atol=1e-6, err_msg=f"{name} {key}")


def one_step_of_training_is_torchs():
    for name in CASES:
        found = read(name)
        loss = made(name)
        load(loss, part(found, "state"))
        step(loss, tensor(found["input"]), tensor(found["target"]))
        after = state(loss)
        same(sorted(after), sorted(part(found, "after")), name)
        for key, wanted in part(found, "after").items():
            np.testing.assert_allclose(after[key], wanted, rtol=1e-4, atol=1e-6, err_msg=f"{name} {key}")
            changed = bool((wanted != part(found, "state")[key]).any())
            same(changed, key != "weight", f"{name} {key}")


def a_new_layer_is_initialised_as_torchs():
    """Uniformly within 1 / sqrt(in_features), both parameters."""
    loss = Loss(64, 2000, bias=True)
    for name, size in (("linear.weight", 128000), ("linear.bias", 2000)):
        values = state(loss)[name].astype(np.float64).ravel()
        same(values.size, size)
        assert np.abs(values).max() <= 0.125, (name, np.abs(values).max())
        assert abs(values.std() - 0.125 / 3**0.5) < 0.005, (name, values.std())
        assert abs(values.mean()) < 0.01, (name, values.mean())


def it_is_the_function_of_its_own_layer():
    found = read("all")
    x, y = tensor(found["input"]), tensor(found["target"])
    for reduction, target in (("none", y), ("mean", tensor(np.full((6, 5), 0.2, np.float32)))):
        loss = Loss(4, 5, bias=True, reduction=reduction)
        value = linear_cross_entropy(x, loss.linear.weight, target, linear_bias=loss.linear.bias, reduction=reduction)
        np.testing.assert_array_equal(array(loss(x, target)), array(value))
        same(array(value).shape, (6,) if reduction == "none" else ())
    same(array(loss(tensor(found["input"].reshape(2, 3, 4)), tensor(found["target"].reshape(2, 3)))).shape, ())


def the_module_refuses_early_and_shows_its_arguments():
    short, endless = (tensor(np.array(value, np.float32)) for value in ([1, 2], [1, 2, np.inf, 1, 1]))
    for arguments, error in (
        ({"weight": short}, SpecValueError),
        ({"weight": endless}, SpecValueError),
        ({"weight": [1.0] * 5}, SpecTypeError),
        ({"reduction": "avg"}, SpecError),
        ({"label_smoothing": 1.1}, SpecError),
        ({"ignore_index": None}, SpecTypeError),
    ):
        found = raised(Loss, 4, 5, **arguments)
        assert isinstance(found, error), (arguments, repr(found))
    assert isinstance(raised(Loss, 4, 5, None), TypeError)  # torch has nothing by position there either
    shown = repr(Loss(4, 5, ignore_index=7))
    assert "LinearCrossEntropyLoss" in shown, shown
    assert "ignore_index=7, reduction='mean', label_smoothing=0.0" in shown, shown


def without_validation_nothing_is_looked_at():
    """Of a class index out of range comes nan, or in torch whatever torch's kernels do about it."""
    target = tensor(np.array([0, 5, 2]))
    assert isinstance(raised(Loss(4, 5), tensor(INPUT), target), SpecError)
    loss = Loss(4, 5, validate=False)
    if PACKAGE == "torch":
        assert not isinstance(raised(loss, tensor(INPUT), target), SpecError)
    else:
        assert np.isnan(array(loss(tensor(INPUT), target)))


COMMON = (
    the_signatures_are_torchs,
    old_names_are_taken_with_a_warning,
    two_names_of_one_argument_are_refused,
    torchs_state_is_loaded_and_gives_torchs_loss,
    one_step_of_training_is_torchs,
    a_new_layer_is_initialised_as_torchs,
    it_is_the_function_of_its_own_layer,
    the_module_refuses_early_and_shows_its_arguments,
    without_validation_nothing_is_looked_at,
)

if __name__ == "__main__":
    run(*COMMON)

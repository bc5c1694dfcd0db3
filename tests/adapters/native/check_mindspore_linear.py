"""The linear loss as a Cell of MindSpore's: compiled, and with its layer in a checkpoint."""

from __future__ import annotations

import os

import mindspore
import numpy as np
from adapter_checks import run
from check_linear import FOLDER, Loss, array, load, made, part, read, same, state, tensor
from mindspore import nn


class Net(nn.Cell):
    def __init__(self, loss):
        super().__init__()
        self.body = nn.Dense(4, 4)
        self.loss = loss

    def construct(self, input, target):
        return self.loss(self.body(input), target)


def compiled_it_is_the_same():
    found = read("all")
    loss = made("all")
    load(loss, part(found, "state"))
    input, target = tensor(found["input"]), tensor(found["target"])
    function = mindspore.value_and_grad(loss, 0, loss.trainable_params())
    value, (slope, slopes) = mindspore.jit(function)(input, target)
    np.testing.assert_allclose(array(value), found["value"], rtol=1e-5)
    np.testing.assert_allclose(array(slope), found["slope"], rtol=1e-4, atol=1e-6)
    for one, of_parameter in zip(loss.trainable_params(), slopes):  # noqa: B905  # Python 3.9 has no strict
        np.testing.assert_allclose(array(of_parameter), found[f"slope {one.name}"], rtol=1e-4, atol=1e-6)


def a_checkpoint_holds_the_layer():
    weight = tensor(np.arange(1, 6, dtype=np.float32))
    net, other = (Net(Loss(4, 5, bias=True, weight=one)) for one in (weight, tensor(np.ones(5, np.float32))))
    path = os.path.join(FOLDER.name, "net.ckpt")
    mindspore.save_checkpoint(net, path)
    saved = mindspore.load_checkpoint(path)
    same(sorted(saved), ["body.bias", "body.weight", "loss.linear.bias", "loss.linear.weight", "loss.weight"])
    missing, _ = mindspore.load_param_into_net(other, saved)
    same(missing, [])
    for name, value in state(net).items():
        np.testing.assert_array_equal(state(other)[name], value, err_msg=name)
    same([one.name for one in net.trainable_params() if "loss" in one.name], ["loss.linear.weight", "loss.linear.bias"])


if __name__ == "__main__":
    run(compiled_it_is_the_same, a_checkpoint_holds_the_layer)

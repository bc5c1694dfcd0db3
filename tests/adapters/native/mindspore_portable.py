"""What both scripts about MindSpore's portable loss share: random inputs, comparisons, a model."""

from __future__ import annotations

import os
import tempfile

import mindspore
import numpy as np
from mindspore import Tensor, nn

FOLDER = tempfile.TemporaryDirectory(prefix="xent-check-")  # for what MindSpore writes where it stands
os.environ["MS_OM_PATH"] = FOLDER.name
os.chdir(FOLDER.name)
RANDOM = np.random.RandomState(3)
NAN = float("nan")


def logits(*shape, dtype=np.float32):
    return Tensor((RANDOM.standard_normal(shape) * 3).astype(dtype))


def indices(classes, *shape, ignored=True):
    array = RANDOM.randint(0, classes, shape)
    if ignored:
        array.reshape(-1)[1::4] = -100
    return Tensor(array.astype(np.int32))


def probabilities(*shape):
    array = RANDOM.random_sample(shape).astype(np.float32)
    return Tensor(array / array.sum(1, keepdims=True))


def weights(classes):
    return Tensor((RANDOM.random_sample(classes) + 0.1).astype(np.float32))


def close(got, want, tolerance=3e-6):
    got, want = got.asnumpy(), want.asnumpy()
    assert got.shape == want.shape, (got.shape, want.shape)
    assert got.dtype == want.dtype, (got.dtype, want.dtype)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def all_close(got, want, tolerance=3e-6):
    assert len(got) == len(want)
    for one, other in zip(got, want):  # noqa: B905  # Python 3.9 has no strict
        close(one, other, tolerance)


def summed(loss):
    """A function for value_and_grad, whose compiler takes no lambda inside a call."""

    def forward(input, target):
        return loss(input, target).sum()

    return forward


def both_ways(loss, input, target):
    """Value and gradient in PyNative and compiled."""
    function = mindspore.value_and_grad(summed(loss), 0)
    return function(input, target), mindspore.jit(function)(input, target)


class Net(nn.Cell):
    def __init__(self, loss):
        super().__init__()
        self.dense = nn.Dense(4, 5)
        self.loss = loss

    def construct(self, input, target):
        return self.loss(self.dense(input), target)

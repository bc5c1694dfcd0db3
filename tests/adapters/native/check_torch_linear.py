"""The linear loss beside torch's own, in torch 2.13: the same seed, the same file, a layer on the meta device."""

from __future__ import annotations

import copy

import torch
from adapter_checks import run
from check_linear import CASES, REFERENCE, Loss, made, same

Theirs = torch.nn.LinearCrossEntropyLoss


def the_same_seed_makes_the_same_layer():
    for bias in (False, True):
        torch.manual_seed(3)
        ours = Loss(4, 5, bias=bias)
        torch.manual_seed(3)
        theirs = Theirs(4, 5, bias=bias)
        same(list(ours.state_dict()), list(theirs.state_dict()))
        for name, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value), name


def a_file_that_torch_saved_loads_and_goes_back():
    for name in CASES:
        ours = made(name)
        saved = torch.load(REFERENCE / f"{name}.pt", weights_only=True)
        ours.load_state_dict(saved)
        arguments = {"weight": torch.ones(5)} if "weight" in saved else {}
        theirs = Theirs(4, 5, bias="linear.bias" in saved, **arguments)
        theirs.load_state_dict(copy.deepcopy(ours).state_dict())
        for key, value in saved.items():
            assert torch.equal(theirs.state_dict()[key], value), (name, key)


def device_and_dtype_are_the_layers():
    loss = Loss(4, 5, bias=True, device="meta", dtype=torch.bfloat16)
    same([(one.device.type, one.dtype) for one in loss.parameters()], [("meta", torch.bfloat16)] * 2)
    compiled = torch.compile(Loss(4, 5, bias=True), fullgraph=True, backend="aot_eager")
    input, target = torch.randn(3, 4), torch.tensor([0, 4, 2])
    torch.testing.assert_close(compiled(input, target), compiled._orig_mod(input, target))


if __name__ == "__main__":
    run(
        the_same_seed_makes_the_same_layer, a_file_that_torch_saved_loads_and_goes_back, device_and_dtype_are_the_layers
    )

"""The three frameworks behind one face. Framework-side: Python 3.8, and imports no framework before it is asked for.

A function here takes the differentiable tensors and returns the loss. Each call that is timed has finished its work
when it returns: MindSpore runs synchronously (its adapter's `prepare`), oneflow is waited for.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Tuple

import numpy as np

from xent import adapters

from .inputs import Inputs
from .plan import TORCHS_SIDES

Tensors = Tuple[Any, ...]
Function = Callable[..., Any]
Call = Callable[[], Any]


class Framework:
    """What the frameworks share. `name` is both the framework's import name and its adapter's."""

    name: str
    index_dtype = "int64"
    grain = 0  # bytes it takes from the system at once, where it fills them at once: less can't be seen from outside

    def __init__(self) -> None:
        self.adapter: Any = adapters.load("xent.adapters." + self.name)
        self.module = __import__(self.name)
        self.adapter.prepare()

    def facts(self) -> Dict[str, Any]:
        """What the results say about the framework."""
        return {"version": self.adapter.version(), "threads": None}

    def tensors(self, inputs: Inputs) -> Inputs:
        """The arrays as tensors. No operator runs on them here: its buffers would stay in the framework's own pool."""
        target = inputs.target if inputs.target.dtype == np.float32 else inputs.target.astype(self.index_dtype)
        weight = None if inputs.weight is None else self._tensor(inputs.weight)
        differentiable = tuple(self._tensor(array) for array in inputs.differentiable)
        return Inputs(differentiable, self._tensor(target), weight, inputs.arguments)

    def side(self, name: str, inputs: Inputs) -> Function:
        """One side as a function of the differentiable tensors. AttributeError where the adapter has no such loss."""
        target, arguments = inputs.target, dict(inputs.arguments)
        if name == "linear":
            return lambda *tensors: self.adapter.linear_cross_entropy(*tensors, target)
        if name == "logits":
            return lambda rows, weight: self.adapter.cross_entropy(self._product(rows, weight), target)
        if inputs.weight is not None:
            arguments["weight"] = inputs.weight
        cls = self.module.nn.CrossEntropyLoss if name == "native" else self.adapter.CrossEntropyLoss
        loss = cls(**arguments)
        return lambda logits: loss(logits, target)

    def compiles(self, side: str) -> bool:
        """Whether that side is compiled, for the shapes that it is called with, when it is first called."""
        return False

    def forward(self, function: Function, tensors: Tensors) -> Call:
        """A call that computes the loss alone, of tensors that need no gradient."""
        raise NotImplementedError

    def both(self, function: Function, tensors: Tensors) -> Call:
        """A call that computes the loss and its gradients; returns the loss."""
        raise NotImplementedError

    def copy(self, tensor: Any) -> Call:
        """A call that copies the tensor."""
        raise NotImplementedError

    def number(self, scalar: Any) -> float:
        """A scalar tensor's value."""
        return float(scalar.detach().cpu().numpy())

    def _tensor(self, array: Any) -> Any:
        raise NotImplementedError

    def _product(self, rows: Any, weight: Any) -> Any:
        return rows @ weight.T


class Torch(Framework):
    """torch, with as many threads as it takes by itself."""

    name = "torch"

    def facts(self) -> Dict[str, Any]:
        """With torch's own count of threads."""
        return {**super().facts(), "threads": self.module.get_num_threads()}

    def side(self, name: str, inputs: Inputs) -> Function:
        """See Framework. And torch's own layer with its loss: AttributeError before 2.13."""
        if name not in TORCHS_SIDES:
            return super().side(name, inputs)
        torch, target = self.module, inputs.target
        loss = torch.nn.functional.linear_cross_entropy
        if name == "torch":
            return lambda rows, weight: loss(rows, weight, target)
        if name == "torch-chunked":
            options = torch.nn.LinearCrossEntropyOptions()
            return lambda rows, weight: loss(rows, weight, target, options=options)
        # What is compiled goes away with this process's folder, and no other process stays to compile more.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(os.getcwd(), "compiled")
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
        torch._dynamo.reset()

        def composed(rows: Any, weight: Any) -> Any:
            return torch.nn.functional.cross_entropy(torch.nn.functional.linear(rows, weight), target)

        return torch.compile(composed, dynamic=False)  # type: ignore[no-any-return]  # torch has no types here

    def compiles(self, side: str) -> bool:
        """See Framework."""
        return side == "torch-compiled"

    def forward(self, function: Function, tensors: Tensors) -> Call:
        """See Framework."""
        return lambda: function(*tensors)

    def both(self, function: Function, tensors: Tensors) -> Call:
        """See Framework."""
        leaves = tuple(tensor.detach().requires_grad_() for tensor in tensors)

        def call() -> Any:
            result = function(*leaves)
            self.module.autograd.grad(result, leaves)
            return result.detach()

        return call

    def copy(self, tensor: Any) -> Call:
        """See Framework."""
        return lambda: tensor.clone()

    def _tensor(self, array: Any) -> Any:
        return self.module.from_numpy(array)


class MindSpore(Framework):
    """mindspore.nn in synchronous PyNative."""

    name = "mindspore"
    index_dtype = "int32"

    def forward(self, function: Function, tensors: Tensors) -> Call:
        """See Framework."""
        return lambda: function(*tensors)

    def both(self, function: Function, tensors: Tensors) -> Call:
        """See Framework."""
        gradient = self.module.value_and_grad(function, tuple(range(len(tensors))))
        return lambda: gradient(*tensors)[0]

    def copy(self, tensor: Any) -> Call:
        """See Framework. Tensor.copy takes ten times as long as adding 0, clone has no kernel (measured, 2.10.0)."""
        return lambda: tensor + 0

    def number(self, scalar: Any) -> float:
        """See Framework."""
        return float(scalar.asnumpy())

    def _tensor(self, array: Any) -> Any:
        return self.module.Tensor(array)


class OneFlow(Framework):
    """oneflow's eager mode, each call waited for."""

    name = "oneflow"
    grain = 20 * 2**20  # measured, 0.9.0: a loss of 1024x1000 left no trace

    def forward(self, function: Function, tensors: Tensors) -> Call:
        """See Framework."""
        return self._waited(lambda: function(*tensors))

    def both(self, function: Function, tensors: Tensors) -> Call:
        """See Framework."""
        leaves = tuple(tensor.detach().requires_grad_() for tensor in tensors)

        def call() -> Any:
            result = function(*leaves)
            self.module.autograd.grad(result, leaves)
            return result.detach()

        return self._waited(call)

    def copy(self, tensor: Any) -> Call:
        """See Framework."""
        return self._waited(lambda: tensor.clone())

    def _tensor(self, array: Any) -> Any:
        tensor = self.module.tensor(array)
        self.module._oneflow_internal.eager.Sync()
        return tensor

    def _waited(self, call: Call) -> Call:
        wait = self.module._oneflow_internal.eager.Sync

        def waited() -> Any:
            result = call()
            wait()
            return result

        return waited


_CLASSES = {cls.name: cls for cls in (Torch, MindSpore, OneFlow)}


def load(name: str) -> Framework:
    """The framework of that name, imported and prepared. Raises Unavailable where it can't be."""
    return _CLASSES[name]()

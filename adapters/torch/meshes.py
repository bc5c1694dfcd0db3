"""Where a DTensor of logits lies over a mesh of processes, and what goes from a whole to its shares and back."""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Tuple

from .collectives import Groups
from .problem import Tensor, torch


class Layout(NamedTuple):
    """Where a tensor of logits lies.

    Attributes:
        mesh: the DeviceMesh.
        logits: the placements that the loss works on: Replicate or Shard.
        places: those of labels and of losses before reduction.
        rows: of the dimensions of the mesh that share out rows.
        classes: of those that share out classes.
        rest: of the others, which hold the same.
        held: the first class that this process holds, and how many.
    """

    mesh: Any
    logits: Tuple[Any, ...]
    places: Tuple[Any, ...]
    rows: Groups
    classes: Groups
    rest: Groups
    held: Tuple[int, int]

    @classmethod
    def of(cls, input: Any) -> Layout:
        """The layout for a DTensor of logits. Partial sums and shards in an order of their own count as Replicate."""
        tensor = torch.distributed.tensor
        mesh, axis = input.device_mesh, min(1, input.dim() - 1)
        logits: List[Any] = []
        places: List[Any] = []
        groups: Dict[str, List[Any]] = {"rows": [], "classes": [], "rest": []}
        start, count = 0, input.shape[axis]
        for dimension, placement in enumerate(input.placements):
            kind = "rest"
            logits.append(tensor.Replicate())
            places.append(tensor.Replicate())
            if type(placement) is tensor.Shard:
                dim = placement.dim % input.dim()
                kind, logits[-1] = "classes" if dim == axis else "rows", tensor.Shard(dim)
                if kind == "classes":  # shares as torch.chunk makes them
                    size = -(-count // mesh.size(dimension))
                    before = min(size * mesh.get_local_rank(dimension), count)
                    start, count = start + before, min(size, count - before)
                else:
                    places[-1] = tensor.Shard(max(0, dim - 1))
            if mesh.size(dimension) > 1:
                groups[kind].append(mesh.get_group(dimension))
        rows, classes, rest = map(tuple, groups.values())
        return cls(mesh, tuple(logits), tuple(places), rows, classes, rest, (start, count))

    @property
    def everyone(self) -> Groups:
        return self.rows + self.classes + self.rest

    def share(self, tensor: Tensor, placements: Tuple[Any, ...]) -> Tensor:
        """This process's share of a DTensor, or of a tensor that every process holds as a whole; differentiable."""
        distributed = torch.distributed.tensor
        if isinstance(tensor, distributed.DTensor) and tensor.device_mesh != self.mesh:
            tensor = tensor.full_tensor()
        if not isinstance(tensor, distributed.DTensor):
            everywhere = [distributed.Replicate()] * self.mesh.ndim
            tensor = distributed.DTensor.from_local(tensor, self.mesh, everywhere, run_check=False)
        if tuple(tensor.placements) != placements:
            tensor = tensor.redistribute(self.mesh, placements)
        local = tensor.to_local()
        return local if type(local) is torch.Tensor else local.clone()  # one that a message is still on its way to

    def whole(self, share: Tensor, placements: Tuple[Any, ...], shape: Tuple[int, ...]) -> Any:
        """The DTensor of that shape of which every process has its share."""
        strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        return torch.distributed.tensor.DTensor.from_local(
            share, self.mesh, placements, run_check=False, shape=torch.Size(shape), stride=tuple(strides)
        )

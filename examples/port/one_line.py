"""One line of Python, three native losses, three answers; and the portable losses' one.

    CrossEntropyLoss()(tensor([[2.0, -inf]]), tensor([0]))

A class that is masked out, every argument at its default. Exactly, the loss is 0: the other class has all the
probability. Prints what each loss answers when it really runs, each framework in its own interpreter.

    python examples/port/one_line.py [--python torch=PYTHON] ...
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import numpy as np

from xent import CrossEntropySpec, adapters

INPUT = np.array([[2.0, -np.inf]], np.float32)
TARGET = 0
TENSOR = {"torch": "tensor", "oneflow": "tensor", "mindspore": "Tensor"}


def answer(*losses: str) -> int:
    """In a framework's interpreter: prints ``ID ANSWER`` for each ``ID=ADAPTER``."""
    from train import index_dtype, said

    for loss in losses:
        name, _, path = loss.partition("=")
        adapter = adapters.load(path)
        if hasattr(adapter, "prepare"):
            adapter.prepare()
        try:
            criterion = adapter.to_native(CrossEntropySpec())
            tensor = getattr(importlib.import_module(adapter.FRAMEWORK), TENSOR[adapter.FRAMEWORK])
            value = criterion(tensor(INPUT), tensor(np.array([TARGET], index_dtype(adapter))))
            print(name, float(value.asnumpy() if hasattr(value, "asnumpy") else value.numpy()))
        except Exception as error:  # a framework may raise anything, and that is its answer
            print(name, said(error))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Asks every loss; returns 0 where every portable one is right."""
    import frameworks

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", metavar="NAME=INTERPRETER", action="append", default=[], help="as for xent run")
    overrides = frameworks.parse(parser.parse_args(arguments).python)
    answers: dict[str, str] = {}
    for framework in frameworks.FRAMEWORKS:
        lines = frameworks.run(framework, "one_line.py", ["--answer"], overrides).splitlines()
        answers.update(line.partition(" ")[::2] for line in lines)
    print("CrossEntropyLoss()(tensor([[2.0, -inf]]), tensor([0]))")
    for loss in frameworks.LOSSES:
        print(f"  {loss.id:16}{answers[loss.id]}")
    ours = [answers[loss.id] for loss in frameworks.LOSSES if loss.portable]
    return 0 if all(abs(np.float64(answer)) == 0 for answer in ours) else 1


if __name__ == "__main__":
    sys.exit(answer(*sys.argv[2:]) if sys.argv[1:2] == ["--answer"] else main())

"""The two tasks: real data that packages ship, initial weights and batches drawn once, with NumPy."""

from __future__ import annotations

from pydoc_data.topics import topics

import numpy as np
from task import Layer, Task, shapes

from xent import CrossEntropySpec

UNLABELLED = 255
FIELD = 9  # characters that one prediction sees: two convolutions of width 5
LENGTH = 32  # characters predicted per line
START = "\n"


def tasks(steps: int) -> list[Task]:
    """The classifier and the language model, with `steps` batches each."""
    return [classifier(steps), language_model(steps)]


def classifier(steps: int, batch: int = 64) -> Task:
    """Handwritten digits, 8 x 8; a quarter of the fives to nines kept, one label in ten missing (ignored).

    Weights: inverse to the frequency of the class, so that the mean is over classes rather than images.
    """
    from sklearn.datasets import load_digits

    random = np.random.default_rng(8)
    digits = load_digits()
    kept = (digits.target < 5) | (random.random(digits.target.size) < 0.25)
    images = (digits.images[kept] / 16).astype(np.float32)[:, None]
    labels = digits.target[kept].astype(np.int64)
    weight = labels.size / (10 * np.bincount(labels, minlength=10))
    labels[random.random(labels.size) < 0.1] = UNLABELLED
    rows = random.integers(0, labels.size, (steps, batch))
    layers: list[Layer] = [
        ["conv2d", 1, 8, 3], ["relu"], ["conv2d", 8, 16, 3], ["relu"], ["flatten"], ["linear", 256, 10],
    ]  # fmt: skip
    spec = CrossEntropySpec(weight.astype(np.float32), UNLABELLED, "mean", 0.1)
    return Task("classifier", layers, initial(layers, random), images[rows], labels[rows], spec.to_dict(), 0.05)


def language_model(steps: int, batch: int = 16) -> Task:
    """The next character in lines of Python's own manual (pydoc's topics), from the nine before it.

    Lines end at different places: what follows is ignored. The number of classes is filled up to a multiple of 16, as
    it is for the sake of kernels; the classes that fill it have logit -inf and weight 0. Blanks weigh a quarter.
    """
    random = np.random.default_rng(16)
    lines = [line.strip() for _, text in sorted(topics.items()) for line in text.splitlines()]
    lines = [line for line in lines if len(line) >= 16]
    characters = sorted({START, *"".join(lines)})
    classes = -(-(len(characters) + 1) // 16) * 16
    coded = [encode(line, characters) for line in lines]
    inputs, labels = (np.array(column) for column in zip(*coded, strict=True))
    rows = random.integers(0, len(lines), (steps, batch))
    weight = np.zeros(classes, np.float32)
    weight[: len(characters)] = 1
    weight[characters.index(" ")] = 0.25
    layers: list[Layer] = [
        ["embedding", classes, 16], ["channels-first"], ["conv1d", 16, 32, 5], ["relu"], ["conv1d", 32, 32, 5],
        ["relu"], ["conv1d", 32, classes, 1], ["only", len(characters)],
    ]  # fmt: skip
    spec = CrossEntropySpec(weight, -100, "mean", 0.1)
    return Task("language model", layers, initial(layers, random), inputs[rows], labels[rows], spec.to_dict(), 0.2)


def encode(line: str, characters: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """A line as inputs, shape (FIELD - 1 + LENGTH), and labels, shape (LENGTH), -100 after its end."""
    code = {character: number for number, character in enumerate(characters)}
    text = (line + START)[:LENGTH]
    labels = np.full(LENGTH, -100, np.int64)
    labels[: len(text)] = [code[character] for character in text]
    seen = (START * FIELD + text).ljust(FIELD + LENGTH, START)[: FIELD - 1 + LENGTH]
    return np.array([code[character] for character in seen], np.int32), labels


def initial(layers: list[Layer], random: np.random.Generator) -> list[np.ndarray]:
    """He's uniform initial weights, zero biases, unit-variance embeddings."""
    parameters = []
    for layer in layers:
        for shape in shapes(layer):
            fan = 2 if layer[0] == "embedding" else np.prod(shape[1:])
            limit = np.sqrt(6 / fan) if len(shape) > 1 else 0
            parameters.append(random.uniform(-limit, limit, shape).astype(np.float32))
    return parameters

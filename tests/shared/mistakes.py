"""What users of these losses do wrong, and what the refusal must hint at; read in frameworks' own interpreters too.

Labels hold what the shape hints don't look at, so that each mistake is refused for the reason that its name gives.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Tuple

import numpy as np

NOTHING: Tuple[Any, ...] = ()


class Mistake(NamedTuple):
    """A call that is refused.

    Attributes:
        says: parts of the message, in order.
        never: parts that would mislead here.
    """

    name: str
    input: Any
    target: Any
    says: Tuple[str, ...]
    never: Tuple[str, ...] = ()
    weight: Any = None
    ignore_index: Any = -100


def logits(*shape: int) -> Any:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.int64)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def floats(*shape: int) -> Any:
    return np.full(shape, 0.5, np.float32)


LAST = "is the class axis last? move it to axis 1"
SQUEEZE = "squeeze target to shape"
ONE_HOT = "are these one-hot labels? use argmax or cast to float for class probabilities"
CAST = "are these class indices? cast to an integer dtype"
FROM_1 = "labels seem to count from 1"
IGNORED = "meant to be ignored? ignore_index="
PLACES = "are input and target in each other's place?"
BATCH = "batch axis"
EVERY = (
    LAST,
    SQUEEZE,
    ONE_HOT,
    CAST,
    FROM_1,
    IGNORED,
    PLACES,
    BATCH,
    "reshape",
    "transpose",
    "is flat",
    "weight is one",
)

SHAPES = (
    Mistake("class axis last", logits(2, 5, 3), zeros(2, 5), (f"{LAST}, which makes input (2, 3, 5)",)),
    Mistake("class axis last, images", logits(2, 4, 6, 3), zeros(2, 4, 6), (f"{LAST}, which", "(2, 3, 4, 6)")),
    Mistake("class axis last, unbatched image", logits(4, 6, 3), zeros(4, 6), (LAST,)),
    Mistake("class axis last, flat target", logits(2, 5, 3), zeros(10), ("target is flat", "reshape input to (10, 3)")),
    Mistake("class axis last, float labels", logits(2, 5, 3), floats(2, 5), (CAST, LAST)),
    Mistake("(N, 1) labels", logits(4, 3), zeros(4, 1), (f"{SQUEEZE} (4,)",), (ONE_HOT,)),
    Mistake("(1, N) labels", logits(4, 3), zeros(1, 4), (f"{SQUEEZE} (4,)",), (ONE_HOT,)),
    Mistake("(N, 1, H, W) labels", logits(2, 3, 4, 5), zeros(2, 1, 4, 5), (f"{SQUEEZE} (2, 4, 5)",)),
    Mistake("(N, H, W, 1) labels", logits(2, 3, 4, 5), zeros(2, 4, 5, 1), (f"{SQUEEZE} (2, 4, 5)",)),
    Mistake("(N, 1) float labels", logits(4, 3), floats(4, 1), (CAST, f"{SQUEEZE} (4,)")),
    Mistake("logits with axes of 1", logits(4, 3, 1, 1), zeros(4), ("reshape target to shape (4, 1, 1)",)),
    Mistake("integer one-hot", logits(4, 3), zeros(4, 3), (ONE_HOT,), (CAST,)),
    Mistake("integer one-hot, images", logits(2, 3, 4, 5), zeros(2, 3, 4, 5), (ONE_HOT,)),
    Mistake("integer one-hot, classes last", logits(2, 3, 4, 5), zeros(2, 4, 5, 3), (ONE_HOT, "class axis is last")),
    Mistake("boolean one-hot", logits(4, 3), np.zeros((4, 3), bool), (ONE_HOT,)),
    Mistake("boolean labels", logits(4, 2), np.zeros(4, bool), ("cast to an integer dtype",), (ONE_HOT,)),
    Mistake("float labels", logits(4, 3), floats(4), (CAST,), (ONE_HOT, SQUEEZE)),
    Mistake("float labels, images", logits(2, 3, 4, 5), floats(2, 4, 5), (CAST,)),
    Mistake("a float label", logits(3), floats(), (CAST,)),
    Mistake("probabilities, classes last", logits(2, 3, 4, 5), floats(2, 4, 5, 3), ("last in one of them?",)),
    Mistake("probabilities transposed", logits(4, 3), floats(3, 4), ("is target transposed, (C, N)?",)),
    Mistake("probabilities of other classes", logits(4, 3), floats(4, 5), ("target has 5 classes, input 3",), (CAST,)),
    Mistake("probabilities without batch", logits(1, 3), floats(3), (BATCH, "(1, 3)")),
    Mistake("target for unbatched input", logits(4, 3), zeros(), ("a target of shape () is for input (C)",)),
    Mistake("target with a batch, input without", logits(3), zeros(1), ("single row", f"{SQUEEZE} ()")),
    Mistake("one logit a row, flat", logits(4), zeros(4), ("single row", "4 rows have shape (4, C)", ONE_HOT)),
    Mistake("more labels than the one row", logits(3), zeros(5), ("5 rows have shape (5, C)",), (ONE_HOT,)),
    Mistake("no batch axis", logits(3, 4, 5), zeros(4, 5), (BATCH, "(1, 3, 4, 5)", "(1, 4, 5)")),
    Mistake("logits transposed", logits(3, 8), zeros(8), ("is input transposed, (C, N)? it must be (8, 3)",)),
    Mistake("width before height", logits(2, 3, 4, 5), zeros(2, 5, 4), ("in another order: transpose",), ("reshape",)),
    Mistake("sequence first", logits(2, 3, 5), zeros(5, 2), ("in another order: transpose",)),
    Mistake("flat target", logits(2, 3, 5), zeros(10), ("reshape target to (2, 5)",), (LAST,)),
    Mistake("flat input", logits(10, 3), zeros(2, 5), ("reshape target to (10,)",)),
    Mistake("label image in colour", logits(2, 7, 4, 5), zeros(2, 4, 5, 3), ("is target an image in colour?",)),
    Mistake("label image in colour, first", logits(2, 7, 4, 5), zeros(2, 3, 4, 5), ("is target an image in colour?",)),
    Mistake("logits of a fourth", logits(2, 3, 4, 5), zeros(2, 16, 20), ("smaller by 4? resize them to (16, 20)",)),
    Mistake("swapped", zeros(4), logits(4, 3), (PLACES,)),
    Mistake("integer logits", zeros(4, 3), zeros(4), ("cast input to float32",), (PLACES,)),
    Mistake("too few labels", logits(7, 3), zeros(5), ("target has shape (5,)",), EVERY),
    Mistake("nothing like it", logits(4, 3), zeros(5, 2), ("target has shape (5, 2)",), EVERY),
    Mistake("nothing like it, floats", logits(4, 3), floats(7, 2, 2), ("target has shape (7, 2, 2)",), EVERY),
    Mistake("another length", logits(2, 3, 5), zeros(2, 4), ("target has shape (2, 4)",), EVERY),
    Mistake("another batch", logits(2, 3, 4, 5), zeros(7, 4, 5), ("target has shape (7, 4, 5)",), EVERY),
)  # fmt: skip

WEIGHTS = (
    Mistake("weight of N", logits(4, 3), zeros(4), ("one value a class; values of single rows",), (LAST,), floats(4)),
    Mistake("weight of 1", logits(4, 3), zeros(4), ("one value a class; one factor",), (LAST,), floats(1)),
    Mistake("weight, class axis last", logits(2, 5, 3), zeros(2, 5), (LAST,), ("one value a class",), floats(3)),
    Mistake("weight of C + 1", logits(4, 3), zeros(4), ("weight has 5 values for C = 3",), EVERY, floats(5)),
    Mistake("weight of integers", logits(4, 3), zeros(4), ("cast it to float32",), (), ints(1, 2, 3)),
    Mistake("weight (1, C)", logits(4, 3), zeros(4), ("squeeze it to shape (3,)",), (), floats(1, 3)),
    Mistake("weight for each place", logits(4, 3), zeros(4), ("reduction='none'",), ("squeeze",), floats(4, 3)),
    Mistake("weight 1 / 0", logits(4, 2), zeros(4), ("1 / 0",), (), np.array([1, np.inf], np.float32)),
    Mistake("weight nan", logits(4, 2), zeros(4), ("finite",), ("1 / 0",), np.array([1, np.nan], np.float32)),
)  # fmt: skip

LABELS = (
    Mistake("labels from 1", logits(4, 3), ints(1, 2, 3, 1), (FROM_1,), (IGNORED,)),
    Mistake("from 1, some ignored", logits(4, 3), ints(1, -100, 3, 1), (FROM_1, "where not ignored"), (IGNORED,)),
    Mistake("from 1, 0 ignored", logits(4, 3), ints(1, 0, 3, 1), (FROM_1, "ignore_index=-1"), (IGNORED,), None, 0),
    Mistake("labels 0 to C", logits(4, 3), ints(1, 0, 3, 1), ("labels 0 to 3 are 4 classes",), (FROM_1, IGNORED)),
    Mistake("labels far beyond C", logits(4, 3), ints(1, 2, 7, 1), ("is 7,",), (FROM_1, IGNORED, "are 4 classes")),
    Mistake("255", logits(4, 3), ints(1, 255, 0, 255), ("is 255 meant to be ignored? ignore_index=255",), (FROM_1,)),
    Mistake("255 of uint8", logits(3, 3), np.array([1, 255, 0], np.uint8), ("is 255 meant to be ignored?",)),
    Mistake("255 among many", logits(4, 3), ints(1, 255, 254, 99), ("is 255,",), (IGNORED, FROM_1)),
    Mistake("-1", logits(4, 3), ints(1, -1, 0, 2), ("is -1 meant to be ignored? ignore_index=-1",), (FROM_1,)),
    Mistake("-100 beside another", logits(4, 3), ints(1, -100, 0, 2), ("is -100 meant",), (), None, -1),
    Mistake("-1 and labels from 1", logits(4, 3), ints(1, -1, 3, 2), ("is -1 meant", FROM_1)),
    Mistake("several negative", logits(4, 3), ints(-3, -2, -1, 0), ("is -3,",), (IGNORED, FROM_1)),
    Mistake("-1 and -100", logits(4, 3), ints(-1, -100, 1, 0), ("is -1,",), (IGNORED,), None, 255),
    Mistake("-1 and 1", logits(2, 2), ints(-1, 1), ("is -1 meant", "are these labels -1 and 1?")),
    Mistake("0 and 255", logits(2, 2), ints(0, 255), ("is 255 meant", "does 255 stand for class 1?")),
    Mistake("one logit", logits(3, 1), ints(0, 1, 0), ("one logit a row", "binary"), (FROM_1,)),
    Mistake("ignore_index in 8 bits", logits(2, 3), np.array([0, 156], np.uint8), ("-100 is 156 in uint8",)),
)  # fmt: skip

PROBABILITIES = (
    Mistake("ignore_index", logits(2, 3), floats(2, 3), ("leave it out",), (), None, 255),
)  # fmt: skip
MISTAKES = (*SHAPES, *WEIGHTS, *LABELS, *PROBABILITIES)

ARGUMENTS = (  # (name, value, parts of the message, parts that would mislead)
    ("ignore_index", None, ("leave it out", "size_average", "by keyword"), ()),
    ("ignore_index", True, ("size_average", "by keyword"), ("label_smoothing",)),
    ("ignore_index", False, ("size_average",), ()),
    ("ignore_index", "mean", ("reduction='mean'",), ("size_average",)),
    ("ignore_index", "first", ("integer",), ("reduction", "size_average")),
    ("ignore_index", "255", ("write ignore_index=255",), ("reduction",)),
    ("ignore_index", 255.0, ("write ignore_index=255",), ("label_smoothing",)),
    ("ignore_index", 0.1, ("label_smoothing=0.1",), ("size_average",)),
    ("ignore_index", 7.5, ("integer",), ("label_smoothing", "size_average")),
    ("ignore_index", [0, 255], ("single class index",), ("call",)),
    ("ignore_index", zeros(4), ("is it the target?", "CrossEntropyLoss(...)(input, target)"), ("size_average",)),
    ("ignore_index", zeros(), ("item()",), ("is it the target?",)),
    ("ignore_index", 2**63, ("fits int64",), ("size_average", "write")),
    ("reduction", None, ("reduction='none'",), ("size_average",)),
    ("reduction", True, ("size_average",), ()),
    ("reduction", 255, ("ignore_index=255",), ()),
    ("reduction", 0.1, ("label_smoothing=0.1",), ()),
    ("reduction", "elementwise_mean", ("did you mean 'mean'?",), ()),
    ("reduction", "avg", ("did you mean 'mean'?",), ()),
    ("reduction", "batchmean", ("'sum'", "number of samples"), ("did you mean",)),
    ("reduction", "MEAN", ("did you mean 'mean'?",), ()),
    ("reduction", "xyz", ("'none', 'mean' or 'sum'",), ("did you mean",)),
    ("label_smoothing", 10, ("percentage", "label_smoothing=0.1"), ()),
    ("label_smoothing", 1.1, ("[0, 1]",), ("percentage",)),
    ("label_smoothing", -0.1, ("[0, 1]",), ("percentage",)),
    ("label_smoothing", "0.1", ("write label_smoothing=0.1",), ("reduction",)),
    ("label_smoothing", "sum", ("reduction='sum'",), ()),
    ("weight", "sum", ("reduction='sum'",), ()),
    ("weight", {0: 1.0, 1: 2.0}, ("in the order of the classes",), ()),
    ("weight", 0.1, ("one value a class", "by keyword"), ()),
)  # fmt: skip


def parts_missing(message: str, says: Tuple[str, ...], never: Tuple[str, ...] = NOTHING) -> Tuple[str, ...]:
    """What a message lacks of `says`, in that order, and what it holds of `never`."""
    place, wrong = 0, []
    for part in says:
        at = message.find(part, place)
        if at < 0:
            wrong.append(f"lacks {part!r}")
        else:
            place = at
    return (*wrong, *(f"has {part!r}" for part in never if part in message))

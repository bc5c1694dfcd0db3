"""The portable losses under random and hostile cases drawn from all of S1 to S14, on the real frameworks, by the judge.

Hypothesis draws the cases; they run in bulk in each framework's own interpreter through the real worker, since a
process for each would take an hour. What fails is named with the arguments that make the case again.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from xent import adapters, dtypes
from xent.conformance.implementations import Implementation
from xent.conformance.judging import judge
from xent.conformance.judging.answers import Answers, answers
from xent.conformance.protocol.case import Case
from xent.conformance.running import supervisor
from xent.spec import Arguments

EXAMPLES = 2000
FRAMEWORKS = ("torch", "mindspore", "mint", "oneflow", "paddle")
FINE = {"agrees", "unsupported"}
LARGE = {"float16": 6e4, "bfloat16": 1e38, "float32": 1e38, "float64": 1e300}

PROFILES = {
    "bland": lambda random, shape, large: random.standard_normal(shape) * 2,
    "wide": lambda random, shape, large: random.standard_normal(shape) * 40,
    "equal": lambda random, shape, large: np.full(shape, min(1e8, large)),
    "huge": lambda random, shape, large: random.choice([-large, 0.0, large], shape),
    "one huge": lambda random, shape, large: np.where(random.random(shape) < 0.2, large, 0.0),
    "closed": lambda random, shape, large: np.where(random.random(shape) < 0.3, -np.inf, random.standard_normal(shape)),
    "nan": lambda random, shape, large: np.where(random.random(shape) < 0.1, np.nan, random.standard_normal(shape)),
    "inf": lambda random, shape, large: np.where(random.random(shape) < 0.1, np.inf, random.standard_normal(shape)),
    "tiny": lambda random, shape, large: random.standard_normal(shape) * 1e-6,
}  # fmt: skip
WEIGHTS = {
    "none": None,
    "positive": lambda random, classes: random.random(classes) + 0.25,
    "signs": lambda random, classes: random.standard_normal(classes),
    "zeros": lambda random, classes: np.zeros(classes),
    "some zero": lambda random, classes: np.where(random.random(classes) < 0.5, 0.0, 1.5),
    "too long": lambda random, classes: np.ones(classes + 1),
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A case; hypothesis chooses the factors and a seed, from which the numbers follow."""
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    rank = draw(st.sampled_from([2, 2, 2, 1, 3, 4, 5]))
    classes = draw(st.sampled_from([1, 2, 3, 5, 17, 64]))
    others = tuple(draw(st.sampled_from([1, 2, 3, 4, 0])) for _ in range(rank - 1))
    shape = (classes,) if rank == 1 else (others[0], classes, *others[1:])
    places = others
    dtype = draw(st.sampled_from(["float32", "float32", "float64", "float16", "bfloat16"]))
    profile = draw(st.sampled_from(list(PROFILES)))
    logits = dtypes.from_float64(PROFILES[profile](random, shape, LARGE[dtype]), dtype)
    reduction = draw(st.sampled_from(["mean", "sum", "none"]))
    smoothing = draw(st.sampled_from([0.0, 0.0, 0.1, 1.0, 1e-8]))
    weight = WEIGHTS[draw(st.sampled_from([*WEIGHTS][:5] * 4 + ["too long"]))]
    if weight is not None:
        weight = dtypes.from_float64(
            weight(random, classes), draw(st.sampled_from([dtype, dtype, "float32", "float64"]))
        )
    if draw(st.booleans()):
        target, ignore_index = _indices(draw, random, places, classes)
    else:
        ignore_index = draw(st.sampled_from([-100, -100, -1, -(2**32), 0]))
        values = (
            random.dirichlet(np.ones(classes), places)
            if draw(st.booleans())
            else random.standard_normal((*places, classes))
        )
        values = np.where(random.random(values.shape) < draw(st.sampled_from([0.0, 0.3])), 0.0, values)
        target = np.moveaxis(values, -1, min(1, rank - 1))
        target = dtypes.from_float64(target, draw(st.sampled_from([dtype, dtype, "float32", "float64"])))
    if draw(st.integers(0, 30)) == 0 and target.size:
        target = target.reshape(1, -1)  # the right count, the wrong shape
    if draw(st.integers(0, 3)) == 0:
        logits = _strided(logits)
    arguments = Arguments(weight, ignore_index, reduction, smoothing)
    return Case("drawn", arguments, logits, target, (profile, dtype))


def _indices(
    draw: st.DrawFn, random: np.random.RandomState, places: tuple[int, ...], classes: int
) -> tuple[np.ndarray, int]:
    dtype = draw(st.sampled_from(["int64", "int64", "int32", "uint8", "int16", "int8"]))
    target = random.randint(0, classes, places)
    ignore_index = draw(st.sampled_from([-100, -100, 0, classes - 1, 255, -1, 2**32]))
    share = draw(st.sampled_from([0.0, 0.0, 0.4, 1.0]))
    bounds = np.iinfo(dtype)
    if share and bounds.min <= ignore_index <= bounds.max:
        target = np.where(random.random(places) < share, ignore_index, target)
    if draw(st.integers(0, 15)) == 0 and target.size and bounds.min <= -1:
        target = target.copy()
        target.flat[0] = draw(st.sampled_from([classes, -1]))
    return np.asarray(target).astype(dtype), ignore_index


def _strided(array: np.ndarray) -> np.ndarray:
    """The same numbers, the axes of its memory in reverse."""
    return np.ascontiguousarray(array.transpose()).transpose()


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Case, Answers]]:
    """At least `EXAMPLES` cases, each with what counts as right."""
    kept: list[Case] = []

    @settings(
        max_examples=EXAMPLES + 100,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def collect(case: Case) -> None:
        kept.append(Case(f"drawn/{len(kept)}", case.arguments, case.input, case.target, case.tags))

    collect()
    assert len(kept) >= EXAMPLES
    with np.errstate(all="ignore"):
        return [(case, answers(case)) for case in kept]


@pytest.mark.xdist_group("drawn")
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_no_drawn_case_deviates(framework, drawn, framework_python, tmp_path: Path):
    adapter = adapters.load(f"{framework}+xent")
    interpreter = SimpleNamespace(path=framework_python(adapter.FRAMEWORK))
    implementation = Implementation(f"{framework}+xent", adapter.__name__)
    evidence = supervisor.run_worker(implementation, interpreter, [case for case, _ in drawn], tmp_path, 30.0)
    records = evidence.by_case
    allowed = FINE | set(getattr(adapter, "IMPRECISE", ()) and {"imprecise"})
    found: Counter[str] = Counter()
    wrong = []
    for case, right in drawn:
        verdict = judge.judge(case, records[case.id], adapter.capabilities, implementation.id, right)
        found[verdict.verdict] += 1
        if verdict.verdict not in allowed:
            wrong.append(f"{case.id} {verdict.verdict} {case.tags} {_told(case)}: {verdict.reason}")
    assert not wrong, f"{len(wrong)} of {len(drawn)} ({dict(found)}):\n" + "\n".join(wrong[:15])
    assert found["agrees"] + found["imprecise"] > EXAMPLES / 3, found


def _told(case: Case) -> str:
    arguments = case.arguments
    weight = None if arguments.weight is None else f"{dtypes.name(arguments.weight)}{np.shape(arguments.weight)}"
    kind = f"{dtypes.name(case.target)}{case.target.shape}"
    return f"input {dtypes.name(case.input)}{case.input.shape}, target {kind}, weight {weight}, {arguments[1:]}"


@pytest.mark.xdist_group("drawn")
def test_the_drawn_cases_are_of_every_kind(drawn):
    seen = Counter()
    for case, right in drawn:
        seen.update(case.tags)
        seen.update(["refused" if right.refusal else "answered"])
        seen.update(["non-contiguous"] if not case.input.flags.c_contiguous else [])
        seen.update(["empty"] if case.input.size == 0 else [])
        seen.update(["probabilities"] if dtypes.is_float(case.target) else ["indices"])
        seen.update([f"rank {case.input.ndim}", case.arguments.reduction])
    wanted = [
        *PROFILES,
        *LARGE,
        "refused",
        "answered",
        "non-contiguous",
        "empty",
        "probabilities",
        "indices",
        "none",
        "mean",
        "sum",
    ]
    wanted += [f"rank {rank}" for rank in range(1, 6)]
    assert {name: seen[name] for name in wanted if seen[name] < 20} == {}

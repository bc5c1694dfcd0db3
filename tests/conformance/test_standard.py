"""The standard cases: enough of every factor, the same everywhere, and each what its tags say."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xent import adapters, dtypes, reference
from xent.conformance.cases import clauses, factors, standard
from xent.conformance.cases.standard import grid, hostile, values
from xent.conformance.cases.standard.jit_sample import JIT_SAMPLE
from xent.conformance.protocol.case import Case, digest
from xent.errors import SpecError, XentWarning
from xent.spec import CrossEntropySpec

ROOT = Path(__file__).resolve().parents[2]

# Pinned, because evidence is compared across machines and versions by this digest. It changes only when somebody means
# to change the standard cases; then put the digest that the failing test prints here, and say why in the commit.
DIGEST = "bb7bee0689459f17d705bf80145337b1c29f4d633b7ce23a68f08e3962ae4ba0"

CASES = {case.id: case for case in standard.cases()}
VALID = {id: case for id, case in CASES.items() if "error" not in case.tags}


def tagged(*tags: str) -> list[Case]:
    return [case for case in VALID.values() if set(tags) <= set(case.tags)]


def validate(case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XentWarning)  # S7: the documents' own examples leave [0, 1]
        CrossEntropySpec(*case.arguments).validate(case.input, case.target)


def test_there_are_over_a_thousand_and_their_ids_are_unique() -> None:
    counts = Counter(case.id for case in standard.cases())
    assert [id for id, count in counts.items() if count > 1] == []
    assert 1050 <= len(counts) <= 1300


def test_the_set_is_the_pinned_one_to_the_bit() -> None:
    assert digest(CASES.values()) == DIGEST, (
        f"the standard cases changed; if that is meant, set DIGEST to {digest(CASES.values())!r} and say why"
    )


def test_the_set_is_the_same_without_ml_dtypes() -> None:
    script = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        "from xent import dtypes\n"
        "assert dtypes.BFLOAT16.names, 'bfloat16 should be its bits here'\n"
        "from xent.conformance.cases import standard\n"
        "from xent.conformance.protocol.case import digest\n"
        "print(digest(standard.cases()))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == digest(CASES.values()), done.stderr[-2000:]


def test_building_the_set_is_fast() -> None:
    started = time.process_time()
    standard.cases()
    assert time.process_time() - started < 3  # about 0.4 s on a quiet machine


@pytest.mark.parametrize("id", [id for id, case in CASES.items() if "error" in case.tags])
def test_the_specification_refuses_what_a_document_forbids(id: str) -> None:
    case = CASES[id]
    with pytest.raises(SpecError) as caught:
        validate(case)
    assert caught.value.rule.lower() in case.tags
    assert not case.gradient
    assert case.clauses


def test_the_specification_accepts_every_other_case() -> None:
    refused = {}
    for case in VALID.values():
        try:
            validate(case)
        except SpecError as error:
            refused[case.id] = str(error)
    assert refused == {}


FLOORS = {
    **dict.fromkeys(("rank1", "rank3", "rank4", "rank5"), 70),
    "rank2": 600,
    "indices": 700,
    "probabilities": 230,
    "int64": 400,
    "int32": 220,
    **dict.fromkeys(("none", "mean", "sum"), 300),
    **dict.fromkeys(("weight", "unweighted"), 400),
    "ignore-none": 300,
    "ignore-some": 200,
    "ignore-all": 100,
    **dict.fromkeys(("ignore-default", "smoothing-0"), 500),
    **dict.fromkeys(("ignore-inside", "ignore-255", "smoothing-1"), 100),
    "smoothing-0.1": 300,
    "float32": 900,
    **dict.fromkeys(("float64", "float16", "bfloat16"), 50),
    **dict.fromkeys(("weight-float64", "weight-float16", "weight-bfloat16"), 20),
    **dict.fromkeys(("uint8", "int8", "int16"), 6),
    **dict.fromkeys(("one-hot", "unnormalised", "outside", "zero-rows"), 12),
    "non-contiguous": 40,
    "hostile": 150,
    "empty": 12,
    "capability": 25,
}


@pytest.mark.parametrize(("tag", "floor"), FLOORS.items())
def test_every_factor_has_its_share(tag: str, floor: int) -> None:
    assert len(tagged(tag)) >= floor


@pytest.mark.parametrize("target_dtype", ["int64", "int32"])
def test_every_way_to_ignore_meets_every_reduction_weight_and_rank(target_dtype: str) -> None:
    grid_cases = [case for case in tagged(target_dtype) if case.id.startswith("indices/")]
    met = {(case.id.split("/")[4], tag) for case in grid_cases for tag in case.tags}
    tags = ("none", "mean", "sum", "weight", "unweighted", "rank3", "rank4", "rank5", "smoothing-0", "smoothing-0.1")
    assert {(way, tag) for way in factors.IGNORES for tag in tags} - met == set()


def test_every_rank_has_every_reduction_weight_and_smoothing_for_both_kinds() -> None:
    met = {(c.input.ndim, "indices" in c.tags, *c.id.split("/")[2:4], c.arguments.label_smoothing) for c in tagged()}
    for rank in range(1, 6):
        for reduction in grid.REDUCTIONS:
            for weight in ("unweighted", "weighted"):
                for smoothing in grid.SMOOTHINGS:
                    for indices in (True, False):
                        assert (rank, indices, reduction, weight, smoothing) in met


def test_probabilities_have_a_negative_ignore_index() -> None:
    assert all(case.arguments.ignore_index < 0 for case in tagged("probabilities"))


def test_normalised_rows_sum_to_exactly_one() -> None:
    for case in tagged("probabilities", "normalised"):
        sums = dtypes.to_float64(case.target).sum(axis=min(1, case.target.ndim - 1))
        assert (sums == 1).all(), case.id


def test_the_tags_of_ignored_rows_are_true() -> None:
    for case in tagged("indices"):
        ignored = case.target == case.arguments.ignore_index
        rows = "none" if not ignored.any() else "all" if ignored.all() else "some"
        assert f"ignore-{rows}" in case.tags, case.id
        if case.id.startswith("indices/") and case.target.size:
            assert case.id.split("/")[4].endswith(rows), f"{rows} of its rows are ignored: {case.id}"


def test_non_contiguous_cases_are() -> None:
    named = [case for case in VALID.values() if "transposed" in case.id or "channels-last" in case.id]
    assert len(named) >= 40
    for case in named:
        assert ("/input-" in case.id) == (not case.input.flags.c_contiguous), case.id
        assert ("/target-" in case.id) == (not case.target.flags.c_contiguous), case.id


def test_selected_weights_cancel_only_where_they_are_meant_to() -> None:
    for case in tagged("indices", "weight", "mean"):
        kept = case.target[case.target != case.arguments.ignore_index]
        total = dtypes.to_float64(case.arguments.weight)[kept].sum()
        meant = any(word in case.id for word in ("cancelling", "all-zero", "zero-weight/selected"))
        assert (total == 0) == (meant or kept.size == 0), case.id


def test_the_grid_is_finite_and_often_far_beyond_what_exp_holds() -> None:
    far = 0
    for case in VALID.values():
        if "hostile" not in case.tags:
            logits = dtypes.to_float64(case.input)
            assert np.isfinite(logits).all()
            far += bool((logits > math.log(3.5e38)).any())
    assert far >= 100  # a missing max shift makes each of these inf


def test_every_case_has_a_gradient_but_refusals_and_division_by_cancelled_weights() -> None:
    without = [case.id for case in VALID.values() if not case.gradient]
    assert all("/mean/weighted-cancelling/" in id and "indices" in id for id in without)
    assert len(VALID) - len(without) >= 1000


def test_every_gradient_that_there_is_is_asked_for_but_by_the_probes_of_something_else() -> None:
    probes = {case.id for case in tagged("capability")}
    for case in VALID.values():
        there = ["input"] + ["target"] * ("probabilities" in case.tags) + ["weight"] * ("weight" in case.tags)
        if case.gradient and case.id not in probes:
            assert list(case.gradients) == there, case.id
        assert set(case.others) == set(case.gradients) - {"input"}, case.id
    more = [case for case in VALID.values() if case.id in probes and case.others]
    assert len(more) == 3
    asked = Counter(name for case in VALID.values() for name in case.others)
    assert asked["target"] >= 200
    assert asked["weight"] >= 450
    hostile_ones = Counter(name for case in tagged("hostile") for name in case.others)
    assert min(hostile_ones["target"], hostile_ones["weight"]) >= 40


def test_one_hot_twins_agree_where_both_divide_by_the_same() -> None:
    for reduction, equal in (("none", True), ("sum/weighted", True), ("mean/weighted", False)):
        results = []
        for kind in ("indices", "probabilities"):
            case = CASES[f"hostile/one-hot-pair/{reduction}/{kind}"]
            results.append(reference.value(CrossEntropySpec(*case.arguments), case.input, case.target))
        assert np.array_equal(*results) == equal


def test_equal_logits_are_log_c_in_any_number() -> None:
    for id, expected in (("sum/float32/int64", 8192 * math.log(2)), ("mean/float16/int64", math.log(2))):
        case = next(case for id_, case in CASES.items() if id_.startswith("hostile/many-rows") and id_.endswith(id))
        result = reference.value(CrossEntropySpec(*case.arguments), case.input, case.target)
        assert dtypes.to_float64(result) == dtypes.to_float64(dtypes.from_float64(expected, dtypes.name(case.input)))


Loss = Callable[[np.ndarray, np.ndarray], np.ndarray]


def softmax_loss(shift: bool, epsilon: float, log_of_softmax: bool) -> Loss:
    """float32 losses as people write them, for rows of logits and class indices."""

    def loss(input: np.ndarray, target: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            x = input - input.max(axis=1, keepdims=True) if shift else input
            e = np.exp(x, dtype=np.float32)
            total = e.sum(axis=1, keepdims=True, dtype=np.float32)
            logs = np.log(e / total + np.float32(epsilon)) if log_of_softmax else x - np.log(total)
            return -logs[np.arange(len(target)), target]

    return loss


@pytest.mark.parametrize(
    ("wrong", "catcher"),
    [
        ((False, 0.0, False), "far-from-zero"),
        ((True, 0.0, True), "sure-and-wrong"),
        ((True, 1e-8, True), "sure-and-wrong"),
        ((True, 1e-8, True), "minus-infinity-at-target"),
    ],
)
def test_a_loss_with_a_classic_mistake_is_caught(wrong: tuple[bool, float, bool], catcher: str) -> None:
    case = CASES[f"hostile/{catcher}/indices/none/smoothing-0/float32/int64"]
    right = reference.value(CrossEntropySpec(*case.arguments), case.input, case.target)

    def agrees(loss: Loss) -> bool:
        return np.allclose(loss(case.input, case.target), right, rtol=1e-5, atol=1e-6)

    assert agrees(softmax_loss(True, 0.0, False)), "the right way must pass, else the case proves nothing"
    assert not agrees(softmax_loss(*wrong))


def test_clauses_are_known_and_each_that_can_be_tested_is() -> None:
    known = clauses.load()
    named = {clause for case in CASES.values() for clause in case.clauses}
    assert named - set(known) == set()
    needed = {
        id for id, clause in known.items()
        if clause.reason is None and clause.test is None and "/example/" not in id
    }  # fmt: skip
    assert needed - named == set()


def test_the_jit_sample_exists_and_is_within_what_mint_can_run() -> None:
    assert set(CASES) >= JIT_SAMPLE
    sample = [case for case in CASES.values() if "jit-sample" in case.tags]
    assert {case.id for case in sample} == JIT_SAMPLE
    assert 30 <= len(sample) <= 40
    for case in sample:
        assert "probabilities" in case.tags or {"rank2", "smoothing-0"} <= set(case.tags)
    covered = Counter(tag for case in sample for tag in case.tags)
    for tag in ("none", "mean", "sum", "weight", "unweighted", "smoothing-0.1", "int32", "rank1", "hostile", "float16"):
        assert covered[tag] >= 2
    assert all(covered[tag] for tag in ("rank3", "rank4", "rank5", "non-contiguous"))
    unwritten = [case.id for case in sample if {"none", "indices", "ignore-some"} <= set(case.tags)]
    assert len(unwritten) == 1  # the CPU's kernel leaves ignored rows unwritten there: no number to compare


@pytest.mark.parametrize("name", ["torch", "mint", "mindspore", "oneflow", "paddle"])
def test_every_value_that_a_document_excludes_is_probed(name: str) -> None:
    capabilities = adapters.load(f"xent.adapters.{name}").capabilities
    probes = [case for case in CASES.values() if "capability" in case.tags]
    found = {f.entry for case in probes for f in capabilities.findings(case.arguments, case.input, case.target)}
    for case in probes:
        kind = "index" if "indices" in case.tags else "probability"
        found |= {f"{kind}_gradients"} if capabilities.withheld(case.target, case.others) else set()
    entries = {field for field, entry in vars(capabilities).items() if entry is not None}
    assert entries
    assert found == entries


def test_each_excluded_dtype_is_probed_alone() -> None:
    """A probe that two entries exclude says nothing about either of them."""
    for name in ("torch", "mint", "mindspore", "oneflow", "paddle"):
        capabilities = adapters.load(f"xent.adapters.{name}").capabilities
        probes = tagged("capability")
        alone = set()
        for case in probes:
            excluded = capabilities.findings(case.arguments, case.input, case.target)
            if len(excluded) == 1:
                alone.add((excluded[0].entry, excluded[0].received))
        for field, words in (("index_dtypes", dtypes.INTEGERS), ("weight_dtypes", dtypes.FLOATS)):
            entry = getattr(capabilities, field)
            assert entry is None or {(field, word) for word in words if word not in entry.allowed} <= alone, name


def test_few_cases_cost_oneflow_a_restart() -> None:
    """Its process dies (measured, 0.9.0) of unbatched input, a weight or a batch of the wrong length, and no class."""
    unbatched = tagged("capability", "rank1")
    fatal = [id for id in CASES if id.startswith(("error/weight/one-", "error/target/too-few", "error/input/no-"))]
    assert len(unbatched) == 2
    assert len(unbatched) + len(fatal) <= 10


def test_values_come_from_the_id_alone() -> None:
    first, second = (values.logits(values.random_of("indices/x"), (3, 4), "float32") for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, values.logits(values.random_of("indices/y"), (3, 4), "float32"))


def test_hostile_cases_say_what_they_catch() -> None:
    assert all(case.note for case in hostile.cases())


@pytest.mark.parametrize("factor", factors.LEVELS)
def test_a_case_has_one_level_of_each_factor(factor):
    levels = factors.LEVELS[factor]
    counted = 0
    for case in CASES.values():
        if "error" in case.tags:  # what the specification refuses has no levels
            continue
        found = [level for level in levels if level in case.tags]
        indices = factor in ("rows ignored", "index dtype")
        assert len(found) == (0 if indices and "probabilities" in case.tags else 1), (case.id, found)
        counted += bool(found)
    assert counted > 100

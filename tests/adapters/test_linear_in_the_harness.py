"""`linear_cross_entropy`, ours and torch's own, on the standard cases by the real worker and judge, where a layer can
give their logits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from xent.adapters import load
from xent.conformance.cases.vectors import cases as cases_of
from xent.conformance.implementations import Implementation
from xent.conformance.judging import judge
from xent.conformance.judging.answers import answers
from xent.conformance.running import supervisor

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("framework", ["torch", "mindspore", "oneflow"])
def test_no_standard_case_deviates(framework, framework_python, tmp_path):
    name = f"linear_plugins.{framework}_layer"
    implementation = Implementation(name, name, str(HERE))
    interpreter = SimpleNamespace(path=framework_python(framework))
    cases = cases_of([])
    evidence = supervisor.run_worker(implementation, interpreter, cases, tmp_path, 30.0)
    capabilities = load(f"xent.adapters.{framework}.ported").capabilities
    found: Counter[str] = Counter()
    wrong = []
    for case in cases:
        verdict = judge.judge(case, evidence.by_case[case.id], capabilities, name, answers(case))
        found[verdict.verdict] += 1
        if verdict.verdict not in ("agrees", "no evidence", "unsupported"):
            wrong.append(f"{case.id}: {verdict.verdict}: {verdict.reason}")
    assert not wrong, f"{len(wrong)} of {len(cases)} ({dict(found)}):\n" + "\n".join(wrong[:15])
    assert found["agrees"] > 900, found  # the others have logits that no product with an identity gives


SAMPLE = 4
"""Of the standard cases every fourth is judged, and of those that deviate all."""
NATIVE = {"torch": "", "torch-linear": ".linear_native", "torch-linear-chunked": ".linear_chunked"}
NOTHING = "indices/rank2/mean/unweighted/ignore-default-all/smoothing-0/float32/int64"


@pytest.fixture(scope="module")
def verdicts(framework_python, tmp_path_factory):
    """{implementation: {case: verdict}} of torch's own losses, by case, with the records."""
    interpreter = SimpleNamespace(path=framework_python("torch"))
    cases = [case for at, case in enumerate(cases_of([])) if at % SAMPLE == 0 or case.id == NOTHING]
    found = {}
    for name, module in NATIVE.items():
        implementation = supervisor.Implementation(name, f"xent.adapters.torch{module}")
        folder = tmp_path_factory.mktemp("linear")
        evidence = supervisor.run_worker(implementation, interpreter, cases, folder, 30.0)
        assert evidence.complete
        capabilities = evidence.header.capabilities
        found[name] = {
            case.id: judge.judge(case, evidence.by_case[case.id], capabilities, name, answers(case)) for case in cases
        }
    return found


@pytest.mark.xdist_group("verdicts of linear losses")
def test_torchs_own_layer_is_judged_as_torchs_own_loss(verdicts):
    """linear and cross_entropy one after the other: every verdict is that of torch.nn.CrossEntropyLoss."""
    found = verdicts["torch-linear"]
    other = [
        f"{case}: {found[case].verdict}, not {one.verdict}: {found[case].reason}"
        for case, one in verdicts["torch"].items()
        if found[case].verdict != one.verdict and "isn't finite" not in found[case].reason
    ]
    assert not other, "\n".join(other[:15])
    counts = Counter(one.verdict for one in found.values())
    assert counts["agrees"] > 150, counts
    assert 0 < counts["no evidence"] < 30, counts


@pytest.mark.xdist_group("verdicts of linear losses")
def test_torchs_chunks_say_what_they_do_not_take(verdicts):
    found = verdicts["torch-linear-chunked"]
    counts = Counter(one.verdict for one in found.values())
    assert counts["agrees"] > 40, counts
    assert not {"crashes", "hangs", "rejects"} & set(counts), counts
    for part in ("probabilities/", "/rank3/", "/rank4/", "/smoothing-0.1/"):
        beyond = {case: one.verdict for case, one in found.items() if part in case and "refus" not in case}
        assert len(beyond) > 10, (part, len(beyond))
        assert set(beyond.values()) <= {"unsupported", "no evidence"}, (part, Counter(beyond.values()))
    one = found[NOTHING]  # measured, 2.13.0: nan where torch's own loss has 0
    assert (one.verdict, one.parts) == ("deviates", ("gradient", "nan")), one
    assert verdicts["torch"][NOTHING].verdict == "agrees"

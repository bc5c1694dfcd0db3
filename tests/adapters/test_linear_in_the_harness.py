"""`linear_cross_entropy` on the standard cases, by the real worker and judge, where a layer can give their logits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from xent.adapters import Capabilities
from xent.conformance.cases.vectors import cases as cases_of
from xent.conformance.implementations import Implementation
from xent.conformance.judging import judge
from xent.conformance.judging.answers import answers
from xent.conformance.running import supervisor

HERE = Path(__file__).resolve().parent


@pytest.mark.xdist_group("portable")
@pytest.mark.parametrize("framework", ["torch", "mindspore"])
def test_no_standard_case_deviates(framework, framework_python, tmp_path):
    name = f"linear_plugins.{framework}_layer"
    implementation = Implementation(name, name, str(HERE))
    interpreter = SimpleNamespace(path=framework_python(framework))
    cases = cases_of([])
    evidence = supervisor.run_worker(implementation, interpreter, cases, tmp_path, 30.0)
    found: Counter[str] = Counter()
    wrong = []
    for case in cases:
        verdict = judge.judge(case, evidence.by_case[case.id], Capabilities(), name, answers(case))
        found[verdict.verdict] += 1
        if verdict.verdict not in ("agrees", "no evidence"):
            wrong.append(f"{case.id}: {verdict.verdict}: {verdict.reason}")
    assert not wrong, f"{len(wrong)} of {len(cases)} ({dict(found)}):\n" + "\n".join(wrong[:15])
    assert found["agrees"] > 900, found  # the others have logits that no product with an identity gives

"""examples/port: the same training in three frameworks, and the line that three native losses answer differently."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PORT = Path(__file__).resolve().parents[2] / "examples" / "port"
MODULES = ("curves", "data", "frameworks", "plot", "port", "task")
FRAMEWORKS = ("torch", "mindspore", "oneflow")


@pytest.fixture
def example(monkeypatch):
    """Imports a module of the example as its scripts do; none stays behind under its short name."""
    monkeypatch.syspath_prepend(str(PORT))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def pythons(framework_python):
    return [f"--python={name}={framework_python(name)}" for name in FRAMEWORKS]


def runs_of(curves, *losses, failure=""):
    """Runs of all portable losses of one task, with these losses at their only two steps."""
    ids = [loss.id for loss in curves.LOSSES if loss.portable]
    return [
        curves.Run("task", name, np.array(values), [np.zeros(1)], failure)
        for name, values in zip(ids, losses, strict=True)
    ]


def test_portable_losses_train_alike_in_every_framework(example, pythons, tmp_path):
    pytest.importorskip("matplotlib", reason="NOT RUN: pip install .[example]")
    pytest.importorskip("sklearn", reason="NOT RUN: pip install .[example]")
    done = subprocess.run(
        [sys.executable, str(PORT / "port.py"), "--steps", "12", "--out", str(tmp_path), *pythons],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    curves, port = example("curves"), example("port")
    runs = curves.read([tmp_path / f"{framework}.npz" for framework in FRAMEWORKS])
    assert {run.task for run in runs} == {"classifier", "language model"}
    assert {run.loss for run in runs} == {loss.id for loss in curves.LOSSES}
    for task, found in curves.by_task(runs).items():
        own = curves.portable(found, task, True)
        assert [run.failure for run in own] == [""] * 4
        assert curves.distance(own).loss <= port.LIMIT
        for run in own:
            assert np.isfinite(run.losses).all()
            assert run.losses[-3:].mean() < run.losses[:3].mean()
    assert "largest distance" in done.stdout
    for picture in ("curves.png", "curves.svg"):
        assert (tmp_path / picture).stat().st_size > 10_000


def test_one_line_three_native_answers_one_portable(pythons):
    done = subprocess.run(
        [sys.executable, str(PORT / "one_line.py"), *pythons], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = dict(line.split(None, 1) for line in done.stdout.splitlines()[1:])
    assert len({answers[name] for name in FRAMEWORKS}) == 3
    assert {float(answers[name]) for name in answers if name.endswith("+xent")} == {0.0}


def test_distance_is_the_largest_of_any_pair_and_step(example):
    curves = example("curves")
    found = curves.distance(runs_of(curves, [1.0, 2.0], [1.0, 2.25], [1.5, 2.0], [0.75, 2.0]))
    assert (found.loss, found.step, found.pair) == (0.75, 0, ("mindspore+xent", "oneflow+xent"))


@pytest.mark.parametrize(
    ("last", "failure", "expected"),
    [
        pytest.param([1.0, 2.001], "", True, id="near"),
        pytest.param([1.0, 2.2], "", False, id="far"),
        pytest.param([1.0, np.nan], "", False, id="nan"),
        pytest.param([1.0, 2.0], "RuntimeError: no kernel", False, id="failed"),
    ],
)
def test_within_notices_what_is_wrong(example, last, failure, expected):
    curves = example("curves")
    same = [1.0, 2.0]
    runs = runs_of(curves, same, same, same, last)
    runs[-1] = runs[-1]._replace(failure=failure)
    assert curves.within(runs, 0.01) is expected


def test_each_character_is_predicted_from_the_nine_before(example):
    data = example("data")
    characters = ["\n", *"abcdefghijklmnop"]
    inputs, labels = data.encode("abcdefghijklm", characters)
    assert (inputs.shape, labels.shape) == ((data.LENGTH + 8,), (data.LENGTH,))
    assert inputs[:9].tolist() == [0] * 9
    assert labels[0] == 1
    assert inputs[10:19].tolist() == labels[1:10].tolist()
    assert labels[10] == 11
    assert labels[13] == 0
    assert set(labels[14:].tolist()) == {-100}


def test_tasks_survive_the_file(example, tmp_path):
    pytest.importorskip("sklearn", reason="NOT RUN: pip install .[example]")
    task, made = example("task"), example("data").tasks(2)
    task.write(tmp_path / "tasks.npz", made)
    for before, after in zip(made, task.read(tmp_path / "tasks.npz"), strict=True):
        assert (before.name, before.layers, before.spec, before.rate) == (
            after.name, after.layers, after.spec, after.rate,
        )  # fmt: skip
        for one, other in zip(before.parameters, after.parameters, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(before.inputs, after.inputs)
        np.testing.assert_array_equal(before.labels, after.labels)


def test_both_tasks_use_weights_ignored_labels_and_smoothing(example):
    pytest.importorskip("sklearn", reason="NOT RUN: pip install .[example]")
    for task in example("data").tasks(3):
        assert len(set(task.spec["weight"]["data"])) > 1
        assert (task.labels == task.spec["ignore_index"]).any()
        assert task.spec["label_smoothing"] == 0.1

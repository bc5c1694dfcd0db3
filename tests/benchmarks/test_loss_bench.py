"""The measurements of the losses: every planned row or a reason, right ratios, right marks. No test of a time."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import aims, children, loss, measure, plan, plot, rows, tables
from xent.errors import Unavailable, UnreadableInput

ROOT = Path(__file__).resolve().parent.parent.parent
VARIANTS = {"plain", "weight+ignore", "smoothing", "probabilities"}
TIMES = {"forward", "forward+backward"}


def a_row(framework="torch", shape="2048x32000", variant="plain", what="forward+backward", **amounts):
    return rows.Row(framework, shape, variant, what, {side: {"amount": amount} for side, amount in amounts.items()})


def a_run(*given):
    machine = {"cores": 2, "cpu": None}
    results = rows.Results("full", "2026-11-22", machine, {"torch": {"version": "2.13.0"}})
    results.rows = list(given)
    return results


@pytest.mark.parametrize("framework", plan.FRAMEWORKS)
def test_a_quick_run_measures_everything_that_is_planned(framework, framework_python, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the tests run side by side, and nothing is judged by its time
    python = framework_python(framework)
    options = ["--quick", "--only", framework, "--python", f"{framework}={python}", "--out", str(tmp_path)]
    assert loss.main(options) == 0
    found = json.loads((tmp_path / "loss.json").read_bytes())
    planned = {(shape, variant, what) for shape in plan.QUICK_SHAPES for variant in VARIANTS for what in TIMES}
    planned.add(("256x2000", "plain", "memory"))
    planned |= {("64x16x500", "linear", what) for what in (*TIMES, "memory")}
    assert sorted((row["shape"], row["variant"], row["what"]) for row in found["rows"]) == sorted(planned)
    for row in found["rows"]:
        sides = {"logits", "linear"} if row["variant"] == "linear" else {"native", "portable", "copy"}
        if row["variant"] == "linear" and framework == "torch":
            sides |= {"torch", "torch-chunked", "torch-compiled"}
        assert set(row["sides"]) == sides - ({"copy"} if row["what"] == "memory" else set()), row
        for side in row["sides"].values():
            if framework == "oneflow" and row["what"] == "memory":
                assert "20 MiB at a time" in side["reason"]
                continue
            assert side.get("amount", -1) >= 0, row
            assert row["what"] == "memory" or (side["calls"] >= 3 and side["quartiles"][0] <= side["amount"]), row
    assert found["frameworks"][framework]["version"]
    text = (tmp_path / "loss.json").read_text() + (tmp_path / "loss.md").read_text()
    assert str(tmp_path) not in text
    assert str(Path(python).parent) not in text


def test_a_native_loss_that_ends_the_process_costs_its_own_side_only(framework_python):
    """oneflow's own loss aborts on a single row of logits (C); the copy is measured all the same, and the next job."""
    jobs = [
        plan.Job("oneflow", shape, "plain", what, "native" if what == plan.MEMORY else "", plan.QUICK, {})
        for shape, what in (("5", "time"), ("8x5", "time"), ("6000000", plan.MEMORY))
    ]
    found = {}
    children.run(framework_python("oneflow"), jobs, lambda job, row: found.setdefault((job.shape, row["what"]), row))
    for what in TIMES:
        assert found["5", what]["sides"]["native"] == {"reason": "it ended with SIGABRT"}
        assert found["5", what]["sides"]["copy"]["amount"] > 0
        assert found["8x5", what]["sides"]["native"]["amount"] > 0
    assert found["6000000", "memory"]["sides"] == {"native": {"reason": "it ended with SIGABRT"}}


def test_a_framework_that_is_not_there_is_a_reason(tmp_path, capsys):
    assert loss.main(["--quick", "--only", "torch", "--python", f"torch={sys.executable}", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "loss.json").read_bytes())
    assert found["rows"] == []
    assert "lacks torch" in found["frameworks"]["torch"]["reason"]
    assert "torch: not measured" in capsys.readouterr().out
    with pytest.raises(Unavailable, match=r"No module named 'torch'|does not import"):
        children.run(sys.executable, plan.jobs("torch", ["8x5"], [], plan.QUICK), lambda job, row: None)


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--only", "jax"], "there are torch"), (["--shapes", "8by5"], "no shape"), (["--shapes", "8x0"], "no shape")],
)
def test_options_that_mean_nothing_are_refused(options, message, tmp_path, capsys):
    assert loss.main([*options, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_ratios_are_the_first_side_over_the_second():
    row = a_row(native=0.618, portable=0.206, copy=0.0515)
    assert row.ratio == pytest.approx(3)
    assert row.copies == pytest.approx(4)
    assert a_row(variant="linear", logits=3.0, linear=4.0).ratio == pytest.approx(0.75)
    assert a_row(native=1.0, copy=1.0).ratio is None
    assert a_row(native=1.0).copies is None
    for ratio, text in ((2.64, "2.6x faster"), (13.4, "13x faster"), (1 / 1.3, "1.3x slower"), (0.97, "equal")):
        assert tables.faster(ratio) == text
    assert tables.faster(None) == "–"


def test_memory_is_told_as_a_share_and_in_sizes_of_the_logits():
    size = 2048 * 32000 * 4
    assert tables.share(a_row(what="memory", native=3.5 * size, portable=0.91 * size)) == "26 % (0.9 : 3.5)"
    linear = a_row(shape="2048x512x32000", variant="linear", what="memory", logits=4.0 * size, linear=0.4 * size)
    assert tables.share(linear) == "10 % (0.4 : 4.0)"
    assert tables.share(a_row(what="memory", portable=size)) == "– (1.0 : –)"


def test_torchs_own_layer_has_a_table_of_its_own():
    size = 2048 * 32000 * 4
    sides = {"logits": 3.0, "linear": 2.0, "torch": 4.0, "torch-chunked": 11.0}
    memory = {name: amount * size for name, amount in sides.items()}
    rows = [
        a_row(shape="2048x512x32000", variant="linear", what=what, **(memory if what == "memory" else sides))
        for what in ("forward", "forward+backward", "memory")
    ]
    rows[1].sides["torch-compiled"] = {"reason": "no compiler"}
    ours, theirs = tables.summary(a_run(*rows))[-2:]
    assert ours.lines == [("torch 2.13.0", "2048x512x32000", *["1.5x faster"] * 2, "67 % (2.0 : 3.0)")]
    assert theirs.title == "linear_cross_entropy against what torch 2.13.0 has itself"
    assert theirs.lines == [
        ("its linear_cross_entropy", "2048x512x32000", *["2.0x faster"] * 2, "50 % (2.0 : 4.0)"),
        ("the same in chunks", "2048x512x32000", *["5.5x faster"] * 2, "18 % (2.0 : 11.0)"),
        ("linear and cross_entropy, compiled", "2048x512x32000", "–", "–", "– (2.0 : –)"),
    ]
    assert rows[1].notes == ["torch-compiled: no compiler"]
    mindspore = a_row("mindspore", "2048x512x32000", "linear", "memory", logits=3.0, linear=1.0)
    assert len(tables.summary(a_run(mindspore))) == 2


GOALS = {  # once more, so that a slip in aims.py shows
    "mindspore": {"8x5": "at most native", "1024x1000": "4x faster", "2048x32000": "10x faster", "": "4x faster"},
    "torch": {"8x5": "at most 1.1x + 30 µs", "1024x1000": "2x faster", "2048x32000": "2.5x faster", "": "at most 1.1x"},
    "oneflow": {"8x5": "at most 1.1x + 60 µs", "2048x32000": "2x faster", "1024x1000": "at most 1.1x"},
}
GOALS["torch"]["1024x128256"] = GOALS["torch"]["2048x32000"]
GOALS["oneflow"] |= {"1024x128256": "2x faster", "8192x10": "at most 1.1x", "": "1.5x faster"}


@pytest.mark.parametrize("framework", plan.FRAMEWORKS)
def test_every_row_of_forward_and_backward_has_its_goal(framework):
    for shape in plan.SHAPES:
        for variant in plan.VARIANTS:
            wanted = GOALS[framework].get(shape, GOALS[framework][""])
            if (framework, shape, variant) == ("mindspore", "1024x1000", "plain"):
                wanted = "10x faster"
            aim = aims.aim_of(framework, shape, variant, plan.BOTH)
            assert aim is not None
            assert aim.text == wanted, (shape, variant)
            assert aims.aim_of(framework, shape, variant, plan.FORWARD) is None
            memory = aims.aim_of(framework, shape, variant, plan.MEMORY)
            assert (memory is not None) == (framework == "torch" and shape in ("2048x32000", "1024x128256"))


@pytest.mark.parametrize(
    ("framework", "shape", "what", "native", "portable", "met"),
    [
        ("torch", "2048x32000", "forward+backward", 0.5, 0.2, True),
        ("torch", "2048x32000", "forward+backward", 0.5, 0.201, False),
        ("torch", "2048x32000", "memory", 100.0, 60.0, True),
        ("torch", "2048x32000", "memory", 100.0, 61.0, False),
        ("torch", "8192x10", "forward+backward", 1.0, 1.1, True),
        ("torch", "8192x10", "forward+backward", 1.0, 1.11, False),
        ("torch", "8x5", "forward+backward", 200e-6, 250e-6, True),
        ("torch", "8x5", "forward+backward", 200e-6, 251e-6, False),
        ("oneflow", "8x5", "forward+backward", 200e-6, 280e-6, True),
        ("oneflow", "8x5", "forward+backward", 200e-6, 281e-6, False),
        ("oneflow", "16x100x4096", "forward+backward", 1.5, 1.0, True),
        ("oneflow", "16x100x4096", "forward+backward", 1.5, 1.01, False),
        ("mindspore", "8x5", "forward+backward", 1.0, 1.001, False),
        ("mindspore", "1024x1000", "forward+backward", 1.0, 0.101, False),
        ("mindspore", "8192x10", "forward+backward", 1.0, 0.25, True),
        ("mindspore", "8192x10", "forward+backward", 1.0, None, None),
        ("torch", "8192x10", "forward", 1.0, 9.0, None),
    ],
)
def test_aims_are_judged(framework, shape, what, native, portable, met):
    amounts = {"native": native} | ({} if portable is None else {"portable": portable})
    assert a_row(framework, shape, what=what, **amounts).met is met


def test_marks_stand_beside_the_aims_and_are_counted():
    results = a_run(
        a_row(native=0.5, portable=0.1, copy=0.05),
        a_row(variant="smoothing", native=0.5, portable=0.4, copy=0.05),
        a_row(variant="probabilities", native=0.5, copy=0.05),
    )
    (table,) = tables.summary(results)
    assert table.lines == [("2048x32000", "5.0x faster ✓", "", "1.2x faster ✗", "– ?", "2.0", "")]
    (table,) = tables.details(results)
    assert [line[4] for line in table.lines if line[3]] == ["2.5x faster ✓", "2.5x faster ✗", "2.5x faster ?"]
    assert tables.notes(results)[-1] == "aims: 1 met, 1 missed, 1 without an answer"
    text = tables.markdown(results)
    assert "| 2048x32000 | 5.0x faster ✓ |  | 1.2x faster ✗ | – ? | 2.0 |  |" in text
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - closed with the process
    tables.show(results, console)
    assert "5.0x faster" in console.export_text()


def test_losses_that_are_not_the_same_are_told():
    row = a_row(native=1.0, portable=1.0)
    row.sides["native"]["value"], row.sides["portable"]["value"] = 2.3, 2.3001
    assert row.notes == []
    row.sides["native"]["value"] = math.nan
    assert row.notes == ["the losses differ: nan and 2.3001"]
    row.sides = {name: {"value": value} for name, value in (("logits", 2.3), ("linear", 2.3), ("torch", 2.4))}
    assert row.notes == ["the losses differ: 2.3 and 2.3 and 2.4"]


def test_a_run_can_be_written_read_and_shown_again(tmp_path, capsys):
    results = a_run(a_row(native=0.5, portable=0.1, copy=0.05), a_row(what="memory", native=9.0, portable=3.0))
    results.rows[0].sides["native"]["value"] = math.nan
    results.write(tmp_path / "loss.json")
    again = rows.Results.read(tmp_path / "loss.json")
    assert tables.markdown(again) == tables.markdown(results)
    assert loss.main(["--show", str(tmp_path / "loss.json"), "--out", str(tmp_path / "out")]) == 0
    assert "5.0x faster" in capsys.readouterr().out
    (tmp_path / "loss.json").write_text('{"schema": "another"}')
    with pytest.raises(UnreadableInput, match="its schema is 'another'"):
        rows.Results.read(tmp_path / "loss.json")
    assert loss.main(["--show", str(tmp_path / "loss.json"), "--out", str(tmp_path / "out")]) == 2


def test_the_plot_is_a_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra 'example' has it")
    given = [a_row(variant=variant, native=0.5, portable=0.1, copy=0.05) for variant in plan.VARIANTS]
    plot.draw(a_run(*given, a_row(what="memory", native=9.0, portable=3.0)), tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_calls_take_turns_and_every_second_round_runs_backwards():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in ("native", "portable", "copy")}
    times = measure.alternate(calls, plan.QUICK._replace(maximum=4))
    assert order == ["native", "portable", "copy", "copy", "portable", "native"] * 2
    assert {name: len(seconds) for name, seconds in times.items()} == dict.fromkeys(calls, 4)


def test_the_peak_is_that_of_the_call_alone():
    code = (
        "import numpy as np\nfrom benchmarks.memory import extra_peak\n"
        "np.ones(50_000_000)  # a peak of 400 MB before the call is not the call's\n"
        "print(extra_peak(lambda: np.ones(8 * 2**20).sum()), extra_peak(lambda: None))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    some, none = map(int, done.stdout.split())
    assert abs(some - 64 * 2**20) < 2**20
    assert none < 2**20


def test_reasons_are_one_line_without_paths():
    error = RuntimeError("\x1b[31m\n  /site-packages/op.cpp:3 refuses this\x1b[0m\nC++ call stack")
    assert measure.reason(error) == "RuntimeError: .../op.cpp:3 refuses this"
    assert measure.reason(MemoryError()) == "MemoryError"


def test_freed_memory_that_malloc_keeps_does_not_hide_what_a_call_needs():
    code = (
        "from benchmarks.memory import extra_peak\n"
        "make = lambda: [b'x' * 100_000 for _ in range(500)]\n"
        "kept = make(); pin = bytes(100_000); del kept\n"
        "print(extra_peak(make))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 45e6

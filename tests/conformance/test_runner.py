"""Whatever an adapter does costs its own case and no other; real processes, deliberately broken adapters."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from xent.conformance.evidence import records, results
from xent.conformance.evidence.records import Footer
from xent.conformance.implementations import Implementation
from xent.conformance.protocol.case import Case
from xent.conformance.running.process import death
from xent.conformance.running.supervisor import run_worker
from xent.errors import Unavailable, UnreadableInput
from xent.spec import Arguments

HERE = Path(__file__).resolve().parent
PYTHON = SimpleNamespace(path=sys.executable)


def plugin(name):
    return Implementation(f"plugins.{name}", f"plugins.{name}", str(HERE))


def make_case(number, name=None, **fields):
    fields.setdefault("arguments", Arguments())
    input = np.full((2, 3), number, dtype=fields.pop("dtype", np.float32))
    return Case(name or f"case/{number}", input=input, target=np.array([0, 1]), **fields)


def run(name, cases, folder, **options):
    options.setdefault("timeout", 60)
    return run_worker(plugin(name), PYTHON, cases, folder, **options)


def number_of(record):
    return record.value.item() - 1


@pytest.mark.parametrize(("name", "restarts"), [("aborts", 4), ("aborts_in_forks", 0)])
def test_an_abort_in_every_tenth_case_costs_every_tenth_case(name, restarts, tmp_path):
    cases = [make_case(number) for number in range(40)]
    events = []
    found = run(name, cases, tmp_path, on_event=events.append)
    assert found.complete
    assert found.footer == Footer(40, 40)
    assert [record.case for record in found.records] == [case.id for case in cases]
    for number, record in enumerate(found.records):
        if number % 10 == 3:
            assert (record.outcome, record.signal) == ("crash", "SIGABRT")
            assert f"about to abort in case {number}\n" in record.stderr
            assert "\x1b" not in record.stderr
            assert "nothing to see" not in record.stderr  # that was another case
        else:
            assert record.outcome == "value"
            assert number_of(record) == number
            assert record.gradient.shape == (2, 3)
    assert [event.kind for event in events].count("restarted") == restarts
    assert [event.done for event in events if event.kind == "recorded"] == list(range(1, 41))
    assert (events[0].kind, events[-1].kind) == ("started", "finished")
    assert [path.name for path in tmp_path.iterdir()] == [f"plugins.{name}.jsonl"]


def test_a_worker_that_is_over_holds_nothing_open(tmp_path):
    """Else a framework that dies in a thousand cases would use up the descriptors of its supervisor."""
    held = []

    def count(event):
        if event.kind == "restarted":
            held.append(len(os.listdir("/proc/self/fd")))

    run("aborts", [make_case(number) for number in range(70)], tmp_path, on_event=count)
    assert len(held) == 7
    assert held[-1] == held[1], held  # from the second on another stands by


def test_a_case_that_cannot_be_shipped_is_recorded_once_and_costs_no_other(tmp_path):
    odd = Case("odd", Arguments(), np.zeros((2, 3), dtype=np.complex64), np.array([0, 1]))
    cases = [make_case(0), odd, *[make_case(number) for number in (1, 2, 4, 5)]]
    for count in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            run("aborts", cases, tmp_path, on_event=_interrupt_after(count))
        assert len(results.read(tmp_path / "plugins.aborts.jsonl.partial").records) == count
    found = run("aborts", cases, tmp_path)
    assert {record.case: record.outcome for record in results.read(found.path).records} == {
        "odd": "not-recorded", **{f"case/{number}": "value" for number in (0, 1, 2, 4, 5)},
    }  # fmt: skip
    assert found.by_case["odd"].reason == "input has dtype complex64, which can't be shipped"


def _interrupt_after(count):
    def follow(event):
        if event.done == count:
            raise KeyboardInterrupt

    return follow


def test_one_case_that_sleeps_for_ever_is_one_timeout(tmp_path):
    found = run("sleeps", [make_case(number) for number in range(8)], tmp_path, timeout=3)
    assert [record.outcome for record in found.records] == ["value"] * 5 + ["timeout"] + ["value"] * 2


def test_garbage_on_every_descriptor_reaches_no_record(tmp_path):
    found = run("prints", [make_case(number) for number in range(30)], tmp_path)
    assert [number_of(record) for record in found.records] == list(range(30))


OUTCOMES = {
    "segfault": ("crash", "SIGSEGV"),
    "kill_itself": ("crash", "SIGKILL"),
    "exit_silently": ("crash", "exit 0"),
    "interrupt": ("crash", "SIGINT"),
    "close_and_die": ("crash", "SIGABRT"),
    "sleep": ("timeout", None),
    "sleep_deaf": ("timeout", None),
    "exit_from_python": ("error", "SystemExit", "0"),
    "allocate": ("error", "MemoryError", ""),
    "recurse": ("error", "RecursionError", "maximum recursion depth"),
    "no_text": ("error", "plugins.misbehaves.no_text.<locals>.Silent", "__str__ raised RuntimeError"),
    "coloured_text": ("error", "RuntimeError", "Check failed: half ? a pair \x00xxx"),
    "return_list": ("not-recorded", "the adapter's value must be a NumPy array, not list"),
    "return_object": ("not-recorded", "dtype object is not one of"),
    "return_text": ("not-recorded", "the adapter's value can't be recorded"),
    "return_integers": ("not-recorded", "dtype int64 is not one of"),
    "return_none": ("not-recorded", "evaluate returned NoneType"),
    "return_huge": ("not-recorded", "1,099,511,627,776 elements"),
    "return_masked": ("not-recorded", "not MaskedArray"),
    "return_bad_gradient": ("not-recorded", "the adapter's gradient must be a NumPy array, not str"),
}


@pytest.fixture(scope="module", params=["misbehaves", "misbehaves_in_forks"])
def misbehaviour(request, tmp_path_factory):
    """Every misbehaviour of plugins/misbehaves.py in one run, an ordinary case after each."""
    names = _behaviours()
    cases = []
    for index, name in enumerate(names):
        cases += [make_case(100 + index, f"{index:02}/{name}"), make_case(index, f"{index:02}/ordinary")]
    found = run(request.param, cases, tmp_path_factory.mktemp("results"), timeout=3)
    assert [record.case for record in found.records] == [case.id for case in cases]
    return names, found.records[::2], found.records[1::2]


def _behaviours():
    text = (HERE / "plugins" / "misbehaves.py").read_text(encoding="utf-8")
    listed = text.split("BEHAVIOURS = [")[1].split("]")[0]
    return [name.strip() for name in listed.replace("\n", " ").split(",") if name.strip()]


@pytest.mark.xdist_group("misbehaviour")
def test_the_case_after_each_misbehaviour_is_recorded_as_if_nothing_had_been(misbehaviour):
    names, _, ordinary = misbehaviour
    assert [record.outcome for record in ordinary] == ["value"] * len(names)
    assert [number_of(record) for record in ordinary] == list(range(len(names)))


@pytest.mark.xdist_group("misbehaviour")
def test_each_misbehaviour_is_recorded_for_what_it_is(misbehaviour):
    names, found, _ = misbehaviour
    assert set(OUTCOMES) < set(names)
    for name, record in zip(names, found, strict=True):
        if name == "raise_later":  # where in the worker it surfaces isn't ours to say
            assert record.outcome in ("value", "error", "crash")
            continue
        outcome, *details = OUTCOMES.get(name, ("value",))
        assert record.outcome == outcome, (name, record)
        if outcome == "crash":
            assert record.signal == details[0], (name, record)
        if outcome == "not-recorded":
            assert details[0] in record.reason, (name, record)
        if outcome == "error":
            kind, message = details
            assert record.error.type.endswith(kind), (name, record)
            assert message in record.error.message, (name, record)


@pytest.mark.xdist_group("misbehaviour")
def test_a_long_coloured_message_keeps_its_start_its_end_and_the_phase(misbehaviour):
    names, found, _ = misbehaviour
    error = found[names.index("coloured_text")].error
    assert error.message.startswith("Check failed: ")
    assert error.message.endswith("\nthe cause")
    assert len(error.message) < 2100
    assert error.phase == "backward"
    assert found[names.index("recurse")].error.phase == "forward"


def test_a_framework_that_is_not_there_is_unavailable_with_its_reason(tmp_path):
    with pytest.raises(Unavailable, match=r"plugins\.unprepared: ImportError: libframework\.so\.8: cannot open shared"):
        run("unprepared", [make_case(1)], tmp_path)
    with pytest.raises(
        Unavailable, match=r"(?s)SIGABRT before the first case; the end of its stderr:\nIllegal instruction"
    ):
        run("stillborn", [make_case(1)], tmp_path)
    with pytest.raises(Unavailable, match=r"not ready after 2 s"):
        run("unready", [make_case(1)], tmp_path, startup_timeout=2)
    assert list(tmp_path.iterdir()) == []


def test_a_plugin_or_an_interpreter_that_is_not_there(tmp_path):
    with pytest.raises(Unavailable, match="no module 'nowhere' in"):
        run_worker(Implementation("x", "nowhere.adapter", str(HERE)), PYTHON, [make_case(1)], tmp_path)
    with pytest.raises(Unavailable, match="no module 'nowhere_at_all' in Python's search path"):
        run_worker(Implementation("x", "nowhere_at_all"), PYTHON, [make_case(1)], tmp_path)
    with pytest.raises(Unavailable, match=r"^x: the module 'plugins.base' lacks NAME, evaluate\. See adapters"):
        run_worker(Implementation("x", "plugins.base", str(HERE)), PYTHON, [make_case(1)], tmp_path)
    for path in ("/nonexistent/python", str(tmp_path)):
        with pytest.raises(Unavailable, match="can't be started"):
            run_worker(plugin("aborts"), SimpleNamespace(path=path), [make_case(1)], tmp_path)
    not_python = tmp_path / "python"
    not_python.write_text("#!/bin/sh\necho not a Python >&2\nexit 7\n", encoding="ascii")
    not_python.chmod(0o755)
    with pytest.raises(Unavailable, match=r"(?s)ended with exit 7 before the first case.*not a Python"):
        run_worker(plugin("aborts"), SimpleNamespace(path=not_python), [make_case(1)], tmp_path)


def test_a_worker_that_cannot_come_back_stops_with_its_reason_and_keeps_what_it_has(tmp_path):
    with pytest.raises(Unavailable, match="the device is still in use"):
        run("once", [make_case(number) for number in range(6)], tmp_path)
    kept = results.read(tmp_path / "plugins.once.jsonl.partial")
    assert not kept.complete
    assert [record.outcome for record in kept.records] == ["value"] * 3 + ["crash"]


def test_a_sample_is_planned_and_the_rest_counted_with_its_reason(tmp_path):
    cases = [
        make_case(1, "in/1", tags=("sample",)),
        make_case(2, "out/2"),
        make_case(3, "in/excluded", tags=("sample",), dtype=np.float16),
        make_case(4, "in/probe", tags=("sample", "capability"), dtype=np.float16),
        make_case(5, "in/refused", tags=("sample",), dtype=np.float16, arguments=Arguments(reduction="bogus")),
        make_case(6, "in/no-gradient", tags=("sample",), gradients=()),
    ]
    found = run("sampled", cases, tmp_path)
    assert found.footer == Footer(5, 5, {"only cases tagged sample run": 1})
    outcomes = {record.case: record.outcome for record in found.records}
    assert outcomes == {
        "in/1": "value", "in/excluded": "unsupported", "in/probe": "value", "in/refused": "error",
        "in/no-gradient": "value",
    }  # fmt: skip
    assert found.by_case["in/no-gradient"].gradient is None
    assert found.by_case["in/1"].gradient is not None
    header = found.header
    assert header.implementation == records.Implementation("plugins.sampled", "sampled", "1.0", "npu", "jit", "native")
    assert header.packages == {"numpy": np.__version__}
    assert header.case_set.count == 6
    assert header.sample == "sample"
    assert header.capabilities.input_dtypes.allowed == ("float32", "float64")


def test_the_framework_sees_what_was_set_and_nothing_of_the_tool(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "cann.py").write_text("", encoding="ascii")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    plug = tmp_path / "plug"
    plug.mkdir()
    (plug / "sees.py").write_text(SEES, encoding="ascii")
    found = run_worker(Implementation("sees", "sees", str(plug)), PYTHON, [make_case(1)], tmp_path / "results")
    (record,) = found.records
    assert record.outcome == "value", record
    assert [path.name for path in plug.iterdir()] == ["sees.py"]


SEES = """
import os, sys
import cann
import numpy as np
from xent.adapters import Capabilities, Evaluation
NAME, FRAMEWORK, capabilities = "sees", "numpy", Capabilities()
version = lambda: "1"
to_native = from_native = from_call = source = None
def evaluate(spec, input, target, *, gradient):
    assert os.getcwd() not in sys.path and "" not in sys.path, sys.path
    assert os.getsid(0) == os.getpid()
    assert os.read(0, 1) == b""
    assert os.environ["OMP_NUM_THREADS"] == "7"
    first = os.environ["PYTHONPATH"].split(os.pathsep)[0]
    assert sorted(os.listdir(first)) == ["sees.py", "xent"], first
    with open("kernel_meta", "w") as file:
        file.write("a framework drops files")
    return Evaluation(np.zeros((), dtype=np.float32))
"""


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(UnreadableInput, match=r"can't be written \(Not a directory|can't be written \(File exists"):
        run("aborts", [make_case(1)], tmp_path / "file")
    with pytest.raises(UnreadableInput, match=r"/proc.*can't be written .*choose another folder with --out"):
        run("aborts", [make_case(1)], "/proc/results")


def test_two_cases_of_one_id_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="two cases have the id a"):
        run("aborts", [make_case(1, "a"), make_case(2, "a")], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_case_at_all_is_a_complete_run(tmp_path):
    assert run("aborts", [], tmp_path).footer == Footer(0, 0)


@pytest.mark.parametrize(
    ("status", "text"), [(-6, "SIGABRT"), (134, "SIGABRT"), (0, "exit 0"), (3, "exit 3"), (128, "exit 128")]
)
def test_how_a_process_ended(status, text):
    assert death(status) == text

"""The kit finds each thing that can be wrong with an adapter, says it in words, and blames nothing else."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from command import PLUGIN, xent

from xent import adapters
from xent.adapters.contract import OPTIONAL, REQUIRED
from xent.conformance import kit
from xent.conformance.kit.check import PROBES
from xent.conformance.kit.checks import CHECKS, GUIDE
from xent.conformance.worker.kit import contract
from xent.conformance.worker.kit.__main__ import PROBES as OF_THE_WORKER
from xent.errors import Unavailable, UnreadableInput

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WHOLE = """
import numpy as np
from dataclasses import replace
from xent import dtypes
from xent.adapters import phase
from xent.adapters.source import call
from xent.spec import CrossEntropySpec
CrossEntropyLoss = _numpy.CrossEntropyLoss
"""


def adapter(folder: Path, body: str = "", name: str = "mine") -> str:
    """Writes the oracle as an adapter of a module of its own, with what `body` breaks of it; the module's name."""
    (folder / f"{name}.py").write_text(PLUGIN.format(name=name, wait=0, body=WHOLE + body), encoding="utf-8")
    return name


def checked(folder: Path, body: str = "", **options: object) -> dict[str, kit.Check]:
    """The checks by name, of which the caller says which are wrong."""
    report = kit.check(adapter(folder, body), folder=str(folder), **options)  # type: ignore[arg-type]
    return {one.name: one for one in report.checks}


def faults(found: dict[str, kit.Check]) -> dict[str, str]:
    return {name: one.words for name, one in found.items() if one.status != "ok"}


def test_an_adapter_that_keeps_the_contract_passes_every_check(tmp_path):
    found = checked(tmp_path)
    assert faults(found) == {}
    assert list(found) == list(CHECKS), "nothing was left out"
    assert all(one.words == CHECKS[name].holds for name, one in found.items())


# A defect, the check that must find it, and words that must be in what it says. Nothing else may be blamed.
DEFECTS = {
    "to_native forgets an argument": (
        "def to_native(spec): return _numpy.CrossEntropyLoss(spec.weight, spec.ignore_index, spec.reduction)",
        {
            "round-trip": "label_smoothing=0.1) came back as CrossEntropySpec(",
            "phases": 'to_native raises nothing, and evaluate SpecValueError',
        },
    ),
    "from_native casts a weight": (
        """
def from_native(loss):
    spec = _numpy.from_native(loss)
    if spec.weight is None or dtypes.name(spec.weight) != "float64": return spec
    return replace(spec, weight=spec.weight.clip(-1e30, 1e30).astype(np.float32))
""",
        {"round-trip": "float64", "weights": "a float64 weight comes back as float32", "source": "", "order": ""},
    ),
    "from_native takes anything": (
        "def from_native(loss): return getattr(loss, 'spec', CrossEntropySpec())",
        {"foreign": "from_native(object()) gave CrossEntropySpec("},
    ),
    "source writes defaults": (
        """
def source(spec):
    text = _numpy.source(spec)
    return text if text[-2:] != "()" else text[:-1] + "reduction='mean')"
""",
        {"source": "leave reduction out"},
    ),
    "source names what nobody can import": (
        "def source(spec): return _numpy.source(spec).replace('xent.adapters', 'nowhere')",
        {"source": "there is no module 'nowhere' to import", "calls": "", "order": ""},
    ),
    "source is no expression": (
        "def source(spec): return 'loss = ' + _numpy.source(spec)",
        {"source": "is no Python expression", "calls": "", "order": ""},
    ),
    "from_call takes any keyword": (
        """
def from_call(weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0, **others):
    return CrossEntropySpec(weight, ignore_index, reduction, label_smoothing)
""",
        {"calls": "from_call takes any keyword"},
    ),
    "from_call has torch's order": (
        """
def from_call(weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0):
    return CrossEntropySpec.from_legacy(size_average=size_average, reduce=reduce, weight=weight,
        ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)
""",
        {"order": "its positional order is weight, ignore_index, reduction, label_smoothing"},
    ),
    "the value is another": (
        """
def evaluate(spec, input, target, *, gradient):
    found = _numpy.evaluate(spec, input, target, gradient=gradient)
    return replace(found, value=np.asarray(found.value * np.asarray(1.1, found.value.dtype)))
""",
        {"value": "deviates on float32 input (6, 4), class indices, reduction 'mean'"},
    ),
    "the gradient is always there": (
        "def evaluate(spec, input, target, *, gradient): return _numpy.evaluate(spec, input, target, gradient=True)",
        {"gradient": "with gradient=False returned a gradient", "phases": ""},
    ),
    "the gradient is never there": (
        "def evaluate(spec, input, target, *, gradient): return _numpy.evaluate(spec, input, target, gradient=False)",
        {"gradient": "with gradient=True returned no gradient", "value": "no gradient was returned", "phases": ""},
    ),
    "evaluate returns a number": (
        "def evaluate(spec, input, target, *, gradient): return 0.5",
        {
            **dict.fromkeys(("gradient", "layouts", "untouched", "repeat", "phases"), "returned float"),
            "value": "evaluate returned float, not xent.adapters.Evaluation", "refusals": "", "includes": "",
        },
    ),
    "memory order instead of axes": (
        """
def evaluate(spec, input, target, *, gradient):
    flat = input.ravel(order="K").reshape(input.shape)
    return _numpy.evaluate(spec, flat, target, gradient=gradient)
""",
        {"layouts": "with transposed arrays of rank 2 the value is"},
    ),
    "a broadcast array is refused": (
        """
def evaluate(spec, input, target, *, gradient):
    if input.ndim > 1 and 0 in input.strides: raise ValueError("strides must be positive")
    return _numpy.evaluate(spec, input, target, gradient=gradient)
""",
        {"layouts": "with broadcast arrays of rank 2, raised ValueError: strides must be positive"},
    ),
    "the input is written to": (
        """
def evaluate(spec, input, target, *, gradient):
    found = _numpy.evaluate(spec, input, target, gradient=gradient)
    if input.flags.writeable: input[...] = input - input.max()
    return found
""",
        {"untouched": "evaluate changed input", "repeat": "", "layouts": "", "gradient": ""},
    ),
    "calls leave something behind": (
        """
_calls = []
def evaluate(spec, input, target, *, gradient):
    _calls.append(1)
    found = _numpy.evaluate(spec, input, target, gradient=gradient)
    return replace(found, value=np.asarray(found.value * np.asarray(1 + len(_calls) * 2e-7, found.value.dtype)))
""",
        {"repeat": "the same call gave two values"},
    ),
    "no phases": (
        """
def evaluate(spec, input, target, *, gradient):
    with np.errstate(all="ignore"):
        import xent.adapters as shared
        found = _numpy.evaluate(spec, input, target, gradient=gradient)
        shared.reset_phases()
        return found
""",
        {"phases": "no call stands in a phase"},
    ),
    "one phase for all": (
        """
def evaluate(spec, input, target, *, gradient):
    import xent.adapters as shared
    try:
        return _numpy.evaluate(spec, input, target, gradient=gradient)
    finally:
        with phase("forward"): pass
""",
        {"phases": 'what computes the gradient stands in "backward"'},
    ),
    "exceptions are wrapped": (
        """
def evaluate(spec, input, target, *, gradient):
    try: return _numpy.evaluate(spec, input, target, gradient=gradient)
    except Exception as error: raise RuntimeError(str(error)) from error
""",
        {"phases": "with reduction='no-such-reduction' to_native raises SpecValueError"},
    ),
    "a wrong reduction becomes the mean": (
        """
def to_native(spec):
    reduction = spec.reduction if spec.reduction in ("none", "mean", "sum") else "mean"
    return _numpy.CrossEntropyLoss(spec.weight, spec.ignore_index, reduction, min(abs(spec.label_smoothing), 1.0))
def evaluate(spec, input, target, *, gradient):
    with phase("construct"): spec = to_native(spec).spec
    return _numpy.evaluate(spec, abs(input).astype(np.float32) if input.dtype == np.int64 else input, target,
        gradient=gradient)
""",
        {"refusals": "nothing that must be refused is refused: label-smoothing/above-1: returned the value"},
    ),
    "float64 is computed in float32": (
        """
def evaluate(spec, input, target, *, gradient):
    narrow = input.astype(np.float32) if input.dtype == np.float64 else input
    found = _numpy.evaluate(spec, narrow, target, gradient=gradient)
    slope = None if found.gradient is None else found.gradient.astype(input.dtype)
    return replace(found, value=np.asarray(found.value.astype(input.dtype)), gradient=slope)
""",
        {"casts": "of float64 input the gradient has"},
    ),
    "float16 comes back as float32": (
        """
def evaluate(spec, input, target, *, gradient):
    wide = input.astype(np.float32) if input.dtype == np.float16 else input
    return _numpy.evaluate(spec, wide, target, gradient=gradient)
""",
        {"casts": "of float16 input the value is float32, and `casts` is empty"},
    ),
    "capabilities promise too much": (
        """
capabilities = Capabilities(input_ranks=Entry((1, 2, 3), "its manual, page 3"))
def evaluate(spec, input, target, *, gradient):
    if input.ndim == 3: raise ValueError("no 3-D kernel")
    return _numpy.evaluate(spec, input, target, gradient=gradient)
""",
        {"includes": "input_ranks 3: refused (ValueError: no 3-D kernel), and capabilities.input_ranks allows it",
         "layouts": "no 3-D kernel", "excludes": ""},
    ),
    "capabilities promise too little": (
        'capabilities = Capabilities(reductions=Entry(("mean", "sum"), "a guess"))',
        {"excludes": "capabilities.reductions excludes none, and it gives the right value"},
    ),
    "the portable loss means something else": (
        """
class CrossEntropyLoss(_numpy.CrossEntropyLoss):
    def __call__(self, input, target):
        each = replace(self.spec, reduction="none")
        value = _numpy.CrossEntropyLoss(each.weight, each.ignore_index, "none", each.label_smoothing)(input, target)
        return value.mean(dtype=np.float64).astype(value.dtype) if self.spec.reduction == "mean" else _numpy.evaluate(
            self.spec, input, target, gradient=False).value
""",
        {"portable": "deviates on the case"},
    ),
    "class and function differ": (
        "def cross_entropy(input, target, **how): return np.zeros(input.shape[:1], input.dtype)",
        {"portable": "CrossEntropyLoss and cross_entropy give two values"},
    ),
    "the process dies": (
        """
def evaluate(spec, input, target, *, gradient):
    if input.ndim == 4: os.abort()
    return _numpy.evaluate(spec, input, target, gradient=gradient)
""",
        {"layouts": "the process died (SIGABRT)"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_found_and_told_in_words(tmp_path, defect):
    body, expected = DEFECTS[defect]
    found = faults(checked(tmp_path, body))
    for name, words in expected.items():
        if words:
            assert words in found.get(name, "it is ok"), found
    assert set(found) <= set(expected), "something else was blamed"


def test_a_check_that_hangs_costs_itself(tmp_path):
    body = """
def from_call(weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    time.sleep(1000)
"""
    found = checked(tmp_path, body, timeout=2)
    told = "it passed its time limit while this was checked"
    assert {name: told in words for name, words in faults(found).items()} == {"calls": True, "order": True}


def test_what_is_no_fault_of_the_adapter_is_a_note(tmp_path):
    body = """
capabilities = Capabilities(input_ranks=Entry((2, 3, 4), "its manual"), index_dtypes=Entry(("int64",), "its manual"))
def evaluate(spec, input, target, *, gradient):
    if input.dtype == np.float16: raise TypeError("no kernel for half")
    if input.ndim in (1, 5) or target.dtype in (np.int8, np.int16): raise ValueError("not that one")
    return _numpy.evaluate(spec, input, target, gradient=gradient)
"""
    found = checked(tmp_path, body)
    assert faults(found) == {}
    (note,) = {note for note in found["includes"].notes if note.startswith("input_dtypes")}
    assert note == (
        "input_dtypes float16: refused (TypeError: no kernel for half); "
        "nothing excludes it, so runs report it as rejects"
    )
    assert "index_dtypes int32 is excluded, and gives the right value" in found["excludes"].notes


def test_probabilities_and_weights_are_asked_about_in_the_dtype_of_input(tmp_path):
    body = """
capabilities = Capabilities(probability_dtypes=Entry(("float32", "float64"), "its manual"))
def evaluate(spec, input, target, *, gradient):
    others = [dtypes.name(one) for one in (target, spec.weight) if one is not None and dtypes.is_float(one)]
    if any(one != dtypes.name(input) for one in others): raise TypeError("of one dtype, please")
    if dtypes.is_float(target) and input.dtype.itemsize == 2: raise TypeError("no half precision, please")
    return _numpy.evaluate(spec, input, target, gradient=gradient)
"""
    assert faults(checked(tmp_path, body)) == {}


def test_an_adapter_of_a_sample_is_asked_for_no_more(tmp_path):
    found = checked(tmp_path, 'SAMPLE = "jit-sample"\nMODE = "jit"')
    assert faults(found) == {}
    assert "includes" not in found
    assert "excludes" not in found
    assert "a tag that no standard case has" in checked(tmp_path, 'SAMPLE = "nobodys"')["value"].words


def test_an_option_that_is_none_is_as_good_as_absent(tmp_path):
    assert faults(checked(tmp_path, "SAMPLE = SCRIPT = TENSOR = None")) == {}


def test_a_portable_loss_needs_tensor_where_arrays_are_no_tensors(tmp_path):
    found = checked(tmp_path, 'FRAMEWORK = "rich"\nversion = lambda: "1"')
    assert {name: one.status for name, one in found.items() if one.status != "ok"} == {"portable": "missing"}
    assert "TENSOR" in found["portable"].words
    tensor = 'FRAMEWORK = "rich"\nversion = lambda: "1"\nTENSOR = "numpy.array({data}, dtype=numpy.{dtype})"'
    assert faults(checked(tmp_path, tensor)) == {}


CONTRACT = {
    "NAME, FRAMEWORK = 5, ''": [("names", "NAME is 5, not text"), ("names", "FRAMEWORK is '', not text")],
    "del evaluate, from_call": [("names", "from_call()"), ("names", "evaluate(spec, input, target, *, gradient)")],
    "def evaluate(spec, input, target): pass": [("names", "can't be called so (")],
    "to_native = 3": [("names", "to_native(spec) is 3, which can't be called")],
    "capabilities = {}": [("names", "capabilities is a dict; it is an xent.adapters.Capabilities")],
    "SCRIPT = 'import mine'": [("names", "SCRIPT lacks {input} and {target} and {loss}")],
    "FORKS = 1": [("names", "FORKS is 1, neither True nor False")],
    'capabilities = Capabilities(input_dtypes=Entry("float32", "page 3"))': [
        ("entries", "capabilities.input_dtypes allows 'float32', which is no tuple"),
    ],
    'capabilities = Capabilities(index_dtypes=Entry(("long",), "page 3"))': [
        ("entries", "capabilities.index_dtypes allows 'long'; it may allow int8, int16"),
    ],
    'capabilities = Capabilities(input_ranks=Entry((2,), ""))': [("entries", "has no clause")],
    "capabilities = Capabilities(input_ranks=(2, 3))": [("entries", "write Entry((...), clause)")],
    "import oneflow": [("import", "it imports oneflow when it is imported itself")],
    "1 / 0": [("import", "mine can't be imported: ZeroDivisionError")],
    "sys.exit(3)": [("import", "mine can't be imported: SystemExit: 3")],
    "os._exit(3)": [("import", "the process that imported it ended with exit code 3")],
    "os.abort()": [("import", "killed by SIGABRT")],
    "print('\\nxent-contract {}'); sys.stdout.flush(); os._exit(0)": [("import", "answers with nonsense")],
}


@pytest.mark.parametrize("body", CONTRACT)
def test_a_module_that_is_no_adapter_yet_is_told_what_it_lacks(tmp_path, body):
    report = kit.check(adapter(tmp_path, body), folder=str(tmp_path))
    assert not report.passed
    assert report.waiting > 10
    assert len(report.checks) == len(CONTRACT[body])
    for one, (name, words) in zip(report.checks, CONTRACT[body], strict=True):
        assert one.name == name
        assert words in one.words
    missing = [one.status for one in report.checks]
    assert set(missing) == ({"missing"} if body.startswith("del") else {"wrong"})


def test_an_adapter_that_imports_its_framework_early_is_told(tmp_path):
    (tmp_path / "torch.py").touch()
    report = kit.check(adapter(tmp_path, "import torch"), folder=str(tmp_path))
    assert [one.name for one in report.checks] == ["import"]
    assert "importing the adapter imports torch" in report.checks[0].words


def test_a_framework_imported_early_only_where_there_is_one_is_told_too(tmp_path):
    """The tool's interpreter may have no such framework, and the adapter pass over that."""
    body = "if 'xent.conformance.worker.journal' in sys.modules: sys.modules['torch'] = sys\n"
    found = faults(checked(tmp_path, body))
    assert "importing the adapter imports torch" in found.get("import", ""), found


def test_what_cannot_be_run_is_no_finding(tmp_path):
    with pytest.raises(Unavailable, match=r"its adapter plugins\.unprepared fails there"):
        kit.check("plugins.unprepared", folder=str(HERE))
    with pytest.raises(Unavailable, match="was not ready after 2 s"):
        kit.check("plugins.unready", folder=str(HERE), startup_timeout=2)
    with pytest.raises(kit.NoModule, match="No module named 'nowhere'"):
        kit.check("nowhere.at.all", folder=str(tmp_path))
    with pytest.raises(UnreadableInput, match="is no module's path"):
        kit.check("../mine.py", folder=str(tmp_path))
    with pytest.raises(Unavailable, match="there is no such interpreter"):
        kit.check(adapter(tmp_path), folder=str(tmp_path), interpreter="/no/such/python")


@pytest.mark.parametrize("name", ["aborts_in_forks", "bools", "echoes", "misbehaves", "offers", "prints"])
def test_hostile_adapters_are_told_and_harm_nobody(name):
    before = dict(sys.modules)
    report = kit.check(f"plugins.{name}", folder=str(HERE), timeout=5)
    found = {one.name: one.words for one in report.checks if one.status != "ok"}
    assert "from_native(object()) gave a object" in found["foreign"]
    assert "source(CrossEntropySpec(" in found["source"]
    assert "NotImplementedError" in found["calls"]
    assert found["value"].startswith("deviates on float32 input")
    assert "no call stands in a phase" in found["phases"]
    assert "nothing that must be refused is refused" in found["refusals"]
    assert not any(module.startswith("plugins") for module in set(sys.modules) - set(before))


# The command


def test_the_command_prints_a_line_a_check_and_its_exit_code(tmp_path):
    good, bad = adapter(tmp_path), adapter(tmp_path, "def from_native(loss): return CrossEntropySpec()", "bad")
    done = xent("adapter", "check", good, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ok ")] == list(CHECKS)
    done = xent("adapter", "check", bad, cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(r"^wrong +round-trip +\d+ of \d+ specs .*\(docs/adding-a-framework\.md#to-", done.stdout, re.M)
    told = json.loads(xent("adapter", "check", bad, "--json", cwd=tmp_path).stdout)
    assert (told["schema"], told["module"], told["passed"]) == ("xent-kit/1", "bad", False)
    assert {one["check"]: one["status"] for one in told["checks"]}["round-trip"] == "wrong"
    assert (told["version"], told["device"]) == (adapters.load("numpy").version(), "cpu")


def test_the_command_waits_for_what_is_missing_and_shows_text_as_text(tmp_path):
    adapter(tmp_path, "NAME = 5\nclass Odd(Exception): pass")
    (tmp_path / "mine.py").open("a").write("FRAMEWORK = ''\n")
    done = xent("adapter", "check", "mine", cwd=tmp_path)
    assert done.returncode == 1
    assert "more checks wait" in done.stdout
    adapter(tmp_path, "raise ValueError('\\x1b[31mred\\x1b[0m')")
    assert "\x1b" not in xent("adapter", "check", "mine", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere"], 2, "No module named 'nowhere'"),
        (["a b"], 2, "is no module's path"),
        (["mine", "--python", "/no/such/python"], 3, "there is no such interpreter"),
        (["mine", "--timeout", "0"], 2, "number of seconds"),
        ([], 2, "MODULE"),
    ],
)
def test_wrong_usage_and_what_cannot_run_have_exit_codes_of_their_own(tmp_path, arguments, code, says):
    adapter(tmp_path)
    done = xent("adapter", "check", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr


# The tables


def test_the_tables_of_both_sides_agree():
    assert tuple(OF_THE_WORKER) == PROBES
    assert set(PROBES) < set(CHECKS)
    assert {name.name for name in contract.NAMES if name.required} == set(REQUIRED)
    assert {name.name for name in contract.NAMES if not name.required} == {
        *OPTIONAL,
        "CrossEntropyLoss",
        "cross_entropy",
    }
    assert set(contract.VOCABULARY) == set(vars(adapters.Capabilities()))


def test_every_check_points_into_the_guide():
    text = (ROOT / GUIDE).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert {about.heading for about in CHECKS.values()} <= anchors

"""What users install: the wheel, in environments whose packages are somebody else's."""

from __future__ import annotations

import email.parser
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from interpreters import Environment

from xent import CrossEntropySpec, dtypes, reference
from xent.__main__ import PACKAGES

SHARED = Path(__file__).resolve().parent / "shared"


def requirements(wheel: Path) -> list[str]:
    return metadata(wheel).get_all("Requires-Dist", [])


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.parser.BytesParser().parsebytes(archive.read(name))


def test_a_training_environment_gets_numpy_alone(wheel):
    assert metadata(wheel)["Requires-Python"] == ">=3.8"
    assert [one for one in requirements(wheel) if "extra ==" not in one] == ["numpy>=1.19"]


def test_the_extra_is_what_the_command_asks_for(wheel):
    extra = [one for one in requirements(wheel) if "extra == 'conformance'" in one]
    names = {re.match(r"[\w-]+", one)[0].replace("-", "_") for one in extra}
    assert names - {"uv"} == set(PACKAGES)
    assert all("python_version >= '3.10'" in one for one in extra)


def test_the_source_distribution_holds_plain_files(wheel, source_distribution):
    with tarfile.open(source_distribution) as archive:
        members = archive.getmembers()
    assert all(member.isreg() for member in members)
    inside = {member.name.partition("/")[2] for member in members}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed - inside == set()
    assert "pyproject.toml" in inside


@pytest.mark.parametrize("framework", ["mindspore", "oneflow"])
def test_a_frameworks_packages_stay_as_they_are_and_it_trains(framework, framework_python, wheel, tmp_path):
    environment = Environment(framework_python(framework), tmp_path / "environment", on_top=True)
    before = environment.packages()
    assert any(re.match(rf"{framework}\b", one) for one in before), before
    environment.install(str(wheel))
    after = environment.packages()
    assert before - after == set()
    assert [one.split()[0] for one in after - before] == ["xent-loss"], after - before

    found = json.loads(environment.run(str(SHARED / "train_installed.py"), framework).stdout.splitlines()[-1])
    assert Path(found["xent"]).is_relative_to(environment.folder)
    assert not Path(found["numpy"]).is_relative_to(environment.folder)
    losses = found["losses"]
    assert all(np.isfinite(losses))
    assert losses[-1] < 0.6 * losses[0], losses

    done = environment.command("run")
    assert (done.returncode, done.stdout) == (2, "")
    said = r'xent: the command line needs (.*), not installed here\. Run: pip install "xent-loss\[conformance\]"\n'
    lacking = re.fullmatch(said, done.stderr)
    assert lacking, done.stderr
    assert {"ml_dtypes", "jinja2"} <= set(lacking[1].split(", ")) < set(PACKAGES)


@pytest.fixture(scope="module")
def old_environment(old_python, wheel, tmp_path_factory):
    """The wheel in Python 3.8 with NumPy 1.19.5."""
    environment = Environment(old_python, tmp_path_factory.mktemp("installed") / "environment", on_top=True)
    before = environment.packages()
    environment.install(str(wheel))
    assert [one.split()[0] for one in environment.packages() ^ before] == ["xent-loss"]
    return environment


LOGITS = [[0.5, -1.25, 3.0], [88.0, 2.0, -700.0], [0.0, 0.0, 0.125], [1e-3, 2e-3, float("-inf")]]
LABELS = [2, 1, 255, 0]
VALUES = """
import json, sys
import numpy as np
import xent
from xent import dtypes

logits, labels, kinds = json.loads(sys.argv[1])
found = {}
for name in dtypes.FLOATS:
    for reduction in kinds:
        spec = xent.CrossEntropySpec(ignore_index=255, reduction=reduction)
        arguments = spec, dtypes.from_float64(logits, name), np.array(labels)
        results = xent.reference.value(*arguments), xent.reference.gradient(*arguments)
        found[name + "/" + reduction] = [dtypes.bits(result).tolist() for result in results]
print(json.dumps(found))
"""


@pytest.mark.xdist_group("python 3.8")
def test_the_oracle_answers_on_python_38_as_it_does_here(old_environment):
    kinds = ["none", "sum"]
    done = old_environment.run("-c", VALUES, json.dumps([LOGITS, LABELS, kinds]))
    found = json.loads(done.stdout)
    assert len(found) == 8
    for name in dtypes.FLOATS:
        for reduction in kinds:
            spec = CrossEntropySpec(ignore_index=255, reduction=reduction)
            arguments = spec, dtypes.from_float64(LOGITS, name), np.array(LABELS)
            results = reference.value(*arguments), reference.gradient(*arguments)
            assert found[f"{name}/{reduction}"] == [dtypes.bits(result).tolist() for result in results]


DOUBTFUL = """
import pickle
import numpy as np
from xent import CrossEntropySpec, errors, reference

logits = np.random.RandomState(0).normal(size=(2000, 3))
try:
    reference.value(CrossEntropySpec(reduction="none"), logits, np.zeros(2000, dtype=np.int64))
except ImportError as error:
    assert isinstance(error, errors.MissingPackage)
    print(pickle.loads(pickle.dumps(error)))  # our own object: processes hand theirs on this way
"""
SAID = (
    "A result that long double can't round for sure needs mpmath, which isn't installed here. Run: pip install mpmath\n"
)


def test_a_number_that_needs_mpmath_says_what_to_install():
    script = "import sys; sys.modules['mpmath'] = None\n" + DOUBTFUL
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == SAID


@pytest.mark.xdist_group("python 3.8")
def test_it_does_on_python_38(old_environment):
    assert old_environment.run("-c", DOUBTFUL).stdout == SAID


@pytest.mark.xdist_group("python 3.8")
def test_the_command_names_the_python_that_it_needs(old_environment):
    done = old_environment.command("--help")
    assert (done.returncode, done.stdout) == (2, "")
    version = old_environment.run("-V").stdout.split()[1]
    assert done.stderr == (
        f"xent: the command line needs Python 3.10 or later, and this is {version}. "
        'In a later one, run: pip install "xent-loss[conformance]"\n'
    )


def test_the_module_runs_as_the_command_does(capsys, monkeypatch):
    from xent import __main__

    monkeypatch.setattr(sys, "argv", ["xent", "--version"])
    with pytest.raises(SystemExit) as end:
        __main__.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("xent ")

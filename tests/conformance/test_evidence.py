"""Evidence from elsewhere: the same verdicts everywhere, nothing imported, and whatever gives itself away is named."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from command import VECTOR, plugin, vectors, xent

NARROW = """
capabilities = Capabilities(input_dtypes=Entry(("float32",), "mine/input/dtype"))
"""
WIDE = {**VECTOR, "id": "mine/wide", "input": {"dtype": "float64", "data": [[0.0, 0.0]]}}
OTHER = {**VECTOR, "id": "mine/other"}
WRONG = {**VECTOR, "id": "mine/wrong", "expected": {"value": [0.7], "gradient": None, "atol": 5e-5, "rtol": 0}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a plug-in that doesn't take float64, on three cases: out/results/narrow.jsonl, and my.json."""
    folder = tmp_path_factory.mktemp("made")
    plugin(folder, "narrow", NARROW)
    path = vectors(folder / "my.json", VECTOR, OTHER, WIDE)
    done = xent("run", "--adapter", "narrow", "--only", "narrow", "--vectors", path, "--out", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def lines_of(made: Path) -> list[dict]:
    return [json.loads(line) for line in (made / "out/results/narrow.jsonl").read_text().splitlines()]


def put(folder: Path, lines: list[dict], name: str = "results.jsonl") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return name


def verdicts(folder: Path) -> str:
    return json.dumps(json.loads((folder / "report.json").read_text())["verdicts"])


def test_the_same_file_gets_the_same_verdicts_with_and_without_its_adapter(made, tmp_path):
    name = put(tmp_path, lines_of(made))
    shutil.copy(made / "my.json", tmp_path)
    # Under an id of xent's own too: what is installed under it must not matter.
    header, *rest = lines_of(made)
    header["implementation"] |= {"id": "numpy", "name": "numpy"}
    put(tmp_path, [header, *rest], "as-numpy.jsonl")
    found = []
    for file, path in ((name, ""), (name, str(made)), ("as-numpy.jsonl", "")):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, *sys.path]))}
        done = xent("report", file, "--vectors", "my.json", "--out", "out", cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        found.append(verdicts(tmp_path / "out").replace('"numpy"', '"narrow"'))
    assert found[0] == found[1] == found[2]
    assert found[0] == verdicts(made / "out")
    assert [row["verdict"] for row in json.loads(found[0])] == ["agrees", "agrees", "unsupported"]


@pytest.mark.parametrize("name", ["antigravity", "this", "unittest.__main__", "planted", "planted.deep", "os"])
def test_a_module_that_a_file_names_is_never_imported(made, tmp_path, name):
    header, *rest = lines_of(made)
    header["implementation"] |= {"id": name, "name": name}
    header["adapter"]["module"] = name
    (tmp_path / "out/results").mkdir(parents=True)
    file = put(tmp_path / "out/results", [header, *rest], "evil.jsonl")
    shutil.copy(made / "out/cases.safetensors", tmp_path / "out")
    (tmp_path / "planted").mkdir()
    for module in ("__init__", "deep"):
        (tmp_path / "planted" / f"{module}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "BROWSER": "false"}
    for command in (["report", f"out/results/{file}", "--out", "merged"], ["show", "mine/one", "--in", "out"]):
        done = xent(*command, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        assert "Beautiful is better" not in done.stdout
        assert "Ran 0 tests" not in done.stderr
    assert not (tmp_path / "imported").exists()


def without(lines: list[dict], case: str) -> list[dict]:
    """As somebody cuts a record out who knows about the footer."""
    kept = [line for line in lines if line.get("case") != case]
    return [*kept[:-1], {**kept[-1], "planned": len(kept) - 2, "recorded": len(kept) - 2}]


def cut_out(lines: list[dict]) -> list[dict]:
    return without(lines, "mine/other")


def one_left(lines: list[dict]) -> list[dict]:
    return without(without(lines, "mine/other"), "mine/wide")


def claimed_as_left_out(lines: list[dict]) -> list[dict]:
    header, *rest = without(lines, "mine/other")
    return [header, *rest[:-1], {**rest[-1], "left_out": {"only some run": 1}}]


def unsupported_against_its_capabilities(lines: list[dict]) -> list[dict]:
    return [
        {"case": "mine/other", "outcome": "unsupported"} if line.get("case") == "mine/other" else line for line in lines
    ]


def of_no_planned_case(lines: list[dict]) -> list[dict]:
    header, *rest = [{**line, "case": "mine/strange"} if line.get("case") == "mine/other" else line for line in lines]
    return [header, *rest]


def other_kernels(lines: list[dict]) -> list[dict]:
    header, *rest = lines
    return [{**header, "implementation": {**header["implementation"], "kernels": "stand-in"}}, *rest]


def other_name(lines: list[dict]) -> list[dict]:
    header, *rest = lines
    return [{**header, "implementation": {**header["implementation"], "id": "torch", "name": "narrow"}}, *rest]


def other_count(lines: list[dict]) -> list[dict]:
    header, *rest = lines
    return [{**header, "case_set": {**header["case_set"], "count": 2}}, *rest]


def incomplete(lines: list[dict]) -> list[dict]:
    return lines[:-2]


FORGED = {
    cut_out: "1 of 3 planned cases have no record (mine/other)",
    one_left: "2 of 3 planned cases have no record (mine/other, mine/wide)",
    claimed_as_left_out: "1 of 3 planned cases have no record (mine/other)",
    unsupported_against_its_capabilities: "and the capabilities in its own header don't exclude it (mine/other)",
    of_no_planned_case: "1 records belong to no planned case (mine/strange)",
    other_kernels: "its header says that the kernels are 'stand-in', and its records say 'native'",
    other_name: "the adapter's name 'narrow' contradicts the id 'torch'",
    other_count: "its header counts 2 cases, and the case set has 3",
    incomplete: "it is incomplete: 2 of 3 planned cases are recorded, and no footer",
}


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
def test_what_gives_itself_away_is_named_and_fails_the_check(made, tmp_path, forge):
    shutil.copy(made / "my.json", tmp_path)
    good = put(tmp_path, lines_of(made), "good.jsonl")
    bad = put(tmp_path, forge(lines_of(made)), "bad.jsonl")
    assert xent("report", good, "--vectors", "my.json", "--check", cwd=tmp_path).returncode == 0
    done = xent("report", bad, "--vectors", "my.json", "--check", cwd=tmp_path)
    assert done.returncode == (3 if forge is incomplete else 1), done.stderr
    told = " ".join(done.stderr.split())
    assert FORGED[forge] in told
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert any(FORGED[forge] in flaw["problem"] for flaw in report["flaws"])
    assert FORGED[forge].replace("'", "&#39;") in (tmp_path / "report/index.html").read_text()


def test_a_sample_is_what_its_header_says_it_is(made, tmp_path):
    """mint-jit runs a part of the cases: left-out cases are no fault where the header names the sample's tag."""
    shutil.copy(made / "my.json", tmp_path)
    header, *rest = without(lines_of(made), "mine/other")
    sampled = {**header, "sample": "tagged"}
    file = put(tmp_path, [sampled, *rest[:-1], {**rest[-1], "left_out": {"only cases tagged tagged run": 1}}])
    done = xent("report", file, "--vectors", "my.json", "--check", cwd=tmp_path)
    assert done.returncode == 1, "none of these cases has that tag"
    tagged = [{**VECTOR, "tags": ["tagged"]}, OTHER, {**WIDE, "tags": ["tagged"]}]
    path = vectors(tmp_path / "tagged.json", *tagged)
    body = NARROW + 'SAMPLE = "tagged"\n'
    plugin(tmp_path, "sampled", body)
    run = ["run", "--adapter", "sampled", "--only", "sampled", "--vectors", path, "--out", "out", "--check"]
    assert xent(*run, cwd=tmp_path).returncode == 0


def test_one_implementation_on_two_devices_is_two_columns(made, tmp_path):
    shutil.copy(made / "my.json", tmp_path)
    header, *rest = lines_of(made)
    files = []
    for device, version in (("cpu", "2.10.0"), ("ascend", "2.10.0"), ("ascend", "2.11.0")):
        implementation = {
            **header["implementation"],
            "id": "mint",
            "name": "mint",
            "device": device,
            "version": version,
        }
        files.append(put(tmp_path, [{**header, "implementation": implementation}, *rest], f"{device}-{version}.jsonl"))
    done = xent("report", *files[:2], "--vectors", "my.json", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert [item["id"] for item in report["implementations"]] == ["mint:cpu", "mint:ascend"]
    assert {item["implementation"] for item in report["implementations"]} == {"mint"}
    assert report["flaws"] == []
    assert "Ascend: never run" not in done.stderr
    done = xent("report", *files, "--vectors", "my.json", "--out", "three", cwd=tmp_path)
    report = json.loads((tmp_path / "three/report.json").read_text())
    labels = [item["id"] for item in report["implementations"]]
    assert labels == ["mint@2.10.0:cpu", "mint@2.10.0:ascend", "mint@2.11.0:ascend"]
    twice = xent("report", files[0], files[0], "--vectors", "my.json", cwd=tmp_path)
    assert twice.returncode == 2
    assert "a second file of mint 2.10.0 on cpu" in twice.stderr


def test_show_reads_evidence_of_its_own_cases_only(made, tmp_path):
    shutil.copytree(made / "out", tmp_path / "out")
    (tmp_path / "out/results/again.jsonl").write_bytes((made / "out/results/narrow.jsonl").read_bytes())
    twice = xent("show", "mine/one", "--in", "out", cwd=tmp_path)
    assert twice.returncode == 2
    assert "a second file of narrow" in twice.stderr
    (tmp_path / "out/results/again.jsonl").unlink()
    plugin(tmp_path, "narrow")
    path = vectors(tmp_path / "other.json", OTHER)
    run = ["run", "--adapter", "narrow", "--only", "narrow", "--vectors", path, "--out", "second"]
    assert xent(*run, cwd=tmp_path).returncode == 0
    shutil.copy(tmp_path / "second/cases.safetensors", tmp_path / "out")
    other = xent("show", "mine/other", "--in", "out", cwd=tmp_path)
    assert other.returncode == 2
    assert "is about the case set" in other.stderr


def test_a_broken_case_file_blocks_no_report_of_known_cases(made, tmp_path):
    shutil.copytree(made / "out", tmp_path / "out")
    (tmp_path / "out/cases.safetensors").write_bytes(b"broken")
    shutil.copy(made / "my.json", tmp_path)
    report = ["report", "out/results/narrow.jsonl", "--out", "merged"]
    assert xent(*report, "--vectors", "my.json", cwd=tmp_path).returncode == 0
    unknown = xent(*report, cwd=tmp_path)
    assert unknown.returncode == 2
    assert "what is beside it can't be read" in unknown.stderr
    assert "--vectors" in unknown.stderr


def test_another_version_of_the_adapter_is_said_and_changes_nothing(made, tmp_path):
    shutil.copy(made / "my.json", tmp_path)
    header, *rest = lines_of(made)
    header["implementation"] |= {"id": "numpy", "name": "numpy"}
    header["adapter"]["module"] = "xent.adapters.numpy"
    file = put(tmp_path, [header, *rest])
    done = xent("report", file, "--vectors", "my.json", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0
    assert "made by another version of its adapter" in done.stderr
    assert verdicts(tmp_path / "out").replace('"numpy"', '"narrow"') == verdicts(made / "out")


def test_what_deviates_fails_the_check(tmp_path):
    path = vectors(tmp_path / "my.json", VECTOR, WRONG)
    assert xent("run", "--only", "numpy", "--vectors", path, "--check", cwd=tmp_path).returncode == 1


def test_a_first_schema_file_without_capabilities_is_judged_by_the_specification(made, tmp_path):
    shutil.copy(made / "my.json", tmp_path)
    header, *rest = lines_of(made)
    old = {name: value for name, value in header.items() if name not in ("capabilities", "sample")}
    file = put(tmp_path, [{**old, "schema": "xent-results/1"}, *rest])
    done = xent("report", file, "--vectors", "my.json", "--out", "out", "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert verdicts(tmp_path / "out").count('"unsupported"') == 1
    for left_out in ({}, {"no reason": 1}, {"only cases tagged mine run": 1}):
        *kept, footer = without([{**old, "schema": "xent-results/1"}, *rest], "mine/other")
        file = put(tmp_path, [*kept, {**footer, "left_out": left_out}])
        done = xent("report", file, "--vectors", "my.json", "--out", "out", "--check", cwd=tmp_path)
        assert done.returncode == 1, left_out


def test_what_a_vector_file_may_ask_can_be_recorded_and_judged(tmp_path):
    """A gradient of more than a million elements: one limit for who reads, writes and judges."""
    rows = "[" + ",".join(["[0,1]"] * 600_000) + "]"
    labels = "[" + ",".join("1" * 600_000) + "]"
    input, target = f'{{"dtype": "float32", "data": {rows}}}', f'{{"dtype": "int64", "data": {labels}}}'
    vector = f'{{"id": "large", "spec": {{"reduction": "sum"}}, "input": {input}, "target": {target}}}'
    (tmp_path / "large.json").write_text(f'{{"schema": "xent-vectors/1", "vectors": [{vector}]}}')
    done = xent("run", "--only", "numpy", "--vectors", "large.json", "--out", "out", "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert xent("report", "out/results/numpy.jsonl", "--check", cwd=tmp_path).returncode == 0


def test_a_file_is_not_blamed_for_the_bytes_of_its_name(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.json"
    Path(os.fsdecode(path)).write_bytes(Path(vectors(tmp_path / "my.json")).read_bytes())
    done = xent("run", "--only", "numpy", "--vectors", os.fsdecode(path), "--out", "out", "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_kernels_are_those_of_what_was_returned(tmp_path):
    """A refusal comes with no word about kernels, in the file and out of it."""
    body = """
_evaluate = evaluate
def evaluate(spec, input, target, *, gradient):
    found = _evaluate(spec, input, target, gradient=gradient)
    return Evaluation(found.value, found.gradient, kernels="stand-in")
"""
    plugin(tmp_path, "standing", body)
    refused = {**VECTOR, "id": "mine/refused", "spec": {"reduction": "bogus"}, "expected": {"raises": True}}
    path = vectors(tmp_path / "my.json", VECTOR, refused)
    run = ["run", "--adapter", "standing", "--only", "standing", "--vectors", path, "--out", "out", "--check"]
    for command in (run, ["report", "out/results/standing.jsonl", "--out", "again", "--check"]):
        done = xent(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "stand-in" in done.stderr
        assert "native+stand-in" not in done.stderr

"""The job qc_metrics: its arguments, exit status, thresholds and output files."""

import ast
import csv
import io
import json
import subprocess
import sys
import tarfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from local.environment import ROOT
from research.jobs.qc_metrics import qc
from research.jobs.qc_metrics.qc import command, outputs, packed
from research.launch import SCRIPT


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder like /opt/ml/processing with the code only, as SageMaker's ScriptProcessor mounts it."""
    code = tmp_path / "ml" / "processing" / "input" / "code"
    code.mkdir(parents=True)
    (code / "qc_metrics.py").write_text("")
    (code / "other.csv").write_text(",A\nB,1\n")
    return code.parents[1]


def message(base: Path) -> str:
    """Return the content of the file from which SageMaker makes ExitMessage."""
    return (base.parent / "output" / "message").read_text()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--min-genes", "7000"], "min_genes = 7000 and max_genes = 6000 keep no cell"),
        (["--min-umis", "5", "--max-umis", "5"], "min_umis = 5 and max_umis = 5 keep no cell"),
        (["--percent-mito", "0"], "percent_mito = 0.0: must be more than 0 and at most 100"),
        (["--percent-mito", "101"], "percent_mito = 101.0: must be more than 0 and at most 100"),
        (["--mads", "0"], "mads = 0.0: must be more than 0"),
    ],
)
def test_invalid_thresholds_exit_with_2(base: Path, arguments: list[str], error: str) -> None:
    assert command.main(["--base-dir", str(base), *arguments]) == 2
    assert error in message(base)
    assert not (base / "output").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--min-genes", "2.5"],
        ["--min-genes", "-1"],
        ["--max-umis", "many"],
        ["--mito"],
        ["--transpose", "maybe"],
        ["--fractions", "maybe"],
    ],
)
def test_invalid_argument_is_rejected(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command._parser().parse_args(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_missing_input_exits_with_3(base: Path) -> None:
    """As a process: the code's folder is no input, and the reason is the last line and the message."""
    ended = subprocess.run(
        [sys.executable, SCRIPT], capture_output=True, text=True, env={"PROCESSING_DIR": str(base)}, check=False
    )
    assert ended.returncode == 3, ended
    assert "No data set" in ended.stdout.splitlines()[-1]
    assert "Files: none" in message(base)


def test_refused_job_leaves_no_earlier_result(base: Path) -> None:
    (base / "output").mkdir()
    for name in ("qc_metrics.csv", "manifest.json", "qc_metrics.png", "notes.txt"):
        (base / "output" / name).write_text("earlier")
    assert command.main(["--base-dir", str(base)]) == 3
    assert [file.name for file in (base / "output").iterdir()] == ["notes.txt"]


def test_unexpected_error_exits_with_1_and_a_traceback(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "run", lambda *_: json.loads("no JSON"))
    assert command.main(["--base-dir", str(base)]) == 1
    log = capsys.readouterr().out
    assert "Traceback" in log
    assert log.splitlines()[-1].endswith("Expecting value: line 1 column 1 (char 0)")


def test_exit_message_is_cut_to_1_kb(base: Path) -> None:
    command._end(base, 3, "é" * 1000)
    assert message(base) == "é" * 512


def test_exit_message_is_written_only_below_ml(tmp_path: Path) -> None:
    command._end(tmp_path / "processing", 0, "done")
    assert not list(tmp_path.iterdir())


def test_default_thresholds_are_those_of_pegasus_1_0() -> None:
    assert qc.Thresholds() == qc.Thresholds(500, 6000, None, None, "MT-", 10.0, None)
    options = vars(command._parser().parse_args([]))
    defaults = {each.name: each.default for kind in (qc.Thresholds, qc.Choices) for each in fields(kind)}
    assert {name: value for name, value in options.items() if name != "base_dir"} == defaults


def test_each_threshold_can_be_switched_off() -> None:
    names = [each.name for each in fields(qc.Thresholds)]
    options = command._parser().parse_args([part for name in names for part in (f"--{name.replace('_', '-')}", "none")])
    assert all(getattr(options, name) is None for name in names)


def test_csv_always_has_the_same_columns(tmp_path: Path) -> None:
    outputs.write_csv([{"Channel": "s, 1", "kept": 3, "total": 4, "median_n_genes": None}], tmp_path / "qc.csv")
    (row,) = csv.DictReader((tmp_path / "qc.csv").read_text().splitlines())
    assert tuple(row) == outputs.COLUMNS
    assert (row["Channel"], row["kept"], row["median_n_genes"], row["median_percent_mito"]) == ("s, 1", "3", "", "")


def test_manifest_contains_facts_and_versions(tmp_path: Path) -> None:
    outputs.write_manifest(tmp_path / "manifest.json", kept=3)
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert written["kept"] == 3
    assert written["versions"]["python"].startswith("3.")


def test_addresses_are_those_of_the_request(base: Path) -> None:
    assert command.addresses(base) == []
    (base.parent / "config").mkdir()
    inputs = [{"InputName": name, "S3Input": {"S3Uri": f"s3://b/{name}"}} for name in ("data", "code")]
    (base.parent / "config" / "processingjobconfig.json").write_text(json.dumps({"ProcessingInputs": inputs}))
    assert command.addresses(base) == ["s3://b/data"]


def test_directory_digest_covers_names_and_contents(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "below").mkdir(parents=True)
        for name, content in files.items():
            (folder / "below" / name).write_text(content)
        return str(packed.digest(folder))

    same = digest(a="1", b="2")
    assert same == digest(b="2", a="1")
    assert len({same, digest(a="2", b="1"), digest(a="1", c="2"), digest(a="1")}) == 4


@pytest.mark.parametrize(("limit", "value"), [("UNPACKED_BYTES", 100), ("UNPACKED_FILES", 1)])
def test_archives_have_limits(base: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    with tarfile.open(base / "input" / "a.tar.gz", "w:gz") as archive:
        for name in "abc":
            member = tarfile.TarInfo(name)
            member.size = 90
            archive.addfile(member, io.BytesIO(bytes(90)))
    monkeypatch.setattr(packed, limit, value)
    assert command.main(["--base-dir", str(base)]) == 3
    assert "a.tar.gz: " in message(base)
    assert "limit" in message(base) or "over 1 files" in message(base)


def marked(**thresholds: Any) -> tuple[Any, dict[str, Any]]:
    """Return cells of two samples, marked: values around 100 and 1000 genes, and an outlier in each."""
    import pandas

    genes = [90, 95, 100, 105, 110, 400, 900, 950, 1000, 1050, 1100, 400]
    cells = pandas.DataFrame({"Channel": ["a"] * 6 + ["b"] * 6, "n_genes": genes, "n_umis": genes, "dropped": False})
    limits = qc.mark(cells, qc.Thresholds(min_genes=None, **thresholds))
    return cells, limits


def test_deviations_are_of_each_sample() -> None:
    cells, limits = marked(mads=5.0)
    assert list(cells["passed_qc"]) == [True] * 5 + [False] + [True] * 5 + [False]
    assert limits["a"]["n_genes"] == pytest.approx([59.4, 176.2], abs=0.1)
    assert limits["b"]["n_genes"][0] > 400
    assert list(limits["a"]) == ["n_genes", "n_umis"]


def test_deviations_do_not_replace_thresholds() -> None:
    cells, _ = marked(mads=5.0, max_genes=1050)
    assert list(cells["passed_qc"]) == [True] * 5 + [False] + [True] * 3 + [False] * 3
    assert marked()[1] == {}


def test_rows_have_all_cells_and_no_median_of_none() -> None:
    cells, _ = marked(max_genes=500)
    cells.loc[0, ["dropped", "passed_qc"]] = (True, False)
    first, second = qc.rows_of(cells)
    assert (first["kept"], first["filt"], first["total"], first["dropped"]) == (5, 0, 5, 1)
    assert (second["kept"], second["median_n_genes"], second["median_n_genes_before"]) == (1, 400, 975)
    cells["passed_qc"] = False
    assert qc.rows_of(cells)[0]["median_n_genes"] is None


def test_picture_has_a_row_of_panels_for_each_sample(tmp_path: Path) -> None:
    cells, limits = marked(mads=3.0)
    sizes = []
    for name, some in (("two", cells), ("one", cells[cells["Channel"] == "a"])):
        outputs.draw(some, qc.Thresholds(mads=3.0), limits, tmp_path / f"{name}.png")
        content = (tmp_path / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        sizes.append(int.from_bytes(content[20:24], "big"))
    assert sizes[0] > 1.5 * sizes[1]


def test_jobs_import_nothing_from_the_project() -> None:
    """A researcher copies one folder."""
    own = {path.name for folder in (ROOT, ROOT / "lambdas") for path in folder.iterdir() if path.is_dir()}
    assert {"stacks", "claim_check", "research"} <= own
    for script in SCRIPT.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(script.read_text())):
            modules = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""] if not node.level else []
                assert node.level < 2, script
            assert not own.intersection(module.split(".")[0] for module in modules), script

"""The job qc_metrics.py without Pegasus: its input, arguments, exit status and output files."""

import ast
import csv
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.templates import ROOT

SCRIPT = ROOT / "research" / "jobs" / "qc_metrics.py"


@pytest.fixture(scope="module")
def job() -> Iterator[ModuleType]:
    """The script as a module: it is in no package."""
    spec = importlib.util.spec_from_file_location("qc_metrics", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["qc_metrics"] = module  # dataclasses look up their module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["qc_metrics"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder like /opt/ml/processing with the code only, as SageMaker's ScriptProcessor mounts it."""
    code = tmp_path / "processing" / "input" / "code"
    code.mkdir(parents=True)
    (code / "qc_metrics.py").write_text("")
    (code / "other.csv").write_text("")
    (tmp_path / "output").mkdir()
    return tmp_path / "processing"


def put(base: Path, *names: str, content: bytes = b"") -> None:
    for name in names:
        file = base / "input" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("files", "path", "kind", "name"),
    [
        (["a.h5ad"], "a.h5ad", "h5ad", "a"),
        (["data/PBMC.filtered.h5"], "data/PBMC.filtered.h5", "10x", "PBMC.filtered"),
        (["a.loom"], "a.loom", "loom", "a"),
        (["a.csv"], "a.csv", "csv", "a"),
        (["a.csv.gz"], "a.csv.gz", "csv", "a"),
        (["A.ZARR.ZIP"], "A.ZARR.ZIP", "zarr", "A"),
        (["a.zarr/.zgroup", "a.zarr/X/0.0", "a.zarr/obs.csv"], "a.zarr", "zarr", "a"),
        (["run/matrix.mtx.gz", "run/barcodes.tsv.gz", "run/features.tsv.gz"], "run", "mtx", "run"),
        (["matrix.mtx", "barcodes.tsv", "genes.tsv"], ".", "mtx", "input"),
        (["deep/er/hg19/matrix.mtx", "deep/readme.txt"], "deep/er/hg19", "mtx", "hg19"),
        (["a.h5", ".ipynb_checkpoints/a.h5", "__MACOSX/a.h5", "readme.txt"], "a.h5", "10x", "a"),
    ],
)
def test_one_data_set_is_found(job: ModuleType, base: Path, files: list[str], path: str, kind: str, name: str) -> None:
    put(base, *files)
    source = job.find_input(base / "input")
    assert (source.path, source.kind, source.name) == (base / "input" / path, kind, name)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], ["No data set", "Other files: none"]),
        (["readme.txt", "run/log"], ["No data set", "Other files: readme.txt, run/log"]),
        (["a.h5", "b/c.csv"], ["2 data sets", "a.h5, b/c.csv"]),
        (["a/matrix.mtx", "b/matrix.mtx.gz"], ["2 data sets", "a, b"]),
    ],
)
def test_other_inputs_are_listed_in_the_error(job: ModuleType, base: Path, files: list[str], words: list[str]) -> None:
    put(base, *files)
    with pytest.raises(job.InputError) as error:
        job.find_input(base / "input")
    for part in words:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PK\x03\x04zip", "zarr"), (b",A,B\nc1,0,1\n", "csv"), (b"plain text\n", None), (b"\0,\0", None), (b"", None)],
)
def test_format_is_detected_without_file_ending(job: ModuleType, base: Path, content: bytes, kind: str | None) -> None:
    """A payload that was published without a file name is named after its message's id."""
    put(base, "data/0f9c", content=content)
    if kind:
        assert job.find_input(base / "input") == job.Input(base / "input" / "data" / "0f9c", kind)
        return
    with pytest.raises(job.InputError, match="Other files: data/0f9c"):
        job.find_input(base / "input")


def run(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the job as a process in an environment without Pegasus."""
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={"PROCESSING_DIR": str(base)}, check=False, cwd=base
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--min-genes", "7000"], "min_genes = 7000 and max_genes = 6000 keep no cell"),
        (["--min-umis", "5", "--max-umis", "5"], "min_umis = 5 and max_umis = 5 keep no cell"),
        (["--percent-mito", "0"], "percent_mito = 0.0: must be more than 0 and at most 100"),
        (["--percent-mito", "101"], "percent_mito = 101.0: must be more than 0 and at most 100"),
        (["--mito-prefix", "none"], "percent_mito = 10.0: has no effect without mito_prefix"),
    ],
)
def test_contradictory_thresholds_are_rejected(job: ModuleType, arguments: list[str], error: str) -> None:
    options = vars(job._parser().parse_args(arguments))
    with pytest.raises(ValueError, match=error):
        job.Thresholds(**{name: options[name] for name in job.Thresholds.__dataclass_fields__})


def test_invalid_thresholds_exit_with_2(base: Path) -> None:
    """The reason is the log's last line, and in the file from which SageMaker makes ExitMessage."""
    put(base, "a.csv")
    ended = run(base, "--min-genes", "7000")
    assert ended.returncode == 2, ended
    assert "keep no cell" in ended.stdout.splitlines()[-1]
    assert "keep no cell" in (base.parent / "output" / "message").read_text()
    assert not (base / "output").exists()


@pytest.mark.parametrize(
    "arguments", [["--min-genes", "2.5"], ["--min-genes", "-1"], ["--max-umis", "many"], ["--mito"]]
)
def test_invalid_argument_is_rejected(
    job: ModuleType, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        job._parser().parse_args(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_missing_input_exits_with_3(base: Path) -> None:
    ended = run(base)
    assert ended.returncode == 3
    assert "No data set" in ended.stdout.splitlines()[-1]
    assert "No data set" in (base.parent / "output" / "message").read_text()


def test_unexpected_error_exits_with_1_and_a_traceback(base: Path) -> None:
    """The error: Pegasus is not installed."""
    put(base, "a.h5ad")
    ended = run(base)
    assert ended.returncode == 1
    assert "Traceback" in ended.stdout
    assert "ModuleNotFoundError: No module named 'pegasus'" in ended.stdout.splitlines()[-1]


def test_exit_message_is_cut_to_1_kb(job: ModuleType, base: Path) -> None:
    job._end(base, 3, "é" * 1000)
    written = (base.parent / "output" / "message").read_bytes()
    assert len(written) == 1024
    assert written.decode() == "é" * 512


def test_exit_message_is_written_only_below_processing(job: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    job._end(tmp_path / "anywhere", 0, "done")
    assert not list((tmp_path / "output").iterdir())


def test_default_thresholds_are_those_of_pegasus_1_0(job: ModuleType) -> None:
    assert job.Thresholds() == job.Thresholds(500, 6000, None, None, "MT-", 10.0)
    options = job._parser().parse_args([])
    for name in job.Thresholds.__dataclass_fields__:
        assert getattr(options, name) == getattr(job.Thresholds(), name)


def test_each_threshold_can_be_switched_off(job: ModuleType) -> None:
    names = list(job.Thresholds.__dataclass_fields__)
    options = job._parser().parse_args([part for name in names for part in (f"--{name.replace('_', '-')}", "none")])
    assert all(getattr(options, name) is None for name in names)


def test_csv_always_has_the_same_columns(job: ModuleType, tmp_path: Path) -> None:
    job.write_csv([{"Channel": "s, 1", "kept": 3, "total": 4, "more": 1}], tmp_path / "qc.csv")
    (row,) = csv.DictReader((tmp_path / "qc.csv").read_text().splitlines())
    assert tuple(row) == job.COLUMNS
    assert (row["Channel"], row["kept"], row["median_percent_mito"]) == ("s, 1", "3", "")


def test_manifest_contains_facts_and_versions(job: ModuleType, tmp_path: Path) -> None:
    job.write_manifest(tmp_path / "manifest.json", kept=3)
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert written["kept"] == 3
    assert written["versions"]["python"].startswith("3.")


def test_directory_digest_covers_names_and_contents(job: ModuleType, tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "below").mkdir(parents=True)
        for name, content in files.items():
            (folder / "below" / name).write_text(content)
        return str(job.digest(folder))

    same = digest(a="1", b="2")
    assert same == digest(b="2", a="1")
    assert len({same, digest(a="2", b="1"), digest(a="1", c="2"), digest(a="1")}) == 4


def test_missing_mitochondrial_genes_are_a_warning(job: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    assert job.mitochondrial(["MT-CO1", "ACTB", "MTOR"], "MT-") == 1
    assert job.mitochondrial(["mt-Co1"], None) == 0
    assert not caplog.records
    assert job.mitochondrial(["mt-Co1"], "MT-") == 0
    assert "no cell is filtered by mitochondrial counts" in caplog.text


def test_jobs_import_nothing_from_the_project() -> None:
    """A researcher copies one file."""
    own = {path.name for folder in (ROOT, ROOT / "lambdas") for path in folder.iterdir() if path.is_dir()}
    assert {"stacks", "claim_check", "research"} <= own
    for script in SCRIPT.parent.glob("*.py"):
        for node in ast.walk(ast.parse(script.read_text())):
            modules = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert not node.level, script
                modules = [node.module or ""]
            assert not own.intersection(module.split(".")[0] for module in modules), script

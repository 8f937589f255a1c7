"""research/jobs/qc_metrics.py as far as it goes without Pegasus: what it takes, finds, refuses and says."""

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
    """The script, which is in no package."""
    spec = importlib.util.spec_from_file_location("qc_metrics", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["qc_metrics"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["qc_metrics"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """/opt/ml/processing with nothing in it but the code, as SageMaker's ScriptProcessor mounts it."""
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
def test_the_one_data_set_is_found(
    job: ModuleType, base: Path, files: list[str], path: str, kind: str, name: str
) -> None:
    put(base, *files)
    found = job.find_input(base / "input")
    assert (found.path, found.kind, found.name) == (base / "input" / path, kind, name)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], ["No data set", "There is: nothing"]),
        (["readme.txt", "run/log"], ["No data set", "There is: readme.txt, run/log"]),
        (["a.h5", "b/c.csv"], ["2 data sets", "a.h5, b/c.csv"]),
        (["a/matrix.mtx", "b/matrix.mtx.gz"], ["2 data sets", "a, b"]),
    ],
)
def test_none_or_several_are_named(job: ModuleType, base: Path, files: list[str], said: list[str]) -> None:
    put(base, *files)
    with pytest.raises(job.InputError) as refused:
        job.find_input(base / "input")
    for words in said:
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PK\x03\x04zip", "zarr"), (b",A,B\nc1,0,1\n", "csv"), (b"plain text\n", None), (b"\0,\0", None), (b"", None)],
)
def test_a_file_without_an_ending_is_what_its_content_says(
    job: ModuleType, base: Path, content: bytes, kind: str | None
) -> None:
    """A payload that came as a message has its message's id for a name."""
    put(base, "data/0f9c", content=content)
    if kind:
        assert job.find_input(base / "input") == job.Input(base / "input" / "data" / "0f9c", kind)
        return
    with pytest.raises(job.InputError, match="There is: data/0f9c"):
        job.find_input(base / "input")


def run(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The job as a process of its own, in an environment without Pegasus."""
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={"PROCESSING_DIR": str(base)}, check=False, cwd=base
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--min-genes", "7000"], "min_genes = 7000 and max_genes = 6000 keep no cell"),
        (["--min-umis", "5", "--max-umis", "5"], "min_umis = 5 and max_umis = 5 keep no cell"),
        (["--percent-mito", "0"], "percent_mito = 0.0: is per cent"),
        (["--percent-mito", "101"], "percent_mito = 101.0: is per cent"),
        (["--mito-prefix", "none"], "percent_mito = 10.0 does nothing without mito_prefix"),
    ],
)
def test_thresholds_that_make_no_sense_end_the_job_with_2(base: Path, arguments: list[str], said: str) -> None:
    """The reason is the log's last line, and in the file whose content DescribeProcessingJob gives."""
    put(base, "a.csv")
    ended = run(base, *arguments)
    assert ended.returncode == 2, ended
    assert said in ended.stdout.splitlines()[-1]
    assert said in (base.parent / "output" / "message").read_text()
    assert not (base / "output").exists()


@pytest.mark.parametrize(
    "arguments", [["--min-genes", "2.5"], ["--min-genes", "-1"], ["--max-umis", "many"], ["--mito"]]
)
def test_arguments_that_are_none_are_refused(base: Path, arguments: list[str]) -> None:
    ended = run(base, *arguments)
    assert ended.returncode == 2
    assert "usage:" in ended.stderr


def test_no_input_ends_the_job_with_3(base: Path) -> None:
    ended = run(base)
    assert ended.returncode == 3
    assert "No data set" in ended.stdout.splitlines()[-1]
    assert "No data set" in (base.parent / "output" / "message").read_text()


def test_what_nobody_expected_ends_the_job_with_1_and_a_traceback(base: Path) -> None:
    """Here: Pegasus is not installed."""
    put(base, "a.h5ad")
    ended = run(base)
    assert ended.returncode == 1
    assert "Traceback" in ended.stdout
    assert "ModuleNotFoundError: No module named 'pegasus'" in ended.stdout.splitlines()[-1]


def test_a_message_is_cut_to_what_sagemaker_shows(job: ModuleType, base: Path) -> None:
    job._end(base, 3, "é" * 1000)
    written = (base.parent / "output" / "message").read_bytes()
    assert len(written) == 1024
    assert written.decode() == "é" * 512


def test_nothing_is_written_beside_a_folder_that_is_not_sagemakers(job: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    job._end(tmp_path / "anywhere", 0, "done")
    assert not list((tmp_path / "output").iterdir())


def test_the_thresholds_are_those_of_pegasus_1_0(job: ModuleType) -> None:
    assert job.Thresholds() == job.Thresholds(500, 6000, None, None, "MT-", 10.0)
    given = job._parser().parse_args([])
    for name in job.Thresholds.__dataclass_fields__:
        assert getattr(given, name) == getattr(job.Thresholds(), name)


def test_every_threshold_is_an_argument_and_may_be_none(job: ModuleType) -> None:
    names = list(job.Thresholds.__dataclass_fields__)
    given = job._parser().parse_args([part for name in names for part in (f"--{name.replace('_', '-')}", "none")])
    assert all(getattr(given, name) is None for name in names)


def test_the_table_has_the_same_columns_whatever_was_measured(job: ModuleType, tmp_path: Path) -> None:
    job.write_csv([{"Channel": "s, 1", "kept": 3, "total": 4, "more": 1}], tmp_path / "qc.csv")
    (row,) = csv.DictReader((tmp_path / "qc.csv").read_text().splitlines())
    assert tuple(row) == job.COLUMNS
    assert (row["Channel"], row["kept"], row["median_percent_mito"]) == ("s, 1", "3", "")


def test_the_manifest_says_what_made_the_result(job: ModuleType, tmp_path: Path) -> None:
    job.write_manifest(tmp_path / "manifest.json", kept=3)
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert written["kept"] == 3
    assert written["versions"]["python"].startswith("3.")


def test_a_directorys_digest_is_of_names_and_content(job: ModuleType, tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "below").mkdir(parents=True)
        for name, content in files.items():
            (folder / "below" / name).write_text(content)
        return str(job.digest(folder))

    same = digest(a="1", b="2")
    assert same == digest(b="2", a="1")
    assert len({same, digest(a="2", b="1"), digest(a="1", c="2"), digest(a="1")}) == 4


def test_no_mitochondrial_gene_is_a_warning(job: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    assert job.mitochondrial(["MT-CO1", "ACTB", "MTOR"], "MT-") == 1
    assert job.mitochondrial(["mt-Co1"], None) == 0
    assert not caplog.records
    assert job.mitochondrial(["mt-Co1"], "MT-") == 0
    assert "no cell is filtered for mitochondrial counts" in caplog.text


def test_jobs_import_nothing_of_ours() -> None:
    """A researcher copies one file."""
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()} | {
        path.name for path in (ROOT / "lambdas").iterdir()
    }
    assert {"stacks", "claim_check", "research"} <= ours
    for script in SCRIPT.parent.glob("*.py"):
        for node in ast.walk(ast.parse(script.read_text())):
            modules = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert not node.level, script
                modules = [node.module or ""]
            assert not ours.intersection(module.split(".")[0] for module in modules), script

"""The job qc_metrics with the image's Pegasus, on real data with known counts."""

import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from research.launch import SCRIPT
from research.script import write

pytestmark = pytest.mark.image
PNG = b"\x89PNG\r\n\x1a\n"

IN_PEGASUS = f"""
import json, pathlib, shutil, sys
sys.path.insert(0, {str(SCRIPT)!r})
from qc import Thresholds, Choices
from qc.command import run as run_job
import pegasus
here, data = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])

def run(name, file, thresholds=Thresholds(min_genes=10, mito_prefix=None), **choices):
    base = here / name
    (base / "input" / "code").mkdir(parents=True)
    copy = shutil.copytree if file.is_dir() else shutil.copyfile
    copy(file, base / "input" / name)
    return run_job(base, thresholds, Choices(**{{"min_genes_before": 0, **choices}}))

result = {{}}
"""


def in_pegasus(environment: Path, here: Path, data: Path, code: str) -> Any:
    """Return `result` after the code. One process for several runs: the import of Pegasus takes most of the time."""
    ran = subprocess.run(
        [environment / "bin" / "python", "-c", f"{IN_PEGASUS}{code}\nprint(json.dumps(result))", here, data],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def run(environment: Path, base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script from the folders of a processing job."""
    code = base / "input" / "code"
    code.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [environment / "bin" / "python", write(SCRIPT, code), *arguments],
        capture_output=True,
        text=True,
        env={"PROCESSING_DIR": str(base), "HOME": str(base.parent)},
        check=False,
    )


def rows(base: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((base / "output" / "qc_metrics.csv").read_text().splitlines()))


def test_cells_are_filtered_by_mitochondrial_counts(environment: Path, real_data: Path, tmp_path: Path) -> None:
    base = tmp_path / "ml" / "processing"
    (base / "input").mkdir(parents=True)
    shutil.copy(real_data / "cells.csv", base / "input")
    ended = run(environment, base, "--sample", "donor 1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "404 of 559 cells kept" in ended.stdout.splitlines()[-1]
    assert (base.parent / "output" / "message").read_text() == "404 of 559 cells kept"

    (row,) = rows(base)
    assert [row[name] for name in ("Channel", "kept", "filt", "total")] == ["donor 1", "404", "155", "559"]
    assert [float(row[f"median_n_{name}"]) for name in ("genes", "umis", "genes_before", "umis_before")] == [
        2041,
        5661,
        1209,
        3829,
    ]
    assert float(row["median_percent_mito"]) == pytest.approx(5.0625, abs=1e-4)
    assert float(row["median_percent_mito_before"]) == pytest.approx(6.3985, abs=1e-4)

    manifest = json.loads((base / "output" / "manifest.json").read_text())
    (data,) = manifest["inputs"]
    assert data["files"] == {"cells.csv": "0d729bd7a9e4d8f5a8ccc167f222530f4ece8d334b939d21b796bd77daf967f2"}
    assert (data["cells"], data["genes"], len(data["mitochondrial_genes"])) == (559, 32_786, 30)
    assert manifest["thresholds"]["percent_mito"] == 10
    assert manifest["versions"]["anndata"]
    picture = (base / "output" / "qc_metrics.png").read_bytes()
    assert picture.startswith(PNG)
    assert len(picture) > 10_000


def test_10x_directory_without_mitochondrial_genes_is_read(environment: Path, real_data: Path, tmp_path: Path) -> None:
    """The files are in the input folder itself, next to the code, as in the post."""
    base = tmp_path / "ml" / "processing"
    shutil.copytree(real_data / "10x" / "3.0.0" / "filtered_feature_bc_matrix", base / "input")
    arguments = ["--min-genes", "20", "--min-genes-before", "0", "--sample", "chr21"]
    refused = run(environment, base, *arguments)
    assert refused.returncode == 3
    assert "no mitochondrial genes" in refused.stdout.splitlines()[-1]
    ended = run(environment, base, *arguments, "--mito-prefix", "none")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (row,) = rows(base)
    assert (row["Channel"], row["total"]) == ("chr21", "1107")
    assert 0 < int(row["kept"]) < 1107
    manifest = json.loads((base / "output" / "manifest.json").read_text())
    (data,) = manifest["inputs"]
    assert (data["cells"], data["genes"], data["mitochondrial_genes"]) == (1107, 507, None)


def test_all_formats_give_the_same_counts(environment: Path, real_data: Path, tmp_path: Path) -> None:
    """Both layouts of 10x, files written by Pegasus, and the same files without an ending."""
    counts = in_pegasus(
        environment,
        tmp_path,
        real_data / "10x",
        """
source = data / "3.0.0" / "filtered_feature_bc_matrix.h5"
cells = pegasus.read_input(str(source))
written = {name: here / name for name in ("w.h5ad", "w.zarr", "w.zarr.zip", "w.loom")}
for name, file in written.items():
    pegasus.write_output(cells, str(file))
files = {"a.h5": source, "tenx": data / "3.0.0" / "filtered_feature_bc_matrix", **written}
# Without an ending, as the payload of a message; a directory cannot be a payload.
files |= {f"id-{file.name.replace('.', '-')}": file for file in (source, *written.values()) if file.is_file()}
for name, file in files.items():
    (row,) = run(name.replace("w.", "x."), file)
    result[name] = [int(row["kept"]), int(row["total"]), row["median_n_genes"]]
(row,) = run("old", data / "1.2.0" / "filtered_gene_bc_matrices", Thresholds(min_genes=None, mito_prefix=None))
result["old"] = [row["kept"], row["total"]]
""",
    )
    assert counts.pop("old") == [12, 12]
    assert len(counts) == 10
    assert {tuple(count) for count in counts.values()} == {tuple(counts["a.h5"])}
    assert counts["a.h5"][1] == 1107


def test_percent_mito_alone_filters_nothing(environment: Path, real_data: Path, tmp_path: Path) -> None:
    """The post's script sets only `percent_mito=10`: since Pegasus 1.4 every cell is kept."""
    counts = in_pegasus(
        environment,
        tmp_path,
        real_data / "cells.csv",
        """
cells = pegasus.read_input(str(data), transpose=True)
DEFAULTS = {"min_genes": 500, "max_genes": 6000, "mito_prefix": "MT-", "percent_mito": 10}
for name, options in (("post", {}), ("prefix", {"mito_prefix": "MT-"}), ("defaults", DEFAULTS)):
    pegasus.qc_metrics(cells, **{"percent_mito": 10, **options})
    result[name] = int(cells.obs["passed_qc"].sum())
""",
    )
    assert counts == {"post": 559, "prefix": 410, "defaults": 404}

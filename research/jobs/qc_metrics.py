"""Quality control of single-cell data: a filter of cells by thresholds, as a processing job or on any machine.

    python3 qc_metrics.py [--base-dir DIR] [--percent-mito 10] …

Reads exactly one data set below DIR/input: a 10x directory (matrix.mtx, barcodes, features) or a file .h5ad, .h5 (10x),
.loom, .zarr, .zarr.zip, .csv. The format of a file without such an ending is detected from its content. DIR/input/code,
where SageMaker's ScriptProcessor puts the script, is ignored. DIR is /opt/ml/processing, as in a processing job, unless
--base-dir or PROCESSING_DIR is set. Writes to DIR/output:

    qc_metrics.csv   a row for each sample: number of cells, medians before and after; always the same columns
    manifest.json    versions, thresholds, the input and its SHA-256
    qc_metrics.png   distributions of genes, UMIs and mitochondrial counts, with the thresholds

Exit status: 0; 2 for invalid arguments; 3 for no data set, several, or an unreadable one; 1 for other errors.
The reason is the log's last line, which is also `ExitMessage` of DescribeProcessingJob.

Needs pegasuspy, which brings pandas, and matplotlib. It imports nothing else, so that you can copy and change it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import logging
import os
import platform
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

log = logging.getLogger("qc_metrics")

BASE_DIR = "/opt/ml/processing"
KINDS = {
    ".h5ad": "h5ad",
    ".h5": "10x",
    ".loom": "loom",
    ".zarr.zip": "zarr",
    ".zarr": "zarr",
    ".csv": "csv",
    ".csv.gz": "csv",
}
"""Pegasus' name of each file format, by the file's ending. The directory of a .mtx file is `mtx`."""
COLUMNS = (
    "Channel",
    "kept",
    "median_n_genes",
    "median_n_umis",
    "median_percent_mito",
    "filt",
    "total",
    "median_n_genes_before",
    "median_n_umis_before",
    "median_percent_mito_before",
)
"""Columns of qc_metrics.csv, named as by Pegasus: Channel is the sample; kept, filt and total are numbers of cells."""
PACKAGES = ("pegasuspy", "pegasusio", "pandas", "numpy", "scipy", "anndata", "matplotlib")


class InputError(Exception):
    """The input is not exactly one readable data set. The message lists the files."""


@dataclass(frozen=True)
class Thresholds:
    """Conditions for the cells to keep. None disables a condition.

    The defaults are those of Pegasus 1.0. Since 1.4 Pegasus' own defaults are None, and `percent_mito` without
    `mito_prefix` has no effect.
    """

    min_genes: int | None = 500
    """Minimum number of genes."""
    max_genes: int | None = 6000
    """Number of genes that a cell must stay below."""
    min_umis: int | None = None
    """Minimum number of UMIs."""
    max_umis: int | None = None
    """Number of UMIs that a cell must stay below."""
    mito_prefix: str | None = "MT-"
    """Beginning of the names of mitochondrial genes: MT- for human, mt- for mouse."""
    percent_mito: float | None = 10.0
    """Percentage of mitochondrial UMIs that a cell must stay below."""

    def __post_init__(self) -> None:
        for low, high in (("min_genes", "max_genes"), ("min_umis", "max_umis")):
            least, limit = getattr(self, low), getattr(self, high)
            if least is not None and limit is not None and least >= limit:
                raise ValueError(f"{low} = {least} and {high} = {limit} keep no cell. {low} must be the smaller.")
        if self.percent_mito is not None and not 0 < self.percent_mito <= 100:
            raise ValueError(f"percent_mito = {self.percent_mito}: must be more than 0 and at most 100.")
        if self.percent_mito is not None and not self.mito_prefix:
            raise ValueError(
                f"percent_mito = {self.percent_mito}: has no effect without mito_prefix. Set both or none of them."
            )


@dataclass(frozen=True)
class Input:
    """A data set: its path and Pegasus' name of its format."""

    path: Path
    kind: str

    @property
    def name(self) -> str:
        """The file name without the ending: the sample's name, if the data contains none."""
        for ending in sorted(KINDS, key=len, reverse=True):
            if self.path.name.lower().endswith(ending):
                return self.path.name[: -len(ending)]
        return self.path.name


# Finding the input --------------------------------------------------------------------------------------------------


def find_input(folder: Path) -> Input:
    """Return the one data set at or below `folder`.

    Raises:
        InputError: There is no data set, or more than one.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Mount the data there, or set --base-dir.")
    others: list[Path] = []
    inputs = list(_candidates(folder, others, ignored=folder / "code"))
    if not inputs and len(others) == 1 and (kind := sniff(others[0])):
        inputs = [Input(others[0], kind)]
    if len(inputs) == 1:
        return inputs[0]
    if inputs:
        names = ", ".join(str(data.path.relative_to(folder)) for data in inputs)
        raise InputError(f"{len(inputs)} data sets in {folder}: {names}. A job reads one.")
    names = ", ".join(sorted(str(file.relative_to(folder)) for file in others)[:20]) or "none"
    raise InputError(
        f"No data set in {folder}. A data set is a directory with a .mtx file, or a file {', '.join(KINDS)}. Other "
        f"files: {names}."
    )


def _candidates(folder: Path, others: list[Path], *, ignored: Path) -> Iterator[Input]:
    """Yield the data sets below `folder`, and add all other files to `others`."""
    entries = sorted(entry for entry in folder.iterdir() if entry != ignored and not entry.name.startswith((".", "__")))
    if any(entry.name.endswith((".mtx", ".mtx.gz")) for entry in entries):
        yield Input(folder, "mtx")
        return
    for entry in entries:
        kind = next((kind for ending, kind in KINDS.items() if entry.name.lower().endswith(ending)), None)
        if kind and (entry.is_file() or entry.suffix.lower() == ".zarr"):
            yield Input(entry, kind)
        elif entry.is_dir():
            yield from _candidates(entry, others, ignored=ignored)
        else:
            others.append(entry)


def sniff(file: Path) -> str | None:
    """Return the format of a file without a known ending, such as a message's payload. None if it is unknown."""
    with file.open("rb") as content:
        begin = content.read(512)
    if begin.startswith(b"PK\x03\x04"):
        return "zarr"
    if begin.startswith(b"\x89HDF\r\n\x1a\n"):
        import h5py

        with h5py.File(file, "r") as content:
            groups = set(content)
        return "h5ad" if "obs" in groups else "loom" if "row_attrs" in groups else "10x"
    first = begin.split(b"\n")[0]
    return "csv" if b"," in first and b"\0" not in begin else None


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and digests of a directory's files, ordered by name."""
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    whole = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(f"{digest(file)}  {file.relative_to(path).as_posix()}\n".encode())
    return whole.hexdigest()


# Pegasus ------------------------------------------------------------------------------------------------------------


def read(source: Input, *, sample: str, transpose: bool) -> Any:
    """Return the data in Pegasus' form. Cells without a sample get the name `sample`.

    Raises:
        InputError: Pegasus cannot read the data set.
    """
    import pegasus

    try:
        options = {"transpose": True} if source.kind == "csv" and transpose else {}
        data = pegasus.read_input(str(source.path), file_type=source.kind, **options)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"Pegasus cannot read {source.path} as {source.kind}: {reason}") from error
    if 0 in data.shape:
        raise InputError(f"{source.path} is empty: {data.shape[0]} cells, {data.shape[1]} genes.")
    if "Channel" not in data.obs:
        data.obs["Channel"] = sample
    return data


def measure(data: Any, thresholds: Thresholds, *, min_genes_before: int) -> list[dict[str, Any]]:
    """Mark the cells to keep in `data`. Return a row for each sample."""
    import pegasus

    pegasus.qc_metrics(data, **asdict(thresholds))
    stats = pegasus.get_filter_stats(data, min_genes_before_filt=min_genes_before)
    # The sample is the table's index, which to_csv(index=False) would drop.
    return [{"Channel": name, **row} for name, row in stats.sort_index().to_dict("index").items()]


def mitochondrial(genes: Iterable[str], prefix: str | None) -> int:
    """Return the number of mitochondrial genes. Log a warning if there are none: then they filter no cell."""
    count = sum(gene.startswith(prefix) for gene in genes) if prefix else 0
    if prefix and not count:
        log.warning("No gene name begins with %r: no cell is filtered by mitochondrial counts.", prefix)
    return count


# Results ------------------------------------------------------------------------------------------------------------


def write_csv(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """Write the columns `COLUMNS` of the rows. Values that Pegasus did not measure are empty."""
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_manifest(file: Path, **facts: Any) -> None:
    """Write the facts that are needed to reproduce the result, with the versions of the packages."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    written = datetime.now(UTC).isoformat(timespec="seconds")
    file.write_text(json.dumps({"written": written, **facts, "versions": versions}, indent=2) + "\n", encoding="utf-8")


def draw(cells: Any, thresholds: Thresholds, file: Path) -> None:
    """Draw a histogram of each measure, with its thresholds.

    `cells` is a table with the columns n_genes, n_counts, percent_mito and passed_qc.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measures = [
        ("n_genes", "genes", (thresholds.min_genes, thresholds.max_genes)),
        ("n_counts", "UMIs", (thresholds.min_umis, thresholds.max_umis)),
        ("percent_mito", "mitochondrial UMIs, %", (None, thresholds.percent_mito)),
    ]
    shown = [measure for measure in measures if measure[0] in cells]
    figure, axes = pyplot.subplots(1, len(shown), figsize=(4.2 * len(shown), 3.4), layout="constrained", squeeze=False)
    kept = cells["passed_qc"].to_numpy(dtype=bool)
    for axis, (column, label, cuts) in zip(axes[0], shown, strict=True):
        values = cells[column].to_numpy(dtype=float)
        axis.hist([values[kept], values[~kept]], bins=50, stacked=True, color=["#2a78b5", "#c9ced3"])
        for cut in cuts:
            if cut is not None:
                axis.axvline(cut, color="#c0392b", linestyle="--", linewidth=1.2)
                axis.annotate(
                    f"{cut:g}",
                    (cut, 1),
                    xycoords=("data", "axes fraction"),
                    xytext=(3, -10),
                    textcoords="offset points",
                    color="#c0392b",
                    fontsize=8,
                )
        axis.set_xlabel(f"{label} per cell")
        axis.margins(y=0.14)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("cells")
    figure.suptitle(f"{kept.sum():,} of {len(kept):,} cells kept (blue); dashed: thresholds", fontsize=10)
    figure.savefig(file, dpi=120, metadata={"Software": None})
    pyplot.close(figure)


# The job ------------------------------------------------------------------------------------------------------------


def run(
    base: Path, thresholds: Thresholds, *, sample: str | None, transpose: bool, min_genes_before: int
) -> list[dict[str, Any]]:
    """Read the data set below `base`/input and write the results to `base`/output. Return the rows of qc_metrics.csv.

    Raises:
        InputError: There is no data set, more than one, or one that Pegasus cannot read.
    """
    folder, output = base / "input", base / "output"
    source = find_input(folder)
    name = sample or ("sample" if source.path == folder else source.name)
    content = digest(source.path)
    log.info("Reading %s (%s), SHA-256 %s", source.path, source.kind, content)
    data = read(source, sample=name, transpose=transpose)
    log.info("%d cells, %d genes", *data.shape)
    mito_genes = mitochondrial(data.var_names, thresholds.mito_prefix)
    rows = measure(data, thresholds, min_genes_before=min_genes_before)

    output.mkdir(parents=True, exist_ok=True)
    draw(data.obs, thresholds, output / "qc_metrics.png")
    write_manifest(
        output / "manifest.json",
        input={"path": str(source.path.relative_to(base)), "kind": source.kind, "sha256": content},
        cells=int(data.shape[0]),
        genes=int(data.shape[1]),
        mitochondrial_genes=mito_genes,
        kept=sum(int(row["kept"]) for row in rows),
        thresholds=asdict(thresholds),
        min_genes_before=min_genes_before,
    )
    if not any(int(row["kept"]) for row in rows):
        log.warning("No cell is kept. Check the thresholds. A .csv with a gene in each column needs --transpose.")
    # Last, so that a job that was stopped leaves no result that looks complete.
    write_csv(rows, output / "qc_metrics.csv")
    if len(rows) > 1:
        for row in rows:
            log.info("%s: %d of %d cells kept", row["Channel"], row["kept"], row["total"])
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job. Return the exit status."""
    _log_to_stdout()
    options = _parser().parse_args(arguments)
    base = Path(options.base_dir)
    try:
        thresholds = Thresholds(
            min_genes=options.min_genes,
            max_genes=options.max_genes,
            min_umis=options.min_umis,
            max_umis=options.max_umis,
            mito_prefix=options.mito_prefix,
            percent_mito=options.percent_mito,
        )
    except ValueError as error:
        return _end(base, 2, str(error))
    try:
        rows = run(
            base,
            thresholds,
            sample=options.sample,
            transpose=options.transpose == "yes",
            min_genes_before=options.min_genes_before,
        )
    except InputError as error:
        return _end(base, 3, str(error))
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        return _end(base, 1, f"{type(error).__name__}: {error}")
    kept, total = (sum(int(row[column]) for row in rows) for column in ("kept", "total"))
    return _end(base, 0, f"{kept} of {total} cells kept")


def _log_to_stdout() -> None:
    """Log this script's lines to stdout. Pegasus' loggers have their own handlers."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def _end(base: Path, status: int, message: str) -> int:
    """Write the reason to the log and to /opt/ml/output/message, of which SageMaker shows 1 KB. Return `status`."""
    log.log(logging.ERROR if status else logging.INFO, message)
    folder = base.parent / "output"
    if base.name == "processing" and folder.is_dir():
        (folder / "message").write_bytes(message.encode()[:1024].decode(errors="ignore").encode())
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    defaults = Thresholds()
    parser.add_argument(
        "--base-dir",
        default=os.environ.get("PROCESSING_DIR", BASE_DIR),
        metavar="DIR",
        help="folder with input/ and output/ (default: %(default)s)",
    )
    parser.add_argument("--sample", type=_text, metavar="NAME", help="sample name, if the data contains none")
    parser.add_argument(
        "--transpose",
        nargs="?",
        const="yes",
        default="no",
        choices=("yes", "no"),
        help="read a .csv with a gene in each column (default: %(default)s)",
    )
    for name, kind, text in (
        ("min_genes", _count, "keep cells with at least N genes"),
        ("max_genes", _count, "keep cells with fewer than N genes"),
        ("min_umis", _count, "keep cells with at least N UMIs"),
        ("max_umis", _count, "keep cells with fewer than N UMIs"),
        ("mito_prefix", _text, "beginning of the names of mitochondrial genes"),
        ("percent_mito", _number, "keep cells with less than N per cent mitochondrial UMIs"),
    ):
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            default=getattr(defaults, name),
            metavar="PREFIX" if kind is _text else "N",
            help=f"{text}, or none (default: %(default)s)",
        )
    parser.add_argument(
        "--min-genes-before",
        type=int,
        default=100,
        metavar="N",
        help="if there are empty droplets, count only those with N genes as cells (default: %(default)s)",
    )
    return parser


def _text(value: str) -> str | None:
    """Return None for `none` and for an empty text: a pipeline always passes every argument."""
    return None if value in ("", "none") else value


def _count(value: str) -> int | None:
    number = _number(value)
    if number is not None and number != int(number):
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number")
    return None if number is None else int(number)


def _number(value: str) -> float | None:
    if _text(value) is None:
        return None
    try:
        number = float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is neither a number nor none") from None
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of 0 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())

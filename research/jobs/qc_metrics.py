"""Quality control of single-cell data: which cells to keep, as a processing job or anywhere.

    python3 qc_metrics.py [--base-dir DIR] [--percent-mito 10] …

Reads the one data set below DIR/input: a 10x directory (matrix.mtx, barcodes, features), or a file .h5ad, .h5 (10x),
.loom, .zarr, .zarr.zip, .csv; a file without such an ending is taken for what its content says. DIR/input/code, where
SageMaker's ScriptProcessor puts the script, is not looked at. DIR is /opt/ml/processing, as in a processing job, unless
--base-dir or PROCESSING_DIR says otherwise. Writes to DIR/output:

    qc_metrics.csv   a row a sample: how many cells are kept, and medians before and after; always the same columns
    manifest.json    what made it: versions, thresholds, the input and its SHA-256
    qc_metrics.png   how genes, UMIs and mitochondrial counts are distributed, and where the cuts are

Exit status: 0; 2 arguments that make no sense; 3 no input, more than one, or one that cannot be read; 1 anything else.
The reason is the log's last line, and what DescribeProcessingJob gives as ExitMessage.

Needs pegasuspy, which brings pandas, and matplotlib; stands alone otherwise: copy it and make it yours.
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
"""Pegasus' name of each kind of file, by its ending. The directory of a .mtx file is `mtx`."""
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
"""Of qc_metrics.csv, in Pegasus' own words: Channel is the sample; cells kept, filtered out and in total."""
PACKAGES = ("pegasuspy", "pegasusio", "pandas", "numpy", "scipy", "anndata", "matplotlib")


class InputError(Exception):
    """There is not exactly one data set that can be read. The message says what there is."""


@dataclass(frozen=True)
class Thresholds:
    """What a cell must have to be kept; None filters nothing. As Pegasus 1.0 had them when it was told nothing: since
    1.4 its own defaults are None, and `percent_mito` without `mito_prefix` says nothing and does nothing."""

    min_genes: int | None = 500
    """At least so many genes."""
    max_genes: int | None = 6000
    """Fewer genes than this."""
    min_umis: int | None = None
    """At least so many UMIs."""
    max_umis: int | None = None
    """Fewer UMIs than this."""
    mito_prefix: str | None = "MT-"
    """What the name of a mitochondrial gene begins with: MT- for human, mt- for mouse."""
    percent_mito: float | None = 10.0
    """Fewer per cent of a cell's UMIs than this are mitochondrial. 10 is the post's."""

    def __post_init__(self) -> None:
        for low, high in (("min_genes", "max_genes"), ("min_umis", "max_umis")):
            least, limit = getattr(self, low), getattr(self, high)
            if least is not None and limit is not None and least >= limit:
                raise ValueError(f"{low} = {least} and {high} = {limit} keep no cell; {low} has to be the smaller")
        if self.percent_mito is not None and not 0 < self.percent_mito <= 100:
            raise ValueError(f"percent_mito = {self.percent_mito}: is per cent, more than 0 and at most 100")
        if self.percent_mito is not None and not self.mito_prefix:
            raise ValueError(f"percent_mito = {self.percent_mito} does nothing without mito_prefix; give both or none")


@dataclass(frozen=True)
class Input:
    """A data set: where it is, and what Pegasus calls its kind."""

    path: Path
    kind: str

    @property
    def name(self) -> str:
        """Its name without the ending: the sample's, where the data names none."""
        for ending in sorted(KINDS, key=len, reverse=True):
            if self.path.name.lower().endswith(ending):
                return self.path.name[: -len(ending)]
        return self.path.name


# Finding the input --------------------------------------------------------------------------------------------------


def find_input(folder: Path) -> Input:
    """The one data set at or below `folder`.

    Raises:
        InputError: when there is none, or more than one; names what was found.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: mount the data there, or say --base-dir.")
    files: list[Path] = []
    found = list(_candidates(folder, files, ignored=folder / "code"))
    if not found and len(files) == 1 and (kind := sniff(files[0])):
        found = [Input(files[0], kind)]
    if len(found) == 1:
        return found[0]
    endings = ", ".join(KINDS)
    if found:
        names = ", ".join(str(each.path.relative_to(folder)) for each in found)
        raise InputError(f"{len(found)} data sets in {folder}, and a job is for one: {names}.")
    others = ", ".join(sorted(str(file.relative_to(folder)) for file in files)[:20]) or "nothing"
    raise InputError(f"No data set in {folder}: a directory with a .mtx file, or a file {endings}. There is: {others}.")


def _candidates(folder: Path, others: list[Path], *, ignored: Path) -> Iterator[Input]:
    """Data sets below `folder`; files that are none are added to `others`."""
    entries = sorted(each for each in folder.iterdir() if each != ignored and not each.name.startswith((".", "__")))
    if any(each.name.endswith((".mtx", ".mtx.gz")) for each in entries):
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
    """What a file without a known ending holds, as one that came in a message; None for anything unknown."""
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
    """SHA-256 of a file; of a directory, that of the names and digests of its files, in the order of their names."""
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    whole = hashlib.sha256()
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        whole.update(f"{digest(file)}  {file.relative_to(path).as_posix()}\n".encode())
    return whole.hexdigest()


# Pegasus ------------------------------------------------------------------------------------------------------------


def read(found: Input, *, sample: str, transpose: bool) -> Any:
    """The data in memory, as Pegasus has it, with a name for every cell's sample.

    Raises:
        InputError: when Pegasus cannot read it.
    """
    import pegasus

    try:
        options = {"transpose": True} if found.kind == "csv" and transpose else {}
        data = pegasus.read_input(str(found.path), file_type=found.kind, **options)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"Pegasus cannot read {found.path} as {found.kind}: {reason}") from error
    if 0 in data.shape:
        raise InputError(f"{found.path} has {data.shape[0]} cells and {data.shape[1]} genes: nothing to look at.")
    if "Channel" not in data.obs:
        data.obs["Channel"] = sample
    return data


def measure(data: Any, thresholds: Thresholds, *, min_genes_before: int) -> list[dict[str, Any]]:
    """Mark the cells to keep in `data`; a row a sample."""
    import pegasus

    pegasus.qc_metrics(data, **asdict(thresholds))
    stats = pegasus.get_filter_stats(data, min_genes_before_filt=min_genes_before)
    # The sample is the table's index, which to_csv(index=False) would drop.
    return [{"Channel": name, **row} for name, row in stats.sort_index().to_dict("index").items()]


def mitochondrial(genes: Iterable[str], prefix: str | None) -> int:
    """How many genes count as mitochondrial; with none, no cell is filtered for them, and the log says so."""
    count = sum(gene.startswith(prefix) for gene in genes) if prefix else 0
    if prefix and not count:
        log.warning("No gene's name begins with %r: no cell is filtered for mitochondrial counts.", prefix)
    return count


# Results ------------------------------------------------------------------------------------------------------------


def write_csv(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """`COLUMNS`, whatever Pegasus had to say: what it did not measure is left empty."""
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_manifest(file: Path, **facts: Any) -> None:
    """What has to be known to have the same result again."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    written = datetime.now(UTC).isoformat(timespec="seconds")
    file.write_text(json.dumps({"written": written, **facts, "versions": versions}, indent=2) + "\n", encoding="utf-8")


def draw(cells: Any, thresholds: Thresholds, file: Path) -> None:
    """A histogram of each measure, with its cuts; `cells` is a table of n_genes, n_counts, percent_mito, passed_qc."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measures = [
        ("n_genes", "genes", (thresholds.min_genes, thresholds.max_genes)),
        ("n_counts", "UMIs", (thresholds.min_umis, thresholds.max_umis)),
        ("percent_mito", "mitochondrial UMIs, %", (None, thresholds.percent_mito)),
    ]
    shown = [each for each in measures if each[0] in cells]
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
        axis.set_xlabel(f"{label} a cell")
        axis.margins(y=0.14)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("cells")
    figure.suptitle(f"{kept.sum():,} of {len(kept):,} cells kept (blue); dashed: the cuts", fontsize=10)
    figure.savefig(file, dpi=120, metadata={"Software": None})
    pyplot.close(figure)


# The job ------------------------------------------------------------------------------------------------------------


def run(
    base: Path, thresholds: Thresholds, *, sample: str | None, transpose: bool, min_genes_before: int
) -> list[dict[str, Any]]:
    """From DIR/input to DIR/output; answers the rows of qc_metrics.csv.

    Raises:
        InputError: no data set, more than one, or one that Pegasus cannot read.
    """
    folder, output = base / "input", base / "output"
    found = find_input(folder)
    name = sample or ("sample" if found.path == folder else found.name)
    content = digest(found.path)
    log.info("Reading %s (%s), SHA-256 %s", found.path, found.kind, content)
    data = read(found, sample=name, transpose=transpose)
    log.info("%d cells, %d genes", *data.shape)
    mito_genes = mitochondrial(data.var_names, thresholds.mito_prefix)
    rows = measure(data, thresholds, min_genes_before=min_genes_before)

    output.mkdir(parents=True, exist_ok=True)
    draw(data.obs, thresholds, output / "qc_metrics.png")
    write_manifest(
        output / "manifest.json",
        input={"path": str(found.path.relative_to(base)), "kind": found.kind, "sha256": content},
        cells=int(data.shape[0]),
        genes=int(data.shape[1]),
        mitochondrial_genes=mito_genes,
        kept=sum(int(row["kept"]) for row in rows),
        thresholds=asdict(thresholds),
        min_genes_before=min_genes_before,
    )
    if not any(int(row["kept"]) for row in rows):
        log.warning("no cell is kept: are the thresholds meant, and has a .csv a gene a row (else: --transpose)?")
    # Last, so that a job that was stopped leaves no result that looks whole.
    write_csv(rows, output / "qc_metrics.csv")
    if len(rows) > 1:
        for row in rows:
            log.info("%s: %d of %d cells kept", row["Channel"], row["kept"], row["total"])
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    _log_to_stdout()
    parser = _parser()
    given = parser.parse_args(arguments)
    base = Path(given.base_dir)
    try:
        thresholds = Thresholds(
            min_genes=given.min_genes,
            max_genes=given.max_genes,
            min_umis=given.min_umis,
            max_umis=given.max_umis,
            mito_prefix=given.mito_prefix,
            percent_mito=given.percent_mito,
        )
    except ValueError as error:
        return _end(base, 2, str(error))
    try:
        rows = run(
            base,
            thresholds,
            sample=given.sample,
            transpose=given.transpose == "yes",
            min_genes_before=given.min_genes_before,
        )
    except InputError as error:
        return _end(base, 3, str(error))
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        return _end(base, 1, f"{type(error).__name__}: {error}")
    kept, total = (sum(int(row[column]) for row in rows) for column in ("kept", "total"))
    return _end(base, 0, f"{kept} of {total} cells kept")


def _log_to_stdout() -> None:
    """What this script says; Pegasus' loggers have handlers of their own."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def _end(base: Path, status: int, message: str) -> int:
    """Say why, in the log and to SageMaker, which shows 1 KB of /opt/ml/output/message."""
    log.log(logging.ERROR if status else logging.INFO, message)
    told = base.parent / "output"
    if base.name == "processing" and told.is_dir():
        (told / "message").write_bytes(message.encode()[:1024].decode(errors="ignore").encode())
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    defaults = Thresholds()
    parser.add_argument(
        "--base-dir",
        default=os.environ.get("PROCESSING_DIR", BASE_DIR),
        metavar="DIR",
        help="where input/ and output/ are (default: %(default)s)",
    )
    parser.add_argument("--sample", type=_text, metavar="NAME", help="the sample's name, where the data has none")
    parser.add_argument(
        "--transpose",
        nargs="?",
        const="yes",
        default="no",
        choices=("yes", "no"),
        help="a .csv has genes as columns, cells as rows (default: %(default)s)",
    )
    for name, kind, what in (
        ("min_genes", _count, "keep cells with at least so many genes"),
        ("max_genes", _count, "keep cells with fewer genes than this"),
        ("min_umis", _count, "keep cells with at least so many UMIs"),
        ("max_umis", _count, "keep cells with fewer UMIs than this"),
        ("mito_prefix", _text, "what names of mitochondrial genes begin with"),
        ("percent_mito", _number, "keep cells with fewer per cent of mitochondrial UMIs than this"),
    ):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(
            option, type=kind, default=getattr(defaults, name), help=f"{what}, or none (default: %(default)s)"
        )
    parser.add_argument(
        "--min-genes-before",
        type=int,
        default=100,
        help="where there are empty droplets, count only those with so many genes as cells (default: %(default)s)",
    )
    return parser


def _text(value: str) -> str | None:
    """`none` and nothing at all are None: a pipeline passes every argument, always."""
    return None if value in ("", "none") else value


def _count(value: str) -> int | None:
    number = _number(value)
    if number is not None and number != int(number):
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number")
    return None if number is None else int(number)


def _number(value: str) -> float | None:
    if _text(value) is None:
        return None
    try:
        number = float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is no number, and not none") from None
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of 0 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())

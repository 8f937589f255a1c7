"""Quality control of single-cell data: a filter of cells by thresholds, as a processing job or on any machine.

    python3 qc_metrics.py [--base-dir DIR] [--percent-mito 10] …

Reads every data set below DIR/input, each a sample or several: Matrix Market files with their lists of names (10x,
STARsolo, kb), HDF5 (10x, .h5ad, .h5mu, .loom), .zarr, and tables of text; packed or not, also in .tar and .zip.
The form is recognised by content; names and endings do not matter. DIR/input/code, where SageMaker's ScriptProcessor
puts the script, is ignored. DIR is /opt/ml/processing, as in a processing job, unless --base-dir or PROCESSING_DIR is
set. Writes to DIR/output:

    qc_metrics.csv   a row for each sample: number of cells, medians before and after; always the same columns
    manifest.json    the same rows, thresholds, versions, and for each data set its files, its choices and its notes
    qc_metrics.png   distributions of genes, UMIs and mitochondrial counts, with the thresholds

Only counts are measured. If the data can be read in two ways, the job does not guess: it names both and an argument.

Exit status: 0; 2 for invalid arguments; 3 for data that cannot be measured; 1 for other errors.
The reason is the log's last line, which is also `ExitMessage` of DescribeProcessingJob.

Needs anndata, h5py, scipy and matplotlib. It imports no other file, so that you can copy and change it.
"""

from __future__ import annotations

import argparse
import bz2
import contextlib
import csv
import gzip
import hashlib
import io
import itertools
import json
import logging
import lzma
import os
import platform
import re
import shutil
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

log = logging.getLogger("qc_metrics")

BASE_DIR = "/opt/ml/processing"
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
    "dropped",
)
"""Columns of qc_metrics.csv, most named as by Pegasus: Channel is the sample; kept + filt = total. `dropped` are
barcodes that are no cells of the sample, and are in no other number. What was not measured is empty."""
PACKAGES = ("anndata", "h5py", "scipy", "numpy", "pandas", "matplotlib", "zarr", "pegasusio")
DROPLET_GENES = 100
"""A barcode with fewer genes is taken for an empty droplet where most of a data set's barcodes are."""
UNPACKED_BYTES, UNPACKED_FILES = 200 << 30, 100_000
"""Limits of an archive's content."""
MOST_SAMPLES = 300


class InputError(Exception):
    """The input cannot be measured. The message names what was found, the reason, and what to pass or do."""


@dataclass(frozen=True)
class Thresholds:
    """Conditions for the cells to keep. None disables a condition. The defaults are those of Pegasus 1.0."""

    min_genes: int | None = 500
    """Minimum number of genes."""
    max_genes: int | None = 6000
    """Number of genes that a cell must stay below."""
    min_umis: int | None = None
    """Minimum number of UMIs."""
    max_umis: int | None = None
    """Number of UMIs that a cell must stay below."""
    mito_prefix: str | None = "MT-"
    """Beginning of the names of mitochondrial genes, in any case. Without it, mitochondrial UMIs are not measured."""
    percent_mito: float | None = 10.0
    """Percentage of mitochondrial UMIs that a cell must stay below."""
    mads: float | None = None
    """Number of median absolute deviations that a cell may be away from its sample's median."""

    def __post_init__(self) -> None:
        for low, high in (("min_genes", "max_genes"), ("min_umis", "max_umis")):
            least, limit = getattr(self, low), getattr(self, high)
            if least is not None and limit is not None and least >= limit:
                raise ValueError(f"{low} = {least} and {high} = {limit} keep no cell. {low} must be the smaller.")
        if self.percent_mito is not None and not 0 < self.percent_mito <= 100:
            raise ValueError(f"percent_mito = {self.percent_mito}: must be more than 0 and at most 100.")
        if self.mads is not None and not self.mads > 0:
            raise ValueError(f"mads = {self.mads}: must be more than 0.")

    def ends(self) -> dict[str, tuple[float | None, float | None]]:
        """Return minimum and limit of each measure."""
        return {
            "n_genes": (self.min_genes, self.max_genes),
            "n_umis": (self.min_umis, self.max_umis),
            "percent_mito": (None, self.percent_mito if self.mito_prefix else None),
        }


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Choices between the ways in which data can be read. None lets the content decide, or refuses the data."""

    data_set: str | None = None
    """Path of the one data set to read, below the input folder, as the log has it."""
    sample: str | None = None
    """Name of the only sample."""
    sample_by: str | None = None
    """Column with each cell's sample, `barcode` for the part of the barcode, or `one` for a single sample."""
    matrix: str | None = None
    """Name of the matrix with counts: `X`, `layers/counts`, `raw.X`."""
    genome: str | None = None
    """Genome to measure, if there are several."""
    transpose: str = "auto"
    """Rows of a table are cells: yes, no, or auto, which recognises names of genes and barcodes."""
    fractions: bool = False
    """Accept counts that are not whole numbers."""
    min_genes_before: int | None = None
    """Drop barcodes with fewer genes, as empty droplets."""


# Files: what they are, by content -----------------------------------------------------------------------------------

PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
"""Functions that unpack a file, by its first bytes."""
OTHER = (
    (rb"$(?!\n)", "an empty file (0 bytes)"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file: run `git lfs pull`"),
    (rb"(?i)\s*(<!doctype html|<html)", "a web page (HTML), as a download without sign-on gives"),
    (rb"\s*<\?xml", "an XML file"),
    (rb"(X|A|B)\n\0?\0|RD[AXB]\d\n|A\n\d", "an R object (.rds, .RData): write .h5ad or a 10x directory in R"),
    (rb"@[^\n]*\n[A-Za-z.]+\r?\n\+", "reads (FASTQ), not counts"),
    (rb"(BAM|CRAM)", "alignments (BAM), not counts"),
    (rb"\xff\xfe|\xfe\xff|[ -~]\0[ -~]\0", "text in UTF-16: save it as UTF-8"),
    (
        rb"7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd",
        "an archive of 7-Zip, RAR or Zstandard: unpack it, or pack it as .zip or .tar.gz",
    ),
    (rb"\x1f\x8b|BZh|\xfd7zXZ", "packed twice: unpack it once"),
    (rb"PAR1|ARROW1|\xd0\xcf\x11\xe0", "a table of Parquet, Feather or old Excel: save it as .csv"),
    (rb"(?s).*\0", "a binary file of an unknown form"),
)
"""Forms that are not read: the content's beginning and what it is."""
DATA_NAME = re.compile(
    r"\.(h5|hdf5|h5ad|h5mu|h5seurat|loom|mtx|csv|tsv|zarr|7z|rar|zst)(\.\w+)?$|matrix", re.IGNORECASE
)
PARTS = re.compile(r"(^|[^a-z])((un)?spliced|ambiguous|spanning|nascent|mature)", re.IGNORECASE)
"""Matrices of RNA velocity: parts of the counts."""
ZARR = {".zgroup", ".zattrs", "zarr.json"}
READABLE = ("mtx", "10x", "h5ad", "h5mu", "loom", "zarr", "text")
UNFILTERED = re.compile(r"raw_(feature|gene)_bc_matri|unfiltered|(^|/)raw(/|$)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file, or the directory of a .zarr."""

    path: Path
    label: str
    """The path below the input folder; a file of an archive is below the archive's path."""
    form: str
    """One of `READABLE`, or what else it is."""

    @property
    def folder(self) -> str:
        """The folder's label."""
        return self.label.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The file's name."""
        return self.label.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set: its file, and the lists of names beside a Matrix Market file."""

    file: File
    label: str
    lists: tuple[File, ...] = ()


def opened(file: Path) -> IO[bytes]:
    """Return the content, unpacked by its first bytes and not by its name."""
    with file.open("rb") as content:
        begin = content.read(6)
    unpack: Callable[..., IO[bytes]] = next((PACKED[magic] for magic in PACKED if begin.startswith(magic)), open)
    return unpack(file, "rb")


def form_of(file: Path) -> str:
    """Return one of `READABLE`, `tar`, `zip`, `hdf5`, or a description."""
    with opened(file) as content:
        begin = content.read(4096)
    if begin.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if begin[257:262] == b"ustar":
        return "tar"
    if begin.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
        if names & ZARR:
            return "zarr"
        office = any(name.startswith(("xl/", "[Content_Types]")) for name in names)
        return "a spreadsheet (.xlsx, Excel): save it as .csv" if office else "zip"
    if begin.startswith(b"%%MatrixMarket"):
        return "mtx"
    return next((what for pattern, what in OTHER if re.match(pattern, begin)), "text")


def form_of_hdf5(file: Path) -> str:
    """Return the form of an HDF5 file by its groups."""
    import h5py

    with h5py.File(file, "r") as content:
        names = set(content)
        barcodes = any("barcodes" in group for group in content.values() if isinstance(group, h5py.Group))
    if "mod" in names:
        return "h5mu"
    if names & {"obs", "var"}:
        return "h5ad"
    if "row_attrs" in names:
        return "loom"
    if "barcode_idx" in names or "umi" in names:
        return "molecules of Cell Ranger (molecule_info.h5), not a matrix of counts"
    if barcodes:
        return "10x"
    return f"an HDF5 file of an unknown form, with {', '.join(sorted(names)[:8]) or 'no groups'}"


def files_of(folder: Path, unpacked: Path, *, label: str = "", ignored: Path | None = None) -> Iterator[File]:
    """Yield the files below `folder`. Archives, and packed HDF5 files, are unpacked into `unpacked`."""
    entries = [folder] if folder.is_file() else sorted(folder.iterdir())
    if ZARR & {entry.name for entry in entries}:
        yield File(path=folder, label=label.strip("/") or folder.name, form="zarr")
        return
    for entry in entries:
        if entry == ignored or entry.name.startswith((".", "__")):
            continue
        name = label + entry.name
        if entry.is_dir():
            yield from files_of(entry, unpacked, label=f"{name}/", ignored=ignored)
            continue
        with readable(name):
            form = form_of(entry)
            if form in ("tar", "zip"):
                target = unpack(entry, Path(tempfile.mkdtemp(dir=unpacked)), form)
                yield from files_of(target, unpacked, label=f"{name}/")
                continue
            if form == "hdf5":
                entry = unpacked_file(entry, unpacked)
                form = form_of_hdf5(entry)
            yield File(path=entry, label=name, form=form)


def unpacked_file(file: Path, folder: Path) -> Path:
    """Return the file, or its unpacked copy if it is packed: HDF5 is not read from a stream."""
    with opened(file) as content:
        if isinstance(content, io.BufferedReader):
            return file
        target = Path(tempfile.mkdtemp(dir=folder)) / file.stem
        with target.open("wb") as copy:
            shutil.copyfileobj(content, copy, 1 << 20)
    return target


def unpack(archive: Path, target: Path, form: str) -> Path:
    """Unpack an archive's files below `target`, within the limits. Links and other special members are left out."""
    left = min(UNPACKED_BYTES, shutil.disk_usage(target).free - (1 << 28))
    for count, (name, content) in enumerate(_members(archive, form)):
        path = (target / name).resolve()
        if not path.is_relative_to(target.resolve()) or count > UNPACKED_FILES:
            raise InputError(
                f"{archive.name}: {name!r} leads out of the archive, or it has over {UNPACKED_FILES} files."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, path.open("wb") as copy:
            while block := content.read(1 << 20):
                left -= len(block)
                if left < 0:
                    raise InputError(f"{archive.name}: its content is larger than the limit or the free disk space.")
                copy.write(block)
    return target


def _members(archive: Path, form: str) -> Iterator[tuple[str, IO[bytes]]]:
    if form == "zip":
        with zipfile.ZipFile(archive) as members:
            yield from ((each.filename, members.open(each)) for each in members.infolist() if not each.is_dir())
        return
    stream: Any = _Tail(archive)
    with stream as tail, tarfile.open(fileobj=tail, mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content:
                yield member.name, content
        if any(tail.last):
            raise InputError(f"{archive.name}: the archive has no end mark: it is incomplete. Copy it again.")


class _Tail(contextlib.ExitStack):
    """An unpacked file that remembers its last block: tarfile takes the end of an incomplete archive for its end."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.last = b""
        self.content = self.enter_context(opened(file))

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        block = self.content.read(size)
        self.last = (self.last + block)[-tarfile.BLOCKSIZE :]
        return block


@contextlib.contextmanager
def readable(label: str) -> Iterator[None]:
    """Turn errors of the libraries that read a file into `InputError`, with the file's label."""
    try:
        yield
    except (InputError, MemoryError, ImportError):
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise InputError(f"{label}: the file is damaged, incomplete or of another form ({text}).") from error


def find(folder: Path, unpacked: Path, *, chosen: str | None = None) -> tuple[list[Source], list[str]]:
    """Return the data sets at or below `folder`, and a note for each other file.

    Raises:
        InputError: There is no data set, or a file that should be one cannot be read.
    """
    if not folder.exists():
        raise InputError(f"There is no folder {folder}. Mount the data there, or set --base-dir.")
    files = list(files_of(folder, unpacked, ignored=folder / "code"))
    texts = [file for file in files if file.form == "text"]
    parts = [file for file in files if file.form == "mtx" and PARTS.search(file.name)]
    sources = [
        _source(file, texts) for file in files if file.form in READABLE and file.form != "text" and file not in parts
    ]
    lists = {file for source in sources for file in source.lists}
    sources += _tables([file for file in texts if file not in lists], alone=not sources)
    count = Counter(source.label for source in sources)
    sources = [replace(source, label=source.file.label) if count[source.label] > 1 else source for source in sources]
    if chosen:
        if not any(source.label == chosen for source in sources):
            labels = ", ".join(source.label for source in sources) or "none"
            raise InputError(f"--data-set {chosen}: there is no such data set. Data sets: {labels}.")
        return [source for source in sources if source.label == chosen], [f"Only {chosen} is read (--data-set)."]
    used = {file.label for source in sources for file in (source.file, *source.lists)}
    others = [file for file in files if file.label not in used]
    notes = [f"Not read: {file.label}, {_why(file, parts)}." for file in others]
    if not sources:
        names = "; ".join(f"{file.label}: {_why(file, parts)}" for file in others[:20]) or "none"
        raise InputError(
            f"No data set in {folder}. A data set is a .mtx with its lists of genes and barcodes, a file of 10x or "
            f"anndata, a .loom, a .zarr or a table of counts. Files: {names}."
        )
    matrices = {source.file.folder for source in sources if source.file.form == "mtx"}
    for file in others:
        harmless = file.form in READABLE or file.folder in matrices or re.search("molecule|web page", file.form)
        if DATA_NAME.search(file.name) and not harmless:
            raise InputError(f"{file.label}: {file.form}. Replace or remove it.")
    found = {source.label for source in sources}
    for source in list(sources):
        filtered = re.sub(r"(?i)(^|[/_])(raw|unfiltered)(?=[/_.]|$)", r"\1filtered", source.label)
        pool = re.match(r"(.*?)multi/count/raw", source.label)
        if filtered in found - {source.label} or (
            pool and any(label.startswith(f"{pool[1]}per_sample_outs/") for label in found)
        ):
            sources.remove(source)
            notes.append(f"Not read: {source.label}, all barcodes; another data set has the cells.")
    return sources, notes


def _why(file: File, parts: Sequence[File]) -> str:
    if file in parts:
        return "a part of the counts (RNA velocity)"
    return "text that is no table of counts" if file.form == "text" else file.form


def _source(file: File, texts: Sequence[File]) -> Source:
    """Return a data set with the lists beside a Matrix Market file, whose prefix or folder is its label."""
    if file.form != "mtx":
        return Source(file=file, label=file.label)
    lists = tuple(text for text in texts if text.folder == file.folder)
    prefix = re.sub(r"(matrix|counts?|cells_x_\w+|umis?)?\.mtx.*$", "", file.name, flags=re.IGNORECASE).strip("_.- ")
    return Source(file=file, label="/".join(part for part in (file.folder, prefix) if part) or file.name, lists=lists)


def _tables(texts: Sequence[File], *, alone: bool) -> list[Source]:
    """Return the tables of counts. Beside other data, those with few columns or fractions describe cells or runs."""
    rows = {file: _numbers(file) for file in texts}
    wide = [file for file in texts if len(rows[file]) >= 20]
    if not alone:
        wide = [file for file in wide if all(value.replace(".0", "").isdigit() for value in rows[file])]
    tables = wide or [file for file in texts if rows[file] and alone]
    return [Source(file=file, label=file.label) for file in tables]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and digests of a directory's files, ordered by name."""
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    whole = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(f"{digest(file)}  {file.relative_to(path).as_posix()}\n".encode())
    return whole.hexdigest()


# Forms: each reader returns what is stored --------------------------------------------------------------------------


@dataclass(kw_only=True)
class Stored:
    """The content of a data set: matrices of cells by features, in order of preference."""

    cells: Any
    """Table with a row for each cell; the index has the barcodes."""
    matrices: dict[str, tuple[Any, Any]]
    """By name: a matrix of cells by features, and the table of its features."""
    lists: list[File] = field(default_factory=list)
    """The lists of names that belong to a Matrix Market file."""
    notes: list[str] = field(default_factory=list)


def read_mtx(source: Source, choices: Choices) -> Stored:
    """Read a Matrix Market file. The lists of names are those with as many lines as the matrix has rows or columns."""
    from scipy import io as scipy_io
    from scipy import sparse

    with opened(source.file.path) as content:
        matrix = sparse.csr_array(scipy_io.mmread(content, spmatrix=False))
    most_lines = max(matrix.shape) + 2
    contents = {file: list(itertools.islice(lines_of(file.path), most_lines)) for file in source.lists}
    words = {file: _words(file) & _words(source.file) for file in contents}
    sides = []
    for sign, count in zip((1, -1), matrix.shape, strict=True):
        fits = [file for more in (0, 1) for file, lines in contents.items() if len(lines) == count + more]
        if matrix.shape[0] == matrix.shape[1]:
            fits = [file for file in fits if _role(file, words[file], contents[file]) == sign]
        exact = [file for file in fits if len(contents[file]) == count] or fits
        most = max((words[file].total() for file in exact), default=0)
        sides.append([file for file in exact if words[file].total() == most])
    if not all(sides) or 0 in matrix.shape:
        lines = ", ".join(f"{file.name} {len(lines)}" for file, lines in contents.items()) or "none"
        raise InputError(
            f"{source.file.label} has {matrix.shape[0]} rows and {matrix.shape[1]} columns. It needs genes and cells "
            "(0 cells are none), a list of genes and a list of barcodes with as many lines. Lists and their lines: "
            f"{lines}."
        )
    hint = sum(
        _role(file, words[file], contents[file]) * sign
        for sign, side in zip((1, -1), sides, strict=True)
        for file in side
    )
    frames = [
        _frame({file: contents[file] for file in side}, count) for side, count in zip(sides, matrix.shape, strict=True)
    ]
    stored = oriented(matrix, *frames, hint=hint, label=source.file.label, choices=choices)
    stored.lists = sides[0] + sides[1]
    stored.notes.append(f"Lists of names: {', '.join(file.label for file in stored.lists)}.")
    return stored


def _words(file: File) -> Counter[str]:
    """Return the words of a file's name, which a matrix and its lists have in common."""
    return Counter(re.split(r"[_.\-\s]+", re.sub(r"(\.(mtx|tsv|csv|txt|gz))+$", "", file.name.lower())))


def _role(file: File, shared: Counter[str], lines: list[list[str]]) -> int:
    """Return 1 for a list of genes, -1 for one of cells, 0 if it is neither by name nor by content."""
    name = " ".join(_words(file) - shared)
    if re.search("barcode|cell", name):
        return -1
    if re.search("gene|feature|symbol|peak", name):
        return 1
    columns = list(zip(*lines[1:], strict=False))
    genes, cells = (max((test(column) for column in columns), default=0) for test in (like_genes, like_barcodes))
    return genes - cells


def _frame(lists: Mapping[File, list[list[str]]], count: int) -> Any:
    """Return a table with the columns of the lists of one side. Columns of numbers alone are no names."""
    import pandas

    columns: dict[str, list[str]] = {}
    for file, lines in lists.items():
        width = max(map(len, lines))
        named = lines[0] if len(lines) > count else [f"{file.name} {i + 1}" for i in range(width)]
        for i, name in enumerate([""] * (width - len(named)) + named):
            values = [line[i] if i < len(line) else "" for line in lines[-count:]]
            if not all(map(_is_number, values)):
                columns[name if name and name not in columns else f"{file.name} {i + 1}"] = values
    return pandas.DataFrame(columns, index=range(count))


def read_text(source: Source, choices: Choices) -> Stored:
    """Read a table of text: a heading, and in each line names and numbers."""
    import numpy
    import pandas
    from scipy import sparse

    label = source.file.label
    heading, *_ = lines = list(itertools.islice(lines_of(source.file.path), 2))
    texts = _texts(lines[1])
    if len(heading) == len(lines[1]) - 1:
        heading = ["", *heading]  # as R's write.table leaves it
    columns = heading[texts:]
    numbered = (list(map(str, range(first, first + len(columns)))) for first in (0, 1))  # as pandas names columns
    if all(map(_is_number, columns)) and columns not in numbered:
        raise InputError(f"{label}: the first line has numbers, and no names. Add a heading.")
    described = _described(columns, label)
    counted = [texts + i for i in range(len(columns)) if i not in described]
    names: list[list[str]] = []
    values, positions, starts = [], [], [0]
    shapes: set[re.Pattern[str]] = set()
    for number, line in enumerate(itertools.islice(lines_of(source.file.path), 1, None), 2):
        if len(line) != len(heading):
            raise InputError(
                f"{label}: line {number}, {line[0]!r}, has {len(line)} fields, and the heading has {len(heading)}. The "
                "file is damaged or incomplete."
            )
        fields = [line[i] for i in counted]
        try:
            row = numpy.array(fields, dtype=float)
        except ValueError:
            at = next(i for i in counted if not _is_number(line[i]))
            raise InputError(
                f"{label}: line {number}, {line[0]!r}, column {heading[at]!r}: {line[at]!r} is empty or not a number. "
                "Write each count as a number, 0 included."
            ) from None
        text = ",".join(fields)
        shapes |= {shape for shape in (THOUSANDS, PLAIN) if shape not in shapes and shape.search(text)}
        if len(shapes) > 1:
            raise InputError(
                f"{label}: line {number}, {line[0]!r}, has numbers such as 1.000 or 1,000 beside whole ones: one or a "
                "thousand? Write the numbers without separators of thousands."
            )
        names.append(line)
        positions.append(numpy.flatnonzero(row))
        values.append(row[positions[-1]])
        starts.append(starts[-1] + len(values[-1]))
    matrix: Any = sparse.csr_array(
        (numpy.concatenate(values), numpy.concatenate(positions), starts), shape=(len(names), len(counted))
    )
    side = pandas.DataFrame(
        {name or f"column {i + 1}": [line[i] for line in names] for i, name in enumerate(heading[:texts])}
        | {heading[texts + i]: [line[texts + i] for line in names] for i in sorted(described)}
    )
    top = pandas.DataFrame({"heading": [heading[i] for i in counted]})
    if rows := _described([line[0] for line in names], label):
        top = top.assign(**{names[i][0]: [names[i][at] for at in counted] for i in sorted(rows)})
        kept = [i for i in range(len(names)) if i not in rows]
        matrix, side = matrix[kept], side.iloc[kept]
    stored = oriented(matrix, side, top, label=label, choices=choices, sure=False)
    for what, lines_or_columns in (
        ("Columns", [columns[i] for i in described]),
        ("Lines", [names[i][0] for i in rows]),
    ):
        if lines_or_columns:
            stored.notes.append(f"{what} that describe and do not count: {', '.join(sorted(lines_or_columns))}.")
    return stored


def _described(names: Sequence[str], label: str) -> set[int]:
    """Return the positions of names of measures, which are no genes or cells.

    Raises:
        InputError: A few names among barcodes are none.
    """
    described = {
        i for i, name in enumerate(names) if any(p.fullmatch(name.strip()) for p in (DESCRIPTION, SAMPLE_COLUMN))
    }
    others = [name for i, name in enumerate(names) if i not in described and not BARCODE.fullmatch(name)]
    if 0 < len(others) <= 0.05 * len(names):
        raise InputError(
            f"{label}: {', '.join(others[:5])} among barcodes: cells or measures? Give cells barcodes, remove measures."
        )
    return described


DESCRIPTION = re.compile(
    r"n_?(genes?|counts?|umis?)(_by_counts|_rna)?|n(count|feature)_\w+|(log1p_)?total(_counts|_umis)?|sum|"
    r"(pct|percent|frac)[_.].*|clusters?|louvain|leiden|seurat_clusters|.*_res\.[0-9.]+|(umap|tsne|pca?)_\d+|"
    r"(s|g2m)[._]score|phase|doublet_?\w*|scrublet\w*|size_?factors?|cell_?types?|age|sex|gender|day|time_?point|"
    r"condition|treatment|tissue|chr(om(osome)?)?|start|end|strand|width|(gene_?)?length|"
    r"(entrez|hgnc|mgi)(_?gene)?(_?id)?|index|unnamed:? ?\d*",
    re.IGNORECASE,
)
"""Columns or lines that are no counts, in tables of common tools."""
COMPARISON = re.compile(r"p[_. -]?(adj|val)|log2?[_. -]?(fc|fold)|fold[_. -]?change", re.IGNORECASE)
"""Columns of a table that compares groups."""
THOUSANDS, PLAIN = (re.compile(rf"(^|,){number}(,|$)") for number in (r"[1-9]\d{0,2}\.000", r"\d+"))
"""Numbers in a table, with commas as points: 1.000 beside 7 can be one or a thousand."""


def lines_of(file: Path) -> Iterator[list[str]]:
    """Yield the fields of each line, without empty lines and comments at the beginning.

    The delimiter is the one that the first line has most of, blanks last. A comma that delimits nothing is a decimal
    point.
    """
    with opened(file) as content:
        text = io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace", newline="")
        lines: Iterator[str] = itertools.dropwhile(lambda line: re.match(r"\s*$|#|(?i:sep=)", line), text)
        first = next(lines, "")
        delimiter = max("\t;,", key=first.count) if re.search("[\t;,]", first) else " "
        lines = itertools.chain([first], lines)
        if delimiter != ",":
            lines = (line.replace(",", ".") for line in lines)
        if delimiter == " ":
            lines = (line.strip() for line in lines)
        yield from filter(None, csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " "))


def _numbers(file: File) -> list[str]:
    """Return the numbers of the first line below the heading, none if the text is no table."""
    try:
        with readable(file.label):
            heading, line = itertools.islice(lines_of(file.path), 2)
    except InputError as error:
        if isinstance(error.__cause__, EOFError):
            raise
        return []  # less than two lines, or fields that no table has
    table = len(heading) in (len(line), len(line) - 1) and not any(map(COMPARISON.search, heading))
    numbers = line[_texts(line) :] if table else []
    return numbers if 2 * sum(map(_is_number, numbers)) > len(numbers) else []


def _texts(line: Sequence[str]) -> int:
    """Return the number of names before the numbers of a line: the first field, and those after it that are text."""
    return next((i for i, value in enumerate(line) if i and (not value or _is_number(value))), len(line))


def _is_number(text: str) -> bool:
    try:
        return "_" not in text and float(text) is not None
    except ValueError:
        return False


def oriented(
    matrix: Any, rows: Any, columns: Any, *, label: str, choices: Choices, hint: int = 0, sure: bool = True
) -> Stored:
    """Return a matrix as cells by features: names tell which side has the genes.

    Args:
        matrix: The matrix.
        rows: The names of the rows.
        columns: The names of the columns.
        label: The file, for errors.
        choices: `transpose` decides what the names do not.
        hint: More than 0 if other signs say that the rows are genes, less than 0 if they are cells.
        sure: Whether rows are genes where there is no sign.
    """
    signs = hint or sum(
        sign * (max((test(frame[name]) for name in frame), default=0))
        for sign, frame, test in (
            (1, rows, like_genes),
            (-1, rows, like_barcodes),
            (-1, columns, like_genes),
            (1, columns, like_barcodes),
        )
    )
    asked = {"yes": -1, "no": 1}.get(choices.transpose, 0)
    if signs * asked < 0:
        side = ("rows", "columns")[signs < 0]
        raise InputError(
            f"{label}: the {side} are genes by their names, and --transpose {choices.transpose} denies it."
        )
    if not signs and not asked and not sure:
        raise InputError(
            f"{label}: neither {len(rows)} rows nor {len(columns)} columns have names of genes or barcodes. Pass "
            "--transpose no if each row is a gene, --transpose yes if each row is a cell."
        )
    genes_in_rows = (signs or asked or 1) > 0
    features, cells = (rows, columns) if genes_in_rows else (columns, rows)
    note = (
        "Rows are genes, columns are cells."
        if genes_in_rows
        else "Rows are cells (--transpose yes), columns are genes."
    )
    barcodes = max(
        cells, key=lambda name: (like_barcodes(cells[name]), bool(re.search("barcode|cell", name))), default=None
    )
    if barcodes is not None:
        cells = cells.set_index(barcodes)
    return Stored(
        cells=cells, matrices={"the matrix": (matrix.T.tocsr() if genes_in_rows else matrix, features)}, notes=[note]
    )


def read_10x(source: Source, choices: Choices) -> Stored:
    """Read an HDF5 file of Cell Ranger: a group `matrix`, or until version 2 a group for each genome."""
    import h5py
    import pandas
    from scipy import sparse

    with h5py.File(source.file.path, "r") as content:
        groups = [name for name, group in content.items() if isinstance(group, h5py.Group) and "indptr" in group]
        group = content[one_of(groups, choices.genome, "--genome", f"{source.label}: groups")]
        count = len(group["barcodes"])
        matrix = sparse.csr_array(
            (group["data"][:], group["indices"][:], group["indptr"][:]), shape=group["shape"][:][::-1]
        )
        columns = {}
        for name, values in {**group, **group.get("features", {})}.items():
            if isinstance(values, h5py.Dataset) and values.shape == (matrix.shape[1],) and values.dtype.kind in "SO":
                columns[name] = values.asstr(errors="replace")[:]
        columns.pop("barcodes", None)
        if "features" not in group:
            columns["genome"] = [group.name.strip("/")] * matrix.shape[1]
        cells = pandas.DataFrame(index=group["barcodes"].asstr()[:])
    if matrix.shape[0] != count:
        raise InputError(f"{source.label}: {matrix.shape[0]} columns and {count} barcodes. The file is damaged.")
    return Stored(cells=cells, matrices={"matrix": (matrix, pandas.DataFrame(columns, index=range(matrix.shape[1])))})


def one_of(names: Sequence[str], asked: str | None, option: str | None, where: str) -> str:
    """Return the only name, or the one asked for.

    Raises:
        InputError: There are several, and none of them was asked for.
    """
    if len(names) == 1:
        return names[0]
    if asked in names:
        return str(asked)
    remedy = f"Pass one of them with {option}" if option else "Write a file with one of them"
    raise InputError(f"{where}: {', '.join(names) or 'none'}. {remedy}.")


def read_anndata(source: Source, choices: Choices) -> Stored:
    """Read .h5ad, .h5mu and .zarr: X, layers and raw. Pegasus' own .zarr has a group for each genome."""
    import anndata

    path = source.file.path
    if source.file.form == "h5ad":
        return _of_anndata(anndata.read_h5ad(path))
    if source.file.form == "h5mu":
        import h5py

        with h5py.File(path, "r") as content:
            genes = [name for name in content["mod"] if GENE_TYPE.fullmatch(name)]
            name = one_of(genes, None, None, f"{source.label}: modalities of genes")
            return _of_anndata(anndata.io.read_elem(content["mod"][name]))
    import zarr

    store = zarr.storage.ZipStore(str(path), mode="r") if path.is_file() else str(path)
    try:
        root = zarr.open_group(store, mode="r")
    except ValueError as error:
        raise InputError(
            f"{source.label}: a .zarr that zarr {zarr.__version__} does not read: {error}. Write .h5ad, or format 2."
        ) from error
    tables = dict(_tables_of(root))
    if not tables and any("barcode_metadata" in group for _, group in root.groups()):
        return _of_pegasus(source, choices)
    measured = [name for name in tables if GENE_TYPE.fullmatch(name.rpartition("/")[2])] or list(tables)
    group = tables[one_of(measured, None, None, f"{source.label}: tables of cells and genes")]
    for name, array in _arrays_of(group):
        if array.nchunks_initialized < array.nchunks:
            raise InputError(
                f"{source.label}: {name} has {array.nchunks_initialized} of {array.nchunks} chunks. Copy all of the "
                "directory, or write .h5ad if chunks with zeros alone were left out."
            )
    return _of_anndata(anndata.io.read_elem(group))


def _tables_of(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the groups of a .zarr that have cells and genes: the file's, or those of its modalities or tables."""
    names = set(group.group_keys())
    if {"obs", "var"} <= names and "mod" not in names:
        yield name or "whole", group
        return
    for each in sorted(names & {"mod", "tables"} if not name else names):
        yield from _tables_of(group[each], f"{name}/{each}".strip("/"))


def _arrays_of(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a table's matrices. Missing chunks of them would be read as zeros."""
    for name in sorted({"X", "layers", "raw"} & {*group.group_keys(), *group.array_keys()}):
        waiting = [(name, group[name])]
        while waiting:
            name, each = waiting.pop()
            if hasattr(each, "nchunks"):
                yield name, each
            else:
                keys = [*each.group_keys(), *each.array_keys()]
                waiting += [(f"{name}/{key}", each[key]) for key in keys if key not in ("var", "varm")]


def _of_anndata(data: Any) -> Stored:
    layers = sorted(data.layers, key=lambda name: "count" not in name.lower())
    matrices = {"X": (data.X, data.var)} if data.X is not None else {}
    matrices |= {f"layers/{name}": (data.layers[name], data.var) for name in layers}
    if data.raw is not None:
        features = data.raw.var
        if features.index.isin(data.var.index).all() and data.var.index.is_unique:
            features = features.join(data.var[data.var.columns.difference(features.columns)])
        matrices["raw.X"] = (data.raw.X, features)
    return Stored(cells=data.obs, matrices=matrices)


def _of_pegasus(source: Source, choices: Choices) -> Stored:
    import pegasusio

    data = pegasusio.read_input(str(source.file.path), file_type="zarr")
    groups = {name: data.get_data(name) for name in data.list_data()}
    rna = [name for name, group in groups.items() if group.get_modality() == "rna"]
    asked = next((name for name in rna if name.rpartition("-")[0] == choices.genome), None)
    group = groups[one_of(rna, asked, "--genome", f"{source.label}: genomes")]
    features = group.feature_metadata.assign(genome=group.get_genome())
    matrices = {name: (matrix, features) for name, matrix in group.matrices.items()}
    stored = Stored(cells=group.barcode_metadata, matrices=matrices)
    if others := [name for name in groups if name not in rna]:
        stored.notes.append(f"Not measured: {', '.join(others)}.")
    return stored


def read_loom(source: Source, _: Choices) -> Stored:
    """Read .loom: a matrix of genes by cells, layers of the same size, and a column of names for each side."""
    import h5py
    import pandas

    def side(group: Any) -> Any:
        texts = {name: each for name, each in group.items() if len(each.shape) == 1 and each.dtype.kind in "SOiufb"}
        columns = {
            name: values.asstr(errors="replace")[:] if values.dtype.kind in "SO" else values[:]
            for name, values in texts.items()
        }
        return pandas.DataFrame(columns)

    with h5py.File(source.file.path, "r") as content:
        stored = {
            "matrix": content["matrix"],
            **{f"layers/{name}": values for name, values in content.get("layers", {}).items()},
        }
        features, cells = side(content["row_attrs"]), side(content["col_attrs"])
        matrices = {name: (_by_cells(values), features) for name, values in stored.items()}
    names = [name for name in cells if cells[name].dtype == object and cells[name].nunique() > len(cells) / 2]
    known = [name for name in ("CellID", "obs_names", "barcode", "barcodes") if name in names]
    return Stored(cells=cells.set_index((known or names)[0]) if names else cells, matrices=matrices)


def _by_cells(dataset: Any) -> Any:
    """Return a stored matrix of genes by cells as cells by genes, without holding all of it as a full matrix."""
    from scipy import sparse

    blocks = [sparse.csr_array(dataset[:, at : at + 2000].T) for at in range(0, dataset.shape[1], 2000)]
    return sparse.vstack(blocks, format="csr") if blocks else sparse.csr_array(dataset.shape[::-1])


READERS: dict[str, Callable[[Source, Choices], Stored]] = {
    "mtx": read_mtx,
    "10x": read_10x,
    "h5ad": read_anndata,
    "h5mu": read_anndata,
    "zarr": read_anndata,
    "loom": read_loom,
    "text": read_text,
}

# What is measured: counts, genes, samples ---------------------------------------------------------------------------

GENE_TYPE = re.compile(r"gene([ _]expression)?s?|gex|m?rna|expression", re.IGNORECASE)
CELL_RANGER_TYPE = re.compile(r"gene expression|.* capture|peaks|custom|vdj.*", re.IGNORECASE)
TYPE_COLUMN = re.compile(r"feature_types?|feature_biotype|modality", re.IGNORECASE)
OTHER_NAMES = (
    (re.compile(r"ERCC-?\d{3,}$"), "spike-in"),
    (re.compile(r"__\w+$|N_(unmapped|multimapping|noFeature|ambiguous)$|(?i:total|sum)$"), "summary"),
    (
        re.compile(
            r"(ADT|HTO|CITE)-|(?i:(adt|hto|cite|prot|anti)_|anti-)|.*(?i:TotalSeq|hash.?tag|[|_-](pAbO|adt|hto|ts[abc])$)|"
            r"CMO\d+$|.+[-_][ACGT]{8,}$"
        ),
        "antibody or tag",
    ),
    (re.compile(r"(chr\w+|\d{1,2}|X|Y|MT|[A-Z]{2}\d+\.\d)[:_-]\d+[-_]\d+$|(?i:sg|g)RNA[_-]"), "peak or guide"),
)
"""Names of features that are no genes, where no column has the features' types."""
SYMBOL_COLUMN = re.compile(r"index|feature_names?|gene_?(symbols?|names?|short_name)|symbols?|names?", re.IGNORECASE)
IDS = re.compile(r"(ENS[A-Z]*[GT]\d{6,}|FBgn\d{7}|WBGene\d{8}|gene-\w+|[NX][MR]_\d+|\d+)(\.\d+)?$")
ID_BESIDE_NAME = re.compile(r"ENS[A-Z]*G\d{6,}(?:\.\d+)?[_|:;-](.+)|(.+)[_|:;-]ENS[A-Z]*G\d{6,}(?:\.\d+)?$")
GENOME = re.compile(r"([A-Za-z]+\d[A-Za-z0-9.]*?|human|mouse|rat|pig|monkey|zebrafish)[_-]+(?=[A-Za-z])", re.IGNORECASE)
"""A genome before the name of a gene, as in `GRCh38_CD3E` and `mm10___Cd3e`."""
BARCODE = re.compile(r"(.*?)([ACGTN]{8,}(?:[-_+.][ACGTN]{6,})*)(.*)")
COMMON_GENE = re.compile(
    "(ACTB|GAPDH|B2M|MALAT1|EEF1A1|TPT1|FTL|FTH1|RP[LS][0-9]+[AXY]?|TMSB4X|CD3E|CD8A|LYZ|PTPRC|VIM|NEAT1|HBB)$",
    re.IGNORECASE,
)
SAMPLE_COLUMN = re.compile(
    r"(channel|sample|library|batch|donor|patient|subject|individual|animal|mouse|replicate|experiment|dataset|run|lane|gsm|"
    r"gem[_. ]?(group|well)|orig[_.]ident)([_. ]?(id|name|number))?",
    re.IGNORECASE,
)
NO_SAMPLE = "(no sample)"


def like_genes(names: Iterable[str]) -> bool:
    """Return whether names are genes': ids of a database, mitochondrial genes, or common ones."""
    texts = [GENOME.sub("", str(name), count=1) for name in names]
    known = sum(bool(COMMON_GENE.match(name)) or bool(re.match(r"_*mt-", name, re.IGNORECASE)) for name in texts)
    ids = sum((bool(IDS.match(name)) and not name.isdigit()) or bool(ID_BESIDE_NAME.match(name)) for name in texts)
    return bool(texts) and (known >= 3 or 2 * ids > len(texts))


def like_barcodes(names: Iterable[str]) -> bool:
    """Return whether most names contain a sequence of bases."""
    texts = [str(name) for name in names]
    return 2 * sum(bool(BARCODE.fullmatch(text)) for text in texts) > len(texts)


def counts_of(stored: Stored, *, label: str, choices: Choices) -> tuple[str, Any, Any]:
    """Return name, values and features of the matrix that has counts, with the features that are genes.

    Raises:
        InputError: No matrix has counts of genes, or two that differ have.
    """
    asked, flaws = choices.matrix, []
    names = [name for name in stored.matrices if asked in (None, name, name.removeprefix("layers/"))]
    if not names:
        raise InputError(f"--matrix {asked}: {label} has {', '.join(stored.matrices) or 'no matrix'}.")
    best: tuple[str, Any, Any] | None = None
    for name in names:
        matrix, features = genes_alone(stored, name, label)
        if flaw := flaw_of(matrix, stored.cells.index, features, fractions=choices.fractions):
            flaws.append(f"{name} has {flaw}")
        elif PARTS.search(name) and not asked:
            flaws.append(f"{name} has a part of the counts")
        elif best is None:
            best = name, matrix, features
        elif best[1].shape[1] < matrix.shape[1] and (best[1].sum(axis=1) <= matrix.sum(axis=1)).all():
            flaws.append(f"{best[0]} has {len(best[2])} of {len(features)} genes")
            best = name, matrix, features
        elif not _same(best[1], matrix):
            raise InputError(f"{label}: {best[0]} and {name} both have counts, and differ. Pass one with --matrix.")
    if best is None:
        raise InputError(
            f"{label}: no matrix of counts: {'; '.join(flaws)}. Write the counts as X or as a layer, or name their "
            "matrix with --matrix."
        )
    if whole_numbers(best[1].data).all():
        best[1].data = best[1].data.round()
    others = Counter(kind for kind in types_of(stored.matrices[best[0]][1]) if not GENE_TYPE.fullmatch(kind))
    stored.notes += [
        f"Counts: {best[0]}. Matrices: {', '.join(stored.matrices)}.",
        *(f"Not measured: {flaw}." for flaw in flaws),
    ]
    stored.notes += [f"Not measured: {count} features of type {kind}." for kind, count in others.items()]
    return best


def genes_alone(stored: Stored, name: str, label: str) -> tuple[Any, Any]:
    """Return a matrix as sparse rows without stored zeros, and its features, of those that are genes."""
    import numpy
    from scipy import sparse

    values, features = stored.matrices[name]
    if values.dtype == numpy.float16:  # which has whole numbers up to 2048, and rounds others
        values = numpy.where(values > 2048, numpy.nan, values.astype("f4"))
    matrix = sparse.csr_array(values if sparse.issparse(values) else numpy.asarray(values))
    if matrix.shape != (len(stored.cells), len(features)) or 0 in matrix.shape:
        raise InputError(
            f"{label}: {name} is {matrix.shape}, with {len(stored.cells)} cells and {len(features)} features."
        )
    matrix.check_format(full_check=True)
    types = types_of(features)
    genes = numpy.array([GENE_TYPE.fullmatch(kind) is not None for kind in types])
    if not genes.any():
        raise InputError(f"{label}: no genes, but {len(types)} features of type {', '.join(sorted(set(types)))}.")
    matrix.sum_duplicates()
    if matrix.dtype.kind in "iufb":
        matrix.eliminate_zeros()
    return (matrix, features) if genes.all() else (matrix[:, genes], features[genes])


def types_of(features: Any) -> list[str]:
    """Return each feature's type: of the column that has types, or by the feature's name."""
    columns = text_columns(features)
    for name, values in columns.items():
        kinds = {value.lower() for value in values} - {"nan", "none", ""}
        known = len(kinds) <= 30 and any(map(CELL_RANGER_TYPE.fullmatch, kinds))
        if known or (TYPE_COLUMN.fullmatch(name) and kinds and "protein_coding" not in kinds):
            return values
    names = zip(*columns.values(), strict=True) if columns else [("",)] * len(features)
    return [next((kind for pattern, kind in OTHER_NAMES if any(map(pattern.match, each))), "gene") for each in names]


def text_columns(features: Any) -> dict[str, list[str]]:
    """Return the columns of text of a table by name, `index` included."""
    from pandas.api.types import is_numeric_dtype

    texts = {} if is_numeric_dtype(features.index) else {"index": [str(name) for name in features.index]}
    columns = [name for name in features if not is_numeric_dtype(features[name].dtype)]
    return texts | {str(name): [str(value) for value in features[name]] for name in columns}


def _same(one: Any, other: Any) -> bool:
    """Return whether all cells have as many counts and genes in both matrices."""
    equal = (one.sum(axis=1) == other.sum(axis=1)) & (one.count_nonzero(axis=1) == other.count_nonzero(axis=1))
    return bool(equal.all())


def flaw_of(matrix: Any, cells: Any, features: Any, *, fractions: bool) -> str | None:
    """Return the reason why values cannot be counts, None if they can."""
    import numpy

    values = matrix.data
    if values.dtype.kind not in "iufb" or not len(values):
        return f"values of type {values.dtype}" if len(values) else "only zeros"
    for bad, what in ((~numpy.isfinite(values), "missing or infinite"), (values < 0, "negative")):
        if bad.any():
            at = int(bad.argmax())
            cell = int(numpy.searchsorted(matrix.indptr, at, side="right")) - 1
            gene = max(text_columns(features).values(), key=lambda names: len(set(names)))[matrix.indices[at]]
            return f"{what} values: {values[at]:g} for gene {gene} in cell {cells[cell]}"
    if values.min() == values.max() and len(values) > 100 * matrix.shape[0]:
        return f"no other value than {values[0]:g}, which tells presence"
    whole = whole_numbers(values)
    if not whole.all() and (scale := scale_of(matrix)):
        return scale
    if not whole.all() and not fractions:
        return (
            f"values that are not whole numbers, such as {values[~whole][0]:g} (--fractions accepts estimated counts)"
        )
    starts = matrix.indptr[:-1][numpy.diff(matrix.indptr) > 0]
    sums, least = numpy.add.reduceat(values, starts), numpy.minimum.reduceat(values, starts)
    if len(sums) >= 5 and sums.max() - sums.min() < 0.01 * sums.mean() and not (whole.all() and sums.mean() < 50):
        return f"a sum of {sums[0]:g} in every cell, as normalised values have"
    if whole.all() and numpy.median(least) > 1:
        return f"{numpy.median(least):g} as the least value in most cells, where counts have 1"
    return None


def whole_numbers(values: Any) -> Any:
    """Return a mask of values that are whole numbers, but for the error of a calculation with them."""
    import numpy

    if values.dtype.kind in "iub":
        return numpy.ones(len(values), dtype=bool)
    return numpy.abs(values - numpy.rint(values)) <= 1e-6 * numpy.maximum(1, values)


def scale_of(matrix: Any) -> str | None:
    """Return the scale on which each cell's values are multiples of the least one: the counts before it had 1 there.

    Values that are multiples of one number in all cells are on no other scale: estimates.
    """
    import numpy

    rows = [matrix.data[a:b].astype(float) for a, b in itertools.pairwise(matrix.indptr) if b - a >= 10]
    rows = rows[:: max(1, len(rows) // 200)]
    scales: tuple[tuple[str | None, Callable[[Any], Any]], ...] = (
        ("normalised values", lambda values: values),
        ("logarithms", numpy.expm1),
        ("logarithms", lambda values: numpy.exp2(values) - 1),
        ("logarithms", lambda values: 10**values - 1),
        ("square roots", numpy.square),
    )
    for name, inverse in scales:
        with numpy.errstate(over="ignore", invalid="ignore"):
            counts = [inverse(row) / inverse(row.min()) for row in rows]
            fits = [(abs(count - numpy.rint(count)) < 0.02).mean() > 0.95 and count.max() > 1.5 for count in counts]
        if rows and sum(fits) > 0.8 * len(rows):
            differ = len({round(float(row.min()), 3) for row in rows}) > 1
            return name if differ or name != "normalised values" else None
    few = [len(set(row)) < 0.2 * len(row) and whole_numbers(row).mean() < 0.2 for row in rows]
    return "rounded logarithms or normalised values" if rows and sum(few) > 0.8 * len(rows) else None


def genes_of(
    features: Any, *, label: str, choices: Choices, thresholds: Thresholds, notes: list[str]
) -> tuple[list[str], Any, Any]:
    """Return the genes' names, a mask of the genome to measure, and one of the mitochondrial genes, None without.

    Raises:
        InputError: There is no mitochondrial gene, or more than one genome.
    """
    import numpy

    columns = text_columns(features)
    distinct = {name: values for name, values in columns.items() if 2 * len(set(values)) > len(values)}
    if not distinct:
        raise InputError(f"{label}: genes have no names. Columns: {', '.join(columns) or 'none'}.")
    ids = {name: 2 * sum(map(bool, map(IDS.match, values))) > len(values) for name, values in distinct.items()}
    order = sorted(distinct, key=lambda name: (ids[name], not SYMBOL_COLUMN.fullmatch(name)))
    genomes = _genomes(columns, distinct)
    found = sorted(set(genomes) - {""})
    if choices.genome and choices.genome not in found:
        raise InputError(f"--genome {choices.genome}: {label} has {', '.join(found) or 'no names of genomes'}.")
    own: Any = numpy.ones(len(features), dtype=bool)
    if len(found) > 1:
        genome = one_of(found, choices.genome, "--genome", f"{label}: genes of {len(found)} genomes")
        own = numpy.array([each == genome for each in genomes])
        notes.append(f"Genome {genome}: {own.sum()} of {len(own)} genes of {', '.join(found)}.")
    names = {name: _bare(distinct[name]) for name in order}
    column, mitochondrial = order[0], None
    if thresholds.mito_prefix:
        column, mitochondrial = _mitochondrial(names, own, thresholds.mito_prefix, label)
        matched = sorted(name for name, each in zip(names[column], mitochondrial, strict=True) if each)
        notes.append(f"{len(matched)} mitochondrial genes: {', '.join(matched[:40])}.")
    else:
        notes.append("Mitochondrial counts are not measured (--mito-prefix none).")
    notes.append(f"Names of genes: {column}. Columns of names: {', '.join(order)}.")
    known = set(names[column])
    parts = [name for name in names[column] if name[-2:] in ("-U", "-A", "-I") and name[:-2] in known]
    if len(parts) > 0.2 * len(own):
        raise InputError(
            f"{label}: {len(parts)} features such as {parts[0]} are parts of the counts. Add them to their genes'."
        )
    if ("highly_variable" in features and all(features["highly_variable"])) or own.sum() < min(
        thresholds.min_genes or 0, 500
    ):
        raise InputError(
            f"{label} has only {own.sum()} genes, such as the variable ones. Measure the file with all genes. For a "
            "panel of genes, pass --min-genes none."
        )
    if own.sum() < 5000:
        notes.append(f"Only {own.sum()} genes, fewer than in a transcriptome.")
    return names[column], own, mitochondrial


def _bare(values: Sequence[str]) -> list[str]:
    """Return names of genes without the genome before them, and without an id before or after them."""
    matches = [ID_BESIDE_NAME.fullmatch(value) for value in values]
    names = [match[1] or match[2] if match else value for match, value in zip(matches, values, strict=True)]
    return [GENOME.sub("", name, count=1) for name in names] if _prefixes(values) else names


def _prefixes(values: Sequence[str]) -> list[str] | None:
    """Return the genome before each name of a gene, if (nearly) all names have one, and each is of several genes."""
    prefixes = _first_groups(GENOME, values)
    count = Counter(prefixes)
    common = count[""] <= 0.1 * len(prefixes) and len(count) <= 6 and min(count.values()) > 1
    return prefixes if common else None


def _genomes(columns: Mapping[str, list[str]], distinct: Mapping[str, list[str]]) -> list[str]:
    """Return each gene's genome: of a column, of a prefix that the names have, or of the species in ids and names."""
    sources = [columns["genome"]] if "genome" in columns else []
    sources += [prefixes for values in distinct.values() if (prefixes := _prefixes(values))]
    for pattern, values in itertools.product((r".*?(ENS[A-Z]*G)\d{6,}", "_*(MT-|mt-)"), distinct.values()):
        species = _first_groups(re.compile(pattern), values)
        least = max(1, 0.01 * sum(map(bool, species)))
        common = {kind for kind, number in Counter(species).items() if number > least}
        sources.append([kind if kind in common else "" for kind in species])
    return max(sources, key=lambda values: len(set(values) - {""}))


def _first_groups(pattern: re.Pattern[str], values: Iterable[str]) -> list[str]:
    return [match[1] if (match := pattern.match(value)) else "" for value in values]


def _mitochondrial(names: Mapping[str, list[str]], own: Any, prefix: str, label: str) -> tuple[str, Any]:
    """Return the column in which names begin with the prefix, in any case and with any separator, and a mask."""
    import numpy

    stem = prefix.rstrip("-:._")
    patterns = [rf"_*{re.escape(stem)}[-:._]", *([re.escape(stem)] if stem == prefix else [])]
    for column, pattern in itertools.product(names, patterns):
        found = own & numpy.array([bool(re.match(pattern, value, re.IGNORECASE)) for value in names[column]])
        if found.any():
            return column, found
    examples = "; ".join(f"{column}: {', '.join(values[:3])}" for column, values in names.items())
    raise InputError(
        f"{label}: no mitochondrial genes: no name begins with {prefix!r}. Names are {examples}. Pass "
        "--mito-prefix with the beginning of their names (MT- for human, mt- for mouse, Mt- for rat), or "
        "--mito-prefix none to leave them out."
    )


def samples_of(cells: Any, *, name: str, label: str, choices: Choices, notes: list[str]) -> list[str]:
    """Return the sample of each cell: of the column that is asked for or known, of the barcodes, or `name`.

    Raises:
        InputError: Two columns differ, or the column that is asked for is not there.
    """
    barcodes = [str(barcode) for barcode in cells.index]
    columns = {str(column): _texts_of(cells[column]) for column in cells}
    ends = _ends(barcodes)
    asked = choices.sample_by
    if asked == "one":
        return [choices.sample or name] * len(barcodes)
    if asked == "barcode" and ends:
        return ends
    if asked in columns:
        return columns[asked]
    if asked:
        options = ", ".join(["one", *(["barcode"] if ends else []), *columns])
        raise InputError(f"--sample-by {asked}: {label} has {options}.")
    known = {column: values for column, values in columns.items() if SAMPLE_COLUMN.fullmatch(column)}
    several = {
        column: values for column, values in known.items() if 1 < len(set(values)) <= min(MOST_SAMPLES, len(values) / 2)
    }
    several = {column: several[column] for column in several if column.lower() == "channel"} or several
    if not several and ends:
        several = {"barcode": ends}
    if not several:
        constant = [values[0] for values in known.values() if len(set(values)) == 1 and values[0] != NO_SAMPLE]
        return [choices.sample or (constant or [name])[0]] * len(barcodes)
    column, values = next(iter(several.items()))
    if len({len(set(zip(values, other, strict=True))) for other in several.values()} | {len(set(values))}) > 1:
        raise InputError(
            f"{label}: {', '.join(several)} could each be the sample. Pass one with --sample-by, or `one`."
        )
    if choices.sample:
        raise InputError(
            f"--sample {choices.sample}: {label} has {len(set(values))} samples by {column}. Pass --sample-by one."
        )
    notes.append(f"Samples: {column}, of {len(set(values))} values.")
    return values


def _texts_of(column: Any) -> list[str]:
    return [
        NO_SAMPLE if missing or not str(value) else str(value)
        for value, missing in zip(column, column.isna(), strict=True)
    ]


def _ends(barcodes: Sequence[str]) -> list[str]:
    """Return what is left of each barcode without its bases, if that tells a few samples apart. Otherwise nothing."""
    matches = [BARCODE.fullmatch(barcode) for barcode in barcodes]
    if not barcodes or not all(matches):
        return []
    parts = [tuple(part.strip("-_.:+ #") for part in match.group(1, 3)) for match in matches if match]
    ends = ["-".join(part for part in pair if part) for pair in parts]
    for position in (0, 1):
        if len({pair[position] for pair in parts}) == 1:
            ends = [pair[1 - position] for pair in parts]
    if len({end.count("-") for end in ends}) == 1:  # -1-0, -1-1 …: only what differs
        pieces = [*zip(*(end.split("-") for end in ends), strict=True)]
        differing = [piece for piece in pieces if len(set(piece)) > 1] or pieces
        ends = ["-".join(end) for end in zip(*differing, strict=True)]
    return ends if 1 < len(set(ends)) <= min(MOST_SAMPLES, len(ends) / 5) else []


@dataclass(kw_only=True, eq=False)
class DataSet:
    """Counts of genes, ready to be measured and to be analysed."""

    label: str
    form: str
    files: dict[str, str]
    """SHA-256 of each file."""
    counts: Any
    """Sparse matrix of cells by genes."""
    genes: list[str]
    cells: Any
    """Table of cells: Channel (the sample), n_genes, n_umis, percent_mito, dropped."""
    mitochondrial: list[str] | None
    """Names of the mitochondrial genes, None if they are not measured."""
    matrix: str
    notes: list[str]

    def facts(self) -> dict[str, Any]:
        """Return the data set's part of the manifest."""
        return {
            **{name: getattr(self, name) for name in ("label", "form", "files", "matrix", "notes")},
            "cells": len(self.cells),
            "genes": len(self.genes),
            "mitochondrial_genes": self.mitochondrial,
        }


def load(source: Source, *, name: str, choices: Choices, thresholds: Thresholds) -> DataSet:
    """Read a data set and measure its cells. `name` is the sample's, if the data have none.

    Raises:
        InputError: The data cannot be read, or could be read in two ways.
    """
    import numpy
    import pandas

    with warnings.catch_warnings(), readable(source.label):
        warnings.simplefilter("ignore")
        stored = READERS[source.file.form](source, choices)
        matrix, values, features = counts_of(stored, label=source.label, choices=choices)
    notes = stored.notes
    names, own, mitochondrial = genes_of(
        features, label=source.label, choices=choices, thresholds=thresholds, notes=notes
    )
    counts, others = values if own.all() else values[:, own], values[:, ~own].sum(axis=1)
    umis = counts.sum(axis=1)
    cells = pandas.DataFrame(
        {
            "Channel": samples_of(stored.cells, name=name, label=source.label, choices=choices, notes=notes),
            "n_genes": counts.count_nonzero(axis=1),
            "n_umis": umis,
            "dropped": others > umis,
        },
        index=[str(barcode) for barcode in stored.cells.index],
    )
    if mitochondrial is not None:
        cells["percent_mito"] = 100 * values[:, mitochondrial].sum(axis=1) / numpy.maximum(umis, 1)
    if cells["dropped"].any():
        notes.append(f"{cells['dropped'].sum()} cells have more counts of another genome, and are dropped.")
    if choices.fractions and umis.dtype.kind == "f" and (umis % 1).any():
        notes.append("Counts are not whole numbers (--fractions): UMIs are estimates.")
    stale = [name for name in stored.cells if str(name) in cells and str(name) != "Channel"]
    if stale:
        notes.append(f"Measured anew: {', '.join(map(str, stale))}.")
    if repeated := len(cells) - cells.index.nunique():
        notes.append(f"{repeated} barcodes are there more than once. Each is counted as a cell.")
    _drop_droplets(cells, source.label, choices, notes)
    return DataSet(
        label=source.label,
        form=source.file.form,
        files={file.label: digest(file.path) for file in (source.file, *stored.lists)},
        counts=counts,
        genes=list(itertools.compress(names, own)),
        cells=cells,
        mitochondrial=None if mitochondrial is None else sorted(itertools.compress(names, mitochondrial)),
        matrix=matrix,
        notes=notes,
    )


def _drop_droplets(cells: Any, label: str, choices: Choices, notes: list[str]) -> None:
    """Mark barcodes with few genes as dropped, if asked to. Refuse data that are mostly such barcodes."""
    least = DROPLET_GENES if choices.min_genes_before is None else choices.min_genes_before
    few = (cells["n_genes"] < least) & ~cells["dropped"]
    number, total = few.sum(), (~cells["dropped"]).sum()
    if choices.min_genes_before is not None:
        notes.append(f"{number} of {total} barcodes have fewer than {least} genes, and are dropped.")
        cells["dropped"] |= few
    elif 2 * number > total or (number and UNFILTERED.search(label)):
        raise InputError(
            f"{label}: {number} of {total} barcodes have fewer than {least} genes: droplets, not cells. Use the "
            f"filtered matrix, pass --min-genes-before {least} to drop them, or --min-genes-before 0 to count all."
        )


GENERIC = re.compile(
    r"((sample_)?(filtered|raw)(_(feature|gene)_bc_matri(x|ces))?(_h5|_mex)?|outs|counts?(_(un)?filtered)?|gene(full)?|matrix|"
    r"solo\.out|data|(hg|mm|rn|grc[hm])\d+\w*)",
    re.IGNORECASE,
)
"""Names of files and folders that tell nothing about a sample."""


def names_of(sources: Sequence[Source]) -> list[str]:
    """Return a name for each data set: what differs in their paths, or what is not the same for every sample."""
    paths = [source.label.split("/") for source in sources]
    if len(paths) == 1:
        if paths[0] == [sources[0].file.name] and sources[0].lists:
            return ["sample"]
        stems = [_stem(part) for part in reversed(paths[0])]
        return [next((stem for stem in stems if not GENERIC.fullmatch(stem)), stems[0])]
    for end in (-1, 0):
        while len({path[end] for path in paths}) == 1 and all(len(path) > 1 for path in paths):
            paths = [path[:-1] if end else path[1:] for path in paths]
    names = ["/".join([*path[:-1], _stem(path[-1])]) for path in paths]
    return names if len(set(names)) == len(names) else [source.label for source in sources]


def _stem(name: str) -> str:
    """Return a file name without its endings."""
    return (
        re.sub(r"(?i)(\.(h5ad|h5mu|h5|hdf5|loom|zarr|mtx|csv|tsv|txt|dge|counts|zip|tar|tgz|gz|bz2|xz))+$", "", name)
        or name
    )


def read(
    folder: Path,
    choices: Choices | None = None,
    thresholds: Thresholds | None = None,
    *,
    notes: list[str] | None = None,
) -> Iterator[DataSet]:
    """Yield the data sets at or below a folder, one after another, so that only one is in memory.

    Args:
        folder: A folder, or one file.
        choices: Choices between the ways in which the data can be read.
        thresholds: The beginning of the names of mitochondrial genes is one of them.
        notes: Gets what was found and not read.

    Raises:
        InputError: There is no data set, or one that cannot be measured.
    """
    choices, thresholds = choices or Choices(), thresholds or Thresholds()
    with tempfile.TemporaryDirectory(prefix="qc-") as unpacked:
        sources, others = find(folder, Path(unpacked), chosen=choices.data_set)
        for note in others:
            log.info(note)
        if notes is not None:
            notes += others
        if choices.sample and len(sources) > 1:
            raise InputError(
                f"--sample {choices.sample}: there are {len(sources)} data sets: {', '.join(s.label for s in sources)}."
            )
        for source, name in zip(sources, names_of(sources), strict=True):
            log.info("Reading %s (%s)", source.label, source.file.form)
            try:
                data = load(source, name=name, choices=choices, thresholds=thresholds)
            except InputError as error:
                if len(sources) == 1:
                    raise
                labels = ", ".join(each.label for each in sources[:9] if each is not source)
                raise InputError(f"{error} To read another data set alone, pass --data-set: {labels}.") from error
            log.info("%d cells, %d genes", len(data.cells), len(data.genes))
            if len(sources) > 1 and set(data.cells["Channel"]) != {name}:
                data.cells["Channel"] = [f"{name} {sample}" for sample in data.cells["Channel"]]
            for note in data.notes:
                log.info(note)
            yield data


def without_repeats(data_sets: Sequence[DataSet], notes: list[str]) -> list[DataSet]:
    """Return the data sets without those whose cells are in another one, such as the same data in a second form.

    Raises:
        InputError: Two have the same barcodes and other counts.
    """
    import numpy

    repeated: list[DataSet] = []
    for smaller, larger in itertools.combinations(sorted(data_sets, key=lambda data: len(data.cells)), 2):
        if smaller in repeated or larger in repeated:
            continue
        one, other = (_by_bases(data.cells) for data in (smaller, larger))
        shared = one.index.intersection(other.index)
        values, others = one.loc[shared, ["n_genes", "n_umis"]], other.loc[shared, ["n_genes", "n_umis"]]
        equal = (values == others).all(axis=None)
        if equal and len(shared) == len(one):
            repeated.append(larger)
            notes.append(f"Not measured: {larger.label}. {smaller.label} has the same counts of {len(one)} cells.")
            log.info(notes[-1])
        elif 2 * len(shared) > len(one):
            sums, other_sums = (numpy.log1p(each["n_umis"].to_numpy(dtype=float)) for each in (values, others))
            # Cells of two samples may have the same numbers as names. Their counts then have nothing in common.
            if like_barcodes(smaller.cells.index) or numpy.corrcoef(sums, other_sums)[0, 1] > 0.8:
                raise InputError(
                    f"{smaller.label} and {larger.label} have {len(shared)} barcodes in common"
                    f"{'' if equal else ' with different counts'}. Pass one with --data-set, or remove one."
                )
    return [data for data in data_sets if data not in repeated]


def _by_bases(cells: Any) -> Any:
    """Return the cells by the bases of their barcodes, which tools surround differently, or by their names."""
    matches = [BARCODE.fullmatch(name) for name in cells.index]
    bases = [match[2] if match else name for match, name in zip(matches, cells.index, strict=True)]
    by_bases = cells.set_axis(bases if len(set(bases)) == cells.index.nunique() else cells.index)
    return by_bases[~by_bases.index.duplicated()]


# Results ------------------------------------------------------------------------------------------------------------

MEASURES = {"n_genes": "genes", "n_umis": "UMIs", "percent_mito": "mitochondrial UMIs, %"}


def mark(cells: Any, thresholds: Thresholds) -> dict[str, dict[str, list[float | None]]]:
    """Add the column `passed_qc`. Return the limits by deviations, for each sample and measure: lowest and highest.

    A value is away from its sample's median by a number of median absolute deviations (times 1.4826, the factor to a
    standard deviation): numbers of genes and UMIs to both sides, as logarithms; mitochondrial percentages upwards.
    """
    import numpy

    samples, counted = cells["Channel"].to_numpy(), ~cells["dropped"].to_numpy()
    passed = counted.copy()
    measured = {name: cells[name].to_numpy(dtype=float) for name in MEASURES if name in cells}
    for name, (low, high) in thresholds.ends().items():
        if name in measured:
            passed &= (measured[name] >= (0 if low is None else low)) & (
                measured[name] < (numpy.inf if high is None else high)
            )
    limits: dict[str, dict[str, list[float | None]]] = {}
    for sample in sorted(set(samples[counted])) if thresholds.mads else ():
        at = numpy.flatnonzero(counted & (samples == sample))
        for name, all_values in measured.items():
            percent = name == "percent_mito"
            values = all_values[at] if percent else numpy.log1p(all_values[at])
            middle = numpy.median(values)
            away = (thresholds.mads or 0) * 1.4826 * numpy.median(numpy.abs(values - middle))
            low, high = -numpy.inf if percent else middle - away, middle + away
            passed[at] &= (values >= low - 1e-9) & (values <= high + 1e-9)
            limits.setdefault(sample, {})[name] = (
                [None, float(high)] if percent else [float(numpy.expm1(end)) for end in (low, high)]
            )
    cells["passed_qc"] = passed
    return limits


def rows_of(cells: Any) -> list[dict[str, Any]]:
    """Return a row for each sample. Medians of no cell are None."""
    rows = []
    for sample in sorted(set(cells["Channel"])):
        chosen = cells[cells["Channel"] == sample]
        before, kept = chosen[~chosen["dropped"]], chosen[chosen["passed_qc"]]
        row = {"Channel": sample, "kept": len(kept), "total": len(before), "filt": len(before) - len(kept)}
        for name in (name for name in MEASURES if name in cells):
            row[f"median_{name}"] = float(kept[name].median()) if len(kept) else None
            row[f"median_{name}_before"] = float(before[name].median()) if len(before) else None
        rows.append({**row, "dropped": len(chosen) - len(before)})
    if sum(row["total"] + row["dropped"] for row in rows) != len(cells):
        raise AssertionError(f"The rows have not all of {len(cells)} cells: {rows}")
    return rows


def write_csv(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """Write the columns `COLUMNS` of the rows. Values that were not measured are empty."""
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, COLUMNS, restval="", lineterminator="\n")
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
    whole = {"written": datetime.now(UTC).isoformat(timespec="seconds"), **facts, "versions": versions}
    file.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def draw(cells: Any, thresholds: Thresholds, limits: Mapping[str, Any], file: Path) -> None:
    """Draw a histogram of each measure for each sample, with thresholds (dashed) and limits by deviations (dotted)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells = cells[~cells["dropped"]]
    samples = sorted(set(cells["Channel"]))
    size = (4.2 * len(MEASURES), 0.6 + 2.8 * len(samples))
    figure, axes = pyplot.subplots(
        len(samples), len(MEASURES), figsize=size, layout="constrained", squeeze=False, sharex="col"
    )
    for line, sample in zip(axes, samples, strict=True):
        chosen = cells[cells["Channel"] == sample]
        kept = chosen["passed_qc"].to_numpy()
        line[0].set_ylabel(f"{sample}\n{kept.sum():,} of {len(kept):,} cells", parse_math=False)
        for axis, (name, label) in zip(line, MEASURES.items(), strict=True):
            axis.spines[["top", "right"]].set_visible(False)
            axis.set_xlabel(f"{label} per cell")
            if name not in chosen:
                axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center")
                continue
            values = chosen[name].to_numpy(dtype=float)
            axis.hist([values[kept], values[~kept]], bins=50, stacked=True, color=["#2a78b5", "#c9ced3"])
            axis.margins(y=0.14)
            fixed = [(end, "--") for end in thresholds.ends()[name]]
            for end, style in [*fixed, *((end, ":") for end in limits.get(sample, {}).get(name, ()))]:
                if end is not None:
                    axis.axvline(end, color="#c0392b", linestyle=style, linewidth=1.2)
                    place = {"xycoords": ("data", "axes fraction"), "xytext": (3, -10), "textcoords": "offset points"}
                    axis.annotate(f"{end:.4g}", (end, 1), color="#c0392b", fontsize=8, **place)
    kept, total = int(cells["passed_qc"].sum()), len(cells)
    figure.suptitle(f"{kept:,} of {total:,} cells kept (blue); dashed: thresholds, dotted: deviations", fontsize=10)
    figure.savefig(file, dpi=120 if len(samples) < 20 else 60, metadata={"Software": None})
    pyplot.close(figure)


# The job ------------------------------------------------------------------------------------------------------------


def run(base: Path, thresholds: Thresholds, choices: Choices) -> list[dict[str, Any]]:
    """Read the data sets below `base`/input and write the results to `base`/output. Return the rows of qc_metrics.csv.

    Raises:
        InputError: There is no data set, or one that cannot be measured.
    """
    notes: list[str] = []
    data_sets = []
    for data in read(base / "input", choices, thresholds, notes=notes):
        data.counts = None  # only the cells' measures are needed from here, of each data set
        data_sets.append(data)
    data_sets = without_repeats(data_sets, notes)
    import pandas

    cells = pandas.concat([data.cells for data in data_sets])
    limits = mark(cells, thresholds)
    rows = rows_of(cells)
    if not cells["passed_qc"].any():
        notes.append("No cell is kept. Check the thresholds.")
        log.warning(notes[-1])

    output = base / "output"
    output.mkdir(parents=True, exist_ok=True)
    draw(cells, thresholds, limits, output / "qc_metrics.png")
    write_manifest(
        output / "manifest.json",
        addresses=addresses(base),
        inputs=[data.facts() for data in data_sets],
        notes=notes,
        cells=len(cells),
        kept=sum(row["kept"] for row in rows),
        dropped=sum(row["dropped"] for row in rows),
        thresholds=asdict(thresholds),
        choices=asdict(choices),
        limits=limits,
        rows=rows,
    )
    # Last, so that a job that was stopped leaves no result that looks complete.
    write_csv(rows, output / "qc_metrics.csv")
    if len(rows) > 1:
        for row in rows:
            log.info("%s: %d of %d cells kept", row["Channel"], row["kept"], row["total"])
    return rows


def addresses(base: Path) -> list[str]:
    """Return the addresses in S3 of the data, of which SageMaker tells the job. Elsewhere there are none."""
    config = base.parent / "config" / "processingjobconfig.json"
    inputs = json.loads(config.read_text())["ProcessingInputs"] if config.exists() else []
    return [each["S3Input"]["S3Uri"] for each in inputs if each["InputName"] != "code"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job. Return the exit status."""
    _log_to_stdout()
    options = vars(_parser().parse_args(arguments))
    base = Path(options.pop("base_dir"))
    try:
        thresholds = Thresholds(**{each.name: options.pop(each.name) for each in fields(Thresholds)})
    except ValueError as error:
        return _end(base, 2, str(error))
    try:
        rows = run(base, thresholds, Choices(**options))
    except InputError as error:
        return _end(base, 3, str(error))
    except Exception as error:
        log.exception("An error that the script does not expect")
        return _end(base, 1, f"{type(error).__name__}: {error}")
    kept, total = (sum(row[name] for row in rows) for name in ("kept", "total"))
    return _end(base, 0, f"{kept} of {total} cells kept")


def _log_to_stdout() -> None:
    """Log this script's lines to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def _end(base: Path, status: int, message: str) -> int:
    """Write the reason to the log and to /opt/ml/output/message, of which SageMaker shows 1 KB. Return `status`."""
    message = " ".join(message.split())
    log.log(logging.ERROR if status else logging.INFO, message)
    if (base.parent.name, base.name) == ("ml", "processing"):
        folder = base.parent / "output"
        folder.mkdir(exist_ok=True)
        (folder / "message").write_bytes(message.encode()[:1024].decode(errors="ignore").encode())
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--base-dir",
        default=os.environ.get("PROCESSING_DIR", BASE_DIR),
        metavar="DIR",
        help="folder with input/ and output/ (default: %(default)s)",
    )
    for name, kind, text in (
        ("data_set", _text, "read only the data set at this path below input/"),
        ("sample", _text, "name of the sample, if there is one"),
        ("sample_by", _text, "column with each cell's sample; `barcode` or `one`"),
        ("matrix", _text, "matrix with the counts, such as layers/counts"),
        ("genome", _text, "genome to measure, if there are several"),
        ("transpose", _transpose, "a table's rows are cells; auto lets the names decide"),
        ("fractions", _yes_or_no, "accept counts that are not whole numbers"),
        ("min_genes_before", _count, "drop barcodes with fewer than N genes, as empty droplets"),
        ("min_genes", _count, "keep cells with at least N genes"),
        ("max_genes", _count, "keep cells with fewer than N genes"),
        ("min_umis", _count, "keep cells with at least N UMIs"),
        ("max_umis", _count, "keep cells with fewer than N UMIs"),
        ("mito_prefix", _text, "beginning of the names of mitochondrial genes"),
        ("percent_mito", _number, "keep cells with less than N per cent mitochondrial UMIs"),
        ("mads", _number, "keep cells within N median absolute deviations of their sample"),
    ):
        option = f"--{name.replace('_', '-')}"
        default = {**asdict(Thresholds()), **asdict(Choices())}[name]
        metavar = {_text: "TEXT", _count: "N", _number: "N"}.get(kind, "yes|no")
        more: dict[str, Any] = {"nargs": "?", "const": "yes"} if kind in (_yes_or_no, _transpose) else {}
        help_text = f"{text}, or {'no' if more else 'none'} (default: {'no' if default is False else default})"
        parser.add_argument(option, type=kind, default=default, metavar=metavar, help=help_text, **more)
    return parser


def _transpose(value: str) -> str:
    if value not in ("yes", "no", "auto"):
        raise argparse.ArgumentTypeError(f"{value!r} is neither yes, no nor auto")
    return value


def _yes_or_no(value: str | bool) -> bool:
    if value not in ("yes", "no", True, False):
        raise argparse.ArgumentTypeError(f"{value!r} is neither yes nor no")
    return value in ("yes", True)


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

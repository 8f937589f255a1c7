"""Files: their forms, by content, and the data sets among them."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from .lines import numbers_of
from .names import PARTS
from .packed import opened, readable, unpack, unpacked_file
from .settings import InputError
from .sources import File, Source

OTHER = (
    (rb"$(?!\n)", "an empty file (0 bytes)"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file: run `git lfs pull`"),
    (rb"(?i)\s*(<!doctype html|<html)", "a web page (HTML), as a download without sign-on gives"),
    (rb"\s*<\?xml", "an XML file"),
    (rb"(X|A|B)\n\0?\0|RD[AXB]\d\n|A\n\d", "an R object (.rds, .RData): write .h5ad or a 10x directory in R"),
    (rb"@[^\n]*\n[A-Za-z.]+\r?\n\+", "reads (FASTQ), not counts"),
    (rb"(BAM|CRAM)", "alignments (BAM), not counts"),
    (rb"\xff\xfe|\xfe\xff|([\t -~]\0){2}|(\0[\t -~]){2}", "text in UTF-16: save it as UTF-8"),
    (
        rb"7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd",
        "an archive of 7-Zip, RAR or Zstandard: unpack it, or pack it as .zip or .tar.gz",
    ),
    (rb"\x1f\x8b|BZh|\xfd7zXZ", "packed twice: unpack it once"),
    (rb"PAR1|ARROW1|\xd0\xcf\x11\xe0", "a table of Parquet, Feather or old Excel: save it as .csv"),
    (rb"(?s).*\0", "a binary file of an unknown form"),
)
"""Forms that are not read: the content's beginning, and the name."""

DATA_NAME = re.compile(
    r"\.(h5|hdf5|h5ad|h5mu|h5seurat|loom|mtx|csv|tsv|zarr|7z|rar|zst)(\.\w+)?$|matrix", re.IGNORECASE
)

ZARR = {".zgroup", ".zattrs", "zarr.json"}

READABLE = ("mtx", "10x", "h5ad", "h5mu", "loom", "zarr", "text")


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
        name = label + entry.name.encode(errors="surrogateescape").decode(errors="replace")
        if entry.is_dir():
            yield from files_of(entry, unpacked, label=f"{name}/", ignored=ignored)
            continue
        if not entry.is_file():
            yield File(path=entry, label=name, form="a link without its file, or no file")
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
    matrices = [file for file in files if file.form == "mtx" and file not in parts]
    sources = [
        _source(file, texts, matrices)
        for file in files
        if file.form in READABLE and file.form != "text" and file not in parts
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
            "anndata, a .loom, a .zarr, or a table: a heading, then names and plain numbers (1234, not 1,234) in each "
            f"line. Files: {names}."
        )
    folders = {file.folder for file in matrices}
    for file in others:
        harmless = file.form in READABLE or file.folder in folders or re.search("molecule|web page", file.form)
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


def _source(file: File, texts: Sequence[File], matrices: Sequence[File]) -> Source:
    """Return a data set with the lists next to a Matrix Market file, whose prefix or folder is its label."""
    if file.form != "mtx":
        return Source(file=file, label=file.label)
    lists, rivals = (
        tuple(each for each in files if each.folder == file.folder and each != file) for files in (texts, matrices)
    )
    prefix = re.sub(r"(matrix|counts?|cells_x_\w+|umis?)?\.mtx.*$", "", file.name, flags=re.IGNORECASE).strip("_.- ")
    return Source(
        file=file,
        label="/".join(part for part in (file.folder, prefix) if part) or file.name,
        lists=lists,
        rivals=rivals,
    )


def _tables(texts: Sequence[File], *, alone: bool) -> list[Source]:
    """Return the tables of counts. Beside other data, those with few columns or fractions describe cells or runs."""
    rows = {file: numbers_of(file) for file in texts}
    wide = [file for file in texts if len(rows[file]) >= 20]
    if not alone:
        wide = [file for file in wide if all(value.replace(".0", "").isdigit() for value in rows[file])]
    tables = wide or [file for file in texts if rows[file] and alone]
    return [Source(file=file, label=file.label) for file in tables]

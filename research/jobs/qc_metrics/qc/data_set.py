"""Data sets: read, checked and measured, one after another."""

from __future__ import annotations

import itertools
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .counts import counts_of
from .files import find
from .genes import genes_of
from .hdf5 import read_10x, read_anndata, read_loom
from .names import BARCODE, UNFILTERED, like_barcodes, like_genes
from .packed import digest, readable
from .samples import names_of, samples_of
from .settings import Choices, InputError, Thresholds
from .sources import Source
from .stored import Stored
from .tables import read_mtx, read_text

log = logging.getLogger("qc_metrics")

DROPLET_GENES = 100
"""A barcode with fewer genes is taken for an empty droplet where most of a data set's barcodes are."""

READERS: dict[str, Callable[[Source, Choices], Stored]] = {
    "mtx": read_mtx,
    "10x": read_10x,
    "h5ad": read_anndata,
    "h5mu": read_anndata,
    "zarr": read_anndata,
    "loom": read_loom,
    "text": read_text,
}


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
    if like_genes(stored.cells.index):
        raise InputError(f"{source.label}: cells have names of genes. Transpose the table.")
    names, own, mitochondrial = genes_of(
        features, label=source.label, choices=choices, thresholds=thresholds, notes=notes
    )
    counts, others = values if own.all() else values[:, own], values[:, ~own].sum(axis=1, dtype=float)
    umis = counts.sum(axis=1, dtype=float)  # as float32, a percentage can be less than the limit that it equals
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
        cells["percent_mito"] = 100 * values[:, mitochondrial].sum(axis=1, dtype=float) / numpy.maximum(umis, 1)
    if cells["dropped"].any():
        notes.append(f"{cells['dropped'].sum()} cells have more counts of another genome, and are dropped.")
    if choices.fractions and (umis % 1).any():
        notes.append("Counts are not whole numbers (--fractions): UMIs are estimates.")
    stale = [name for name in stored.cells if str(name) in cells and str(name) != "Channel"]
    if stale:
        notes.append(f"Measured anew: {', '.join(map(str, stale))}.")
    if repeated := len(cells) - cells.index.nunique():
        if 2 * (len(cells) - len(cells.groupby([cells.index, "n_genes", "n_umis"]))) > repeated:
            raise InputError(f"{source.label}: {repeated} cells are there twice, with the same counts. Remove repeats.")
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
    """Mark barcodes with few genes as dropped, on request. Refuse data that are mostly such barcodes."""
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
        notes: Gets the content that was not read.

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
        if (equal and len(shared) == len(one)) or _same_measures(smaller.cells, larger.cells):
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


def _same_measures(one: Any, other: Any) -> bool:
    """Return whether two tables have the same cells by their numbers of genes and UMIs, under any names."""
    measures = [sorted(zip(cells["n_genes"], cells["n_umis"], strict=True)) for cells in (one, other)]
    return len(one) >= 20 and measures[0] == measures[1]


def _by_bases(cells: Any) -> Any:
    """Return the cells by the bases of their barcodes, which tools surround differently, or by their names."""
    matches = [BARCODE.fullmatch(name) for name in cells.index]
    bases = [match[2] if match else name for match, name in zip(matches, cells.index, strict=True)]
    by_bases = cells.set_axis(bases if len(set(bases)) == cells.index.nunique() else cells.index)
    return by_bases[~by_bases.index.duplicated()]

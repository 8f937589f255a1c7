"""Thresholds, and choices between the ways in which data can be read."""

from __future__ import annotations

from dataclasses import dataclass


class InputError(Exception):
    """The input cannot be measured. The message has the content that was found, the reason, and the remedy."""


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
    """Choices between readings of data. With None, the content decides, or the data are refused."""

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

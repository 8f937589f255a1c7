"""The content of a data set: matrices, features and cells."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .names import like_barcodes, like_genes
from .settings import Choices, InputError
from .sources import File


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


def oriented(
    matrix: Any, rows: Any, columns: Any, *, label: str, choices: Choices, hint: int = 0, sure: bool = True
) -> Stored:
    """Return a matrix as cells by features. Names show the side of the genes.

    Args:
        matrix: The matrix.
        rows: The names of the rows.
        columns: The names of the columns.
        label: The file, for errors.
        choices: `transpose` decides if the names do not.
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

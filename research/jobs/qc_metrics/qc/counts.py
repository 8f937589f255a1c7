"""The matrix that has counts of genes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from math import e
from typing import Any

from .names import GENE_TYPE, PARTS, text_columns, types_of
from .settings import Choices, InputError
from .stored import Stored


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
    most_genes = 0
    for name in names:
        matrix, features = genes_alone(stored, name, label)
        most_genes = max(most_genes, len(features))
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
    if len(best[2]) < most_genes:
        raise InputError(
            f"{label}: {best[0]} has counts of {len(best[2])} of {most_genes} genes: {'; '.join(flaws)}. Write the "
            f"counts of all genes, or pass --matrix {best[0]} to measure these."
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
    names = max(text_columns(features).values(), key=lambda names: len(set(names)), default=range(len(features)))
    for bad, what in ((~numpy.isfinite(values), "missing or infinite"), (values < 0, "negative")):
        if bad.any():
            at = int(bad.argmax())
            cell = int(numpy.searchsorted(matrix.indptr, at, side="right")) - 1
            return f"{what} values: {values[at]:g} for gene {names[matrix.indices[at]]} in cell {cells[cell]}"
    if values.dtype.kind == "b" or (values.min() == values.max() and len(values) >= 1000):
        return f"no other value than {values[0]:g}, which is presence"
    if summary := summary_of(matrix, cells, names):
        return summary
    whole = whole_numbers(values)
    if not whole.all() and (scale := scale_of(matrix)):
        return scale
    if not whole.all() and not fractions:
        return (
            f"values that are not whole numbers, such as {values[~whole][0]:g} (--fractions accepts estimated counts)"
        )
    starts = matrix.indptr[:-1][numpy.diff(matrix.indptr) > 0]
    sums, least = numpy.add.reduceat(values, starts), numpy.minimum.reduceat(values, starts)
    if equal(sums) and not (whole.all() and sums.mean() < 50):
        return f"a sum of {sums[0]:g} in every cell, as normalised values have"
    for name, inverse in () if whole.all() else SCALES:
        if equal(numpy.add.reduceat(inverse(values.astype(float)), starts)):
            return f"{name}, with the same sum in every cell"
    if len(values) == matrix.shape[0] * matrix.shape[1] and matrix.shape[1] >= 100 and len(starts) >= 5:
        return "no zero, where counts of cells have many"
    if whole.all() and numpy.median(least) > 1:
        return f"{numpy.median(least):g} as the least value in most cells, where counts have 1"
    return None


def summary_of(matrix: Any, barcodes: Sequence[Any], names: Sequence[Any]) -> str | None:
    """Return the reason why a gene or a cell is a summary or a running number, None if all are genes and cells."""
    import numpy

    cells, (by_gene, by_cell) = matrix.shape[0], (matrix.sum(axis=axis, dtype=float) for axis in (0, 1))
    genes = matrix.count_nonzero(axis=1)
    most = int(by_cell.argmax())
    row = matrix[[most]].toarray().ravel().astype(float)
    if cells > 2 and (2 * row == by_gene).all():
        return f"the sum of all other cells as {barcodes[most]}"
    if len(row) >= 20 and len(set(numpy.diff(row))) == 1 and row[0] != row[1]:
        return f"a running number of the genes as {barcodes[most]}"
    largest = numpy.argsort(-by_gene, kind="stable")[:20]
    for i, values in zip(largest, matrix[:, largest].toarray().T.astype(float), strict=True):
        if (2 * values == by_cell).all():
            return f"the sum of all other genes as {names[i]}"
        if cells < 20 or values.mean() < 10:
            continue
        if len(set(numpy.diff(values))) == 1 and values[0] != values[1]:
            return f"a running number of the cells as {names[i]}"
        for rest, what in ((by_cell - values, "sums"), (genes, "numbers of genes")):
            logs = numpy.log1p([values, rest])
            if (
                2 * values.mean() > rest.mean()
                and (logs.std(axis=1) > 0.01).all()
                and numpy.corrcoef(logs)[0, 1] > 0.998
            ):
                return f"{names[i]}, which has {what} of the cells and no counts of a gene. Remove it"
    return None


def equal(sums: Any) -> bool:
    """Return whether all cells have nearly one sum, or most of them, as after a normalisation that was rounded."""
    import numpy

    low, middle, high = numpy.quantile(sums, (0.25, 0.5, 0.75))
    narrow = len(sums) >= 20 and middle >= 100 and high - low < 0.02 * middle
    return bool(narrow or (len(sums) >= 5 and sums.max() - sums.min() < 0.01 * sums.mean()))


def whole_numbers(values: Any) -> Any:
    """Return a mask of values that are whole numbers, but for the error of a calculation with them."""
    import numpy

    if values.dtype.kind in "iub":
        return numpy.ones(len(values), dtype=bool)
    return numpy.abs(values - numpy.rint(values)) <= 1e-6 * numpy.maximum(1, values)


SCALES: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("normalised values", lambda values: values),
    ("logarithms", lambda values: e**values - 1),
    ("logarithms", lambda values: 2**values - 1),
    ("logarithms", lambda values: 10**values - 1),
    ("square roots", lambda values: values**2),
)
"""Scales of values that are no counts, and the way back."""


def scale_of(matrix: Any) -> str | None:
    """Return the scale on which each cell's values are multiples of the least one: the counts before it had 1 there.

    Values that are multiples of one number in all cells are on no other scale: estimates.
    """
    import numpy

    rows = [matrix.data[a:b].astype(float) for a, b in itertools.pairwise(matrix.indptr) if b - a >= 10]
    rows = rows[:: max(1, len(rows) // 200)]
    for name, inverse in SCALES:
        with numpy.errstate(over="ignore", invalid="ignore"):
            counts = [inverse(row) / inverse(row.min()) for row in rows]
            near = [abs(each - numpy.rint(each)) < numpy.clip(0.006 * each, 0.02, 0.1) for each in counts]
            fits = [each.mean() > 0.95 and count.max() > 1.5 for each, count in zip(near, counts, strict=True)]
        if rows and sum(fits) > 0.8 * len(rows):
            differ = len({round(float(row.min()), 3) for row in rows}) > 1
            return name if differ or name != "normalised values" else None
    few = [len(set(row)) < 0.2 * len(row) and whole_numbers(row).mean() < 0.2 for row in rows]
    return "rounded logarithms or normalised values" if rows and sum(few) > 0.8 * len(rows) else None

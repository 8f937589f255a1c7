"""The sample of each cell, and a name for each data set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .names import BARCODE, NO_SAMPLE, SAMPLE_COLUMN
from .settings import Choices, InputError
from .sources import Source

MOST_SAMPLES = 300


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
    """Return the rest of each barcode without its bases, if that distinguishes a few samples. Otherwise nothing."""
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


GENERIC = re.compile(
    r"((sample_)?(filtered|raw)(_(feature|gene)_bc_matri(x|ces))?(_h5|_mex)?|outs|counts?(_(un)?filtered)?|gene(full)?|matrix|"
    r"solo\.out|data|(hg|mm|rn|grc[hm])\d+\w*)",
    re.IGNORECASE,
)
"""Names of files and folders that do not identify a sample."""


def names_of(sources: Sequence[Source]) -> list[str]:
    """Return a name for each data set: the parts that differ in their paths."""
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

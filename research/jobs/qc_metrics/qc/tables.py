"""Readers of text: Matrix Market files with their lists of names, and tables."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .lines import is_number, leading_texts, lines_of
from .names import BARCODE, IDS, SAMPLE_COLUMN, like_barcodes, like_genes, measures_of
from .packed import Begun, opened
from .settings import Choices, InputError
from .sources import File, Source
from .stored import Stored, oriented


def read_mtx(source: Source, choices: Choices) -> Stored:
    """Read a Matrix Market file. The lists of names are those with as many lines as the matrix has rows or columns."""
    from scipy import io as scipy_io
    from scipy import sparse

    with opened(source.file.path) as content:
        # Fractions below a heading of whole numbers would be cut off.
        heading = content.readline().replace(b" integer", b" real")
        matrix = sparse.csr_array(scipy_io.mmread(Begun(heading, content), spmatrix=False))
    most_lines = max(matrix.shape) + 2
    contents = {file: list(itertools.islice(lines_of(file.path), most_lines)) for file in source.lists}
    words = {file: _words(file) & _words(source.file) for file in contents}
    own = set(_words(source.file)).difference(*map(_words, source.rivals))
    square = matrix.shape[0] == matrix.shape[1]
    signs = (-1, 1) if square and choices.transpose == "yes" else (1, -1)
    sides = []
    for sign, count in zip(signs, matrix.shape, strict=True):
        fits = [
            file
            for file, lines in contents.items()
            if len(lines) == count or (len(lines) == count + 1 and _has_heading(lines))
        ]
        if square:
            fits = [file for file in fits if _role(file, words[file], contents[file]) == sign]
        most = max((words[file].total() for file in fits), default=0)
        side = [file for file in fits if words[file].total() == most]
        kinds = [set(_words(file)) for file in side]  # genes and genes.names are of one kind
        several = any(not (one <= other or other <= one) for one, other in itertools.combinations(kinds, 2))
        if several and source.rivals and not any(own & set(_words(file)) for file in side):
            raise InputError(
                f"{source.file.label}: {', '.join(file.name for file in side)} have as many lines, and no name tells "
                "which belongs to the matrix. Give each matrix a folder, or names with a common beginning."
            )
        sides.append(side)
    if not all(sides) or 0 in matrix.shape:
        lines = ", ".join(f"{file.name} {len(lines)}" for file, lines in contents.items()) or "none"
        raise InputError(
            f"{source.file.label} has {matrix.shape[0]} rows and {matrix.shape[1]} columns. It needs genes and cells "
            "(0 cells are none), a list of genes and a list of barcodes with as many lines. Lists and their lines: "
            f"{lines}."
        )
    for one, other in (pair for side in sides for pair in itertools.combinations(side, 2)):
        if _in_other_order(contents[one], contents[other]):
            raise InputError(
                f"{source.file.label}: {one.name} and {other.name} have the same names in another order. Remove "
                "one, or order it like the matrix."
            )
    as_10x = all(re.search("barcodes|genes|features", file.name, re.IGNORECASE) for side in sides for file in side)
    if square and choices.transpose == "auto" and (not as_10x or "cells_x" in source.file.name):
        raise InputError(
            f"{source.file.label} has {matrix.shape[0]} rows and columns. Pass --transpose no if each row is a gene, "
            "--transpose yes if each row is a cell."
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
    """Return the words of a file's name, which a matrix and its lists have in common: d, 1 and genes of d1genes.tsv."""
    name = re.sub(r"(\.(mtx|tsv|csv|txt|gz))+$", "", file.name.lower())
    roles = "matrix|barcodes|genes|features|cells"
    return Counter(re.findall(rf"{roles}|\d+|[^\W\d_]+?(?={roles}|[\W\d_]|$)", name))


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


def _in_other_order(one: list[list[str]], other: list[list[str]]) -> bool:
    """Return whether two lists have the same names, or barcodes of the same bases, in another order."""
    sides = []
    for lines in (one, other):
        columns = [tuple(_bases(name) for name in column) for column in zip(*lines, strict=False)]
        sides.append([column for column in columns if 2 * len(set(column)) > len(column)])
    last = min(len(one), len(other)) - 1  # without a heading
    pairs = [(a[-last:], b[-last:]) for a, b in itertools.product(*sides)] if last else []
    shared = [(a, b) for a, b in pairs if 2 * len(set(a) & set(b)) > last]
    return bool(shared) and not any(a == b for a, b in shared)


def _bases(name: str) -> str:
    match = BARCODE.fullmatch(name)
    return match[2] if match else name


def _has_heading(lines: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line of a list names its columns: ids and barcodes below are of another form."""
    columns = [*zip(*lines, strict=False)]
    unlike = [
        not pattern.fullmatch(name)
        for name, *column in columns
        for pattern in (IDS, BARCODE)
        if 2 * sum(map(bool, map(pattern.fullmatch, column))) > len(column)
    ]
    named = any(re.fullmatch(r"x|V\d+|.*(symbol|name).*", name) for name in lines[0]) or measures_of(lines[0])
    repeated = any(name in column for name, *column in columns)
    return not repeated and (all(unlike) if unlike else bool(named))


def _frame(lists: Mapping[File, list[list[str]]], count: int) -> Any:
    """Return a table with the columns of the lists of one side. Columns of numbers alone are no names."""
    import pandas

    columns: dict[str, list[str]] = {}
    for file, lines in lists.items():
        width = max(map(len, lines))
        named = lines[0] if len(lines) > count else [f"{file.name} {i + 1}" for i in range(width)]
        for i, name in enumerate([""] * (width - len(named)) + named):
            values = [line[i] if i < len(line) else "" for line in lines[-count:]]
            if not all(map(is_number, values)):
                columns[name if name and name not in columns else f"{file.name} {i + 1}"] = values
    return pandas.DataFrame(columns, index=range(count))


def read_text(source: Source, choices: Choices) -> Stored:
    """Read a table of text: a heading, and in each line names and numbers."""
    import numpy
    import pandas
    from scipy import sparse

    label = source.file.label
    heading, *_ = lines = list(itertools.islice(lines_of(source.file.path), 2))
    texts = leading_texts(lines[1])
    if len(heading) == len(lines[1]) - 1:
        heading = ["", *heading]  # as R's write.table leaves it
    columns = heading[texts:]
    numbered = (list(map(str, range(first, first + len(columns)))) for first in (0, 1))  # as pandas names columns
    if all(map(is_number, columns)) and columns not in numbered:
        raise InputError(f"{label}: the first line has numbers, and no names. Add a heading.")
    described = _described(columns, label)
    if len(described) == len(columns):
        raise InputError(f"{label} describes cells or genes, and has no counts: {', '.join(columns[:20])}.")
    counted = [texts + i for i in range(len(columns)) if i not in described]
    names: list[list[str]] = []
    values, positions, starts = [], [], [0]
    shapes: set[re.Pattern[str]] = set()
    for number, line in enumerate(itertools.islice(lines_of(source.file.path), 1, None), 2):
        if len(line) != len(heading):
            raise InputError(
                f"{label}: line {number}, {line[0][:60]!r}, has {len(line)} fields, the heading has {len(heading)}. "
                "The file is damaged or incomplete."
            )
        fields = [line[i] for i in counted]
        try:
            row = numpy.array(fields, dtype=float)
        except ValueError:
            at = next(i for i in counted if not is_number(line[i]))
            raise no_number(label, number, line, heading, at) from None
        text = ",".join(fields)
        shapes |= {shape for shape in (THOUSANDS, PLAIN, POINT) if shape not in shapes and shape.search(text)}
        names.append(line)
        positions.append(numpy.flatnonzero(row))
        values.append(row[positions[-1]])
        starts.append(starts[-1] + len(values[-1]))
    if shapes == {THOUSANDS, PLAIN}:
        raise InputError(
            f"{label} has numbers such as 1.234 or 1,234 and whole ones: one or a thousand? Write the numbers "
            "without separators of thousands."
        )
    for i in range(texts):
        column = [line[i] for line in names]
        if i and 2 * sum(map(is_number, column)) > len(column):
            raise no_number(label, 2, lines[1], heading, i)
        if not i and len(set(column)) < len(column) and all(map(is_number, column)):
            raise InputError(
                f"{label}: the first column has numbers such as {column[0]}, some of them twice, and no names. Add a "
                "column with a name for each line."
            )
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


def no_number(label: str, number: int, line: Sequence[str], heading: Sequence[str], at: int) -> InputError:
    """Return the error for a field of a line."""
    return InputError(
        f"{label}: line {number}, {line[0][:60]!r}, column {heading[at]!r}: {line[at][:60]!r} is empty or not a "
        "number. Write each count as a number, 0 included."
    )


def _described(names: Sequence[str], label: str) -> set[int]:
    """Return the positions of names of measures, which are no genes or cells.

    Raises:
        InputError: A few names among barcodes are none.
    """
    described = measures_of(names) | {i for i, name in enumerate(names) if SAMPLE_COLUMN.fullmatch(name.strip())}
    others = [name for i, name in enumerate(names) if i not in described and not BARCODE.fullmatch(name)]
    if 0 < len(others) <= 0.05 * len(names):
        some = ", ".join(name or "a column or line without a name" for name in others[:5])
        raise InputError(f"{label}: {some} among barcodes: cells or measures? Give cells barcodes, remove measures.")
    return described


THOUSANDS, PLAIN, POINT = (
    re.compile(rf"(^|,){number}(,|$)") for number in (r"[1-9]\d{0,2}\.\d{3}", r"\d+", r"(0\.\d+|\d+\.(\d{1,2}|\d{4,}))")
)
"""Numbers in a table, with commas as points: 1.234 with 7 can be a thousand if no number such as 0.5 is there."""

"""Lines of text files, and their fields."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from .packed import opened, readable
from .settings import InputError
from .sources import File

COMPARISON = re.compile(
    r"(?<![a-z])(p[_. -]?(adj|vals?|values?)|log2?[_. -]?(fc|fold)|fold[_. -]?change)(?![a-z])", re.IGNORECASE
)
"""Columns of a table that compares groups."""


def lines_of(file: Path) -> Iterator[list[str]]:
    """Yield the fields of each line, without empty lines and comments at the beginning.

    The delimiter is a tab if the first line has one, otherwise what it has most of, blanks last. A comma that delimits
    nothing is a decimal point.
    """
    with opened(file) as content:
        text = io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace", newline="")
        lines: Iterator[str] = itertools.dropwhile(lambda line: re.match(r"\s*$|#|(?i:sep=)", line), text)
        first = next(lines, "")
        delimiter = "\t" if "\t" in first else max(";,", key=first.count) if re.search("[;,]", first) else " "
        lines = itertools.chain([first], lines)
        if delimiter != ",":
            lines = (line.replace(",", ".") for line in lines)
        if delimiter == " ":
            lines = (line.strip() for line in lines)
        yield from filter(None, csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " "))


def numbers_of(file: File) -> list[str]:
    """Return the numbers of the first line below the heading, none if the text is no table."""
    try:
        with readable(file.label):
            heading, line = itertools.islice(lines_of(file.path), 2)
    except InputError as error:
        if isinstance(error.__cause__, EOFError):
            raise
        return []  # less than two lines, or fields that no table has
    table = len(heading) in (len(line), len(line) - 1) and not any(map(COMPARISON.search, heading))
    numbers = line[leading_texts(line) :] if table else []
    return numbers if 2 * sum(map(is_number, numbers)) > len(numbers) else []


def leading_texts(line: Sequence[str]) -> int:
    """Return the number of names before the numbers of a line: the first field, and those after it that are text."""
    return next((i for i, value in enumerate(line) if i and (not value or is_number(value))), len(line))


def is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        return "_" not in text and float(text) is not None
    except ValueError:
        return False

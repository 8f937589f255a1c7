"""Data sets and their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class File:
    """A file, or the directory of a .zarr."""

    path: Path
    label: str
    """The path below the input folder; a file of an archive is below the archive's path."""
    form: str
    """One of `READABLE`, or the name of another form."""

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
    """A data set: its file, and the lists of names in the folder of a Matrix Market file."""

    file: File
    label: str
    lists: tuple[File, ...] = ()
    rivals: tuple[File, ...] = ()
    """Other Matrix Market files in that folder."""

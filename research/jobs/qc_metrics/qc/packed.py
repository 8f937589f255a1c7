"""Packed files, archives, and files that are damaged."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from .settings import InputError

UNPACKED_BYTES, UNPACKED_FILES = 200 << 30, 100_000
"""Limits of an archive's content."""

PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
"""Functions that unpack a file, by its first bytes."""


def opened(file: Path) -> IO[bytes]:
    """Return the content, unpacked by its first bytes and not by its name."""
    with file.open("rb") as content:
        begin = content.read(6)
    unpack: Callable[..., IO[bytes]] = next((PACKED[magic] for magic in PACKED if begin.startswith(magic)), open)
    return unpack(file, "rb")


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
            names = {each.filename.replace("\\", "/"): each for each in members.infolist()}  # as made on Windows
            yield from ((name, members.open(each)) for name, each in names.items() if not name.endswith("/"))
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
    """An unpacked file with its last block: tarfile does not distinguish the end of an incomplete archive."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.last = b""
        self.content = self.enter_context(opened(file))

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        block = self.content.read(size)
        self.last = (self.last + block)[-tarfile.BLOCKSIZE :]
        return block


class Begun:
    """A stream with another first line."""

    def __init__(self, first: bytes, rest: IO[bytes]) -> None:
        self.first, self.rest = first, rest

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        first, self.first = self.first, b""
        return first or self.rest.read(size)


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


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and digests of a directory's files, ordered by name."""
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    whole = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(f"{digest(file)}  {file.relative_to(path).as_posix()}\n".encode())
    return whole.hexdigest()

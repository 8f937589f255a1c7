"""The file that the scenario sends: the user's, a generated file, or a file of every installation."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

UNITS = {"": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class SentPayload:
    """A file, its size, and the SHA-256 of its content in hexadecimal."""

    path: Path
    bytes: int
    sha256: str


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `2GiB`, `300 MB` or `1048576`.

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"([0-9]+)\s*([A-Za-z]*)", text.strip())
    if not match or match[2].upper() not in UNITS:
        raise ValueError(f"{text!r} is not a size. Give a whole number and a unit, such as 300MB or 2GiB.")
    return int(match[1]) * UNITS[match[2].upper()]


def size_text(size: float) -> str:
    """Return a number of bytes in the largest unit of which it has one, such as `36.1 MiB`."""
    unit = "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"


def read_file(path: Path) -> SentPayload:
    """Return a file as a payload. Reads it once, in constant memory."""
    with path.open("rb") as file:
        return SentPayload(path, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def installed_file() -> SentPayload:
    """Return the archive of the CDK library: some tens of megabytes that cannot be compressed."""
    files = distribution("aws-cdk-lib").files or []
    archive = next(file for file in files if file.suffix == ".tgz")
    return read_file(Path(str(archive.locate())))


@contextmanager
def generated_file(size: int, folder: Path) -> Iterator[SentPayload]:
    """Write a file of random bytes, and delete it on exit."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"generated-{size}.bin"
    digest = hashlib.sha256()
    try:
        with path.open("wb") as file:
            for start in range(0, size, _CHUNK_BYTES):
                chunk = os.urandom(min(_CHUNK_BYTES, size - start))
                digest.update(chunk)
                file.write(chunk)
        yield SentPayload(path, size, digest.hexdigest())
    finally:
        path.unlink(missing_ok=True)

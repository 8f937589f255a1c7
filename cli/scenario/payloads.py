"""The file that the scenario sends: the user's, a generated file, or a file of every installation."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class SentPayload:
    """A file, its size, and the SHA-256 of its content in hexadecimal."""

    path: Path
    bytes: int
    sha256: str


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

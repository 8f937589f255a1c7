"""What the demo sends: a file of the user's, a generated one, or a real one that every installation has on disk."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

UNITS = {"": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_CHUNK = 2**20


@dataclass(frozen=True)
class Payload:
    """A file and what it holds. `sha256` in hex."""

    path: Path
    bytes: int
    sha256: str


def parse_size(text: str) -> int:
    """Bytes from `2GiB`, `300 MB` or `1048576`.

    Raises:
        ValueError: it is no size.
    """
    match = re.fullmatch(r"([0-9]+)\s*([A-Za-z]*)", text.strip())
    if not match or match[2].upper() not in UNITS:
        raise ValueError(f"{text!r} is no size; write a whole number and a unit, such as 300MB or 2GiB")
    return int(match[1]) * UNITS[match[2].upper()]


def of_file(path: Path) -> Payload:
    """Reads the file once for its digest, in constant memory."""
    with path.open("rb") as file:
        return Payload(path, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def installed_file() -> Payload:
    """The CDK library's own archive, of some tens of megabytes: it cannot be compressed away or guessed."""
    files = distribution("aws-cdk-lib").files or []
    archive = next(file for file in files if file.suffix == ".tgz")
    return of_file(Path(str(archive.locate())))


@contextmanager
def generated(size: int, folder: Path) -> Iterator[Payload]:
    """A file of random bytes, removed afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"generated-{size}.bin"
    digest = hashlib.sha256()
    try:
        with path.open("wb") as file:
            for start in range(0, size, _CHUNK):
                chunk = os.urandom(min(_CHUNK, size - start))
                digest.update(chunk)
                file.write(chunk)
        yield Payload(path, size, digest.hexdigest())
    finally:
        path.unlink(missing_ok=True)

"""Places that a payload is read into: memory, a new file, and files that are not regular (pipes, devices)."""

from __future__ import annotations

import io
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # Windows


class MemoryTarget:
    """A place in memory for `size` bytes, at least one. `value` does not copy them."""

    def __init__(self, size: int) -> None:
        self._bytes = io.BytesIO()
        self._bytes.seek(size - 1)
        self._bytes.write(b"\0")
        self._view = self._bytes.getbuffer()

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes at their offset."""
        self._view[offset : offset + len(data)] = data

    def read(self, offset: int, size: int) -> memoryview:
        """Return bytes that were written."""
        return self._view[offset : offset + size]

    def close(self) -> None:
        """Do nothing."""

    def value(self) -> bytes:
        """Return all bytes. The target cannot be used afterwards."""
        self._view.release()  # otherwise the bytes are copied
        return self._bytes.getvalue()


class FileTarget:
    """A regular file, open for reading and writing. `close` closes its own descriptor."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = os.dup(file.fileno())

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes at their offset."""
        while data:
            written = os.pwrite(self._descriptor, data, offset)
            data, offset = data[written:], offset + written

    def read(self, offset: int, size: int) -> memoryview:
        """Return bytes that were written."""
        return memoryview(os.pread(self._descriptor, size, offset))

    def close(self) -> None:
        """Close the descriptor. No thread may use it afterwards: another file can get its number."""
        os.close(self._descriptor)


@contextmanager
def special_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO | None]:
    """Open a pipe, a device or another file that is not regular, for writing. Yields None for any other path.

    Raises OSError for a path that cannot be written to: a folder, or a name that is too long or ends in "/".
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - Path removes a "/" at the end
    except FileNotFoundError:
        if not os.path.basename(path):  # noqa: PTH119
            raise
        mode = stat.S_IFREG
    if stat.S_ISREG(mode):
        yield None
    else:
        with Path(path).open("wb") as file:
            yield file


@contextmanager
def replaced_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a new file, which replaces the file at `path` when the block has ended without an error.

    On Linux the new file has no name until then: a killed process leaves nothing. Elsewhere, and on file systems that
    have no such files, as NFS, its name is hidden. Links are followed. An earlier file's mode is kept, and its owner if
    the caller may set it.
    """
    target = Path(os.path.realpath(path))
    earlier = target.stat() if target.exists() else None
    partial = target.with_name(f".claim-check-{uuid.uuid4().hex}.part")  # the target's own name can have 255 bytes
    mode = 0o600 if earlier else 0o666
    try:
        with os.fdopen(_open_new(partial, mode), "r+b") as file:
            yield file
            if not partial.exists():
                file.flush()
                _name(file.fileno(), partial)
        if earlier:
            with suppress(PermissionError, AttributeError):  # Windows has no owners
                os.chown(partial, earlier.st_uid, earlier.st_gid)
            partial.chmod(stat.S_IMODE(earlier.st_mode))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _open_new(path: Path, mode: int) -> int:
    """Open a new file without a name. If the file system has no such files, open one at `path`."""
    with suppress(AttributeError, OSError):
        unnamed = os.O_TMPFILE | os.O_RDWR
        with os.fdopen(os.open(path.parent, unnamed, mode)) as trial:  # of the file system: it may give no names later
            _name(trial.fileno(), path)
        path.unlink()
        return os.open(path.parent, unnamed, mode)
    return os.open(path, _NEW, mode)


def _name(descriptor: int, path: Path) -> None:
    # The link in /proc is followed only if Python has a folder's descriptor. It is not used: the path is absolute.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)

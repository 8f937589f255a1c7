"""A temporary folder with data of a run, which only this user can enter."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

_PREFIX = "coatcheck-run-"
_LOCK = "lock"


class PrivateFolder:
    """A folder with mode 0700. A context manager: on exit it is removed.

    A killed process cannot remove its folder. The next run does. A folder is locked while a process uses it, and a new
    run first removes the folders without a lock.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        self._make()
        # Another process removes a folder that it finds between its lock file and the lock.
        while not os.fstat(self._lock.fileno()).st_nlink:
            self._lock.close()
            self._make()

    def _make(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = (self.path / _LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def fileno(self) -> int:
        """Return the file descriptor of the lock. A process that inherits it uses the folder too."""
        return self._lock.fileno()

    def remove(self) -> None:
        """Remove the folder with its content."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _remove_abandoned() -> None:
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), open(lock, opener=_open_lock) as file:  # OSError: in use, or another user's
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent)


def _open_lock(path: str, _flags: int) -> int:
    """Open a file that another user may have made. A link would lead to another file, and a pipe would block."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)

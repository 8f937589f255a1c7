"""Problems of this machine: a read-only folder, a full disk, or too many processes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LITTLE_BYTES = 64 * 2**20
_BUSY = 3.0
"""Processes that wait or run, for each processor."""


class NotWritable(Exception):
    """A folder cannot be made, or nothing can be written there. The message has the remedy."""


def make_folder(folder: Path, *, remedy: str) -> None:
    """Make a folder for results, before a run of minutes or hours.

    Raises:
        NotWritable: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise NotWritable(f"{folder}: {error.strerror}. {remedy}") from None


def problems_of(*folders: Path) -> Iterator[str]:
    """Yield a sentence for each problem of this machine, with its remedy: few bytes in a folder, or a high load.

    A folder that does not exist is no problem.
    """
    for folder in (Path(tempfile.gettempdir()), *folders):
        free = shutil.disk_usage(folder).free if folder.exists() else _LITTLE_BYTES
        if free < _LITTLE_BYTES:
            yield f"The disk of {folder} is full ({free >> 20} MiB are free). Free some, or set TMPDIR to another disk."
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load > _BUSY * processors:
        yield f"This machine is busy: load {load:.0f} on {processors} processors. Run it again when it is idle."

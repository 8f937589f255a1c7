"""The content of the emulated accounts between two runs: a private folder, which the emulator reads and writes."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

_FORMAT = 2
_ATTEMPTS = 10
_CONTENT, _BODIES = "content", "bodies"
_OBJECTS = ("_buckets", "_object_versions", "_object_tags", "_object_acl", "_object_annotations")
"""The emulator's stores of S3 objects, which its own persistence writes elsewhere."""


class StateError(Exception):
    """The folder cannot be used. The message has the remedy."""


class KeptState:
    """A folder with the state of a run. Only this user can enter it, and only one emulator at a time uses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Make the folder if it does not exist, and lock it. Raises StateError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.folder.stat()
            if status.st_mode & 0o077 or status.st_uid != os.getuid():
                raise StateError(
                    f"{self.folder}: other users can enter it, and it would contain payloads. Name a new folder, or "
                    f"run: chmod 700 {self.folder}"
                )
            self._lock = (self.folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise StateError(f"{self.folder}: another run uses it. End that run, or name another folder.") from None
        except OSError as error:
            raise StateError(f"{self.folder}: {error.strerror}. Name another folder.") from None

    def close(self) -> None:
        """Release the folder, if it is open."""
        if self._lock:
            self._lock.close()

    @property
    def port(self) -> int:
        """The port of the earlier run, which queue URLs contain, or 0."""
        file = self.folder / "port"
        return int(file.read_text()) if file.exists() else 0

    @port.setter
    def port(self, port: int) -> None:
        (self.folder / "port").write_text(str(port))


def save(folder: Path) -> None:
    """Write the content of all accounts. Call it in the emulator's process, while it serves no request."""
    from ministack import app
    from ministack.services import s3

    new, bodies = folder / f"{_CONTENT}.new", Path(tempfile.mkdtemp(prefix=f"{_BODIES}-", dir=folder))
    for attempt in range(_ATTEMPTS):
        try:
            services = {key: state() for key, state in app._build_persistence_save_dict().items()}
            objects = {name: getattr(s3, name)._data for name in _OBJECTS}
            with new.open("wb") as file:
                file.write(_identity())
                _Pickler(file, bodies).dump((services, objects))
            break
        except RuntimeError:  # a thread of a function or a poller changed a store meanwhile
            if attempt == _ATTEMPTS - 1:
                raise
    new.replace(folder / _CONTENT)  # the one step from the earlier state to this one: the content names its bodies
    for other in set(folder.glob(f"{_BODIES}-*")) - {bodies}:
        shutil.rmtree(other, ignore_errors=True)


def load(folder: Path) -> None:
    """Read the content of all accounts, if there is any. Call it in the emulator's process, before the first request.

    Raises:
        SystemExit: another version of the emulator or of this project wrote the folder.
    """
    from ministack import app
    from ministack.services import s3

    if not (folder / _CONTENT).exists():
        return
    with (folder / _CONTENT).open("rb") as file:
        if file.readline() != _identity():
            raise SystemExit(f"{folder}: another version of coatcheck or of its emulator wrote it. Name a new folder.")
        services, objects = _Unpickler(file, folder).load()
    for key, state in services.items():
        if state:
            app._get_module(app._state_map[key]).load_persisted_state(state)
    for name, data in objects.items():
        getattr(s3, name)._data.update(data)


def _identity() -> bytes:
    """Return the content's first line: only this version can read the rest of the file."""
    from importlib.metadata import version

    return f"coatcheck {version('coatcheck')}, ministack {version('ministack')}, format {_FORMAT}\n".encode()


class _Pickler(pickle.Pickler):
    """Writes large bodies of objects to files of a folder, each once."""

    def __init__(self, file: IO[bytes], folder: Path) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._folder, self._names = folder, dict[Any, str]()

    def persistent_id(self, value: Any) -> str | None:
        from local.patches.s3_large_objects import Body

        if not isinstance(value, Body):
            return None
        if value not in self._names:
            path = self._folder / str(len(self._names))
            with path.open("wb") as file:
                for piece in value.pieces():
                    file.write(piece)
            self._names[value] = f"{self._folder.name}/{path.name}"
        return self._names[value]


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], folder: Path) -> None:
        super().__init__(file)
        self._folder = folder

    def persistent_load(self, name: str) -> Any:
        from local.patches.s3_large_objects import Body

        with (self._folder / name).open("rb") as file:
            return Body.from_file(file)

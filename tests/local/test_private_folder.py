"""The private folder of a run: its mode, and its end."""

import fcntl
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.private_folder import PrivateFolder

_HOLD = "from local.private_folder import PrivateFolder as F; f = F(); print(f.path, flush=True); input()"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_folder_is_private_and_is_removed(temporary: Path) -> None:
    with PrivateFolder() as folder:
        assert folder.path.stat().st_mode & 0o777 == 0o700
        (folder.path / "payload").write_bytes(b"x")

    assert not list(temporary.iterdir())


def test_folder_of_a_killed_process_is_removed() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", _HOLD], stdin=-1, stdout=-1, text=True) as used,
        subprocess.Popen([sys.executable, "-c", _HOLD], stdin=-1, stdout=-1, text=True) as killed,
    ):
        assert used.stdout
        assert killed.stdout
        in_use, abandoned = (Path(process.stdout.readline().strip()) for process in (used, killed))  # type: ignore[union-attr]
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert abandoned.exists()

        with PrivateFolder() as folder:
            assert not abandoned.exists()
            assert in_use.exists()
            assert folder.path.exists()
        used.kill()


def test_folder_is_made_again_when_removed_before_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run starts between the lock file and the lock."""
    lock, removed = fcntl.flock, list[Path]()

    def late(file: Any, operation: int) -> None:
        if not removed:
            removed.append(Path(file.name).parent)
            shutil.rmtree(removed[0])
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with PrivateFolder() as folder:
        assert folder.path.exists()
        assert folder.path not in removed
        assert removed


def test_linked_lock_is_ignored(temporary: Path) -> None:
    """Another user can make it, in a temporary folder for all users."""
    target = temporary / "file"
    target.write_text("content")
    planted = temporary / "coatcheck-run-planted"
    planted.mkdir()
    (planted / "lock").symlink_to(target)

    PrivateFolder().remove()

    assert target.read_text() == "content"
    assert planted.exists()

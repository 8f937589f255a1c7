"""Problems of this machine that can end a run."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from local.machine import problems_of


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**30))
    monkeypatch.setattr("os.getloadavg", lambda: (2.0, 2.0, 2.0))
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def test_healthy_machine_has_no_problem(tmp_path: Path) -> None:
    assert list(problems_of(tmp_path)) == []


def test_missing_folder_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    assert [line for line in problems_of(tmp_path / "missing") if "missing" in line] == []


def test_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda at: SimpleNamespace(free=2**30 if at != tmp_path else 3 * 2**20))
    assert list(problems_of(tmp_path)) == [
        f"The disk of {tmp_path} is full (3 MiB are free). Free some, or set TMPDIR to another disk."
    ]


def test_high_load_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (9.0, 2.0, 2.0))
    assert list(problems_of()) == ["This machine is busy: load 9 on 2 processors. Run it again when it is idle."]

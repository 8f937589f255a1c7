"""Reasons not to run the demo: each is a sentence with its remedy."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli import demo


@pytest.fixture(autouse=True)
def no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.demo._run", lambda *_, **__: pytest.fail("the demo ran"))


def test_unwritable_folder_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert demo.run(demo.EXAMPLE, report=tmp_path / "report.json") == 2
    expected = f"{tmp_path}: Read-only file system. Write the report to another folder: --report FILE."
    assert capsys.readouterr().out.replace("\n", " ").startswith(expected)


def test_impossible_folder_ends_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert demo.run(demo.EXAMPLE, report=tmp_path / "file" / "report.json") == 2
    assert f"{tmp_path / 'file'}: File exists." in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize("size", [None, 2**40])
def test_too_little_disk_ends_in_a_sentence(
    size: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))
    assert demo.run(demo.EXAMPLE, size=size, report=tmp_path / "report.json") == 2
    printed = capsys.readouterr().out
    assert "of disk in" in printed
    assert "but only 1.0 MiB are free." in printed.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []

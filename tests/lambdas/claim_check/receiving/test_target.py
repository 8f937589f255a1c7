"""Places that a payload is read into: links, modes and special files."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from claim_check.receiving.target import FileTarget, MemoryTarget, replaced_file, special_file


def replace(path: Path | str, data: bytes = b"new") -> None:
    with replaced_file(path) as file:
        file.write(data)


def test_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    for text in (b"first", b"second"):  # a dangling link, and one to a file
        replace(link, text)
        assert link.is_symlink()
        assert real.read_bytes() == text


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o755])
def test_mode_of_earlier_file_is_kept(mode: int, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.touch()
    target.chmod(mode)
    with replaced_file(target) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600, "before it has the earlier file's mode"
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    usual, target = tmp_path / "usual", tmp_path / "file"
    usual.touch()
    replace(target)
    assert target.stat().st_mode == usual.stat().st_mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner")
def test_owner_of_earlier_file_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.touch()
    os.chown(target, 1234, 1235)
    replace(target)
    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 1235)


@pytest.mark.parametrize("name", ["x" * 255, "\N{SNOWMAN}" * 85, "." * 3], ids=["ASCII", "snowmen", "dots"])
def test_longest_name_is_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    replace(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"new"


@pytest.mark.parametrize("named", [False, True])
def test_failed_block_leaves_no_file(tmp_path: Path, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if named:
        monkeypatch.delattr(os, "O_TMPFILE")

    def fail() -> None:
        with replaced_file(tmp_path / "file"):
            assert len(list(tmp_path.iterdir())) == named
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux has files without a name")
def test_killed_process_leaves_no_file(tmp_path: Path) -> None:
    if not (child := os.fork()):
        with replaced_file(tmp_path / "file") as file:
            file.write(b"new")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_file_without_a_name_replaces_as_one_with_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    replace(tmp_path / "file")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_regular_and_missing_paths_are_not_special(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "missing"):
        with special_file(path) as file:
            assert file is None


def test_device_is_special() -> None:
    with special_file(os.devnull) as file:
        assert file
        assert file.write(b"x") == 1
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("name", ["", "x" * 256, "file/", "missing/"], ids=["a folder", "too long", "file", "missing"])
def test_impossible_path_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError), special_file(f"{tmp_path}/{name}"):
        pass


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_target_takes_bytes_in_any_order(kind: str, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        memory = MemoryTarget(6)
        target = memory if kind == "memory" else FileTarget(file)
        target.write(3, memoryview(b"def"))
        target.write(0, memoryview(b"abc"))
        assert bytes(target.read(1, 4)) == b"bcde"
        target.close()
        assert (memory.value() if kind == "memory" else file.read()) == b"abcdef"


def test_file_target_writes_all_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: write(file, data[:2], offset))
    with (tmp_path / "file").open("w+b") as file:
        target = FileTarget(file)
        target.write(1, memoryview(b"abcde"))
        target.close()
        assert file.read() == b"\0abcde"

"""Own code and its requirements in an asset, with wheels on this machine in place of a package index."""

import zipfile
from pathlib import Path

import pytest

from stacks.common import own_code
from stacks.common.own_code import RequirementsError, own_code_files


def wheel(folder: Path, name: str, tag: str, module: str) -> None:
    """Write the smallest wheel that pip installs."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as archive:
        archive.writestr(module, "GREETING = 'hello'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "application.py",
        "helper.py",
        "test_application.py",
        "tests/test_more.py",
        ".hidden",
        "data/words.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def require(folder: Path, *lines: str) -> None:
    (folder / "requirements.txt").write_text("\n".join(("--no-index", f"--find-links {folder.parent}", *lines)))


def test_tests_and_hidden_files_are_left_out(folder: Path) -> None:
    assert sorted(own_code_files(folder)) == [
        "own_code/application.py",
        "own_code/data/words.txt",
        "own_code/helper.py",
    ]


def test_code_over_lambdas_limit_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_code, "LARGEST_BYTES", 10)
    (folder / "data" / "words.txt").write_text("x" * 11)
    with pytest.raises(RequirementsError, match=f"^{folder}: its files and requirements have 11 bytes."):
        own_code_files(folder)


@pytest.mark.exhaustive
def test_pure_requirement_is_installed_reproducibly(folder: Path) -> None:
    wheel(folder.parent, "greeting", "py3-none-any", "greeting.py")
    require(folder, "greeting==1.0")
    files = own_code_files(folder)
    assert files["own_code/greeting.py"] == b"GREETING = 'hello'\n"
    assert {name for name in files if "dist-info" in name} == {
        "own_code/greeting-1.0.dist-info/METADATA",
        "own_code/greeting-1.0.dist-info/WHEEL",
    }
    assert own_code_files(folder) == files


def test_native_requirement_is_named(folder: Path) -> None:
    wheel(folder.parent, "native", "cp314-cp314-manylinux_2_17_aarch64", "native.so")
    require(folder, "native==1.0")
    with pytest.raises(RequirementsError, match=r"requirements\.txt: native==1\.0 has no version in pure Python"):
        own_code_files(folder)


@pytest.mark.exhaustive
def test_native_library_in_a_pure_wheel_is_named(folder: Path) -> None:
    wheel(folder.parent, "hidden", "py3-none-any", "hidden.so")
    require(folder, "hidden==1.0")
    with pytest.raises(RequirementsError, match=r"hidden\.so is a native library"):
        own_code_files(folder)


def test_invalid_requirement_is_reported(folder: Path) -> None:
    require(folder, "not a requirement")
    with pytest.raises(RequirementsError, match=r"pip cannot install it: .*not a requirement"):
        own_code_files(folder)

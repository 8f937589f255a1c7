"""A script as one file."""

import os
import subprocess
import sys
from pathlib import Path

from research.script import content, file_name, is_script, write


def folder(root: Path) -> Path:
    (root / "job" / "own").mkdir(parents=True)
    (root / "job" / "__main__.py").write_text("from own import words\nprint(words.HELLO)\n")
    (root / "job" / "own" / "__init__.py").write_text("")
    (root / "job" / "own" / "words.py").write_text("HELLO = 'hello'\n")
    return root / "job"


def test_folder_runs_as_one_file(tmp_path: Path) -> None:
    file = write(folder(tmp_path), tmp_path)
    assert file.name == "job.pyz"
    for script in (tmp_path / "job", file):
        ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
        assert ran.stdout == "hello\n"


def test_folder_has_the_same_bytes_on_each_machine(tmp_path: Path) -> None:
    """The address of a pipeline's script is made of them."""
    script = folder(tmp_path)
    before = content(script)
    os.utime(script / "__main__.py", (1, 1))
    (script / "own" / "__pycache__").mkdir()
    (script / "own" / "__pycache__" / "words.pyc").write_bytes(b"x")
    assert content(script) == before


def test_file_stands_for_the_folder_of_its_name(tmp_path: Path) -> None:
    script = folder(tmp_path)
    (tmp_path / "job.py").write_text("")
    assert (file_name(tmp_path / "job.py"), content(tmp_path / "job.py")) == ("job.pyz", content(script))


def test_file_is_passed_as_it_is(tmp_path: Path) -> None:
    folder(tmp_path)
    for name in ("my.py", "job.R"):
        script = tmp_path / name
        script.write_text("print(1)")
        assert (file_name(script), content(script)) == (name, b"print(1)")
        assert is_script(script)
    assert not is_script(tmp_path)

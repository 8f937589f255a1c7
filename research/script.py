"""A script as one file, as processing jobs and pipelines run it.

A script is a `.py` file, or a folder with `__main__.py`: `python3` runs both, and an archive of the folder too. A file
next to such a folder of its name stands for the folder. `Rscript` runs a file with the ending `.R`.
"""

import io
import zipfile
from pathlib import Path


def is_script(path: Path) -> bool:
    """Return whether Python can run the path as a script."""
    return path.is_file() or (path / "__main__.py").is_file()


def file_name(script: Path) -> str:
    """Return the name of the script's one file."""
    source = _source(script)
    return f"{source.name}.pyz" if source.is_dir() else source.name


def content(script: Path) -> bytes:
    """Return the content of the script's one file. Of a folder, the same files give the same bytes everywhere."""
    script = _source(script)
    if not script.is_dir():
        return script.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in sorted(script.rglob("*.py")):
            archive.writestr(zipfile.ZipInfo(file.relative_to(script).as_posix()), file.read_bytes())
    return buffer.getvalue()


def write(script: Path, folder: Path) -> Path:
    """Write the script's one file into a folder."""
    file = folder / file_name(script)
    file.write_bytes(content(script))
    return file


def _source(script: Path) -> Path:
    folder = script.with_suffix("")
    return folder if script.suffix != ".R" and (folder / "__main__.py").is_file() else script

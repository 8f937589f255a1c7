"""The files of a function's code: its packages of `lambdas/`, and Powertools with its requirements."""

from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

LAMBDAS = Path(__file__).parents[2] / "lambdas"
LIBRARIES = ("aws-lambda-powertools", "jmespath", "typing-extensions")
SHARED = ("claim_check", "shared")
"""The packages that each function has in addition to its own."""


def function_files(packages: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Return the files of a bundle: the packages and the installed libraries, by their names in the bundle."""
    for package in packages:
        yield from code_files(package)
    for library in LIBRARIES:
        yield from _library_files(library)


def code_files(package: str) -> Iterator[tuple[str, Path]]:
    """Return the code of a package in `lambdas/`, by its names there. Other files, such as keys, are in no asset."""
    for path in (LAMBDAS / package).rglob("*"):
        if path.suffix in (".py", ".pyi") or path.name == "py.typed":
            yield path.relative_to(LAMBDAS).as_posix(), path


def _library_files(library: str) -> Iterator[tuple[str, Path]]:
    for file in distribution(library).files or ():
        # A bundle has licences and modules alone. Files that an installer writes (RECORD, INSTALLER, scripts) differ
        # between machines and would change the hash.
        if file.parts[0] == ".." or file.suffix == ".pyc" or "__pycache__" in file.parts:
            continue
        if file.parts[0].endswith(".dist-info") and "LICENSE" not in file.name:
            continue
        yield file.as_posix(), Path(str(file.locate()))

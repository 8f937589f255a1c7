"""The code asset of a Lambda function: its packages of `lambdas/`, and Powertools.

Powertools and its dependencies are pure Python and copied from this installation, so that synthesis needs no network
and no Docker. An asset holds only the function's own packages: an edit of one handler changes no other function's hash.
"""

import atexit
import shutil
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

LAMBDAS = Path(__file__).parents[2] / "lambdas"
NOT_DEPLOYED = shutil.ignore_patterns("__pycache__", "*.pyc", "README.md")
"""Files of a package that no asset contains."""
LIBRARIES = ("aws-lambda-powertools", "jmespath", "typing-extensions")


def bundle(scope: Construct, *packages: str) -> lambda_.Code:
    """Return the code of a function in `scope` that uses these packages of `lambdas/`.

    It is staged here, because CDK's own bundling prints a line for each function. If CDK needs no code, because the
    stack is not deployed, the asset is a folder with the packages' names.
    """
    return lambda_.Code.from_asset(_staged(packages, whole=Stack.of(scope).bundling_required).name)


@cache
def _staged(packages: tuple[str, ...], *, whole: bool) -> TemporaryDirectory[str]:
    """Return a folder that exists until this process ends. CDK has copied it by then."""
    folder = TemporaryDirectory(prefix="coatcheck-bundle-")
    atexit.register(folder.cleanup)
    if whole:
        stage(packages, Path(folder.name))
    else:
        (Path(folder.name) / "packages").write_text(" ".join(packages))
    return folder


def stage(packages: tuple[str, ...], target: Path) -> None:
    """Copy the packages and the installed libraries into `target`."""
    for package in packages:
        shutil.copytree(LAMBDAS / package, target / package, ignore=NOT_DEPLOYED)
    for library in LIBRARIES:
        _stage_library(library, target)


def _stage_library(library: str, target: Path) -> None:
    for file in distribution(library).files or ():
        # Licences and modules alone. Files that an installer writes (RECORD, INSTALLER, scripts) differ between
        # machines and would change the hash.
        if file.parts[0] == ".." or file.suffix == ".pyc" or "__pycache__" in file.parts:
            continue
        if file.parts[0].endswith(".dist-info") and "LICENSE" not in file.name:
            continue
        destination = target / file
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.locate(), destination)

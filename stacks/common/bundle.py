"""What a Lambda function is made of: the packages of `lambdas/` it uses, and Powertools.

Staged from what is installed (Powertools and what it needs are pure Python), so that synth needs neither a network nor
Docker. A function's asset holds only its own packages: an edit to one handler moves no other function's hash.
"""

import shutil
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

LAMBDAS = Path(__file__).parents[2] / "lambdas"
LIBRARIES = ("aws-lambda-powertools", "jmespath", "typing-extensions")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "README.md")


def bundle(scope: Construct, *packages: str) -> lambda_.Code:
    """The code of a function, within `scope`, that uses these packages of `lambdas/`.

    Staged here, since CDK's own bundling says a line for each function. Where CDK would leave it out, for a stack that
    is not deployed, a folder with the packages' names stands in.
    """
    return lambda_.Code.from_asset(_staged(packages, whole=Stack.of(scope).bundling_required).name)


@cache
def _staged(packages: tuple[str, ...], *, whole: bool) -> TemporaryDirectory[str]:
    """Gone when this process ends; CDK has made it an asset by then."""
    folder = TemporaryDirectory(prefix="coatcheck-bundle-")
    if whole:
        stage(packages, Path(folder.name))
    else:
        (Path(folder.name) / "packages").write_text(" ".join(packages))
    return folder


def stage(packages: tuple[str, ...], target: Path) -> None:
    """Copy the packages, and the libraries as installed, into `target`."""
    for package in packages:
        shutil.copytree(LAMBDAS / package, target / package, ignore=_LEFT_OUT)
    for library in LIBRARIES:
        _stage_library(library, target)


def _stage_library(library: str, target: Path) -> None:
    for file in distribution(library).files or ():
        # Licences and modules. What an installer writes (RECORD, INSTALLER, scripts) differs from machine to machine,
        # and would move the hash.
        if file.parts[0] == ".." or file.suffix == ".pyc" or "__pycache__" in file.parts:
            continue
        if file.parts[0].endswith(".dist-info") and "LICENSE" not in file.name:
            continue
        destination = target / file
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.locate(), destination)

"""What a Lambda function is made of: the packages of `lambdas/` it uses, and Powertools.

Staged from what is installed (Powertools and what it needs are pure Python), so that synth needs neither a network nor
Docker. A function's asset holds only its own packages: an edit to one handler moves no other function's hash.
"""

import shutil
from importlib.metadata import distribution
from pathlib import Path

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling
from aws_cdk import aws_lambda as lambda_

LAMBDAS = Path(__file__).parent.parent / "lambdas"
LIBRARIES = ("aws-lambda-powertools", "jmespath", "typing-extensions")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "README.md")


def bundle(*packages: str) -> lambda_.Code:
    """The code of a function that uses these packages of `lambdas/`."""
    return lambda_.Code.from_asset(
        str(LAMBDAS),
        # The hash of what is staged, so that it depends on this function's packages only.
        asset_hash_type=AssetHashType.OUTPUT,
        bundling=BundlingOptions(
            local=_Staging(packages),
            # CDK asks for an image to fall back on; staging never does. The command is never run either: CDK stages two
            # assets of one folder once, unless something that it can compare tells them apart.
            image=DockerImage.from_registry("unused"),
            command=list(packages),
        ),
    )


@jsii.implements(ILocalBundling)
class _Staging:
    def __init__(self, packages: tuple[str, ...]) -> None:
        self._packages = packages

    def try_bundle(self, output_dir: str, _image: object = None, **_options: object) -> bool:
        stage(self._packages, Path(output_dir))
        return True


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

"""Synthesis of a deployment's stacks, and the cloud assembly that it writes.

`app.py` runs in its own process, as with the CDK CLI. Therefore the templates are the deployed ones, and this module
does not depend on the stacks' code.
"""

import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from stacks.deployment import cdk_json

_ROOT = Path(__file__).parents[1]


class SynthError(RuntimeError):
    """The stacks could not be synthesized. The message is the error output of `app.py`."""


class AssemblyError(ValueError):
    """A cloud assembly has something that is not read. The message names the place."""


@dataclass(frozen=True)
class StackTemplate:
    """A stack of a cloud assembly, with its CloudFormation template."""

    id: str
    """The stack's name for the CDK CLI."""
    name: str
    account: str
    region: str
    template: dict[str, Any]
    assets: Mapping[str, "Asset"] = field(default_factory=dict)
    """Files and folders that are uploaded for the stack, by key in CDK's bucket."""
    protected: bool = False
    """Whether the stack has termination protection."""
    warnings: tuple[str, ...] = ()
    """CDK's warnings, each with its id in brackets."""
    bootstrap: tuple[str, int] | None = None
    """The SSM parameter with the version of CDK's bootstrap stack, and the version that the deployment requires."""
    physical_ids: Mapping[str, str] = field(default_factory=dict)
    """Ids that CloudFormation has given to deployed resources, by logical id. An assembly has none."""


@dataclass(frozen=True)
class Asset:
    """A file or a folder that `cdk deploy` uploads."""

    construct: str
    """The construct's path without separators."""
    files: Mapping[str, str]
    """SHA-256 of each file, by its path in the folder or the zip file. The path of a single file is empty."""
    modes: Mapping[str, int] = field(default_factory=dict)
    """The mode of each file of a folder."""

    @property
    def states(self) -> Mapping[str, str]:
        """Mode and digest of each file, as a text."""
        return {name: f"{self.modes.get(name, 0):o} {digest}" for name, digest in self.files.items()}

    @property
    def digest(self) -> str:
        """One digest of all files and their paths."""
        return sha256(json.dumps(dict(sorted(self.files.items()))).encode()).hexdigest()

    def is_of(self, folders: Iterable[Path]) -> bool:
        """Return whether each file is in one of the folders."""
        own = self.files.items()
        return all(any(_sha256(folder / name) == digest for folder in folders) for name, digest in own)


def synthesize(deployment_file: Path) -> tuple[StackTemplate, ...]:
    """Return the stacks of a deployment file, in the order of the app.

    Raises:
        SynthError: the deployment file is invalid, or a stack cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="coatcheck-") as folder:
        return read(write(deployment_file, Path(folder)))


def write(deployment_file: Path, folder: Path) -> Path:
    """Synthesize a deployment file into a folder, and return the folder. Needs no network and no credentials.

    Raises:
        SynthError: the deployment file is invalid, or a stack cannot be made.
    """
    context = cdk_json.context() | {"deployment": str(deployment_file.resolve())}
    environment = {
        **os.environ,
        # CDK needs Node, which is installed next to this Python.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "CDK_OUTDIR": str(folder),
        "CDK_CONTEXT_JSON": json.dumps(context),
        # CDK's own validation of templates takes most of the time. `make check` and `cdk synth` run it.
        "CDK_VALIDATION": "false",
    }
    run = subprocess.run(  # noqa: S603 - the project's own app, with this interpreter
        [sys.executable, str(_ROOT / "app.py")],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise SynthError(run.stderr.strip())
    return folder


# Artifacts without resources.
_NOT_DEPLOYED = ("cdk:tree", "cdk:feature-flag-report")


def read(assembly: Path) -> tuple[StackTemplate, ...]:
    """Return the stacks of a cloud assembly, such as `cdk.out`.

    Raises:
        AssemblyError: A stack has no account or no Region, or an artifact has an unsupported type, such as a stage. Or
            the CDK CLI would deploy another file, use another role, or deploy elsewhere.
    """
    manifest = _json(assembly, "manifest.json")
    artifacts: dict[str, Mapping[str, Any]] = manifest["artifacts"]
    for identifier, artifact in artifacts.items():
        if artifact["type"] not in ("aws:cloudformation:stack", "cdk:asset-manifest", *_NOT_DEPLOYED):
            raise AssemblyError(f"Artifact {identifier} has the type {artifact['type']!r}, which is not read.")
    stacks = {id: artifact for id, artifact in artifacts.items() if artifact["type"] == "aws:cloudformation:stack"}
    manifests = {f"{id}.assets" for id in stacks}
    for identifier, artifact in artifacts.items():
        if artifact["type"] == "cdk:asset-manifest" and identifier not in manifests:
            raise AssemblyError(f"Artifact {identifier} is of no stack.")
    return tuple(_stack(assembly, id, artifact, artifacts.get(f"{id}.assets")) for id, artifact in stacks.items())


def _json(assembly: Path, file: str) -> Any:
    try:
        return json.loads((assembly / file).read_text(encoding="utf-8"), object_pairs_hook=unique)
    except (OSError, ValueError) as error:
        raise AssemblyError(f"{assembly} is not a cloud assembly: {file}: {error}") from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object.

    Raises:
        ValueError: a key is repeated. Readers of JSON differ in which value they take.
    """
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is repeated")
    return dict(pairs)


def _assets(assembly: Path, manifest: Mapping[str, Any], deployer: "_Deployer") -> dict[str, Asset]:
    """Return the assets of an asset manifest, by key in CDK's bucket."""
    name = manifest["properties"]["file"]
    content = _json(assembly, name)
    if content.get("dockerImages"):
        raise AssemblyError(f"{name} has container images, which are not read.")
    assets: dict[str, Asset] = {}
    for asset in content["files"].values():
        path = asset["source"].get("path", "..")
        source = (assembly / path).resolve()
        packaging = "zip" if source.is_dir() else "file"
        if asset["source"] != {"path": path, "packaging": packaging} or not source.is_relative_to(assembly.resolve()):
            raise AssemblyError(f"{name}: an asset has the source {asset['source']}, not a file of the assembly.")
        construct, files = re.sub(r"[^A-Za-z0-9]", "", asset.get("displayName", "")), _files(source)
        modes = {name: (source / name).stat().st_mode for name in files} if source.is_dir() else {}
        for place in asset["destinations"].values():
            deployer.check(f"{name}: {path}", place, objectKey=place.get("objectKey"))
            if place["objectKey"] in assets:  # the CDK CLI uploads the first that it comes to
                raise AssemblyError(f"{name}: {place['objectKey']} is the key of two assets.")
            assets[place["objectKey"]] = Asset(construct, files, modes)
    return assets


def _files(source: Path) -> Mapping[str, str]:
    if source.suffix == ".zip":
        return _zipped_files(source.read_bytes())
    if source.is_file():
        return {"": _sha256(source)}
    paths = list(source.rglob("*"))
    for path in paths:
        if not path.resolve().is_relative_to(source):
            raise AssemblyError(f"{path} is a link that leads out of the asset.")
    return {path.relative_to(source).as_posix(): _sha256(path) for path in paths if path.is_file()}


def _sha256(file: Path) -> str:
    """Return the digest of a file's content, or "" without a file."""
    return sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


@lru_cache(maxsize=16)  # the stacks of a deployment, and deployments, share code
def _zipped_files(content: bytes) -> Mapping[str, str]:
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            return unique([(name, sha256(archive.read(name)).hexdigest()) for name in archive.namelist()])
    except (BadZipFile, ValueError) as error:
        raise AssemblyError(f"A zip file of the assembly cannot be read: {error}") from None


@dataclass(frozen=True)
class _Deployer:
    """Place and roles of a deployment by the CDK CLI."""

    account: str
    region: str
    qualifier: str

    def check(self, where: str, properties: Mapping[str, Any], **own: Any) -> None:
        """Raise an AssemblyError if a property is unknown, or leads elsewhere than to CDK's bucket and roles."""
        role = f"arn:${{AWS::Partition}}:iam::{self.account}:role/cdk-{self.qualifier}"
        place = f"{self.account}-{self.region}"
        roles = {"deploy": f"{role}-deploy-role-{place}", "publish": f"{role}-file-publishing-role-{place}"}
        known = {
            "assumeRoleArn": roles["publish" if "objectKey" in own else "deploy"],
            "cloudFormationExecutionRoleArn": f"{role}-cfn-exec-role-{place}",
            "lookupRole": {
                "arn": f"{role}-lookup-role-{place}",
                "requiresBootstrapStackVersion": 8,
                "bootstrapStackVersionSsmParameter": f"/cdk-bootstrap/{self.qualifier}/version",
            },
            "bucketName": f"cdk-{self.qualifier}-assets-{place}",
            "region": self.region,
            **own,
        }
        for name, value in properties.items():
            if name not in known or known[name] not in (None, value):
                raise AssemblyError(f"{where}: {name} is {value!r}, which is not of this deployment.")


def _stack(
    assembly: Path, identifier: str, artifact: Mapping[str, Any], manifest: Mapping[str, Any] | None
) -> StackTemplate:
    account, _, region = artifact["environment"].removeprefix("aws://").partition("/")
    if not account.isdigit() or region.startswith("unknown"):
        raise AssemblyError(
            f"Stack {identifier} has the environment {artifact['environment']!r}. Give it an account and a Region."
        )
    properties = artifact["properties"]
    parameter = properties.get("bootstrapStackVersionSsmParameter")
    deployer = _Deployer(account, region, parameter.split("/")[2] if parameter else "")
    assets = _assets(assembly, manifest, deployer) if manifest else {}
    file = properties["templateFile"]
    template = _json(assembly, file)
    # The CDK CLI uploads no file whose key is already in the bucket, so that the key must be this file's digest.
    digest = _sha256(assembly / file)
    url = f"s3://cdk-{deployer.qualifier}-assets-{account}-{region}/{digest}.json"
    uploaded = assets.get(f"{digest}.json")
    if properties.get("stackTemplateAssetObjectUrl", url) != url or (
        assets and (not uploaded or uploaded.files != {"": digest})
    ):
        raise AssemblyError(f"Stack {identifier}: the CDK CLI would not deploy {file}, but another template.")
    # Other stacks of the account read the same bucket by keys, and the CDK CLI uploads no file twice.
    text = json.dumps(template)
    if unused := [key for key in assets if key not in text and key != f"{digest}.json"]:
        raise AssemblyError(f"Stack {identifier}: no resource uses the asset {unused[0]}.")
    free = [
        *("templateFile", "stackName", "terminationProtection", "validateOnSynth"),
        *("requiresBootstrapStackVersion", "bootstrapStackVersionSsmParameter", "additionalDependencies"),
    ]
    deployer.check(f"Stack {identifier}", properties, stackTemplateAssetObjectUrl=url, **dict.fromkeys(free))
    return StackTemplate(
        id=identifier,
        name=properties.get("stackName", identifier),
        account=account,
        region=region,
        template=template,
        assets=assets,
        protected=properties.get("terminationProtection", False),
        warnings=_warnings(assembly, artifact),
        bootstrap=(parameter, properties["requiresBootstrapStackVersion"]) if parameter else None,
    )


def _warnings(assembly: Path, artifact: Mapping[str, Any]) -> tuple[str, ...]:
    file = artifact.get("additionalMetadataFile")
    metadata = _json(assembly, file) if file else artifact.get("metadata", {})
    entries = [entry for found in metadata.values() for entry in found]
    return tuple(dict.fromkeys(str(entry["data"]) for entry in entries if entry["type"] == "aws:cdk:warning"))

"""Synthesis of a deployment's stacks, and the cloud assembly that it writes.

`app.py` runs in its own process, as with the CDK CLI. Therefore the templates are the deployed ones, and this module
does not depend on the stacks' code.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    sha256: str
    """Of a file's content. Empty text for a folder."""


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
        AssemblyError: a stack has no account or no Region, or an artifact has a type that is not read, such as a stage.
    """
    try:
        manifest = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AssemblyError(f"{assembly} is not a cloud assembly: {error}") from None
    stacks: dict[str, Mapping[str, Any]] = {}
    assets: dict[str, Mapping[str, Asset]] = {}
    for identifier, artifact in manifest["artifacts"].items():
        match artifact["type"]:
            case "aws:cloudformation:stack":
                stacks[identifier] = artifact
            case "cdk:asset-manifest":
                assets[identifier] = _assets(assembly, identifier, artifact["properties"]["file"])
            case kind if kind not in _NOT_DEPLOYED:
                raise AssemblyError(f"Artifact {identifier} has the type {kind!r}, which is not read.")
    return tuple(
        _stack(assembly, identifier, artifact, assets.get(f"{identifier}.assets", {}))
        for identifier, artifact in stacks.items()
    )


def _assets(assembly: Path, identifier: str, file: str) -> dict[str, Asset]:
    """Return the assets of an asset manifest, by key in CDK's bucket."""
    content = json.loads((assembly / file).read_text(encoding="utf-8"))
    if content.get("dockerImages"):
        raise AssemblyError(f"Artifact {identifier} has container images, which are not read.")
    assets: dict[str, Asset] = {}
    for asset in content["files"].values():
        source = assembly / asset["source"].get("path", "")
        digest = hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else ""
        construct = re.sub(r"[^A-Za-z0-9]", "", asset.get("displayName", ""))
        assets |= {place["objectKey"]: Asset(construct, digest) for place in asset["destinations"].values()}
    return assets


def _stack(assembly: Path, identifier: str, artifact: Mapping[str, Any], assets: Mapping[str, Asset]) -> StackTemplate:
    account, _, region = artifact["environment"].removeprefix("aws://").partition("/")
    if not account.isdigit() or region.startswith("unknown"):
        raise AssemblyError(
            f"Stack {identifier} has the environment {artifact['environment']!r}. Give it an account and a Region."
        )
    properties = artifact["properties"]
    parameter = properties.get("bootstrapStackVersionSsmParameter")
    return StackTemplate(
        id=identifier,
        name=properties.get("stackName", identifier),
        account=account,
        region=region,
        template=json.loads((assembly / properties["templateFile"]).read_text(encoding="utf-8")),
        assets=assets,
        warnings=_warnings(assembly, artifact),
        bootstrap=(parameter, properties["requiresBootstrapStackVersion"]) if parameter else None,
    )


def _warnings(assembly: Path, artifact: Mapping[str, Any]) -> tuple[str, ...]:
    file = artifact.get("additionalMetadataFile")
    metadata = json.loads((assembly / file).read_text(encoding="utf-8")) if file else artifact.get("metadata", {})
    entries = [entry for found in metadata.values() for entry in found]
    return tuple(dict.fromkeys(str(entry["data"]) for entry in entries if entry["type"] == "aws:cdk:warning"))

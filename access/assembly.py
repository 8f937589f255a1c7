"""Synthesis of a deployment's stacks, and the cloud assembly that it writes.

`app.py` runs in its own process, as with the CDK CLI. Therefore the templates are the deployed ones, and this module
does not depend on the stacks' code.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.deployment import cdk_json

_ROOT = Path(__file__).parents[1]


class SynthError(RuntimeError):
    """The stacks could not be synthesized. The message is the error output of `app.py`."""


@dataclass(frozen=True)
class StackTemplate:
    """A stack of a cloud assembly, with its CloudFormation template."""

    id: str
    """The stack's name for the CDK CLI."""
    name: str
    account: str
    region: str
    template: dict[str, Any]


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


def read(assembly: Path) -> tuple[StackTemplate, ...]:
    """Return the stacks of a cloud assembly, such as `cdk.out`.

    Raises:
        ValueError: a stack has no account or no Region.
    """
    manifest = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))
    return tuple(
        _stack(assembly, identifier, artifact)
        for identifier, artifact in manifest["artifacts"].items()
        if artifact["type"] == "aws:cloudformation:stack"
    )


def _stack(assembly: Path, identifier: str, artifact: Mapping[str, Any]) -> StackTemplate:
    account, _, region = artifact["environment"].removeprefix("aws://").partition("/")
    if not account.isdigit() or region.startswith("unknown"):
        raise ValueError(
            f"Stack {identifier} has the environment {artifact['environment']!r}. Give it an account and a Region."
        )
    return StackTemplate(
        id=identifier,
        name=artifact["properties"].get("stackName", identifier),
        account=account,
        region=region,
        template=json.loads((assembly / artifact["properties"]["templateFile"]).read_text(encoding="utf-8")),
    )

"""Templates of a deployment, as `cdk deploy` would send them.

Synthesized by running `app.py` the way the CDK CLI does, in a process of its own: what is read is what is deployed, and
nothing here depends on how the stacks are made.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.deployment import cdk_json

ROOT = Path(__file__).parent.parent


class SynthError(RuntimeError):
    """The app could not be synthesized. The message is the app's own."""


@dataclass(frozen=True)
class StackTemplate:
    """One stack: its name, where it is deployed, and its CloudFormation template."""

    name: str
    account: str
    region: str
    template: dict[str, Any]


def synthesize(deployment_file: Path) -> tuple[StackTemplate, ...]:
    """The stacks of a deployment file, in the order of the app. Takes seconds; needs no network and no credentials.

    Raises:
        SynthError: when the deployment file is refused, or a stack cannot be made.
    """
    # Code is left out: it would be staged for nothing, and says nothing of who may do what.
    context = cdk_json.context() | {"deployment": str(deployment_file.resolve()), "aws:cdk:bundling-stacks": []}
    with tempfile.TemporaryDirectory(prefix="coatcheck-access-") as directory:
        run = subprocess.run(  # noqa: S603 - our own app, with our own interpreter
            [sys.executable, str(ROOT / "app.py")],
            cwd=ROOT,
            env={
                **os.environ,
                "CDK_OUTDIR": directory,
                "CDK_CONTEXT_JSON": json.dumps(context),
                "CDK_VALIDATION": "false",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise SynthError(run.stderr.strip())
        return read(Path(directory))


def read(assembly: Path) -> tuple[StackTemplate, ...]:
    """The stacks of a synthesized cloud assembly, such as `cdk.out`."""
    manifest = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))
    return tuple(
        StackTemplate(
            name=artifact["properties"].get("stackName", identifier),
            account=account,
            region=region,
            template=json.loads((assembly / artifact["properties"]["templateFile"]).read_text(encoding="utf-8")),
        )
        for identifier, artifact in manifest["artifacts"].items()
        if artifact["type"] == "aws:cloudformation:stack"
        for account, region in [artifact["environment"].removeprefix("aws://").split("/")]
    )

"""Synthesis of deployments in the tests' process, where only the first synthesis takes seconds."""

import json
from functools import cache
from pathlib import Path

from aws_cdk import App

from access.assembly import StackTemplate, read
from app import add_stacks
from stacks.deployment import Deployment, ResearchDeployment

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "deployments").glob("*.toml"))
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]


@cache
def synthesize(deployment: Deployment | ResearchDeployment) -> tuple[StackTemplate, ...]:
    """Return the deployment's stacks, synthesized once."""
    app = App(context=CONTEXT)
    add_stacks(app, deployment)
    return read(Path(app.synth().directory))


def assembly(deployment: Deployment | ResearchDeployment, folder: Path) -> Path:
    """Write a cloud assembly for `cdk deploy`, and return its folder."""
    app = App(context=CONTEXT, outdir=str(folder))
    add_stacks(app, deployment)
    return Path(app.synth().directory)

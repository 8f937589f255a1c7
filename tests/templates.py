"""Templates of a deployment, synthesized in this process once a session: the first synth of a process takes seconds."""

import json
from functools import cache
from pathlib import Path

from aws_cdk import App

from access.assembly import StackTemplate, read
from app import add_stacks
from stacks.deployment import Deployment, ResearchDeployment

ROOT = Path(__file__).parent.parent
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]
WITHOUT_CODE = {**CONTEXT, "aws:cdk:bundling-stacks": []}
"""Staging the code takes most of a synth, and a template says nothing of it."""


@cache
def synthesize(deployment: Deployment | ResearchDeployment) -> tuple[StackTemplate, ...]:
    """The deployment's stacks, without their code."""
    app = App(context=WITHOUT_CODE)
    add_stacks(app, deployment)
    return read(Path(app.synth().directory))


def assembly(deployment: Deployment | ResearchDeployment, folder: Path) -> Path:
    """The folder, with all that `cdk deploy` takes in it: what `access.assembly.write` makes in another process."""
    app = App(context=CONTEXT, outdir=str(folder))
    add_stacks(app, deployment)
    return Path(app.synth().directory)

"""Templates of a deployment, synthesized in this process once a session: the first synth of a process takes seconds."""

import json
from functools import cache
from pathlib import Path

from aws_cdk import App

from app import add_stacks
from cli.assembly import StackTemplate, read
from stacks.deployment import Deployment, ResearchDeployment

ROOT = Path(__file__).parent.parent
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]


@cache
def synthesize(deployment: Deployment | ResearchDeployment) -> tuple[StackTemplate, ...]:
    """The deployment's stacks, code included."""
    return _synthesize(deployment, CONTEXT)


@cache
def synthesize_without_code(deployment: Deployment | ResearchDeployment) -> tuple[StackTemplate, ...]:
    """The deployment's stacks. Staging the code takes most of a synth, and no policy depends on it."""
    return _synthesize(deployment, {**CONTEXT, "aws:cdk:bundling-stacks": []})


def _synthesize(deployment: Deployment | ResearchDeployment, context: dict[str, object]) -> tuple[StackTemplate, ...]:
    app = App(context=context)
    add_stacks(app, deployment)
    return read(Path(app.synth().directory))

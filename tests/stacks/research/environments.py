"""Research environments and their templates."""

import json
from typing import Any

from stacks.deployment import Deployment, ResearchDeployment, load, parse
from tests.templates import ROOT, synthesize

Template = dict[str, Any]


def load_example(name: str) -> ResearchDeployment:
    """Return a deployment of deployments/."""
    deployment = load(ROOT / "deployments" / name)
    assert isinstance(deployment, ResearchDeployment)
    return deployment


def research_template(deployment: Deployment | ResearchDeployment) -> Template:
    """Return the template of the research stack, synthesized once a session."""
    (stack,) = (stack for stack in synthesize(deployment) if stack.name == f"{deployment.name}-research")
    return stack.template


def with_changes(
    deployment: ResearchDeployment, research: dict[str, Any] | None = None, **changes: Any
) -> ResearchDeployment:
    """Return the deployment with changes of `[research]` and of top-level keys."""
    table = json.loads(deployment.model_dump_json(exclude_none=True))
    table["research"] |= research or {}
    changed = parse(table | changes)
    assert isinstance(changed, ResearchDeployment)
    return changed

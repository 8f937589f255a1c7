"""Research environments, their templates, and resources in them."""

import json
from typing import Any

from stacks.deployment import Deployment, ResearchDeployment, load, parse
from tests.stacks.policies import Template
from tests.templates import ROOT, synthesize


def load_example(name: str) -> ResearchDeployment:
    """Return a deployment of deployments/."""
    deployment = load(ROOT / "deployments" / name)
    assert isinstance(deployment, ResearchDeployment)
    return deployment


def research_template(deployment: Deployment | ResearchDeployment) -> Template:
    """Return the template of the research stack, synthesized once a session."""
    (stack,) = (stack for stack in synthesize(deployment) if stack.name == f"{deployment.name}-research")
    return stack.template


def with_changes(deployment: ResearchDeployment, research: dict[str, Any], **changes: Any) -> ResearchDeployment:
    """Return the deployment with changes of `[research]` and of top-level keys."""
    table = json.loads(deployment.model_dump_json(exclude_none=True))
    table["research"] |= research
    changed = parse(table | changes)
    assert isinstance(changed, ResearchDeployment)
    return changed

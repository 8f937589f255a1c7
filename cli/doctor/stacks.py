"""Deployed stacks: their state, and whether their templates are those of the deployment file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from access.assembly import StackTemplate
from cli.doctor.requests import AbsentError, Requests
from cli.page import Finding, note, problem
from stacks.deployment.names import VERSION_OUTPUT

_SHOWN = 5
_REMEDIES = {
    "ROLLBACK_COMPLETE": "Its first deployment failed. Fix the cause, which is in its events, and deploy again.",
    "ROLLBACK_FAILED": "Its first deployment failed. Delete the stack, fix the cause, and deploy again.",
    "CREATE_FAILED": "Its first deployment failed. Delete the stack, fix the cause, and deploy again.",
    "UPDATE_ROLLBACK_COMPLETE": "Its last deployment failed and changed nothing. Fix the cause and deploy again.",
    "UPDATE_ROLLBACK_FAILED": "Run: aws cloudformation continue-update-rollback --stack-name {name}",
    "DELETE_FAILED": "Its deletion failed. The events name the resource.",
    "REVIEW_IN_PROGRESS": "It has a change set that was not executed. Deploy again.",
}
_GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")


@dataclass(frozen=True)
class DeployedStack:
    """A stack that CloudFormation has."""

    intended: StackTemplate
    """The stack that the deployment file describes."""
    deployed: StackTemplate
    """As it was deployed, with physical ids. The intended template, if the deployed one could not be read."""
    status: str
    reason: str

    @property
    def version(self) -> str:
        """The version of coatcheck that made the deployed template, or nothing."""
        return str(self.deployed.template.get("Outputs", {}).get(VERSION_OUTPUT, {}).get("Value", ""))

    @property
    def has_resources(self) -> bool:
        """Whether its resources can be looked at."""
        return self.status not in ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS", "DELETE_COMPLETE")


def find(requests: Requests, stack: StackTemplate) -> DeployedStack | None:
    """Return the deployed stack, or None if the request is not possible.

    Raises:
        AbsentError: the stack is not deployed.
    """
    answer = requests.ask("cloudformation", "describe_stacks", stack.region, StackName=stack.name)
    if not answer:
        return None
    (found,) = answer["Stacks"]
    status, reason = found["StackStatus"], found.get("StackStatusReason", "")
    if status == "DELETE_COMPLETE":
        raise AbsentError(stack.name)
    ids = {
        resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "")
        for page in requests.pages("cloudformation", "list_stack_resources", stack.region, StackName=stack.name)
        for resource in page["StackResourceSummaries"]
    }
    template = requests.ask(
        "cloudformation", "get_template", stack.region, StackName=stack.name, TemplateStage="Original"
    )
    body = template["TemplateBody"] if template else stack.template
    deployed = replace(stack, template=json.loads(body) if isinstance(body, str) else body, physical_ids=ids)
    return DeployedStack(stack, deployed, status, reason)


def state_findings(stack: DeployedStack) -> Iterator[Finding]:
    """Yield a state in which the stack does not work, or cannot be deployed."""
    name, status = stack.intended.name, stack.status
    if status not in _GOOD:
        reason = f" ({stack.reason})" if stack.reason else ""
        remedy = _REMEDIES.get(status, "Wait until it ends.").format(name=name)
        found = note if status.endswith("_IN_PROGRESS") and status not in _REMEDIES else problem
        yield found(f"stack {name}: is {status}{reason}. {remedy}")


def template_findings(stack: DeployedStack) -> Iterator[Finding]:
    """Yield a template that is not the deployment file's: the file or coatcheck changed after the deployment."""
    here, there = stack.intended.template["Resources"], stack.deployed.template.get("Resources", {})
    if changed := [*_changed(here, there)]:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        yield note(
            f"stack {stack.intended.name}: was deployed by coatcheck {stack.version or '(unknown version)'} from "
            f"another deployment file or version. Different: {', '.join(changed[:_SHOWN])}{more}. See `npx cdk diff "
            f"{stack.intended.id}`."
        )


def _changed(here: Mapping[str, Any], there: Mapping[str, Any]) -> Sequence[str]:
    ids = sorted({*here, *there})
    return [each for each in ids if _without_metadata(here.get(each)) != _without_metadata(there.get(each))]


def _without_metadata(resource: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {name: value for name, value in (resource or {}).items() if name != "Metadata"}

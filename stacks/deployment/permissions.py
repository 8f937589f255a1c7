"""The ceiling of a `permissions` file: permissions that a subscriber's state machine or own code cannot have.

A file's statements are a part of the intended permissions, so that no proof can find them too wide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stacks.deployment.names import Names, PayloadBucketNames, Resource
from stacks.deployment.state_machine import as_list

LARGEST = 6_500
"""IAM allows 10,240 characters in all policies of a role, and the role has up to 3,200 of coatcheck."""
_PASSED = ("iam:PassRole", "sts:AssumeRole")
"""The actions of IAM and STS that an application may need, each on complete ARNs of roles."""
_CHANGING = re.compile("Add|Attach|Create|Delete|Disable|Enable|Publish|Put|Remove|Retire|Revoke|Schedule|Set|Update")
_OF_DATA = {
    *("s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:DeleteObjectVersion"),
    *("events:PutEvents", "states:UpdateMapRun"),
}
"""Actions that change data, and no resource."""


def excessive_permissions(file: str, names: Names) -> Iterator[str]:
    """Yield the permissions of a file beyond the ceiling, each with the reason and the remedy."""
    research = [names.research] if names.research else []
    owners = (names.publisher, *names.subscribers.values(), *names.senders.values(), *research)
    own, partition = [arn for owner in owners for arn in _arns(owner)], names.publisher.place.partition
    statements = json.loads(Path(file).read_text(encoding="utf-8"))
    if (size := len(json.dumps(statements, separators=(",", ":")))) > LARGEST:
        yield f"has {size} characters without white space. Use at most {LARGEST}: IAM limits a role's policies."
    for index, statement in enumerate(statements):
        for resource in as_list(statement["Resource"]):
            if (named := re.match(r"arn:([a-z-]+):", resource)) and named[1] != partition:
                yield f"statement {index}, {resource}: is not in the partition {partition}. Use arn:{partition}:…."
        for action in as_list(statement["Action"]) if statement["Effect"] == "Allow" else ():
            for resource in as_list(statement["Resource"]):
                if reason := _excess(action, resource, own):
                    yield f"statement {index}, {action} on {resource}: {reason}"


def _excess(action: str, resource: str, own: list[str]) -> str | None:
    service, _, name = action.partition(":")
    if service in ("iam", "sts") and action not in _PASSED:
        return f"an application may not change or assume identities. Only {' and '.join(_PASSED)} are allowed."
    if action in _PASSED and re.search(r"[*?$]", resource):
        return "allows more than one role. Give the role's complete ARN."
    if resource.startswith("${"):
        changes = _CHANGING.match(name) and action not in _OF_DATA
        return "changes a resource of the deployment. Remove the action." if changes else None
    for arn in own:
        if arn.split(":")[2] == service and _matches(resource, arn):
            return f"matches {arn} of the deployment. Give another ARN, or a placeholder such as ${{LandingBucketArn}}."
    return None


def _matches(pattern: str, arn: str) -> bool:
    """Return whether a pattern matches a resource or something below it."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return pattern.startswith((f"{arn}/", f"{arn}:")) or re.fullmatch(expression, arn) is not None


def _arns(names: Any) -> Iterator[str]:
    """Yield the ARNs in an object of names. The ids of keys are not known: a sample stands for them."""
    yield names.place.named("kms", "00000000-0000-0000-0000-000000000000", "key/").arn
    for value in vars(names).values():
        for item in value.values() if isinstance(value, dict) else [value]:
            if isinstance(item, Resource):
                yield item.arn
            elif isinstance(item, PayloadBucketNames):
                yield from _arns(item)

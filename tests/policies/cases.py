"""Deployments whose templates are read, judged and proved, and mutants of their templates."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from access.assembly import AssemblyError, StackTemplate
from access.findings import Case, findings, read_case
from stacks.deployment import Deployment, ResearchDeployment, load, parse
from tests.templates import ROOT, synthesize

BOUNDARIES = {
    "arn:aws:iam::555555555555:policy/research-boundary": json.loads(
        (ROOT / "deployments" / "research-boundary.json").read_text(encoding="utf-8")
    ),
    **{
        f"arn:aws:iam::{digit * 12}:policy/workload-boundary": {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": ["iam:Create*", "iam:Put*", "iam:Attach*"], "Resource": "*"},
            ],
        }
        for digit in "123"
    },
}
"""The policies of the examples' permissions boundaries, which administrators create before they deploy."""
OTHER_ACCOUNT = "999999999999"
Node = dict[str, Any]
Stacks = tuple[StackTemplate, ...]


def case_of(deployment: Deployment | ResearchDeployment, stacks: Stacks | None = None) -> Case:
    """Read a deployment's templates, by default those that it is synthesized to."""
    return read_case(deployment, stacks or synthesize(deployment), BOUNDARIES)


@cache
def example(name: str, **changes: Any) -> Case:
    """Read an example deployment. `changes`: keys of the file, by a path with `__`: `research__budget`."""
    deployment = load(ROOT / "deployments" / f"{name}.toml")
    if changes:
        table = deployment.model_dump(mode="json", exclude_none=True)
        for path, text in changes.items():
            *parents, key = path.split("__")
            node: Any = table
            for parent in parents:
                node = node[int(parent)] if parent.isdigit() else node[parent]
            node[key] = json.loads(text)
        deployment = parse({key: value for key, value in table.items() if value is not None})
    return case_of(deployment)


def organization() -> Case:
    """The example in an organisation and with a landing bucket, so that it has every condition."""
    return example("example", organization='"o-a1b2c3d4e5"', subscribers__0__landing="{}")


def keys() -> Case:
    """The example with another value of most keys, and a replica for one of two subscribers."""
    network = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"], "assign_public_ip": True}
    image = f"777777777777.dkr.ecr.eu-west-1.amazonaws.com/teams/orders@sha256:{'0' * 64}"
    publisher: Node = {"maximum_message_bytes": 1024, "detail_types": ["order.placed"], "replicas": ["us-west-2"]}
    publisher |= {"payload_lifetime_days": 2, "accept_expired_pointers": True, "archive_days": 60}
    publisher |= {"glacier_after_days": 1, "delivery_log_percent": 10}
    orders: Node = {"region": "eu-central-1", "landing": {"retention_days": 7}, "filter_policy": {"kind": ["scan"]}}
    orders |= {"function_timeout_seconds": 120, "dead_letter_retention_days": 6, "maximum_receives": 3, "batch_size": 2}
    billing: Node = {"region": "us-west-2", "maximum_concurrency": 7, "subscribed": False, "network": network}
    billing |= {"task": {"image": image, "command": ["python", "-m", "orders"], "cpu": 1024, "memory_mib": 4096}}
    tables = {"publisher": publisher, "subscribers__0": orders, "subscribers__1": billing}
    changes = {f"{table}__{key}": json.dumps(value) for table, keys in tables.items() for key, value in keys.items()}
    accounts = {"shop": "444444444444", "web-shop": "444444444444", "own": "111111111111"}
    changes["senders"] = json.dumps([{"name": name, "account": account} for name, account in accounts.items()])
    changes["operations"] = '{"emails": ["a@b.example"], "log_retention_days": 90}'
    return example("example", **changes)


VARIANTS: dict[str, Callable[[], Case]] = {
    "organization": organization,
    "keys": keys,
    "everywhere": lambda: example(
        "everywhere", organization='"o-a1b2c3d4e5"', operations='{"emails": ["a@b.example"]}'
    ),
    "applications": lambda: example("applications"),
    "same-region": lambda: example("same-region"),
    "customer-keys": lambda: example("everywhere", platform='{"customer_keys": true}', ephemeral="true"),
    "research": lambda: example("research"),
    "research-images": lambda: example("research-images"),
    "research-trial": lambda: example("research-trial"),
    "research-messages": lambda: example("research-messages"),
    "research-ephemeral": lambda: example(
        "research",
        ephemeral="true",
        research__network='"internet"',
        research__readable_buckets='["example-cell-atlas"]',
        research__package_index='"https://pypi.example.com/simple"',
        research__availability_zones='["us-east-1b", "us-east-1d", "us-east-1f"]',
        research__budget__whole_account="true",
        research__pipelines='[{"name": "qc", "schedule": "rate(1 day)"}, {"name": "by-hand"}]',
    ),
    "research-china": lambda: example(
        "research-images",
        research__region='"cn-north-1"',
        platform="{}",
        research__budget="null",
        research__spaces="[]",
        **{f"research__{key}": "[]" for key in ("users", "images")},
    ),
}
"""Deployments that together have each part of the templates."""


def mutate(stacks: Stacks, name: str, change: Callable[[Node], object]) -> Stacks:
    """Return the stacks with a changed copy of one template.

    Raises:
        ValueError: nothing was changed.
    """
    (stack,) = (stack for stack in stacks if stack.name == name)
    template = copy.deepcopy(stack.template)
    change(template)
    if template == stack.template:
        raise ValueError(f"nothing is changed in {name}")
    return tuple(replace(other, template=template) if other is stack else other for other in stacks)


def findings_of(sound: Case, stacks: Stacks) -> str:
    """Return the findings in mutated templates, or "" if the mutant survives. Only changed policies are proved."""
    try:
        case = case_of(sound.deployment, stacks)
    except AssemblyError as error:
        return str(error)
    return "\n".join(findings(case, _changed_policies(sound, case)))


def _changed_policies(sound: Case, case: Case) -> set[str]:
    """Return the ARNs of the resources and roles with another policy."""
    before, after = sound.inventory, case.inventory
    return {
        *(arn for arn, found in after.resource_policies.items() if found != before.resource_policies.get(arn)),
        *(arn for arn, role in after.roles.items() if role != before.roles.get(arn)),
    }

"""Updates in place: a resource whose name stays has the same logical id, and CloudFormation does not replace it.

CloudFormation creates a replacement first. Under a name that is in use, the creation fails: it exists already.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from access.assembly import StackTemplate
from access.template import Resources
from cli.check.templates import named_resources
from stacks.deployment import parse_messaging
from tests.stacks.deployment.samples import VALID
from tests.templates import ROOT, synthesize

CODE = {"folder": str(ROOT / "applications" / "count_lines")}
NETWORK = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]}
IMAGE = f"public.ecr.aws/example/orders@sha256:{'0' * 64}"
BASE: dict[str, Any] = {"name": "orders", "account": "222222222222", "region": "us-east-1"}
APPLICATIONS: dict[str, list[dict[str, Any]]] = {
    "sqs": [
        {"application": "state_machine"},
        {"application": "state_machine", "landing": {}, "code": CODE},
        {"application": "ecs_task"},
        {"application": "ecs_task", "task": {"image": IMAGE}, "network": NETWORK},
        {"application": "function", "code": CODE},
        {"application": "queue"},
    ],
    "lambda": [
        {"application": "state_machine"},
        {"application": "ecs_task"},
        {"application": "function", "code": CODE},
    ],
}
PUBLISHERS: list[dict[str, Any]] = [
    {},
    {"replicas": ["us-west-2"], "delivery_log_percent": 5, "glacier_after_days": 9, "detail_types": ["a"]},
    {"offload": "always", "archive_days": 5, "outbox": {"attributes": ["a"]}},
]


def stacks(publisher: dict[str, Any], *subscribers: dict[str, Any], **keys: Any) -> dict[str, StackTemplate]:
    table = {**VALID, "publisher": VALID["publisher"] | publisher, "subscribers": [*subscribers], **keys}
    return {stack.name: stack for stack in synthesize(parse_messaging(table))}


def refusals(before: dict[str, StackTemplate], after: dict[str, StackTemplate]) -> Iterator[str]:
    """Yield the resources of an update whose creation CloudFormation would refuse."""
    for name in before.keys() & after.keys():
        old, new = Resources(before[name]), Resources(after[name])
        taken = _names(before[name])
        for named, where in _names(after[name]).items():
            if named in taken and taken[named] != where:
                yield f"{taken[named]} and {where} have the name {named}"
        for logical, resource in new.all.items():
            was = old.all.get(logical, resource)
            if was["Type"] != resource["Type"]:
                yield f"{name}/{logical}: {was['Type']} becomes {resource['Type']}"
            elif f"{name}/{logical}" in taken.values():
                for key in _create_only(resource["Type"]):
                    values = [each.resolve(each.properties(logical).get(key), logical) for each in (old, new)]
                    if values[0] != values[1]:
                        yield f"{name}/{logical}: {key} changes from {values[0]} to {values[1]}"


def _names(stack: StackTemplate) -> dict[tuple[str, str], str]:
    """Return logical ids by type and name. A family of task definitions has many revisions."""
    named = named_resources([stack], "")
    return {(each.kind, each.name): each.where for each in named if each.kind != "AWS::ECS::TaskDefinition"}


def _create_only(kind: str) -> set[str]:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["sqs", "lambda"])
def test_application_is_changed_in_place(kind: str) -> None:
    deployed = [stacks({}, {**BASE, "kind": kind, **keys}) for keys in APPLICATIONS[kind]]
    for before, after in permutations(deployed, 2):
        assert not list(refusals(before, after))


@pytest.mark.exhaustive
def test_settings_of_the_publisher_are_changed_in_place() -> None:
    near, far = {**BASE, "kind": "sqs"}, {**BASE, "kind": "sqs", "name": "far", "region": "us-west-2"}
    deployed = [stacks(publisher, near, far) for publisher in PUBLISHERS]
    deployed.append(stacks({}, near, far, senders=[], organization="o-a1b2c3d4e5", ephemeral=True))
    for before, after in permutations(deployed, 2):
        assert not list(refusals(before, after))


@pytest.mark.exhaustive
def test_customer_keys_replace_the_image_repository_alone() -> None:
    """The guide says to delete the repository first."""
    task, queue = {**BASE, "kind": "lambda"}, {**BASE, "kind": "sqs", "name": "queue", "landing": {}}
    before, after = (stacks({}, task, queue, platform={"customer_keys": keys}) for keys in (False, True))
    found = [*refusals(before, after)]
    assert len(found) == 1
    assert found[0].startswith("coatcheck-orders/TaskImageRepository")


def test_refusals_are_found() -> None:
    """The name of a queue that moves to another construct, and a property that CloudFormation cannot change."""
    before = stacks({}, {**BASE, "kind": "sqs"})
    (table, queue) = (
        {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", "FifoQueue": fifo}} for fifo in (1, 0)
    )
    (old, moved, changed) = (
        {"s": StackTemplate("s", "s", "222222222222", "us-east-1", {"Resources": resources})}
        for resources in ({"A": table}, {"B": table}, {"A": queue})
    )
    assert not list(refusals(before, before))
    assert len([*refusals(old, moved)]) == len([*refusals(old, changed)]) == 1

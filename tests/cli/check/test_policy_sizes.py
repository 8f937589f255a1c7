"""Sizes of policies."""

import json
from dataclasses import replace
from typing import Any

import pytest

from access.assembly import StackTemplate
from access.policies import read_inventory
from cli.check.policy_sizes import INLINE, RESOURCE_LIMITS, Size, largest, sizes
from stacks.deployment import load
from tests.templates import ROOT, synthesize

PLACES = {
    "AWS::S3::BucketPolicy": ("bucket", "PolicyDocument"),
    "AWS::SNS::TopicPolicy": ("topic", "PolicyDocument"),
    "AWS::SQS::QueuePolicy": ("queue", "PolicyDocument"),
    "AWS::KMS::Key": ("key", "KeyPolicy"),
    "AWS::IAM::Role": ("role", "AssumeRolePolicyDocument"),
}


def example() -> tuple[StackTemplate, ...]:
    return synthesize(load(ROOT / "deployments" / "example.toml"))


def size_of(noun: str, template: dict[str, Any]) -> Size:
    stacks = [replace(stack, template=template) if stack.id == "coatcheck-publisher" else stack for stack in example()]
    return next(size for size in largest(read_inventory(stacks)) if size.limit.noun == noun)


@pytest.mark.parametrize("kind", PLACES)
def test_size_grows_with_the_policy_of_each_kind(kind: str) -> None:
    name, document = PLACES[kind]
    noun = RESOURCE_LIMITS[name].noun
    template = json.loads(json.dumps(example()[0].template))
    resource = next(each for each in template["Resources"].values() if each["Type"] == kind)
    (statement, *_) = resource["Properties"][document]["Statement"]
    statement["Sid"] = "S" * RESOURCE_LIMITS[name].bytes
    assert size_of(noun, template).share > 1


def test_inline_policies_of_a_role_are_added_up() -> None:
    template = json.loads(json.dumps(example()[0].template))
    policy = next(each for each in template["Resources"].values() if each["Type"] == "AWS::IAM::Policy")
    before = size_of(INLINE.noun, template)
    policy["Properties"]["PolicyDocument"]["Statement"][0]["Sid"] = "S" * 5_000
    once = size_of(INLINE.noun, template)
    template["Resources"]["Second"] = {**policy, "Properties": {**policy["Properties"], "PolicyName": "Second"}}
    twice = size_of(INLINE.noun, template)
    assert before.share < once.share < 1 < twice.share


def test_white_space_does_not_count() -> None:
    """IAM and the services count compact JSON."""
    inventory = read_inventory(example())
    role = next(iter(inventory.roles.values()))
    found = {size.where: size.bytes for size in sizes(inventory) if size.limit is INLINE}
    (document,) = role.policies
    assert found[f"{role.name}, in {role.where.partition('/')[0]}"] == len(json.dumps(document, separators=(",", ":")))


def test_policies_of_researchers_fit_with_a_pipeline() -> None:
    inventory = read_inventory(synthesize(load(ROOT / "deployments" / "research-messages.toml")))
    assert max(size.share for size in sizes(inventory)) < 1

"""Names, Regions and cfn-lint."""

import json
from dataclasses import replace
from typing import Any

import pytest

from access.assembly import StackTemplate
from cli.check import templates
from cli.check.templates import lint, name_findings, named_resources, region_findings
from cli.page import Finding, Level
from stacks.deployment import load, parse
from stacks.deployment.regions import partition
from tests.stacks.deployment.samples import BILLING, VALID, changed
from tests.templates import ROOT, synthesize

EXAMPLE = load(ROOT / "deployments" / "example.toml")
NETWORK = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]}


def sound() -> tuple[StackTemplate, ...]:
    return synthesize(EXAMPLE)


def collisions(*files: tuple[StackTemplate, ...]) -> list[Finding]:
    named = [each for index, stacks in enumerate(files) for each in named_resources(stacks, f"{index}.toml")]
    return list(name_findings("0.toml", files[0], named))


def test_names_of_one_deployment_differ() -> None:
    assert not collisions(sound())


def test_deployments_with_two_names_share_accounts() -> None:
    """Of the publisher and a subscriber, of which the second name begins with the first one."""
    other = EXAMPLE.model_copy(update={"name": "coatcheck-test"})
    assert not collisions(sound(), synthesize(other))


def test_same_name_in_two_regions_is_reported() -> None:
    """IAM and dashboards have one name space for all Regions."""
    elsewhere = tuple(
        replace(stack, region={"us-east-1": "eu-west-1"}.get(stack.region, "eu-west-2")) for stack in sound()
    )
    (found,) = collisions(sound(), elsewhere)
    assert found.level is Level.PROBLEM
    assert found.text.startswith("1.toml: has the same names: ")
    assert "AWS::IAM::Role coatcheck-" in found.text
    assert found.text.endswith("more. Change `name` of one of the two files.")


def test_name_composed_of_two_names_is_reported() -> None:
    """Deployment `coatcheck` with the subscriber `test-orders`, and `coatcheck-test` with `orders`."""
    one = changed("subscribers", 0, "name", to="test-orders")
    two = changed("name", to="coatcheck-test")
    (found,) = collisions(synthesize(parse(one)), synthesize(parse(two)))
    assert "stack coatcheck-test-orders in 222222222222 us-west-2" in found.text


def test_two_resources_with_one_name_are_reported() -> None:
    publisher = sound()[0]
    template = json.loads(json.dumps(publisher.template))
    template["Resources"]["Second"] = {
        "Type": "AWS::SQS::Queue",
        "Properties": {"QueueName": "coatcheck-publish-dead-letters"},
    }
    (found,) = collisions((replace(publisher, template=template),))
    assert "AWS::SQS::Queue coatcheck-publish-dead-letters in 111111111111 us-east-1: is the name of" in found.text
    assert "coatcheck-publisher/Second" in found.text


@pytest.mark.parametrize(
    ("limit", "text"), [("STACK_RESOURCES", " resources"), ("STACK_NAME_CHARACTERS", "characters in its name")]
)
def test_stack_over_a_limit_is_reported(limit: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, limit, 10)
    assert any(text in found.text for found in collisions(sound()[2:3]))


def regions(region: str, **keys: Any) -> list[str]:
    table = changed("publisher", "region", to=region)
    table |= {"senders": [], "subscribers": [{**BILLING, "region": region, "network": NETWORK, **keys}]}
    deployment = parse(table)
    return [f"{found.level} {found.text}" for found in region_findings(deployment, synthesize(deployment))]


def test_region_with_everything_has_no_finding() -> None:
    assert not regions("us-east-1")
    assert not list(region_findings(EXAMPLE, sound()))


def test_unknown_features_of_a_region_are_noted() -> None:
    (found,) = regions("eu-north-1")
    assert found.startswith('note subscribers[0].region = "eu-north-1": whether CodeBuild builds on arm64 there is not')
    assert "set subscribers[0].task.image" in found
    assert any("schemas are not published" in found for found in regions("me-south-1"))
    image = f"public.ecr.aws/example/billing@sha256:{'0' * 64}"
    assert all("whether Lambda" in found for found in regions("ca-west-1", task={"image": image}))


def test_keys_of_regions_are_those_of_the_stacks() -> None:
    """The stack of an HTTPS endpoint is in the topic's Region."""
    keys = templates.region_keys(load(ROOT / "deployments" / "everywhere.toml"))
    assert (keys["coatcheck-orders"], keys["coatcheck-partner"]) == ("subscribers[0].region", "publisher.region")


def test_missing_type_names_the_key() -> None:
    """A type that the deployment file's checks do not know."""
    stack = replace(sound()[0], region="ca-west-1")
    template = {"Resources": {"Project": {"Type": "AWS::CodeBuild::Project"}}}
    found = [each.text for each in region_findings(EXAMPLE, [replace(stack, template=template)])]
    assert found[0].startswith('publisher.region = "ca-west-1": CloudFormation has no AWS::CodeBuild::Project there')


@pytest.mark.parametrize("region", ["eusc-de-east-1", "us-iso-east-1", "cn-north-1"])
def test_lint_accepts_principals_of_every_partition(region: str) -> None:
    root = f"arn:{partition(region)}:iam::111111111111:root"
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": root}}
    document = {"Version": "2012-10-17", "Statement": [allow]}
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document}}
    key = {
        "Type": "AWS::KMS::Key",
        "Properties": {"KeyPolicy": {**document, "Statement": [{**allow, "Action": "kms:*", "Resource": "*"}]}},
    }
    template = {"Resources": {"Role": role, "Key": key}}
    assert not list(lint([StackTemplate("a", "a", "111111111111", region, template)]))


def test_lint_uses_the_region_of_each_stack() -> None:
    """A template that is valid where the type exists."""
    project = {"Type": "AWS::SageMaker::Space", "Properties": {"DomainId": "d-1", "SpaceName": "a"}}
    template = {"Resources": {"Space": project}}
    here = StackTemplate("a", "a", "111111111111", "us-east-1", template)
    assert not list(lint([here]))
    (found,) = lint([replace(here, region="ca-west-1")])
    assert "AWS::SageMaker::Space" in found.text
    assert VALID["name"]

"""An organisation's settings in the templates of all stacks."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from access.assembly import StackTemplate
from stacks.deployment import load, parse
from tests.templates import ROOT, synthesize

TAGS = {"cost-centre": "4711"}


def with_platform(stem: str, **keys: Any) -> tuple[StackTemplate, ...]:
    """Return the stacks of an example with keys of `[platform]`."""
    table = load(ROOT / "deployments" / f"{stem}.toml").model_dump(mode="json", exclude_none=True)
    return synthesize(parse(table | {"platform": keys}, ROOT / "deployments" / "deployment.toml"))


def test_every_stack_has_its_version() -> None:
    for stack in with_platform("everywhere"):
        assert stack.template["Outputs"]["CoatcheckVersion"]["Value"] == version("coatcheck")


@pytest.mark.parametrize("stem", ["everywhere", "same-region"])
def test_every_role_has_the_boundary_of_its_account(stem: str) -> None:
    for stack in with_platform(stem, permissions_boundary="team/boundary"):
        roles = [each for each in stack.template["Resources"].values() if each["Type"] == "AWS::IAM::Role"]
        expected = f"arn:aws:iam::{stack.account}:policy/team/boundary"
        assert {role["Properties"].get("PermissionsBoundary") for role in roles} <= {expected}


def test_taggable_resources_have_the_tags() -> None:
    for stack in with_platform("everywhere", tags=TAGS) + with_platform("same-region", tags=TAGS):
        for logical, resource in stack.template["Resources"].items():
            if resource["Type"].startswith("AWS::") and resource["Type"] != "AWS::DynamoDB::GlobalTable":
                schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
                if "Tags" in schema["properties"]:
                    assert "4711" in str(resource["Properties"].get("Tags")), (stack.name, logical)


def test_bootstrap_qualifier_selects_the_bootstrap_stack() -> None:
    for stack in with_platform("same-region", bootstrap_qualifier="team1"):
        text = str(stack.template)
        assert "/cdk-bootstrap/team1/version" in text
        assert "hnb659fds" not in text


@pytest.fixture(scope="module")
def stacks() -> tuple[StackTemplate, ...]:
    """The example with all settings."""
    return synthesize(load(ROOT / "deployments" / "same-region.toml"))


def resources(stacks: Iterable[StackTemplate], kind: str) -> Iterator[tuple[StackTemplate, dict[str, Any]]]:
    """Yield stack and properties of all resources of a type."""
    for stack in stacks:
        for resource in stack.template["Resources"].values():
            if resource["Type"] == kind:
                yield stack, resource["Properties"]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("AWS::SQS::Queue", "KmsMasterKeyId"),
        ("AWS::Logs::LogGroup", "KmsKeyId"),
        ("AWS::Lambda::Function", "KmsKeyArn"),
        ("AWS::ECR::Repository", "EncryptionConfiguration"),
        ("AWS::S3::Bucket", "BucketEncryption"),
        ("AWS::SNS::Topic", "KmsMasterKeyId"),
    ],
)
def test_customer_key_encrypts(stacks: tuple[StackTemplate, ...], kind: str, path: str) -> None:
    found = list(resources(stacks, kind))
    assert found
    for stack, properties in found:
        keys = {logical for logical in stack.template["Resources"] if logical in str(properties.get(path))}
        assert {stack.template["Resources"][logical]["Type"] for logical in keys} == {"AWS::KMS::Key"}


def test_buckets_log_access_below_their_name(stacks: tuple[StackTemplate, ...]) -> None:
    for stack, properties in resources(stacks, "AWS::S3::Bucket"):
        assert properties["LoggingConfiguration"] == {
            "DestinationBucketName": f"access-logs-{stack.account}-eu-central-1",
            "LogFilePrefix": f"{properties['BucketName']}/",
        }


def test_functions_reserve_concurrency(stacks: tuple[StackTemplate, ...]) -> None:
    functions = [properties for _, properties in resources(stacks, "AWS::Lambda::Function")]
    reserved = {function.get("FunctionName"): function["ReservedConcurrentExecutions"] for function in functions}
    assert reserved["coatcheck-orders-consume"] == 10  # as many as poll the queue
    assert reserved["coatcheck-publish"] == reserved["coatcheck-billing-consume"] == 5


def test_functions_run_in_the_network_of_their_account(stacks: tuple[StackTemplate, ...]) -> None:
    for stack, properties in resources(stacks, "AWS::Lambda::Function"):
        network = int(stack.account[0]) - 1
        assert properties["VpcConfig"]["SecurityGroupIds"] == [f"sg-{network}123456789abcdef0"]
        role = stack.template["Resources"][properties["Role"]["Fn::GetAtt"][0]]["Properties"]
        (policy,) = role["Policies"]
        assert "ec2:CreateNetworkInterface" in policy["PolicyDocument"]["Statement"][0]["Action"]

"""The table of properties against CloudFormation's schemas, botocore's models and the resources of templates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import jmespath.parser  # type: ignore[import-untyped]
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import validate_parameters

from access.table import PROVED, Tags, Text
from cli.doctor.properties import TABLE, Read
from tests.policies.cases import VARIANTS
from tests.stacks.schemas import schema

MESSAGING = ("organization", "everywhere", "applications", "same-region", "customer-keys")
NOT_COMPARED = {
    "AWS::CloudWatch::Dashboard": "shown to people only",
    "AWS::EC2::SecurityGroupIngress": "in networks of research only",
    "AWS::EC2::VPC.EnableDnsHostnames": "one request for each attribute, and nothing in the network can change it",
    "AWS::EC2::VPC.EnableDnsSupport": "as EnableDnsHostnames",
    "AWS::EC2::VPCGatewayAttachment": "the route to the gateway is compared",
    "AWS::ECR::Repository.EmptyOnDelete": "of CloudFormation, not of the repository",
    "AWS::Lambda::Function.Code": "AWS returns the hash of a ZIP file that the CDK CLI makes",
    "AWS::EC2::FlowLog": "only its deletion changes it",
    "AWS::EC2::VPCEndpoint.PolicyDocument": "a policy",
    "AWS::Events::Rule.EventBusName": "in the request",
    "AWS::IAM::Role.Policies": "policies",
    "AWS::SNS::Subscription.Region": "in the request",
}
READS = [pytest.param(read, id=f"{name} {read.request}") for name, reads in TABLE.items() for read in reads]


def compared(resource_type: str) -> set[str]:
    return {
        (at.here or name).partition(".")[0].partition("[")[0]
        for read in TABLE.get(resource_type, ())
        for name, at in read.places().items()
    }


def not_compared() -> Iterator[str]:
    """Yield the properties of templates that could differ without a finding."""
    stacks = [resources for name in MESSAGING for resources in VARIANTS[name]().intent.resources.values()]
    rows: dict[str, dict[str, Any]] = {}
    for expected in (expected for resources in stacks for expected in resources.values()):
        rows.setdefault(expected.type, {}).update(expected.properties)
    for resource_type in (each for each in rows if not each.startswith("Custom::")):
        fixed = {path.split("/")[2] for path in schema(resource_type).get("createOnlyProperties", ())}
        for name, rule in rows[resource_type].items():
            free = rule is PROVED or isinstance(rule, Tags | Text) or name in fixed | {"Description"}
            known = name in compared(resource_type) or {resource_type, f"{resource_type}.{name}"} & NOT_COMPARED.keys()
            if not free and not known:
                yield f"{resource_type}.{name}"


@pytest.mark.exhaustive
def test_every_property_is_compared() -> None:
    assert list(not_compared()) == []


def test_compared_properties_are_of_the_schemas() -> None:
    for resource_type in TABLE:
        own = schema(resource_type)["properties"]
        unknown = {name for name in compared(resource_type) if name not in own}
        # Not of the template: the state that AWS gives to a resource, and parts of a property.
        assert unknown <= {"State", "KeyState", "LastUpdateStatus", "Status", "PendingConfirmation"}, resource_type


def _shapes(shape: Shape | None) -> Iterator[Shape]:
    match shape:
        case StructureShape():
            yield shape
            for member in shape.members.values():
                yield from _shapes(member)
        case ListShape():
            yield from _shapes(shape.member)
        case MapShape():
            yield shape


def _fields(node: dict[str, Any]) -> Iterator[str]:
    """Yield the names that a JMESPath reads."""
    if node["type"] == "field":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _fields(child)


@pytest.mark.parametrize("read", READS)
def test_request_is_of_botocore(read: Read) -> None:
    service, _, method = read.request.partition(".")
    client = boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]
    operation = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    arguments = json.loads(json.dumps(read.arguments).replace("{physical}", "1" * 36))
    validate_parameters(arguments, operation.input_shape)
    shapes = list(_shapes(operation.output_shape))
    if any(isinstance(shape, MapShape) for shape in shapes):
        return  # SNS and SQS: attributes by name
    members = {name.lower() for shape in shapes if isinstance(shape, StructureShape) for name in shape.members}
    parser = jmespath.parser.Parser()
    names = set(_fields(parser.parse(read.root).parsed))
    for name, at in read.places().items():
        names |= set(_fields(parser.parse(at.path).parsed)) if at.path else {name}
    assert {name for name in names if name.lower() not in members} == set()

"""The reader: every document, section and artifact is read, or named in an error."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from access.assembly import StackTemplate
from access.findings import Case
from tests.policies.cases import OTHER_ACCOUNT, Node, example, findings_of, mutate, organization

PUBLISHER, ORDERS, UNDELIVERED = "coatcheck-publisher", "coatcheck-orders", "coatcheck-orders-undelivered"
ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}]}
OTHER_ROOT = {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}


def public(*resources: str) -> Node:
    allow = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": list(resources)}
    return {"Version": "2012-10-17", "Statement": [allow]}


def add(kind: str, **properties: Any) -> Callable[[Node], object]:
    return lambda template: template["Resources"].update(Added={"Type": kind, "Properties": properties})


def change(kind: str, prefix: str, **properties: Any) -> Callable[[Node], object]:
    def of(template: Node) -> None:
        (resource,) = (
            resource
            for logical, resource in template["Resources"].items()
            if resource["Type"] == kind and logical.startswith(prefix)
        )
        resource["Properties"] |= properties

    return of


def rewrite(text: str, other: str) -> Callable[[Node], object]:
    return lambda template: template.update(json.loads(json.dumps(template).replace(text, other)))


READER = "coatcheck-orders-reader"
BASIC = f"arn:aws:iam::{OTHER_ACCOUNT}:policy/service-role/AWSLambdaBasicExecutionRole"
BUS = "arn:aws:events:us-east-1:111111111111"
MUTANTS: dict[str, tuple[str, Callable[[Node], object], str]] = {
    # Identity policies that stand in another stack than their role, or whose role is in no stack.
    "policy in another stack": (
        UNDELIVERED,
        add("AWS::IAM::Policy", PolicyName="x", PolicyDocument=ADMINISTRATOR, Roles=[READER]),
        f"role/{READER}: the policy allows this request",
    ),
    "managed policy in another stack": (
        UNDELIVERED,
        add("AWS::IAM::ManagedPolicy", PolicyDocument=ADMINISTRATOR, Roles=[READER]),
        f"role/{READER}: the policy allows this request",
    ),
    "policy of a role in no stack": (
        UNDELIVERED,
        add("AWS::IAM::Policy", PolicyName="x", PolicyDocument=ADMINISTRATOR, Roles=["Admin"]),
        r"A policy is for arn:aws:iam::222222222222:role/Admin, which is in no stack\.",
    ),
    "policy of a user": (
        UNDELIVERED,
        add("AWS::IAM::Policy", PolicyName="x", PolicyDocument=ADMINISTRATOR, Users=["Admin"]),
        "is for users or groups",
    ),
    "inline policy": (
        ORDERS,
        change(
            "AWS::IAM::Role", "ConsumerFunctionRole", Policies=[{"PolicyName": "x", "PolicyDocument": ADMINISTRATOR}]
        ),
        f"role/{READER}: the policy allows this request",
    ),
    "policy with the name of another": (
        ORDERS,
        add(
            "AWS::IAM::Policy",
            PolicyName="ConsumerFunctionRoleDefaultPolicy8F8E7030",
            PolicyDocument=ADMINISTRATOR,
            Roles=[READER],
        ),
        "a second AWS::IAM::Policy ConsumerFunctionRoleDefaultPolicy8F8E7030",
    ),
    "customer's policy with the name of AWS's": (
        "coatcheck-billing",
        change("AWS::IAM::Role", "TaskImageBuilderProviderframeworkonEvent", ManagedPolicyArns=[BASIC]),
        f"managed policy '{BASIC}' is unknown",
    ),
    "path of a role": (
        ORDERS,
        change("AWS::IAM::Role", "ConsumerFunctionRole", Path="/apps/"),
        "has the path /apps/",
    ),
    # Resource policies about something else.
    "bus policy about rules": (
        PUBLISHER,
        add(
            "AWS::Events::EventBusPolicy",
            EventBusName="coatcheck",
            StatementId="x",
            Statement={
                "Effect": "Allow",
                "Principal": {"AWS": "444444444444"},
                "Action": "events:PutRule",
                "Resource": f"{BUS}:rule/coatcheck/*",
            },
        ),
        f"a statement of its policy is about {BUS}:rule/coatcheck/",
    ),
    "bus policy with the id of another": (
        PUBLISHER,
        add(
            "AWS::Events::EventBusPolicy",
            EventBusName="coatcheck",
            StatementId="coatcheck-444444444444",
            Statement={
                "Effect": "Allow",
                "Principal": "*",
                "Action": "events:*",
                "Resource": f"{BUS}:event-bus/coatcheck",
            },
        ),
        "a second AWS::Events::EventBusPolicy coatcheck-444444444444",
    ),
    "queue policy about another queue": (
        ORDERS,
        change(
            "AWS::SQS::QueuePolicy", "QueuePolicy", PolicyDocument=public("arn:aws:sqs:us-west-2:222222222222:other")
        ),
        "a statement of its policy is about arn:aws:sqs",
    ),
    "policy without version": (
        ORDERS,
        change("AWS::S3::BucketPolicy", "ConsumerStaging", PolicyDocument={"Statement": []}),
        "needs a list of statements and Version",
    ),
    "policy of the older version": (
        ORDERS,
        change("AWS::S3::BucketPolicy", "ConsumerStaging", PolicyDocument={"Version": "2008-10-17", "Statement": []}),
        "version 2008-10-17, not 2012-10-17",
    ),
    "statement that is not in a list": (
        ORDERS,
        change("AWS::S3::BucketPolicy", "ConsumerStaging", PolicyDocument={**ADMINISTRATOR, "Statement": {}}),
        "needs a list of statements",
    ),
    # The template around the resources.
    "macro": (ORDERS, lambda t: t.update(Transform="Other"), "section Transform of the template is unknown"),
    "parameter": (ORDERS, lambda t: t["Parameters"].update(Other={"Type": "String"}), "parameter Other has a value"),
    "rule": (ORDERS, lambda t: t["Rules"].update(Other={"Assertions": []}), "a rule that is unknown"),
    "rule that refuses a deployment": (
        ORDERS,
        lambda t: t["Rules"]["CheckBootstrapVersion"].update(Assertions=[{"Assert": False}]),
        "a rule that is unknown",
    ),
    "other bootstrap stack": (
        ORDERS,
        lambda t: t["Parameters"]["BootstrapVersion"].update(Default="/cdk-bootstrap/other/version"),
        "parameter BootstrapVersion has a value",
    ),
    "no rule for the bootstrap stack": (ORDERS, lambda t: t.pop("Rules"), "not that of CDK"),
    "version of the bootstrap stack as text": (
        ORDERS,
        lambda t: t["Parameters"]["BootstrapVersion"].update(Type="String"),
        "parameter BootstrapVersion has a value",
    ),
    "generated name as text": (
        ORDERS,
        change(
            "AWS::StepFunctions::StateMachine",
            "StateMachine",
            RoleArn={
                "Fn::Join": ["", ["arn:aws:iam::222222222222:role/coatcheck-", "orders-StateMachineRole78EC082E"]]
            },
        ),
        "coatcheck-orders-StateMachineRole78EC082E is not a reference, but a text",
    ),
    "description of an output": (
        "coatcheck-shop-sender",
        lambda t: t["Outputs"]["EventBusArn"].update(Description="See https://other.example.com"),
        "description.EventBusArn has https://other.example.com",
    ),
    "description of a stack": (ORDERS, lambda t: t.update(Description=f"of {OTHER_ACCOUNT}"), "description. has 9"),
    "tag": (ORDERS, change("AWS::KMS::Key", "LandingKey", Tags=[{"Key": "team", "Value": "x"}]), "Tags.team is not"),
    "retries without an end": (
        ORDERS,
        rewrite(r"\"MaxAttempts\":150", r"\"MaxAttempts\":15000"),
        "States.CopyPayload.Retry is .*does not end",
    ),
    "images kept": (
        "coatcheck-billing",
        change("AWS::ECR::Repository", "TaskImage", LifecyclePolicy={"LifecyclePolicyText": '{"rules": []}'}),
        "LifecyclePolicyText.rules is",
    ),
    "exception for a tool": (
        ORDERS,
        lambda t: next(iter(t["Resources"].values())).update(Metadata={"checkov": {"skip": []}}),
        "checkov is unknown",
    ),
    "output": (
        "coatcheck-shop-sender",
        lambda t: t["Outputs"]["EventBusArn"].update(Value=f"{BUS}:event-bus/other"),
        "output.EventBusArn is .*other",
    ),
    "macro in properties": (
        ORDERS,
        change("AWS::S3::BucketPolicy", "ConsumerStaging", **{"Fn::Transform": {"Name": "Other"}}),
        "Fn::Transform cannot be resolved",
    ),
    "macro in a value": (
        ORDERS,
        change("AWS::SQS::Queue", "Queue", QueueName={"Fn::ImportValue": "Other"}),
        "Fn::ImportValue cannot be resolved",
    ),
    "loop among resources": (
        ORDERS,
        lambda t: t["Resources"].update({"Fn::ForEach::Roles": ["Role", ["a"], {}]}),
        "ForEach::Roles: .* is unknown",
    ),
    "condition of a resource": (
        ORDERS,
        lambda t: next(iter(t["Resources"].values())).update(Condition="Other"),
        "Condition is unknown",
    ),
    "creation policy": (
        ORDERS,
        lambda t: next(iter(t["Resources"].values())).update(CreationPolicy={}),
        "CreationPolicy is unknown",
    ),
    "export": (ORDERS, lambda t: t["Outputs"].update(Other={"Value": "x", "Export": {"Name": "x"}}), "an output has"),
    # Resources that are added.
    "second state machine with the first one's role": (
        ORDERS,
        lambda t: t["Resources"].update(
            Second=next(r for r in t["Resources"].values() if r["Type"] == "AWS::StepFunctions::StateMachine")
        ),
        "is the ARN of two resources",
    ),
    "second resource of one construct": (
        ORDERS,
        lambda t: t["Resources"].update(Queue12345678={"Type": "AWS::SNS::Topic", "Properties": {}}),
        "a second resource for the construct Queue",
    ),
    "unknown type": (ORDERS, add("AWS::Lambda::Url", AuthType="NONE"), "AWS::Lambda::Url that is not in the intent"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_found(name: str, in_organization: Case) -> None:
    stack, mutation, finding = MUTANTS[name]
    found = findings_of(in_organization, mutate(in_organization.stacks, stack, mutation))
    assert found
    assert re.search(finding, found), found


LATER = "coatcheck-audit"
BUCKET, TOPIC = "arn:aws:s3:::coatcheck-payloads-111111111111-eu-central-1", "arn:aws:sns:eu-central-1:111111111111"
LATER_POLICIES: dict[str, tuple[Callable[[Node], object], str]] = {
    "bucket": (
        add("AWS::S3::BucketPolicy", Bucket=BUCKET.removeprefix("arn:aws:s3:::"), PolicyDocument=public(f"{BUCKET}/*")),
        "a second AWS::S3::BucketPolicy",
    ),
    "topic": (
        add(
            "AWS::SNS::TopicPolicy",
            Topics=[f"{TOPIC}:coatcheck-messages"],
            PolicyDocument=public(f"{TOPIC}:coatcheck-messages"),
        ),
        "a second AWS::SNS::TopicPolicy",
    ),
    "function": (
        add(
            "AWS::Lambda::Permission",
            Action="lambda:UpdateFunctionCode",
            Principal=OTHER_ACCOUNT,
            FunctionName="coatcheck-publish",
        ),
        f"allows {OTHER_ACCOUNT}, a principal that is not in the intent",
    ),
    "bus": (
        add(
            "AWS::Events::EventBusPolicy",
            EventBusName="coatcheck",
            StatementId="x",
            Statement={
                "Effect": "Allow",
                "Principal": "*",
                "Action": "events:PutEvents",
                "Resource": "arn:aws:events:eu-central-1:111111111111:event-bus/coatcheck",
            },
        ),
        r"allows \*, a principal that is not in the intent",
    ),
}


@pytest.mark.parametrize("name", LATER_POLICIES)
def test_policy_in_a_later_stack_is_found(name: str) -> None:
    """A subscriber's stack in the publisher's account has a policy of a resource of the publisher's stack."""
    case = example("same-region")
    mutation, finding = LATER_POLICIES[name]
    found = findings_of(case, mutate(case.stacks, LATER, mutation))
    assert found
    assert re.search(finding, found), found


def moved(stacks: tuple[StackTemplate, ...]) -> tuple[StackTemplate, ...]:
    return tuple(replace(stack, account=OTHER_ACCOUNT) if stack.name == ORDERS else stack for stack in stacks)


STACKS: dict[str, tuple[Callable[[tuple[StackTemplate, ...]], tuple[StackTemplate, ...]], str]] = {
    "missing": (
        lambda stacks: tuple(stack for stack in stacks if stack.name != ORDERS),
        f"{ORDERS}: the stack is miss",
    ),
    "twice": (lambda stacks: (*stacks, stacks[-1]), "a second AWS::IAM::Policy"),
    "additional": (lambda stacks: (*stacks, replace(stacks[-1], name="x", template={"Resources": {}})), "x: the stack"),
    "another account": (moved, f"in {OTHER_ACCOUNT}|a policy|Ref|is for|ARN"),
}


@pytest.mark.parametrize("name", STACKS)
def test_stacks_are_those_of_the_file(name: str) -> None:
    case = organization()
    mutation, finding = STACKS[name]
    found = findings_of(case, mutation(case.stacks))
    assert found
    assert re.search(finding, found), found

"""Removal policies and logical ids of stateful resources."""

import pytest

from stacks.deployment import Deployment
from tests.stacks.policies import Template, without_alarms
from tests.templates import synthesize

STATEFUL = {"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SQS::Queue", "AWS::DynamoDB::GlobalTable"}


@pytest.mark.parametrize(("ephemeral", "policy"), [(False, "RetainExceptOnCreate"), (True, "Delete")])
def test_stateful_resources_are_retained_unless_ephemeral(example: Deployment, ephemeral: bool, policy: str) -> None:
    stateful = [
        resource
        for stack in synthesize(example.model_copy(update={"ephemeral": ephemeral}))
        for resource in without_alarms(stack.template)["Resources"].values()
        if resource["Type"] in STATEFUL
    ]
    assert len(stateful) == 11
    assert {resource["DeletionPolicy"] for resource in stateful} == {policy}


def test_logical_ids_of_stateful_resources_are_pinned(templates: dict[str, Template]) -> None:
    """CloudFormation replaces a resource whose logical id changes."""
    ids = {
        stack: sorted(
            name for name, resource in without_alarms(template)["Resources"].items() if resource["Type"] in STATEFUL
        )
        for stack, template in templates.items()
    }
    assert ids == {
        "coatcheck-publisher": ["Key961B73FD", "PayloadBucket357F5869", "PublishDeadLettersCD4087F7"],
        "coatcheck-shop-sender": [],
        "coatcheck-orders": ["ConsumerDeadLetterQueue41F42704", "ConsumerStagingBucket52FE3107", "Queue4A7E3555"],
        "coatcheck-orders-undelivered": ["UndeliveredQueue7C6FEA6C"],
        "coatcheck-billing": [
            "ConsumerDeadLetterQueue41F42704",
            "ConsumerStagingBucket52FE3107",
            "IdempotencyTable22A5A209",
            "SubscriptionUndeliveredQueueF96D19D5",
        ],
    }

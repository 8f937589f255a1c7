"""Logical ids of stateful resources. tests/policies proves their removal policies."""

from tests.policies.cases import organization

STATEFUL = {
    *("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SQS::Queue", "AWS::DynamoDB::GlobalTable", "AWS::ECR::Repository")
}


def test_logical_ids_of_stateful_resources_are_pinned() -> None:
    """CloudFormation replaces a resource whose logical id changes."""
    ids = {
        stack.name: sorted(
            name for name, resource in stack.template["Resources"].items() if resource["Type"] in STATEFUL
        )
        for stack in organization().stacks
    }
    assert ids == {
        "coatcheck-publisher": ["Key961B73FD", "PayloadBucket357F5869", "PublishDeadLettersCD4087F7"],
        "coatcheck-shop-sender": [],
        "coatcheck-orders": [
            "ConsumerDeadLetterQueue41F42704",
            "ConsumerStagingBucket52FE3107",
            "LandingBucket6D60388F",
            "LandingKey7CFD3347",
            "Queue4A7E3555",
        ],
        "coatcheck-orders-undelivered": ["UndeliveredQueue7C6FEA6C"],
        "coatcheck-billing": [
            "ConsumerDeadLetterQueue41F42704",
            "ConsumerStagingBucket52FE3107",
            "IdempotencyTable22A5A209",
            "SubscriptionUndeliveredQueueF96D19D5",
            "TaskImageRepository3C57CDC8",
        ],
    }

"""The consume function, its staging bucket and its dead-letter queue."""

import json

import pytest

from tests.stacks.policies import consume_function
from tests.stacks.subscriber.support import EXAMPLE, changed, find_one, template


def test_staging_bucket_keeps_payloads_as_the_publisher_does() -> None:
    _, bucket = find_one(template(EXAMPLE, "orders"), "AWS::S3::Bucket")
    assert bucket["BucketName"] == "coatcheck-orders-staging-222222222222-us-west-2"
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == EXAMPLE.publisher.payload_lifetime_days


@pytest.mark.parametrize("name", ["orders", "billing"])
def test_consume_function_trusts_only_the_publishers_store(name: str) -> None:
    variables = consume_function(template(EXAMPLE, name))["Environment"]["Variables"]
    assert json.loads(variables["TRUSTED_STORES"]) == [
        {
            "bucket": "coatcheck-payloads-111111111111-us-east-1",
            "prefix": "payloads/",
            "owner": "111111111111",
            "region": "us-east-1",
        }
    ]
    assert json.loads(variables["STAGING_STORE"])["bucket"].startswith(f"coatcheck-{name}-staging-")


def test_consume_function_has_the_files_timeout() -> None:
    assert (
        consume_function(template(changed(EXAMPLE, "orders", function_timeout_seconds=120), "orders"))["Timeout"] == 120
    )


def test_dead_letters_are_kept_for_the_files_days() -> None:
    own = template(changed(EXAMPLE, "orders", dead_letter_retention_days=6), "orders")
    _, queue = find_one(own, "AWS::SQS::Queue", QueueName="coatcheck-orders-dead-letters")
    assert queue["MessageRetentionPeriod"] == 6 * 86_400

"""Names: the right partition, the right principal, and what CDK itself says of Regions."""

import pytest
from aws_cdk import region_info

from stacks.deployment import Deployment, names, parse_messaging, regions


def deployment(region: str, subscriber_region: str, *, fifo: bool = False) -> Deployment:
    return parse_messaging(
        {
            "name": "coatcheck",
            "publisher": {"account": "111111111111", "region": region, "fifo": fifo},
            "subscribers": [{"name": "orders", "kind": "sqs", "account": "222222222222", "region": subscriber_region}],
        }
    )


@pytest.mark.parametrize(
    ("region", "other", "partition", "s3"),
    [
        ("us-east-1", "us-west-2", "aws", "s3.us-east-1.amazonaws.com"),
        ("cn-north-1", "cn-northwest-1", "aws-cn", "s3.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "us-gov-east-1", "aws-us-gov", "s3.us-gov-west-1.amazonaws.com"),
    ],
)
def test_arns_are_in_the_regions_own_partition(region: str, other: str, partition: str, s3: str) -> None:
    d = deployment(region, other)
    (orders,) = d.subscribers
    assert names.topic_arn(d) == f"arn:{partition}:sns:{region}:111111111111:coatcheck-messages"
    assert names.payload_bucket_arn(d) == f"arn:{partition}:s3:::coatcheck-payloads-111111111111-{region}"
    assert names.endpoint(d, orders) == f"arn:{partition}:sqs:{other}:222222222222:coatcheck-orders"
    assert (
        names.undelivered_queue_arn(d, orders)
        == f"arn:{partition}:sqs:{region}:222222222222:coatcheck-orders-undelivered"
    )
    assert names.reader_role_arns(d, orders) == [f"arn:{partition}:iam::222222222222:role/coatcheck-orders-reader"]
    assert names.s3_endpoint(region) == s3


@pytest.mark.parametrize(
    ("topic", "endpoint", "principal"),
    [
        ("us-east-1", "us-west-2", "sns.amazonaws.com"),
        ("eu-south-1", "eu-south-1", "sns.amazonaws.com"),
        ("eu-south-1", "eu-west-1", "sns.eu-south-1.amazonaws.com"),
        ("eu-west-1", "eu-south-1", "sns.eu-south-1.amazonaws.com"),
        ("af-south-1", "eu-south-1", "sns.eu-south-1.amazonaws.com"),
        ("cn-north-1", "cn-northwest-1", "sns.amazonaws.com"),
    ],
)
def test_sns_delivers_as_a_regional_principal_where_a_region_is_opt_in(
    topic: str, endpoint: str, principal: str
) -> None:
    assert names.sns_principal(topic_region=topic, endpoint_region=endpoint) == principal


def test_opt_in_regions_are_those_that_cdk_knows() -> None:
    for region in regions.known_regions():
        assert regions.is_opt_in(region) == region_info.RegionInfo.get(region).is_opt_in_region, region


def test_fifo_names_end_as_sns_and_sqs_ask() -> None:
    d = deployment("us-east-1", "us-west-2", fifo=True)
    (orders,) = d.subscribers
    assert orders.kind == "sqs"
    for name in (
        names.topic(d),
        names.queue(d, orders),
        names.dead_letter_queue(d, orders),
        names.undelivered_queue(d, orders),
    ):
        assert name.endswith(".fifo")

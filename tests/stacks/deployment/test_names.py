"""Names: partitions, FIFO suffixes, stores, and the service principal of SNS."""

import pytest

from claim_check import Replica
from stacks.deployment import Names, parse_messaging


def names_of(region: str, subscriber_region: str, *, fifo: bool = False, replicas: tuple[str, ...] = ()) -> Names:
    publisher = {"account": "111111111111", "region": region, "fifo": fifo, "replicas": list(replicas)}
    orders = {"name": "orders", "kind": "sqs", "account": "222222222222", "region": subscriber_region}
    return Names(parse_messaging({"name": "coatcheck", "publisher": publisher, "subscribers": [orders]}))


@pytest.mark.parametrize(
    ("region", "other", "partition", "s3"),
    [
        ("us-east-1", "us-west-2", "aws", "s3.us-east-1.amazonaws.com"),
        (
            *("cn-north-1", "cn-northwest-1", "aws-cn"),
            ["s3.cn-north-1.amazonaws.com.cn", "s3.cn-north-1.amazonaws.com"],
        ),
        ("us-gov-west-1", "us-gov-east-1", "aws-us-gov", "s3.us-gov-west-1.amazonaws.com"),
        (
            "eusc-de-east-1",
            "eusc-de-east-1",
            "aws-eusc",
            ["s3.eusc-de-east-1.amazonaws.eu", "s3.eusc-de-east-1.amazonaws.com"],
        ),
        (
            "us-iso-east-1",
            "us-iso-west-1",
            "aws-iso",
            ["s3.us-iso-east-1.c2s.ic.gov", "s3.us-iso-east-1.amazonaws.com"],
        ),
    ],
)
def test_arns_are_in_the_regions_partition(region: str, other: str, partition: str, s3: object) -> None:
    names = names_of(region, other)
    publisher, orders = names.publisher, names.subscribers["orders"]
    queue = f"arn:{partition}:sqs:{region}:222222222222:coatcheck-orders-undelivered"
    assert publisher.topic.arn == f"arn:{partition}:sns:{region}:111111111111:coatcheck-messages"
    assert publisher.payload_bucket.bucket.arn == f"arn:{partition}:s3:::coatcheck-payloads-111111111111-{region}"
    assert publisher.payload_bucket.via_service == s3
    assert orders.endpoint == f"arn:{partition}:sqs:{other}:222222222222:coatcheck-orders"
    assert orders.undelivered_queue.arn == queue
    assert [role.arn for role in orders.reader_roles] == [
        f"arn:{partition}:iam::222222222222:role/coatcheck-orders-reader"
    ]


@pytest.mark.parametrize(
    ("topic", "endpoint", "regional"),
    [
        ("us-east-1", "us-west-2", ()),
        ("eu-south-1", "eu-south-1", ()),
        ("eu-south-1", "eu-west-1", ("sns.eu-south-1.amazonaws.com",)),
        ("eu-west-1", "eu-south-1", ("sns.eu-south-1.amazonaws.com",)),
        ("us-east-1", "ap-northeast-3", ("sns.ap-northeast-3.amazonaws.com",)),
        ("ap-northeast-3", "us-east-1", ("sns.ap-northeast-3.amazonaws.com",)),
        ("ap-northeast-3", "ap-northeast-3", ()),
        ("cn-north-1", "cn-northwest-1", ()),
        ("us-iso-east-1", "us-iso-west-1", ()),
    ],
)
def test_sns_principals_are_regional_too_across_opt_in_regions(
    topic: str, endpoint: str, regional: tuple[str, ...]
) -> None:
    assert names_of(topic, endpoint).publisher.sns_principals(endpoint) == ("sns.amazonaws.com", *regional)


def test_fifo_names_end_in_fifo() -> None:
    names = names_of("us-east-1", "us-west-2", fifo=True)
    orders = names.subscribers["orders"]
    for resource in (names.publisher.topic, orders.queue, orders.dead_letter_queue, orders.undelivered_queue):
        assert resource.name.endswith(".fifo")
        assert resource.arn.endswith(resource.name)


def test_trusted_stores_have_the_replica_of_the_region() -> None:
    names = names_of("us-east-1", "us-west-2", replicas=("us-west-2",))
    (store,) = names.subscribers["orders"].trusted_stores
    assert (store.bucket, store.prefix) == ("coatcheck-payloads-111111111111-us-east-1", "payloads/")
    assert store.replicas == (Replica("coatcheck-payloads-111111111111-us-west-2", "us-west-2"),)
    assert names.publisher.store.replicas == ()

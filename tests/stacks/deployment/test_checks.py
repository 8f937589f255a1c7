"""Checks between keys."""

from typing import Any

import pytest

from stacks.deployment import parse, parse_messaging
from tests.stacks.deployment.samples import (
    BILLING,
    ORDERS,
    PARTNER,
    VALID,
    billing,
    changed,
    https,
    orders,
    problem,
    problems,
    publisher,
)

BODY = {"filter_policy": {"order": {"kind": ["express"]}}, "filter_policy_scope": "body"}
CHINA = 'is in the partition aws-cn, and publisher.region = "us-east-1" in aws. Use a Region in the same partition.'


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (changed("senders", 0, "region", to="cn-north-1"), f'senders[0].region = "cn-north-1": {CHINA}'),
        (orders(region="cn-north-1"), f'subscribers[0].region = "cn-north-1": {CHINA}'),
        (publisher(replicas=["us-east-1"]), 'publisher.replicas[0] = "us-east-1": is the publisher\'s Region'),
        (publisher(replicas=["eu-west-1"]), 'publisher.replicas[0] = "eu-west-1": no subscriber is in this Region'),
        (
            orders(filter_policy={"kind": {"of": ["scan"]}}),
            'subscribers[0].filter_policy = { kind = { of = ["scan"] } }: has a table as a key\'s value',
        ),
        (
            orders(filter_policy={"order type": ["scan"]}),
            'subscribers[0].filter_policy = { "order type" = ["scan"] }: can match no message, from the bus',
        ),
        (
            orders(filter_policy_scope="body"),
            'subscribers[0].filter_policy_scope = "body": applies only with filter_policy. Add filter_policy or remove',
        ),
        (orders(**BODY), 'subscribers[0].filter_policy_scope = "body": with publisher.offload = "over-threshold", a'),
        (
            orders(visibility_timeout_seconds=1799),
            "subscribers[0].visibility_timeout_seconds = 1799: is less than 6 x function_timeout_seconds = 1800",
        ),
        (
            orders(maximum_receives=200),
            "maximum_receives = 200: 200 receives, 1800 s apart, take longer than queue_retention_days = 4, so SQS",
        ),
        (
            orders(dead_letter_retention_days=4),
            "subscribers[0].dead_letter_retention_days = 4: must be more than queue_retention_days = 4",
        ),
        (
            publisher(maximum_message_bytes=1_048_576),
            'subscribers[1].kind = "lambda": a message of publisher.maximum_message_bytes = 1048576, escaped as JSON',
        ),
        (
            billing(region="ap-east-1"),
            'subscribers[1].region = "ap-east-1": SNS does not deliver from another Region to a function in an opt-in',
        ),
        (
            https(reader_principals=["arn:aws:iam::666666666666:role/x"]),
            'subscribers[2].reader_principals[0] = "arn:aws:iam::666666666666:role/x": is not a role of the subscriber',
        ),
        (
            billing(task={"cpu": 256, "memory_mib": 4096}),
            "memory_mib = 4096: Fargate does not offer it with cpu = 256. Use 512 or 1024 to 2048 in steps of 1024.",
        ),
        (
            billing(application="queue"),
            'subscribers[1].application = "queue": a service can poll the queue of kind = "sqs" only. Use kind = "sqs"',
        ),
        (
            orders(application="function"),
            'subscribers[0].application = "function": is own code alone, and there is none. Add [subscribers.code]',
        ),
        (
            orders(application="queue", batch_size=3),
            'subscribers[0].batch_size = 3: applies with application = "state_machine" or "ecs_task" or "function", '
            'and application is "queue". Remove batch_size or change it.',
        ),
        (
            billing(application="state_machine", task={"cpu": 1024, "memory_mib": 2048}),
            'subscribers[1].task = { cpu = 1024, memory_mib = 2048 }: applies with application = "ecs_task", and',
        ),
        (
            orders(reader_principals=["arn:aws:iam::222222222222:role/x"]),
            'applies with application = "queue", and application is "state_machine".',
        ),
        (
            publisher(fifo=True) | {"subscribers": [ORDERS | {"application": "ecs_task"}]},
            'subscribers[0].application = "ecs_task": tasks of a message group run at the same time, so that',
        ),
        (billing(task={"memory_mib": 1536}), "with cpu = 512. Use 1024 to 4096 in steps of 1024."),
    ],
)
def test_conflict_is_reported_with_key_and_value(table: dict[str, Any], expected: str) -> None:
    assert expected in problem(table)


def test_fifo_allows_queues_only() -> None:
    text = 'SNS delivers from a FIFO topic to SQS queues only. Use kind = "sqs" or publisher.fifo = false.'
    assert problems(https(publisher={"fifo": True})) == [
        f'subscribers[1].kind = "lambda": {text}',
        f'subscribers[2].kind = "https": {text}',
    ]


def test_https_allows_default_message_size_only() -> None:
    lines = problems(https(publisher={"maximum_message_bytes": 300_000}))
    assert lines[1] == (
        'subscribers[2].kind = "https": SNS does not deliver over HTTPS from a topic with '
        "publisher.maximum_message_bytes = 300000. Use at most 262144."
    )


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("orders", "subscribers[0] or one of its queues"),
        ("publisher", "the publisher's stack and role"),
        ("orders-undelivered", "subscribers[0] or one of its queues"),
        ("publish-dead-letters", "the publish function's dead-letter queue"),
    ],
)
def test_subscriber_name_in_use_is_reported(name: str, user: str) -> None:
    assert problem(billing(name=name)) == (
        f'subscribers[1].name = "{name}": the name "coatcheck-{name}" is already used by {user}. Choose another name.'
    )


def test_name_of_another_subscribers_queue_is_reported() -> None:
    line, *_ = problems(billing(name="orders-pipeline-trigger"))
    assert 'the name "coatcheck-orders-pipeline-trigger-dead-letters" is already used by subscribers[0]' in line


def test_sender_name_in_use_is_reported() -> None:
    twice = changed("senders", to=VALID["senders"] * 2)
    assert 'senders[1].name = "shop": the name "coatcheck-shop-sender" is already used by the' in problem(twice)
    assert '"coatcheck-shop-sender" is already used by subscribers[0]' in problem(orders(name="shop-sender"))
    reserved = changed("senders", 0, "name", to="publisher")
    assert "is reserved for uploads from the publisher's account" in problem(reserved)


def test_endpoint_in_use_is_reported() -> None:
    assert problem(changed("subscribers", to=[PARTNER, PARTNER | {"name": "twin"}])) == (
        'subscribers[1].endpoint = "https://hooks.example:8443/in?a=b": is also the endpoint of subscribers[0]. SNS '
        "allows one subscription for each: use another URL."
    )


def test_subscriber_may_share_the_publishers_account() -> None:
    assert parse_messaging(orders(account="111111111111"))


def test_subscriber_is_https_with_roles_of_its_account() -> None:
    roles = ["arn:aws:iam::555555555555:role/web", "arn:aws:iam::555555555555:role/a/path/web"]
    *_, partner = parse_messaging(https(reader_principals=roles)).subscribers
    assert partner.kind == "https"
    assert partner.reader_principals == tuple(roles)


def test_filter_on_body_is_accepted_without_offload() -> None:
    table = changed("subscribers", to=[ORDERS | BODY]) | {"publisher": VALID["publisher"] | {"offload": "never"}}
    (subscriber,) = parse_messaging(table).subscribers
    assert subscriber.filter_policy == '{"order":{"kind":["express"]}}'


@pytest.mark.parametrize(
    ("topic", "endpoint"),
    [
        *(("us-east-1", "us-west-2"), ("eu-south-1", "eu-west-1"), ("ap-northeast-3", "us-east-1")),
        *(("ap-northeast-3", "ap-northeast-3"), ("af-south-1", "af-south-1")),
    ],
)
def test_sns_delivers_to_queues_and_functions(topic: str, endpoint: str) -> None:
    subscribers = [{**ORDERS, "region": endpoint}, {**BILLING, "region": endpoint}]
    parse(changed("publisher", "region", to=topic) | {"subscribers": subscribers})


@pytest.mark.parametrize("endpoint", ["eu-south-1", "ap-northeast-3"])
def test_sns_delivers_to_queues_alone_in_an_opt_in_region(endpoint: str) -> None:
    parse(orders(region=endpoint))
    line = problem(billing(region=endpoint))
    assert f'subscribers[1].region = "{endpoint}": SNS does not deliver from another Region to a function' in line


@pytest.mark.parametrize("subscriber", [ORDERS, BILLING], ids=["sqs", "lambda"])
def test_sns_does_not_deliver_between_opt_in_regions(subscriber: dict[str, Any]) -> None:
    for topic, endpoint in (("af-south-1", "eu-south-1"), ("ap-northeast-3", "ap-east-1")):
        table = changed("publisher", "region", to=topic) | {"subscribers": [{**subscriber, "region": endpoint}]}
        assert problems(table)[-1] == (
            f'subscribers[0].region = "{endpoint}": SNS does not deliver between two opt-in Regions (or Osaka), and '
            f'publisher.region = "{topic}". Use that Region or one that is enabled by default.'
        )

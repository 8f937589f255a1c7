"""The publish function: events of both kinds, and an end of the function between any two steps."""

import hashlib
import json
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from claim_check import Dereferencer, InvalidMessage, MessagingDenied, PayloadTooLarge
from publish.settings import Settings
from tests.lambdas.conftest import STORE, Listen, Load, create_queue, received, subscribed_topic
from tests.lambdas.publish.publishing import KEY, SENDER, keys, upload
from tests.lambdas.publish.test_event import EVENT_ID, bus_event

SETTINGS = Settings(
    topic_arn="set by the fixture",
    payload_store=STORE,
    outbox_prefix="outbox/",
    senders={"shop": SENDER},
    threshold_bytes=262_144,
    offload="over-threshold",
    maximum_upload_bytes=10_000_000,
)


@pytest.fixture
def delivered(aws: None) -> str:
    return create_queue("delivered")


@pytest.fixture
def publish(load: Load, delivered: str) -> ModuleType:
    return load(replace(SETTINGS, topic_arn=subscribed_topic(delivered)))


class Died(Exception):
    """The end of the function's process."""


def test_event_over_the_threshold_is_offloaded(publish: ModuleType, delivered: str, context: SimpleNamespace) -> None:
    detail = {"text": "x" * 300_000}
    assert publish.handler(bus_event(detail), context) == {"message_id": EVENT_ID}
    (record,) = received(delivered)
    message = Dereferencer(stores=[STORE]).message(record)
    assert message.pointer
    assert message.payload.json() == detail


@pytest.mark.parametrize("change", [{"offload": "always"}, {"threshold_bytes": 1024}], ids=str)
def test_settings_decide_offloading(
    load: Load, delivered: str, context: SimpleNamespace, change: dict[str, Any]
) -> None:
    publish = load(replace(SETTINGS, topic_arn=subscribed_topic(delivered), **change))
    publish.handler(bus_event({"text": "x" * 2000}), context)
    (record,) = received(delivered)
    assert Dereferencer(stores=[STORE]).message(record).pointer


def test_publisher_without_offloading_rejects_uploads(load: Load, delivered: str, context: SimpleNamespace) -> None:
    publish = load(replace(SETTINGS, topic_arn=subscribed_topic(delivered), offload="never"))
    with pytest.raises(InvalidMessage, match="this publisher never offloads"):
        publish.handler(upload(b"x"), context)
    with pytest.raises(PayloadTooLarge, match="never offloads"):
        publish.handler(bus_event({"text": "x" * 300_000}), context)
    assert keys("outbox/") == [KEY]
    assert received(delivered) == []


def test_folder_marker_is_ignored(publish: ModuleType, delivered: str, context: SimpleNamespace) -> None:
    """The S3 console creates an empty object to show a folder."""
    assert publish.handler(upload(b"", "outbox/new folder/"), context) == {"message_id": None}
    assert publish.handler(upload(b"", "outbox/"), context) == {"message_id": None}
    assert received(delivered) == []


@pytest.mark.parametrize("operation", ["CopyObject", "Publish", "DeleteObject"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_retry_after_a_crash_publishes_the_same_message(
    publish: ModuleType, delivered: str, context: SimpleNamespace, operation: str, moment: str
) -> None:
    body = b"precious" * 100
    event = upload(body)
    client = publish.publisher._destination.client if operation == "Publish" else publish.s3
    service = client.meta.service_model.service_name
    died: list[bool] = []

    def die(**_: Any) -> None:
        if not died:
            died.append(True)
            raise Died

    hook = f"{moment}-call.{service}.{operation}"
    client.meta.events.register(hook, die)
    with pytest.raises(Died):
        publish.handler(event, context)
    client.meta.events.unregister(hook, die)

    publish.handler(event, context)
    dereferencer = Dereferencer(stores=[STORE])
    messages = [dereferencer.message(record) for record in received(delivered)]
    assert {message.payload.read() for message in messages} == {body}
    assert len({message.id for message in messages}) == 1
    # After the deletion, the retry has nothing to do.
    twice = (operation, moment) in {("Publish", "after"), ("DeleteObject", "before")}
    assert len(messages) == (2 if twice else 1)
    assert keys("outbox/") == []


def test_failed_publication_is_raised_and_logged(publish: ModuleType, context: SimpleNamespace, listen: Listen) -> None:
    """Lambda retries the event, then writes it to the dead-letter queue."""
    telemetry = listen(publish)
    boto3.client("sns").delete_topic(TopicArn=publish.publisher.topic_arn)
    with pytest.raises(MessagingDenied) as error:
        publish.handler(upload(b"stays"), context)
    assert keys("outbox/") == [KEY]
    (line,) = telemetry.lines()
    assert (line["level"], line["message"], line["upload"]) == ("ERROR", "failed", KEY)
    assert len(line["message_id"]) == 32
    assert telemetry.metrics()[type(error.value).__name__] == [1]


def test_log_and_metrics_of_each_event(publish: ModuleType, context: SimpleNamespace, listen: Listen) -> None:
    telemetry = listen(publish)
    results = [publish.handler(event, context) for event in (bus_event({"secret": 1}), upload(b"a file"))]
    lines = telemetry.lines()
    assert [line["message"] for line in lines] == ["published", "published"]
    assert [line["message_id"] for line in lines] == [result["message_id"] for result in results]
    assert lines[0]["event_id"] == EVENT_ID
    assert lines[0]["sha256"] == hashlib.sha256(b'{"secret":1}').hexdigest()
    assert "secret" not in json.dumps(lines)
    metrics = telemetry.metrics()
    assert metrics["ReceivedEvents"] == [1, 1]
    assert metrics["PublishedBytes"] == [12, 6]
    assert len(metrics["ProcessingTime"]) == 2
    assert all(value > 0 for value in metrics["ProcessingTime"])

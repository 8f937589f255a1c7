"""The publish function: both doors, and that nothing is lost when it dies between any two steps."""

import hashlib
import io
import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from claim_check import Dereferencer, InvalidMessage, Message, PayloadMissing, PayloadTooLarge, Store
from tests.lambdas.conftest import STORE, environment, received, subscribed_topic

Load = Callable[..., ModuleType]
KEY = "outbox/shop/scan.bin"
MAXIMUM = 10_000_000
SETTINGS = {
    "OUTBOX_PREFIX": "outbox/",
    "MAXIMUM_UPLOAD_BYTES": str(MAXIMUM),
    "SENDERS": json.dumps({"shop": "444444444444"}),
    "THRESHOLD_BYTES": "262144",
    "OFFLOAD": "over-threshold",
}


@pytest.fixture
def delivered(aws: None, queue: Callable[[str], str]) -> str:
    return queue("delivered")


@pytest.fixture
def publish(load: Load, delivered: str) -> ModuleType:
    return load("publish", TOPIC_ARN=subscribed_topic(delivered), **SETTINGS, **environment())


class Died(Exception):
    """The function's process ended here."""


def bus_event(detail: Any) -> dict[str, Any]:
    return {
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "source": "shop.orders",
        "detail-type": "Order placed",
        "account": "444444444444",
        "detail": detail,
    }


def upload(
    body: bytes, key: str = KEY, *, metadata: dict[str, str] | None = None, requester: str = "444444444444"
) -> dict[str, Any]:
    """Put an object into the outbox; answers the event that S3 sends of it."""
    s3 = boto3.client("s3")
    version = s3.put_object(Bucket=STORE["bucket"], Key=key, Body=body, Metadata=metadata or {})["VersionId"]
    return {
        "id": "event",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "account": "111111111111",
        "detail": {
            "bucket": {"name": STORE["bucket"]},
            "object": {"key": key, "size": len(body), "version-id": version},
            "requester": requester,
        },
    }


def keys(prefix: str) -> list[str]:
    listed = boto3.client("s3").list_object_versions(Bucket=STORE["bucket"], Prefix=prefix)
    return [version["Key"] for version in listed.get("Versions", [])]


def test_an_event_becomes_a_message_of_its_detail(
    publish: ModuleType, delivered: str, context: SimpleNamespace
) -> None:
    detail = {"order": 4711, "text": "grün 🧥"}
    publish.handler(bus_event(detail), context)
    (message,) = received(delivered)
    dereferenced = Dereferencer(stores=[]).message(message)
    assert dereferenced.id == "7bf73129-1428-4cd3-a780-95db273d1602"
    assert dereferenced.payload.json() == detail
    assert {name: attribute.value for name, attribute in dereferenced.attributes.items()} == {
        "source": "shop.orders",
        "detail-type": "Order placed",
        "account": "444444444444",
    }


def test_an_event_over_the_threshold_is_offloaded(
    publish: ModuleType, delivered: str, context: SimpleNamespace
) -> None:
    detail = {"text": "x" * 300_000}
    publish.handler(bus_event(detail), context)
    (message,) = received(delivered)
    dereferenced = Dereferencer(stores=[Store.from_dict(STORE)]).message(message)
    assert dereferenced.pointer
    assert dereferenced.payload.json() == detail


def test_an_upload_is_copied_published_and_deleted(
    publish: ModuleType, delivered: str, context: SimpleNamespace
) -> None:
    body = b"\x00binary\xff" * 1000
    publish.handler(upload(body), context)
    (message,) = received(delivered)
    dereferenced = Dereferencer(stores=[Store.from_dict(STORE)]).message(message)
    assert dereferenced.payload.read() == body
    assert values(dereferenced) == {
        "source": "outbox",
        "outbox-key": "shop/scan.bin",
        "account": "444444444444",
        "sender": "shop",
    }
    assert keys("outbox/") == []


def values(message: Message) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in message.attributes.items()}


@pytest.mark.parametrize(
    ("key", "requester"),
    [
        ("outbox/scans/scan.bin", "111111111111"),
        ("outbox/scan.bin", "111111111111"),
        ("outbox/shop", "444444444444"),
        ("outbox/shop-2/scan.bin", "444444444444"),
        # The publisher's own account may put anything anywhere; it is not called a sender for that.
        ("outbox/shop/scan.bin", "111111111111"),
    ],
)
def test_only_a_senders_own_upload_has_its_name(
    publish: ModuleType, delivered: str, context: SimpleNamespace, key: str, requester: str
) -> None:
    publish.handler(upload(b"x", key, requester=requester), context)
    (message,) = received(delivered)
    found = values(Dereferencer(stores=[Store.from_dict(STORE)]).message(message))
    assert (found["sender"], found["account"]) == ("publisher", requester)


def test_metadata_of_an_upload_become_attributes(publish: ModuleType, delivered: str, context: SimpleNamespace) -> None:
    metadata = {
        "camera": "X-T5",
        "b": "=?UTF-8?B?R3LDvMOfZSDwn6el?=",
        "q": "=?UTF-8?Q?Gr=C3=BC=C3=9Fe?= =?UTF-8?Q?_aus?=",
        "sum": "a=?b",
    }
    publish.handler(upload(b"x", metadata=metadata), context)
    (message,) = received(delivered)
    found = values(Dereferencer(stores=[Store.from_dict(STORE)]).message(message))
    assert {name: found[name] for name in metadata} == {
        "camera": "X-T5",
        "b": "Grüße 🧥",
        "q": "Grüße aus",
        "sum": "a=?b",
    }


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"sender": "orders"}, "metadata 'sender': the name is reserved"),
        ({"account": "1"}, "metadata 'account'"),
        ({"source": "s3"}, "metadata 'source'"),
        ({"detail-type": "t"}, "metadata 'detail-type'"),
        ({"outbox-key": "x"}, "metadata 'outbox-key'"),
        ({"claimcheck": "{}"}, "metadata 'claimcheck'"),
        ({"extendedpayloadsize": "1"}, "metadata 'extendedpayloadsize'"),
        ({f"m{n}": "x" for n in range(5)}, "metadata: there are 5 (m0, m1, m2, m3, m4); use 4 at most"),
        ({"a..b": "x"}, "attribute 'a..b': a name has 1 to 256 of"),
        ({"aws.x": "x"}, "attribute 'aws.x': a name has"),
        ({"empty": ""}, "attribute 'empty': SNS rejects an empty value"),
        ({"bell": "=?UTF-8?Q?=07?="}, "attribute 'bell': SNS rejects a character"),
        ({"broken": "=?no-such-set?B?AAAA?="}, "metadata 'broken': the value is not a valid RFC 2047"),
    ],
)
def test_metadata_that_cannot_be_attributes_are_refused_and_the_upload_stays(
    publish: ModuleType, delivered: str, context: SimpleNamespace, metadata: dict[str, str], reason: str
) -> None:
    """A permanent error that names the object: Lambda hands it to the dead-letter queue."""
    with pytest.raises(InvalidMessage, match="the upload stays in the outbox") as refused:
        publish.handler(upload(b"precious", metadata=metadata), context)
    assert reason in str(refused.value)
    assert refused.value.permanent
    assert KEY in str(refused.value)
    assert keys("outbox/") == [KEY]
    assert keys("payloads/") == []
    assert received(delivered) == []


def test_metadata_that_s3_cannot_tell_are_refused(
    publish: ModuleType, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = upload(b"precious")
    monkeypatch.setattr(publish.s3, "head_object", lambda **_: {"Metadata": {}, "MissingMeta": 2})
    with pytest.raises(InvalidMessage, match="2 entries of the object's metadata do not fit"):
        publish.handler(event, context)
    assert keys("outbox/") == [KEY]


def test_an_upload_that_is_gone_and_never_was_copied_is_told(publish: ModuleType, context: SimpleNamespace) -> None:
    event = upload(b"withdrawn")
    version = event["detail"]["object"]["version-id"]
    boto3.client("s3").delete_object(Bucket=STORE["bucket"], Key=KEY, VersionId=version)
    with pytest.raises(PayloadMissing, match="neither the uploaded object nor a copy"):
        publish.handler(event, context)


def test_an_upload_over_the_maximum_is_refused_before_it_is_copied_and_stays(
    load: Load, delivered: str, context: SimpleNamespace
) -> None:
    settings = SETTINGS | {"MAXIMUM_UPLOAD_BYTES": "1024"}
    publish = load("publish", TOPIC_ARN=subscribed_topic(delivered), **settings, **environment())
    with pytest.raises(PayloadTooLarge, match=r"has 1025 bytes, and publisher.outbox.maximum_bytes is 1024") as refused:
        publish.handler(upload(bytes(1025)), context)
    assert refused.value.pointer is not None
    assert refused.value.pointer[1] == KEY
    assert (keys("outbox/"), keys("payloads/"), received(delivered)) == ([KEY], [], [])
    publish.handler(upload(bytes(1024), "outbox/shop/just.bin"), context)
    assert keys("outbox/") == [KEY]
    assert len(received(delivered)) == 1


def test_no_upload_is_taken_where_nothing_is_offloaded(load: Load, delivered: str, context: SimpleNamespace) -> None:
    settings = SETTINGS | {"OFFLOAD": "never"}
    publish = load("publish", TOPIC_ARN=subscribed_topic(delivered), **settings, **environment())
    with pytest.raises(InvalidMessage, match=r"can only be pointed to\), and this publisher never offloads"):
        publish.handler(upload(b"x"), context)
    with pytest.raises(PayloadTooLarge, match="never offloads"):
        publish.handler(bus_event({"text": "x" * 300_000}), context)
    assert keys("outbox/") == [KEY]
    assert received(delivered) == []


def test_an_upload_is_deleted_by_version(publish: ModuleType, delivered: str, context: SimpleNamespace) -> None:
    """A file uploaded again under the same key, before the first was published, is another message."""
    first, second = upload(b"first"), upload(b"second")
    publish.handler(first, context)
    assert keys("outbox/") == [KEY]
    publish.handler(second, context)
    stored = Dereferencer(stores=[Store.from_dict(STORE)])
    assert sorted(stored.message(m).payload.read() for m in received(delivered)) == [b"first", b"second"]
    assert keys("outbox/") == []


@pytest.mark.parametrize("dies_at", ["CopyObject", "Publish", "DeleteObject"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_dying_at_any_step_loses_nothing_and_a_retry_is_the_same_message(
    publish: ModuleType, delivered: str, context: SimpleNamespace, dies_at: str, moment: str
) -> None:
    body = b"precious" * 100
    event = upload(body)
    client = publish.publisher._sns if dies_at == "Publish" else publish.s3
    service = client.meta.service_model.service_name
    died: list[bool] = []

    def die(**_: Any) -> None:
        if not died:
            died.append(True)
            raise Died

    hook = f"{'before-call' if moment == 'before' else 'after-call'}.{service}.{dies_at}"
    client.meta.events.register(hook, die)
    with pytest.raises(Died):
        publish.handler(event, context)
    client.meta.events.unregister(hook, die)

    publish.handler(event, context)
    stored = Dereferencer(stores=[Store.from_dict(STORE)])
    messages = [stored.message(message) for message in received(delivered)]
    assert {message.payload.read() for message in messages} == {body}
    # Subscribers tell a repeated message by its id.
    assert len({message.id for message in messages}) == 1
    # After the deletion there is nothing left to do.
    told_already = (dies_at, moment) in {("Publish", "after"), ("DeleteObject", "before")}
    assert len(messages) == (2 if told_already else 1)
    assert keys("outbox/") == []


def test_a_failed_publication_is_raised_for_lambda_to_retry_and_dead_letter(
    publish: ModuleType, context: SimpleNamespace
) -> None:
    boto3.client("sns").delete_topic(TopicArn=publish.publisher.topic_arn)
    event = upload(b"stays")
    with pytest.raises(ClientError):
        publish.handler(event, context)
    assert keys("outbox/") == [KEY]


def test_the_log_names_the_message_and_not_its_content(
    publish: ModuleType, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(publish.logger.registered_handler, "stream", log)
    publish.handler(bus_event({"secret": "nobody may log this"}), context)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (line,) = (line for line in lines if line["message"] == "published")
    assert line["message_id"] == line["event_id"] == "7bf73129-1428-4cd3-a780-95db273d1602"
    assert line["sha256"] == hashlib.sha256(b'{"secret":"nobody may log this"}').hexdigest()
    assert "nobody may log this" not in json.dumps(lines)


def fifo(load: Load, **settings: str) -> tuple[ModuleType, str]:
    """The function for a FIFO topic, and the queue that the topic delivers to."""
    sqs, sns = boto3.client("sqs"), boto3.client("sns")
    queue = sqs.create_queue(QueueName="delivered.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    topic = sns.create_topic(Name="messages.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return load("publish", TOPIC_ARN=topic, **SETTINGS, **environment()), queue


@pytest.mark.parametrize(
    ("event", "group"),
    [
        (lambda: bus_event({"n": 1}), "shop.orders"),
        (lambda: bus_event({"n": 1}) | {"source": "Kunde Müller"}, hashlib.sha256("Kunde Müller".encode()).hexdigest()),
        (lambda: upload(b"x", "outbox/shop/2026/scan.bin"), "shop"),
        (lambda: upload(b"x", "outbox/my app/scan.bin"), hashlib.sha256(b"my app").hexdigest()),
        (lambda: upload(b"x", "outbox/scan.bin"), hashlib.sha256(b"").hexdigest()),
    ],
)
def test_in_a_fifo_topic_a_source_or_folder_is_a_group(
    load: Load, aws: None, context: SimpleNamespace, event: Callable[[], dict[str, Any]], group: str
) -> None:
    publish, queue = fifo(load)
    publish.handler(event(), context)
    answer = boto3.client("sqs").receive_message(QueueUrl=queue, AttributeNames=["All"])
    assert [message["Attributes"]["MessageGroupId"] for message in answer["Messages"]] == [group]


@pytest.mark.parametrize("setting", [{"OFFLOAD": "always"}, {"THRESHOLD_BYTES": "1024"}])
def test_the_deployment_decides_what_is_offloaded(
    load: Load, delivered: str, context: SimpleNamespace, setting: dict[str, str]
) -> None:
    publish = load("publish", TOPIC_ARN=subscribed_topic(delivered), **SETTINGS | setting, **environment())
    publish.handler(bus_event({"text": "x" * 2000}), context)
    (message,) = received(delivered)
    assert Dereferencer(stores=[Store.from_dict(STORE)]).message(message).pointer


def test_a_folder_of_the_s3_console_is_no_message(
    publish: ModuleType, delivered: str, context: SimpleNamespace
) -> None:
    assert publish.handler(upload(b"", "outbox/new folder/"), context) == {"message_id": None}
    assert publish.handler(upload(b"", "outbox/"), context) == {"message_id": None}
    assert received(delivered) == []


def test_an_empty_upload_is_an_empty_payload(publish: ModuleType, delivered: str, context: SimpleNamespace) -> None:
    publish.handler(upload(b""), context)
    (message,) = received(delivered)
    assert Dereferencer(stores=[Store.from_dict(STORE)]).message(message).payload.read() == b""
    assert keys("outbox/") == []


def test_an_upload_whose_name_sns_cannot_carry_is_refused_and_stays(
    publish: ModuleType, delivered: str, context: SimpleNamespace
) -> None:
    event = upload(b"precious", "outbox/shop/bell\x07")
    with pytest.raises(InvalidMessage, match=r"stays in the outbox: attribute 'outbox-key': SNS rejects a character"):
        publish.handler(event, context)
    uploaded = event["detail"]["object"]
    kept = boto3.client("s3").get_object(Bucket=STORE["bucket"], Key=uploaded["key"], VersionId=uploaded["version-id"])
    assert kept["Body"].read() == b"precious"
    assert keys("payloads/") == []
    assert received(delivered) == []


def test_a_number_that_json_cannot_hold_is_refused(publish: ModuleType, context: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        publish.handler(bus_event(json.loads('{"huge": 1e400}')), context)


@pytest.mark.parametrize("name", ["source", "detail-type"])
def test_an_event_that_sns_cannot_carry_is_refused_for_good(
    publish: ModuleType, delivered: str, context: SimpleNamespace, name: str
) -> None:
    """EventBridge takes control characters, SNS does not. Lambda hands the event to the dead-letter queue."""
    with pytest.raises(InvalidMessage, match=f"attribute '{name}': SNS rejects a character") as refused:
        publish.handler(bus_event({"n": 1}) | {name: "shop\x07"}, context)
    assert refused.value.permanent
    assert received(delivered) == []


def test_an_event_of_any_detail_is_carried(publish: ModuleType, delivered: str, context: SimpleNamespace) -> None:
    """Characters that SNS refuses in a body are spelt in ASCII by JSON, or go to S3; nothing is lost."""
    for detail in ({"text": "\x07"}, {"text": "\ufffe"}, {}):
        publish.handler(bus_event(detail) | {"id": hashlib.sha256(repr(detail).encode()).hexdigest()[:32]}, context)
    stored = Dereferencer(stores=[Store.from_dict(STORE)])
    found = [stored.message(message).payload.json() for message in received(delivered)]
    assert sorted(map(repr, found)) == sorted(map(repr, [{"text": "\x07"}, {"text": "\ufffe"}, {}]))

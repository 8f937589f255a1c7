"""Fields of a message: validation before the payload is stored."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from claim_check import (
    InvalidMessage,
    Pointer,
    Publisher,
    Store,
    group_id_of,
)
from claim_check.publishing.outgoing_message import MessageFields
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import NotedSns
from tests.lambdas.claim_check.fake_s3 import FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a b", "ä", "m" * 65, "m\n"])
def test_invalid_id_is_rejected(bad: str, publisher: Publisher) -> None:
    with pytest.raises(InvalidMessage, match="pass a digest of it"):
        publisher.publish(b"x", message_id=bad)


def test_default_id_is_random(publisher: Publisher) -> None:
    fresh = {publisher.publish(b"x").message_id for _ in range(3)}
    assert len(fresh) == 3
    assert all(len(bytes.fromhex(message_id)) == 16 for message_id in fresh)


def test_nine_attributes_or_eight_with_pointer_are_allowed(
    publisher: Publisher, sns: NotedSns, fake_s3: FakeS3
) -> None:
    nine = {f"a{number}": number for number in range(9)}
    eight = {name: nine[name] for name in list(nine)[:8]}
    publisher.publish(b"x", attributes=nine)
    publisher.publish(b"\x00", attributes=eight)
    assert [len(published["MessageAttributes"]) for published in sns.published] == [10, 10]
    fake_s3.objects.clear()
    with pytest.raises(InvalidMessage, match="9 are more than 8") as caught:
        publisher.publish(b"\x00", message_id="m-1", attributes=nine)
    assert caught.value.message_id == "m-1"
    with pytest.raises(InvalidMessage, match="10 are more than 9"):
        publisher.publish(b"x", attributes={**nine, "a9": 9})
    assert fake_s3.objects == {}


def test_attributes_without_space_for_pointer_are_rejected(publisher: Publisher, fake_s3: FakeS3) -> None:
    body = Pointer("payloads-one", "payloads/m").body()
    claim = '{"id":"m","sha256":"' + "0" * 64 + '","crc32":"AAAAAA=="}'
    others = len(body + "ExtendedPayloadSize" + "Number" + str(10**13) + "ClaimCheck" + "String" + claim)
    space = 262_144 - others - len("a" + "String")
    with pytest.raises(InvalidMessage, match=r"make 262145 bytes, more than 262144: move some into the .*'m'"):
        publisher.publish(b"\x00", message_id="m", attributes={"a": "x" * (space + 1)})
    assert fake_s3.requests == []
    assert publisher.publish(b"\x00", message_id="m", attributes={"a": "x" * space}).pointer


@pytest.mark.parametrize("subject", ["", "two\nlines", "x" * 101, "\x00"])
def test_invalid_subject_is_rejected(subject: str, publisher: Publisher) -> None:
    with pytest.raises(InvalidMessage, match=r"^subject: must be 1 to 100 printable characters on one line$"):
        publisher.publish(b"x", subject=subject)
    publisher.publish(b"x", subject="x" * 100)


def test_fifo_topic_deduplicates_by_message_id(s3: S3Client, store: Store, sns: NotedSns) -> None:
    publisher = Publisher(topic_arn=f"{TOPIC}.fifo", store=store, sns=sns.client(), s3=s3)
    publisher.publish(b"x", message_id="m-1", group_id="g")
    publisher.publish(b"\x00", message_id="m-2", group_id="g", deduplication_id="d")
    first, second = sns.published
    assert (first["MessageGroupId"], first["MessageDeduplicationId"]) == ("g", "m-1")
    assert (second["MessageGroupId"], second["MessageDeduplicationId"]) == ("g", "d")
    with pytest.raises(InvalidMessage, match="group_id: a FIFO topic or queue needs one"):
        publisher.publish(b"x")
    invalid: dict[str, Any] = {"group_id": "a b", "deduplication_id": ""}
    for name, value in invalid.items():
        with pytest.raises(InvalidMessage, match=f"^{name} = '{value}': must be 1 to 128 printable ASCII"):
            MessageFields.of(is_fifo=True, **{"group_id": "g", name: value})


def test_standard_topic_rejects_deduplication_id(publisher: Publisher, sns: NotedSns) -> None:
    with pytest.raises(InvalidMessage, match="only a FIFO topic"):
        publisher.publish(b"x", deduplication_id="d")
    publisher.publish(b"x", group_id="tenant")  # SNS passes it to SQS, for fair queues
    assert sns.published[0]["MessageGroupId"] == "tenant"


@pytest.mark.parametrize("name", ["MessageStructure", "message_structure"])
@pytest.mark.parametrize("payload", [b"x", b"\x00"], ids=["inline", "offloaded"])
def test_message_structure_is_rejected_before_storing(
    name: str, payload: bytes, publisher: Publisher, sns: NotedSns, fake_s3: FakeS3
) -> None:
    with pytest.raises(InvalidMessage, match="differs by protocol"):
        publisher.publish(payload, **{name: "json"})  # type: ignore[arg-type]
    assert (sns.published, fake_s3.requests) == ([], [])


def test_unknown_argument_is_a_type_error(publisher: Publisher, fake_s3: FakeS3) -> None:
    with pytest.raises(TypeError, match=r"publish\(\) got unexpected arguments: PhoneNumber, TargetArn"):
        publisher.publish(b"\x00", PhoneNumber="+100", TargetArn="x")  # type: ignore[arg-type]
    assert fake_s3.requests == []


@pytest.mark.parametrize("name", ["shop.orders", "!", "~" * 128])
def test_group_id_is_the_name(name: str) -> None:
    assert group_id_of(name) == name


@pytest.mark.parametrize("name", ["", "a b", "größe", "x" * 129])
def test_group_id_is_a_digest_of_an_invalid_name(name: str) -> None:
    assert group_id_of(name) == hashlib.sha256(name.encode()).hexdigest()

"""Batches: their size, and the outcome of each entry."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_check import (
    Dereferencer,
    Entry,
    EntryOutcome,
    InvalidMessage,
    MessagingDenied,
    MessagingUnavailable,
    PayloadConflict,
    PayloadDenied,
    Pointer,
    Publisher,
    Store,
)
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.fake_s3 import FakeS3

MIB = 2**20

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient


def entries(count: int, **more: Any) -> list[Entry]:
    return [Entry(payload=f"payload {number}", message_id=f"m-{number}", **more) for number in range(count)]


def numbered(payloads: Iterable[Any]) -> list[Entry]:
    return [Entry(payload=payload, message_id=f"m-{number}") for number, payload in enumerate(payloads)]


def weight(published: dict[str, Any]) -> int:
    """Return the size as SNS counts it: the body, and name, type and value of every attribute."""
    attributes = published["MessageAttributes"]
    values = [(name, value["DataType"], value.get("StringValue", "")) for name, value in attributes.items()]
    binary = sum(len(value.get("BinaryValue", b"")) for value in attributes.values())
    return len(published["Message"].encode()) + sum(len("".join(three).encode()) for three in values) + binary


def test_batch_has_ten_entries_and_outcomes_in_order(publisher: Publisher, sns: NotedSns) -> None:
    outcomes = publisher.publish_batch(entries(23))
    assert [len(batch) for batch in sns.batches] == [10, 10, 3]
    assert [outcome.entry for outcome in outcomes] == entries(23)
    assert [outcome.published and outcome.published.message_id for outcome in outcomes] == [
        f"m-{number}" for number in range(23)
    ]
    assert [outcome.error for outcome in outcomes] == [None] * 23
    assert [published["Message"] for published in sns.published] == [f"payload {number}" for number in range(23)]


def test_empty_batch_makes_no_request(publisher: Publisher, sns: NotedSns) -> None:
    assert publisher.publish_batch([]) == []
    assert sns.batches == []


def test_batch_is_filled_to_the_last_byte(s3: S3Client, store: Store, sns: NotedSns) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=s3)
    publisher.publish("", message_id="m-0")
    overhead = len("ClaimCheck") + len("String") + len('{"id":"m-0","sha256":""}') + 64
    half = 131_072 - overhead
    publisher.publish_batch([Entry(payload="x" * half, message_id=f"m-{n}") for n in range(2)])
    assert [len(batch) for batch in sns.batches] == [2]
    assert sum(map(weight, sns.batches[0])) == 262_144
    sns.batches.clear()
    publisher.publish_batch(
        [Entry(payload="ü" * (half // 2) + "x" * (half % 2 + n), message_id=f"n-{n}") for n in (0, 1)]
    )
    assert [len(batch) for batch in sns.batches] == [1, 1]


@pytest.mark.parametrize(("threshold", "total"), [(1_000, 262_144), (1_048_576, 1_048_576)])
def test_batch_total_is_the_topic_maximum(
    threshold: int, total: int, s3: S3Client, store: Store, sns: NotedSns
) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, threshold=threshold, sns=sns.client(), s3=s3)
    publisher.publish_batch(entries(10, attributes={"a": "x" * (total // 5)}))
    assert [len(batch) for batch in sns.batches] == [4, 4, 2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(sizes=st.lists(st.integers(1, 300_000), max_size=25))
def test_batches_are_within_limits_and_full(sizes: list[int], s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    fake_s3.objects.clear()
    sns = NotedSns()
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=s3)
    outcomes = publisher.publish_batch(
        [Entry(payload=b"x" * size, message_id=f"m-{index}") for index, size in enumerate(sizes)]
    )
    assert [outcome.published and outcome.published.size for outcome in outcomes] == sizes
    totals = [sum(map(weight, batch)) for batch in sns.batches]
    assert all(len(batch) <= 10 and total <= 262_144 for batch, total in zip(sns.batches, totals, strict=True))
    for index, batch in enumerate(sns.batches[1:]):
        assert len(sns.batches[index]) == 10 or totals[index] + weight(batch[0]) > 262_144


def test_large_entries_are_offloaded_one_by_one(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    payloads = [b"small", b"x" * 300_000, b"\x00", b"also small"]
    outcomes = publisher.publish_batch([Entry(payload=payload) for payload in payloads])
    assert [bool(outcome.published and outcome.published.pointer) for outcome in outcomes] == [False, True, True, False]
    assert len(sns.batches) == 1
    assert len(fake_s3.requests_of("PUT")) == 2
    messages = [dereferencer.message(DELIVERIES["SQS event, raw"](published)) for published in sns.published]
    assert [message.payload.read() for message in messages] == payloads
    assert [message.id for message in messages] == [outcome.message_id for outcome in outcomes]


def test_payloads_are_stored_16_at_a_time(publisher: Publisher, sns: NotedSns, fake_s3: FakeS3) -> None:
    running: list[str] = []
    counts: list[int] = []
    full = threading.Event()

    def hook(request: str) -> None:
        running.append(request)
        counts.append(len(running))
        if len(running) == 16:
            full.set()
        full.wait(10)
        time.sleep(0.02)
        running.remove(request)

    fake_s3.hook = hook
    outcomes = publisher.publish_batch([Entry(payload=b"\0" * 300_000, message_id=f"m-{n}") for n in range(40)])
    assert max(counts) == 16
    assert [outcome.published and outcome.published.message_id for outcome in outcomes] == [f"m-{n}" for n in range(40)]
    assert [
        json.loads(message["MessageAttributes"]["ClaimCheck"]["StringValue"])["id"] for message in sns.published
    ] == [f"m-{n}" for n in range(40)]


def test_messages_are_sent_while_later_payloads_are_stored(
    publisher: Publisher, sns: NotedSns, fake_s3: FakeS3
) -> None:
    def hook(request: str) -> None:
        if request.endswith("/last"):
            deadline = time.monotonic() + 10
            while not sns.batches and time.monotonic() < deadline:
                time.sleep(0.01)
            sent.append(len(sns.batches))

    sent: list[int] = []
    fake_s3.hook = hook
    publisher.publish_batch([*entries(12), Entry(payload=b"\0", message_id="last")])
    assert sent == [1]


@pytest.mark.parametrize("kind", ["stream", "path", "text"])
def test_payloads_read_at_a_time_are_within_the_memory_limit(
    kind: str, store: Store, sns: NotedSns, s3: S3Client, fake_s3: FakeS3, tmp_path: Path
) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, memory=20 * MIB, sns=sns.client(), s3=s3)
    path = tmp_path / "payload"
    path.write_bytes(bytes(4 * MIB))
    payloads: dict[str, Any] = {"stream": [bytes(4 * MIB)], "path": path, "text": "\0" * (4 * MIB)}
    held: list[int] = []
    fake_s3.hook = lambda _: held.append(publisher._memory.held)
    outcomes = publisher.publish_batch([Entry(payload=payloads[kind]) for _ in range(12)])
    assert [outcome.error for outcome in outcomes] == [None] * 12
    assert max(held) <= 20 * MIB
    assert publisher._memory.held == 0


def test_bytes_of_the_caller_need_no_memory(store: Store, sns: NotedSns, s3: S3Client, fake_s3: FakeS3) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, memory=8 * MIB, sns=sns.client(), s3=s3)
    waiting = threading.Barrier(4)
    fake_s3.hook = lambda _: waiting.wait(10)  # four at a time, or an error
    outcomes = publisher.publish_batch([Entry(payload=b"\0" * (4 * MIB)) for _ in range(4)])
    assert [outcome.error for outcome in outcomes] == [None] * 4


def test_large_entries_are_stored_alone_and_in_order(publisher: Publisher, sns: NotedSns, fake_s3: FakeS3) -> None:
    large, small = b"\0" * (9 * MIB), b"\0"
    payloads: list[Any] = [small, large, small, iter([large]), small]
    outcomes = publisher.publish_batch(numbered(payloads))
    assert [outcome.published and outcome.published.size for outcome in outcomes] == [1, 9 * MIB, 1, 9 * MIB, 1]
    assert [len(batch) for batch in sns.batches] == [5]
    requests = [request for request in fake_s3.requests if "uploads" in request or request.startswith("PUT")]
    assert requests[0] == "PUT /payloads-one/payloads/m-0"
    assert requests[1] == "POST /payloads-one/payloads/m-1?uploads"


@pytest.mark.parametrize(("index", "method"), [(1, "PUT"), (2, "POST")], ids=["small", "large"])
def test_failed_store_is_the_error_of_its_entry(
    index: int, method: str, publisher: Publisher, sns: NotedSns, fake_s3: FakeS3
) -> None:
    fake_s3.fail(method, 403, "AccessDenied", on=f"m-{index}")
    payloads = [b"\0", b"\0", b"\0" * (9 * MIB), b"\0"]
    outcomes = publisher.publish_batch(numbered(payloads))
    assert [type(outcome.error) for outcome in outcomes].index(PayloadDenied) == index
    assert [outcome.message_id for outcome in outcomes] == ["m-0", "m-1", "m-2", "m-3"]
    assert len(sns.published) == 3


def test_payloads_are_read_in_the_callers_thread(publisher: Publisher) -> None:
    threads: list[int] = []

    def payload() -> Iterator[bytes]:
        threads.append(threading.get_ident())
        yield b"\0" * 300_000

    publisher.publish_batch([Entry(payload=payload()) for _ in range(5)])
    assert threads == [threading.get_ident()] * 5


def test_failed_entry_affects_no_other(publisher: Publisher, sns: NotedSns, fake_s3: FakeS3) -> None:
    def failing() -> Iterator[bytes]:
        yield b"x"
        raise OSError("disk")

    fake_s3.put("payloads-one", "payloads/taken", b"another")
    outcomes = publisher.publish_batch(
        [
            Entry(payload="good", message_id="m-0"),
            Entry(payload="x", message_id="a b"),
            Entry(payload="x", attributes={"ClaimCheck": "x"}),
            Entry(payload=failing(), message_id="m-3"),
            Entry(payload=b"\x00", message_id="taken"),
            Entry(payload="good too", message_id="m-5", subject="s"),
        ]
    )
    errors = [type(outcome.error) for outcome in outcomes]
    assert errors == [type(None), InvalidMessage, InvalidMessage, OSError, PayloadConflict, type(None)]
    assert [published["Message"] for published in sns.published] == ["good", "good too"]
    assert sns.published[1]["Subject"] == "s"
    assert [outcome.message_id for outcome in outcomes] == ["m-0", "a b", None, "m-3", "taken", "m-5"]


def test_batch_rejects_duplicate_id(publisher: Publisher, sns: NotedSns) -> None:
    first, second = publisher.publish_batch([Entry(payload="a", message_id="m"), Entry(payload="b", message_id="m")])
    assert first.published
    with pytest.raises(InvalidMessage, match="choose another"):
        raise second.error or AssertionError
    assert isinstance(second.error, InvalidMessage)
    assert (second.error.message_id, second.entry.payload, len(sns.published)) == ("m", "b", 1)


def test_fifo_batch_has_groups_and_deduplication_ids(s3: S3Client, store: Store, sns: NotedSns) -> None:
    publisher = Publisher(topic_arn=f"{TOPIC}.fifo", store=store, sns=sns.client(), s3=s3)
    publisher.publish_batch(
        [
            Entry(payload="x", message_id="m-1", group_id="g"),
            Entry(payload="x", message_id="m-2", group_id="g", deduplication_id="d"),
        ]
    )
    (batch,) = sns.batches
    assert [(entry["MessageGroupId"], entry["MessageDeduplicationId"]) for entry in batch] == [("g", "m-1"), ("g", "d")]


@pytest.fixture
def stubbed_publisher(stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store) -> Publisher:
    return Publisher(topic_arn=TOPIC, store=store, sns=stubbed[0], s3=s3)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated ids with numbers."""
    ids = (f"m-{number}" for number in count())
    monkeypatch.setattr("claim_check.publishing.outgoing_message.fresh_id", lambda: next(ids))


def causes(outcomes: list[EntryOutcome]) -> list[ClientError]:
    """Return boto's errors of the outcomes."""
    found = [outcome.error.__cause__ for outcome in outcomes if outcome.error]
    return [cause for cause in found if isinstance(cause, ClientError)]


def failed(index: int, code: str, *, sender: bool) -> dict[str, Any]:
    return {"Id": str(index), "Code": code, "Message": "no", "SenderFault": sender}


@pytest.mark.usefixtures("fresh")
def test_rejected_entries_have_their_errors(
    stubbed: tuple[SNSClient, Stubber], stubbed_publisher: Publisher, fake_s3: FakeS3
) -> None:
    response = {
        "Successful": [{"Id": "0", "MessageId": "s-0"}, {"Id": "5"}, {"Id": "of another batch", "MessageId": "s-9"}],
        "Failed": [
            failed(1, "InvalidParameter", sender=True),
            failed(2, "InternalError", sender=False),
            failed(3, "Throttled", sender=True),
            failed(4, "AuthorizationError", sender=True),
        ],
    }
    stubbed[1].add_response("publish_batch", response)
    outcomes = stubbed_publisher.publish_batch([Entry(payload=b"\x00")] * 6)
    assert [outcome.published and outcome.published.service_message_id for outcome in outcomes] == ["s-0"] + [None] * 5
    unavailable, denied = MessagingUnavailable, MessagingDenied
    kinds = [type(None), InvalidMessage, unavailable, unavailable, denied, unavailable]
    assert [type(outcome.error) for outcome in outcomes] == kinds
    assert [outcome.message_id for outcome in outcomes] == [f"m-{number}" for number in range(6)]
    codes = ["InvalidParameter", "InternalError", "Throttled", "AuthorizationError", "NoResult"]
    assert [error.response["Error"]["Code"] for error in causes(outcomes)] == codes
    assert isinstance(outcomes[1].error, InvalidMessage)
    assert (outcomes[1].error.message_id, outcomes[1].error.pointer) == ("m-1", Pointer("payloads-one", "payloads/m-1"))
    assert isinstance(outcomes[1].error.__cause__, ClientError)
    # Only objects of rejected messages are deleted.
    assert sorted(key.rpartition("-")[2] for _, key in fake_s3.objects) == ["0", "2", "3", "5"]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("code", "status", "kind", "left"),
    [("AuthorizationError", 403, MessagingDenied, []), ("InternalError", 500, MessagingUnavailable, ["m-0", "m-1"])],
)
def test_failed_call_is_the_error_of_all_its_entries(
    code: str,
    status: int,
    kind: type[Exception],
    left: list[str],
    stubbed: tuple[SNSClient, Stubber],
    stubbed_publisher: Publisher,
    fake_s3: FakeS3,
) -> None:
    stubbed[1].add_client_error("publish_batch", code, http_status_code=status)
    outcomes = stubbed_publisher.publish_batch([Entry(payload=b"\x00")] * 2)
    assert [type(outcome.error) for outcome in outcomes] == [kind, kind]
    assert sorted(key.removeprefix("payloads/") for _, key in fake_s3.objects) == left


def test_entry_error_has_the_form_of_boto(stubbed: tuple[SNSClient, Stubber], stubbed_publisher: Publisher) -> None:
    response: dict[str, Any] = {
        "Failed": [failed(0, "AuthorizationError", sender=True), failed(1, "InternalError", sender=False)],
        "ResponseMetadata": {"RequestId": "r-1", "RetryAttempts": 0},
    }
    stubbed[1].add_response("publish_batch", response)
    outcomes = stubbed_publisher.publish_batch(entries(3))
    errors = causes(outcomes)
    assert [str(error) for error in errors] == [
        "An error occurred (AuthorizationError) when calling the PublishBatch operation: no",
        "An error occurred (InternalError) when calling the PublishBatch operation: no",
        "An error occurred (NoResult) when calling the PublishBatch operation: no result",
    ]
    assert [error.response["ResponseMetadata"]["HTTPStatusCode"] for error in errors] == [400, 500, 500]
    assert {error.response["ResponseMetadata"]["RequestId"] for error in errors} == {"r-1"}


def test_batch_objects_stay_after_retry_by_boto(
    stubbed: tuple[SNSClient, Stubber], stubbed_publisher: Publisher, fake_s3: FakeS3
) -> None:
    response = {"Failed": [failed(0, "AuthorizationError", sender=True)], "ResponseMetadata": {"RetryAttempts": 1}}
    stubbed[1].add_response("publish_batch", response)
    stubbed_publisher.publish_batch([Entry(payload=b"\x00")])
    assert len(fake_s3.objects) == 1


def test_too_long_batch_names_the_threshold(stubbed: tuple[SNSClient, Stubber], stubbed_publisher: Publisher) -> None:
    stubbed[1].add_client_error("publish_batch", "BatchRequestTooLong", http_status_code=400)
    (outcome,) = stubbed_publisher.publish_batch(entries(1))
    with pytest.raises(InvalidMessage, match=r"set the threshold to the topic's MaximumMessageSize"):
        raise outcome.error or AssertionError


def test_lost_connection_is_an_outcome(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    class Lost(NotedSns):
        def publish_batch(self, **_: Any) -> dict[str, Any]:
            raise ReadTimeoutError(endpoint_url="sns")

    publisher = Publisher(topic_arn=TOPIC, store=store, sns=Lost().client(), s3=s3)
    (outcome,) = publisher.publish_batch([Entry(payload=b"\x00", message_id="m-0")])
    assert isinstance(outcome.error, MessagingUnavailable)
    assert isinstance(outcome.error.__cause__, ReadTimeoutError)
    assert (outcome.error.message_id, outcome.error.pointer) == ("m-0", ("payloads-one", "payloads/m-0"))
    assert ("payloads-one", "payloads/m-0") in fake_s3.objects


def test_batch_request_is_valid_for_boto(stubbed: tuple[SNSClient, Stubber], stubbed_publisher: Publisher) -> None:
    claim = '{"id":"m-0","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}'
    expected = {
        "TopicArn": TOPIC,
        "PublishBatchRequestEntries": [
            {
                "Id": "0",
                "Message": "abc",
                "MessageAttributes": {"ClaimCheck": {"DataType": "String", "StringValue": claim}},
                "Subject": "a scan",
            }
        ],
    }
    stubbed[1].add_response("publish_batch", {"Successful": [{"Id": "0", "MessageId": "s-0"}]}, expected)
    (outcome,) = stubbed_publisher.publish_batch([Entry(payload="abc", message_id="m-0", subject="a scan")])
    assert outcome.published
    assert outcome.published.service_message_id == "s-0"

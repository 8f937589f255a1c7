"""The publish function: events of both kinds, and an end of the function between any two steps."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from claim_check import Dereferencer, MessagingDenied
from cli.redrive.dead_letter import parse_rejected_event
from publish.settings import Settings
from tests.lambdas.conftest import STORE, Listen, Load, create_queue, received, subscribed_topic
from tests.lambdas.publish.publishing import KEY, SENDER, keys, upload
from tests.lambdas.publish.test_event import EVENT_ID, bus_event

SETTINGS = Settings(
    topic_arn="set by the fixture",
    payload_store=STORE,
    outbox_prefix="outbox/",
    deployment="coatcheck",
    senders={"shop": f"us-east-1:{SENDER}"},
    sender_bus="arn:aws:events:{place}:event-bus/coatcheck-{name}-sender",
    dead_letter_queue_url="set by the fixture",
    threshold_bytes=262_144,
    offload="over-threshold",
    maximum_upload_bytes=10_000_000,
    outbox_attributes=(),
)


@pytest.fixture
def delivered(aws: None) -> str:
    return create_queue("delivered")


@pytest.fixture
def dead_letters(aws: None) -> str:
    return create_queue("dead-letters")


@pytest.fixture
def settings(delivered: str, dead_letters: str) -> Settings:
    return replace(SETTINGS, topic_arn=subscribed_topic(delivered), dead_letter_queue_url=dead_letters)


@pytest.fixture
def publish(load: Load, settings: Settings) -> ModuleType:
    return load(settings)


BUS = f"arn:aws:events:us-east-1:{SENDER}:event-bus/coatcheck-shop-sender"


class Buses:
    """A client of EventBridge that records its entries and returns the given errors."""

    def __init__(self) -> None:
        self.regions: list[str] = []
        self.entries: list[dict[str, Any]] = []
        self.failures: list[str] = []

    def __call__(self, region: str) -> "Buses":
        self.regions.append(region)
        return self

    def put_events(self, **request: Any) -> dict[str, Any]:
        if self.failures:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": self.failures.pop(0), "ErrorMessage": "given"}]}
        self.entries += request["Entries"]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "report"}]}

    def reports(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return bus, detail-type and detail of each report."""
        assert {entry["Source"] for entry in self.entries} <= {"coatcheck"}
        return [(entry["EventBusName"], entry["DetailType"], json.loads(entry["Detail"])) for entry in self.entries]


@pytest.fixture
def buses(publish: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Buses:
    buses = Buses()
    monkeypatch.setattr(publish, "events_client", buses)
    return buses


class Died(Exception):
    """The end of the function's process."""


def test_event_over_the_threshold_is_offloaded(
    publish: ModuleType, buses: Buses, delivered: str, context: SimpleNamespace
) -> None:
    detail = {"text": "x" * 300_000}
    assert publish.handler(bus_event(detail), context) == {"message_id": EVENT_ID}
    (record,) = received(delivered)
    message = Dereferencer(stores=[STORE]).message(record)
    assert message.pointer
    assert message.payload.json() == detail


@pytest.mark.parametrize("change", [{"offload": "always"}, {"threshold_bytes": 1024}], ids=str)
def test_settings_decide_offloading(
    load: Load, settings: Settings, delivered: str, context: SimpleNamespace, change: dict[str, Any]
) -> None:
    publish = load(replace(settings, senders={}, **change))
    publish.handler(bus_event({"text": "x" * 2000}), context)
    (record,) = received(delivered)
    assert Dereferencer(stores=[STORE]).message(record).pointer


def test_publisher_without_offloading_refuses_uploads(
    load: Load, settings: Settings, delivered: str, dead_letters: str, context: SimpleNamespace
) -> None:
    publish = load(replace(settings, senders={}, offload="never"))
    publish.handler(upload(b"x"), context)
    publish.handler(bus_event({"text": "x" * 300_000}), context)
    reasons = [letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] for letter in received(dead_letters)]
    assert sorted(reasons) == ["InvalidMessage", "PayloadTooLarge"]
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
    publish: ModuleType, buses: Buses, delivered: str, context: SimpleNamespace, operation: str, moment: str
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
    assert [(kind, detail["bytes"]) for _, kind, detail in buses.reports()] == [("Message published", len(body))]
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


def test_log_and_metrics_of_each_event(
    publish: ModuleType, buses: Buses, context: SimpleNamespace, listen: Listen
) -> None:
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


def test_sender_hears_of_published_messages(publish: ModuleType, buses: Buses, context: SimpleNamespace) -> None:
    event = upload(b"a file")
    ids = [publish.handler(each, context)["message_id"] for each in (bus_event({"n": 1}), event)]
    version = event["detail"]["object"]["version-id"]
    assert buses.reports() == [
        (BUS, "Message published", {"message_id": ids[0], "bytes": 7}),
        (
            BUS,
            "Message published",
            {"message_id": ids[1], "bytes": 6, "outbox_key": "shop/scan.bin", "version_id": version},
        ),
    ]
    assert set(buses.regions) == {"us-east-1"}


def test_sender_hears_why_a_message_is_refused(
    publish: ModuleType, buses: Buses, dead_letters: str, context: SimpleNamespace
) -> None:
    event = upload(bytes(10_000_001))
    assert publish.handler(event, context) == {"message_id": None}
    ((bus, kind, detail),) = buses.reports()
    assert (bus, kind) == (BUS, "Message refused")
    assert (detail["reason"], detail["outbox_key"]) == ("PayloadTooLarge", "shop/scan.bin")
    assert detail["version_id"] == event["detail"]["object"]["version-id"]
    assert "it has 10000001 bytes, and publisher.outbox.maximum_bytes is 10000000" in detail["problem"]
    assert STORE.bucket not in json.dumps(detail)
    (letter,) = received(dead_letters)
    parsed = parse_rejected_event(letter)
    assert parsed
    assert parsed.event == event
    assert parsed.reason.startswith("PayloadTooLarge: the upload stays in the outbox")


def test_dead_letter_has_the_bytes_of_its_event(
    publish: ModuleType, buses: Buses, dead_letters: str, context: SimpleNamespace
) -> None:
    """A megabyte outside ASCII, which fits into EventBridge, fits into SQS."""
    event = bus_event({"text": "ж" * 50_000, "half": "\ud83e"}, source="outbox")
    assert publish.handler(event, context) == {"message_id": None}
    (letter,) = received(dead_letters)
    assert len(letter["Body"].encode()) < 110_000
    parsed = parse_rejected_event(letter)
    assert parsed
    assert parsed.event == event


@pytest.mark.parametrize(
    "event",
    [
        lambda: bus_event({"n": 1}, account="999999999999"),
        lambda: upload(b"x", requester="999999999999"),
        lambda: upload(b"x", "outbox/other/scan.bin"),
        lambda: upload(b"x", "outbox/shop"),
    ],
    ids=["account", "requester", "folder", "no folder"],
)
def test_no_other_party_hears_of_a_message(
    publish: ModuleType, buses: Buses, context: SimpleNamespace, event: Callable[[], dict[str, Any]]
) -> None:
    """What a message claims of its source does not matter."""
    assert publish.handler(event(), context)["message_id"]
    assert buses.reports() == []


@pytest.mark.parametrize("failures", [["ThrottlingException"] * 2, ["InternalFailure"]], ids=["throttled", "failed"])
def test_report_is_tried_again(
    publish: ModuleType, buses: Buses, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    monkeypatch.setattr("publish.report.time.sleep", lambda _: None)
    buses.failures = list(failures)
    publish.handler(bus_event({"n": 1}), context)
    assert len(buses.reports()) == 1


@pytest.mark.parametrize("code", ["NotAuthorizedForSourceException", "InternalFailure"])
def test_lost_report_is_counted_and_the_message_published(
    publish: ModuleType,
    buses: Buses,
    delivered: str,
    context: SimpleNamespace,
    listen: Listen,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
) -> None:
    telemetry = listen(publish)
    monkeypatch.setattr("publish.report.time.sleep", lambda _: None)
    buses.failures = [code] * 3
    assert publish.handler(bus_event({"n": 1}), context) == {"message_id": EVENT_ID}
    assert len(received(delivered)) == 1
    assert telemetry.metrics()["ReportLost"] == [1]
    line = telemetry.lines()[-1]
    assert (line["message"], line["sender"], line["message_id"]) == ("report lost", "shop", EVENT_ID)


def test_lost_report_leaves_those_of_other_senders(load: Load, settings: Settings, context: SimpleNamespace) -> None:
    """A sender whose stack is not deployed, in the account of another sender."""
    place = settings.senders["shop"]
    publish, buses = load(replace(settings, senders={"absent": place, "shop": place})), Buses()
    publish.events_client = buses  # type: ignore[attr-defined]
    buses.failures = ["NotAuthorizedForSourceException"]
    publish.handler(bus_event({"n": 1}), context)
    assert [bus for bus, *_ in buses.reports()] == [BUS]

"""deployments/routing.toml in the local world: who gets what, what waits to be replayed, and in which order."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from claim_check import Publisher, offload, put_event
from local.world import World
from publish.upload import upload_id
from stacks.deployment import load_messaging
from stacks.deployment.names import Names
from tests.local.support import eventually
from tests.templates import ROOT, assembly

DEPLOYMENT = load_messaging(ROOT / "deployments" / "routing.toml")
SHOP, WAREHOUSE = DEPLOYMENT.senders
ORDERS, AUDIT = DEPLOYMENT.subscribers
HOME, REGION = DEPLOYMENT.publisher.account, DEPLOYMENT.publisher.region
NAMES = Names(DEPLOYMENT)
BUCKET = NAMES.publisher.payload_bucket.bucket.name

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World.start(
        assembly(DEPLOYMENT, tmp_path_factory.mktemp("routing")), publisher=HOME, progress=lambda *_: None
    ) as world:
        yield world


def put(world: World, detail_type: str, **detail: Any) -> str:
    """The id of an event that the shop puts on the bus, as its role."""
    events = world.accounts.client(
        "events", account=SHOP.account, region=REGION, role=NAMES.senders[SHOP.name].role.name
    )
    bus = NAMES.publisher.event_bus.arn
    return put_event(bus=bus, source="shop", detail_type=detail_type, detail=detail, events=events)


def upload(world: World, sender: Any, metadata: dict[str, str]) -> str:
    """The message id of a file that a sender uploads to its folder, as its role."""
    s3 = world.accounts.client("s3", account=sender.account, region=REGION, role=NAMES.senders[sender.name].role.name)
    key = f"{NAMES.senders[sender.name].outbox}file"
    answer = s3.put_object(Bucket=BUCKET, Key=key, Body=b"payload", Metadata=metadata)
    return upload_id(key, answer["VersionId"])


def handed_on(world: World, subscriber: Any) -> dict[str, dict[str, Any]]:
    """What the subscriber's application was handed, by message id, in the order of its start."""
    states = world.accounts.client("stepfunctions", account=subscriber.account, region=subscriber.region)
    machine = NAMES.subscribers[subscriber.name].state_machine.name
    arn = f"arn:aws:states:{subscriber.region}:{subscriber.account}:stateMachine:{machine}"
    executions = states.list_executions(stateMachineArn=arn)["executions"]
    inputs = [
        json.loads(states.describe_execution(executionArn=each["executionArn"])["input"])
        for each in sorted(executions, key=lambda each: each["startDate"])
    ]
    return {each["message_id"]: each["summary"]["attributes"] for each in inputs}


def handed_on_all(world: World, subscriber: Any, *ids: str) -> dict[str, dict[str, Any]]:
    """The same, once these are among it."""
    eventually(lambda: set(ids) <= set(handed_on(world, subscriber)), seconds=90)
    return handed_on(world, subscriber)


def test_each_subscriber_gets_what_it_asked_for_and_the_rest_waits_to_be_replayed(world: World) -> None:
    placed, sent = put(world, "order.placed", n=1), put(world, "invoice.sent", n=2)
    unmatched = put(world, "stock.counted", n=3)
    from_shop = upload(world, SHOP, {"kind": "scan", "title": "=?UTF-8?B?R3LDvMOfZQ==?="})
    from_warehouse = upload(world, WAREHOUSE, {"kind": "scan"})

    audited = handed_on_all(world, AUDIT, placed, sent, from_shop, from_warehouse)
    assert set(audited) == {placed, sent, from_shop, from_warehouse}
    assert audited[placed] == {"source": "shop", "detail-type": "order.placed", "account": SHOP.account}
    assert audited[from_shop] == {
        "source": "outbox",
        "sender": "shop",
        "account": SHOP.account,
        "outbox-key": "shop/file",
        "kind": "scan",
        "title": "Grüße",
    }
    assert (audited[from_warehouse]["sender"], audited[from_warehouse]["account"]) == ("warehouse", HOME)
    assert set(handed_on_all(world, ORDERS, placed, from_shop)) == {placed, from_shop}

    events = world.accounts.client("events", account=HOME, region=REGION)
    assert events.describe_archive(ArchiveName=NAMES.publisher.archive.name)["EventCount"] == 1
    # What deploying the publisher's stack with one detail-type more does.
    (rule,) = events.list_rules(EventBusName=NAMES.publisher.event_bus.name)["Rules"]
    pattern = json.loads(rule["EventPattern"])
    pattern["detail-type"].append("stock.counted")
    events.put_rule(Name=rule["Name"], EventBusName=rule["EventBusName"], EventPattern=json.dumps(pattern))
    for name in ("once", "twice"):
        events.start_replay(
            ReplayName=name,
            EventSourceArn=NAMES.publisher.archive.arn,
            EventStartTime=datetime.now(UTC) - timedelta(hours=1),
            EventEndTime=datetime.now(UTC) + timedelta(hours=1),
            Destination={"Arn": NAMES.publisher.event_bus.arn},
        )
    assert len(handed_on_all(world, AUDIT, unmatched)) == 5
    assert "stock.counted" not in {each.get("detail-type") for each in handed_on(world, ORDERS).values()}


def test_an_upload_with_forged_metadata_is_dead_lettered_and_stays(world: World) -> None:
    upload(world, SHOP, {"sender": "warehouse"})
    sqs = world.accounts.client("sqs", account=HOME, region=REGION)
    url = sqs.get_queue_url(QueueName=NAMES.publisher.dead_letter_queue.name)["QueueUrl"]
    (dead,) = eventually(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"), seconds=60)
    error = json.loads(dead["Body"])["responsePayload"]
    assert error["errorType"] == "InvalidMessage"
    assert "metadata 'sender'" in error["errorMessage"]
    assert f"s3://{BUCKET}/outbox/shop/file" in error["errorMessage"]
    s3 = world.accounts.client("s3", account=HOME, region=REGION)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET, Prefix="outbox/")["Contents"]] == [
        "outbox/shop/file"
    ]


def test_what_follows_a_failed_message_of_its_group_waits_for_it(world: World) -> None:
    """Its payload cannot be read for a while; the next of its group must not overtake it, another group may."""
    owner = world.accounts.client("sqs", account=AUDIT.account, region=AUDIT.region)
    queue = owner.get_queue_url(QueueName=NAMES.subscribers[AUDIT.name].queue.name)["QueueUrl"]
    owner.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "4"})
    whoever = {"account": HOME, "region": REGION, "role": NAMES.publisher.role.name}
    s3 = world.accounts.client("s3", **whoever)
    store = NAMES.publisher.store
    topic = NAMES.publisher.topic.arn
    publisher = Publisher(
        topic_arn=topic, store=store, offload="always", sns=world.accounts.client("sns", **whoever), s3=s3
    )
    before = set(handed_on(world, AUDIT))

    publisher.publish(b"0", message_id="a-0", group_id="a")
    handed_on_all(world, AUDIT, "a-0")
    hidden = offload(b"1", store=store, message_id="a-1", s3=s3)
    administrator = world.accounts.client("s3", account=HOME, region=REGION)
    marker = administrator.delete_object(Bucket=BUCKET, Key=hidden.pointer.key)["VersionId"]
    publisher_of_hidden = Publisher(
        topic_arn=topic,
        store=store,
        offload="always",
        sns=world.accounts.client("sns", **whoever),
        s3=Stored(s3),  # type: ignore[arg-type]
    )
    publisher_of_hidden.publish(b"1", message_id="a-1", group_id="a")
    for number in (2, 3):
        publisher.publish(b"2", message_id=f"a-{number}", group_id="a")
    publisher.publish(b"2", message_id="b-1", group_id="b")

    assert not {"a-1", "a-2", "a-3"} & set(handed_on_all(world, AUDIT, "b-1"))
    administrator.delete_object(Bucket=BUCKET, Key=hidden.pointer.key, VersionId=marker)
    found = handed_on_all(world, AUDIT, "a-1", "a-2", "a-3")
    assert [each for each in found if each not in before] == ["a-0", "b-1", "a-1", "a-2", "a-3"]


class Stored:
    """A client of S3 to which every payload is stored already."""

    def __init__(self, s3: Any) -> None:
        self.meta = s3.meta

    def put_object(self, **_: Any) -> None: ...

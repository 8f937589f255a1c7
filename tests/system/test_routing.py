"""The deployment of deployments/routing.toml: filter policies, replayed events, and the order of a message group."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from claim_check import Publisher, offload, put_event, upload_id
from local.world import World
from stacks.deployment import Names, SenderNames, SubscriberNames, load_messaging
from tests.local.support import Account, eventually
from tests.templates import ROOT, assembly

DEPLOYMENT = load_messaging(ROOT / "deployments" / "routing.toml")
NAMES = Names(DEPLOYMENT)
SHOP, WAREHOUSE = NAMES.senders.values()
ORDERS, AUDIT = NAMES.subscribers.values()
PUBLISHER = NAMES.publisher
BUCKET = PUBLISHER.payload_bucket.bucket.name
HOME = PUBLISHER.place

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = assembly(DEPLOYMENT, tmp_path_factory.mktemp("routing"))
    with World.start(folder, publisher=HOME.account, progress=lambda *_: None) as world:
        yield world


@pytest.fixture
def publisher(world: World) -> Account:
    return Account(world.accounts, HOME.account, HOME.region)


def put(world: World, detail_type: str, **detail: Any) -> str:
    """Put an event on the publisher's bus as the shop's role. Return the event's id."""
    events = Account(world.accounts, SHOP.place.account, HOME.region).client("events", role=SHOP.role.name)
    return put_event(bus=PUBLISHER.event_bus.arn, source="shop", detail_type=detail_type, detail=detail, events=events)


def upload(world: World, sender: SenderNames, metadata: dict[str, str]) -> str:
    """Upload a file to a sender's prefix as its role. Return the message id."""
    s3 = Account(world.accounts, sender.place.account, HOME.region).client("s3", role=sender.role.name)
    key = f"{sender.outbox}file"
    response = s3.put_object(Bucket=BUCKET, Key=key, Body=b"payload", Metadata=metadata)
    return upload_id(key, response["VersionId"])


def received(world: World, subscriber: SubscriberNames) -> dict[str, dict[str, Any]]:
    """Return the attributes of the messages with an execution, by message id, in the order of the executions."""
    states = Account(world.accounts, subscriber.place.account, subscriber.place.region).client("stepfunctions")
    executions = states.list_executions(stateMachineArn=subscriber.state_machine.arn)["executions"]
    inputs = [
        json.loads(states.describe_execution(executionArn=execution["executionArn"])["input"])
        for execution in sorted(executions, key=lambda execution: execution["startDate"])
    ]
    return {handoff["message_id"]: handoff["summary"]["attributes"] for handoff in inputs}


def wait_for(world: World, subscriber: SubscriberNames, *ids: str) -> dict[str, dict[str, Any]]:
    """Return what `received` returns, once these messages are among it."""
    eventually(lambda: set(ids) <= set(received(world, subscriber)), seconds=90)
    return received(world, subscriber)


def test_filters_select_messages_and_replay_adds_an_event(world: World, publisher: Account) -> None:
    placed, sent = put(world, "order.placed", n=1), put(world, "invoice.sent", n=2)
    unmatched = put(world, "stock.counted", n=3)
    from_shop = upload(world, SHOP, {"kind": "scan", "title": "=?UTF-8?B?R3LDvMOfZQ==?="})
    from_warehouse = upload(world, WAREHOUSE, {"kind": "scan"})

    audited = wait_for(world, AUDIT, placed, sent, from_shop, from_warehouse)
    assert set(audited) == {placed, sent, from_shop, from_warehouse}
    assert datetime.fromisoformat(audited[placed].pop("time")) <= datetime.now(UTC)
    assert audited[placed] == {"source": "shop", "detail-type": "order.placed", "account": SHOP.place.account}
    assert audited[from_shop] == {
        "source": "outbox",
        "sender": "shop",
        "account": SHOP.place.account,
        "outbox-key": "shop/file",
        "kind": "scan",
        "title": "Grüße",
    }
    assert (audited[from_warehouse]["sender"], audited[from_warehouse]["account"]) == ("warehouse", HOME.account)
    assert set(wait_for(world, ORDERS, placed, from_shop)) == {placed, from_shop}

    events = publisher.client("events")
    assert events.describe_archive(ArchiveName=PUBLISHER.archive.name)["EventCount"] == 1
    # As a deployment of the publisher's stack with another detail-type does.
    (rule,) = events.list_rules(EventBusName=PUBLISHER.event_bus.name)["Rules"]
    pattern = json.loads(rule["EventPattern"])
    pattern["detail-type"].append("stock.counted")
    events.put_rule(Name=rule["Name"], EventBusName=rule["EventBusName"], EventPattern=json.dumps(pattern))
    for name in ("first", "second"):
        events.start_replay(
            ReplayName=name,
            EventSourceArn=PUBLISHER.archive.arn,
            EventStartTime=datetime.now(UTC) - timedelta(hours=1),
            EventEndTime=datetime.now(UTC) + timedelta(hours=1),
            Destination={"Arn": PUBLISHER.event_bus.arn},
        )
    assert len(wait_for(world, AUDIT, unmatched)) == 5
    assert "stock.counted" not in {attributes.get("detail-type") for attributes in received(world, ORDERS).values()}


class _StoredPayloads:
    """A client of S3 to which every payload is already uploaded."""

    def __init__(self, s3: Any) -> None:
        self.meta = s3.meta

    def put_object(self, **_: Any) -> dict[str, str]:
        return {"ETag": "stored before"}


def test_failed_message_delays_its_message_group_only(world: World, publisher: Account) -> None:
    """The payload of the second message in group `a` is deleted, and restored after a message of group `b`."""
    audit = Account(world.accounts, AUDIT.place.account, AUDIT.place.region).client("sqs")
    queue = audit.get_queue_url(QueueName=AUDIT.queue.name)["QueueUrl"]
    audit.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "4"})
    sns, s3 = (publisher.client(service, role=PUBLISHER.role.name) for service in ("sns", "s3"))
    store, before = PUBLISHER.store, set(received(world, AUDIT))

    def publish(message_id: str, s3: Any = s3) -> None:
        Publisher(topic_arn=PUBLISHER.topic.arn, store=store, offload="always", sns=sns, s3=s3).publish(
            b"payload", message_id=message_id, group_id=message_id[0]
        )

    publish("a-0")
    wait_for(world, AUDIT, "a-0")
    hidden = offload(b"payload", store=store, message_id="a-1", s3=s3)
    administrator = publisher.client("s3")
    marker = administrator.delete_object(Bucket=BUCKET, Key=hidden.pointer.key)["VersionId"]
    publish("a-1", _StoredPayloads(s3))
    for message_id in ("a-2", "a-3", "b-1"):
        publish(message_id)

    assert not {"a-1", "a-2", "a-3"} & set(wait_for(world, AUDIT, "b-1"))
    administrator.delete_object(Bucket=BUCKET, Key=hidden.pointer.key, VersionId=marker)
    arrived = wait_for(world, AUDIT, "a-1", "a-2", "a-3")
    assert [message_id for message_id in arrived if message_id not in before] == ["a-0", "b-1", "a-1", "a-2", "a-3"]

"""The public doors. Each function sends one payload as an application would, and tells how to find its message."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from claim_check import Publisher, Store
from cli.scenario.payloads import Payload
from local.accounts import Accounts
from stacks.deployment import Deployment, names


@dataclass(frozen=True)
class Sent:
    """A payload that went through a door.

    `traced` is the field of the publish function's log, and its value, by which the message is found; None when the
    message's id is known already.
    """

    what: str
    route: str
    bytes: int
    sha256: str
    at: datetime
    message_id: str | None = None
    traced: tuple[str, str] | None = None


def sending_role(deployment: Deployment) -> tuple[str, str, str]:
    """Whom the demo sends as: account and name of the first sender's role, and its folder of the outbox; without any,
    the publisher's own."""
    for sender in deployment.senders:
        return sender.account, names.sender_role(deployment, sender), names.sender_outbox(sender)
    return deployment.publisher.account, names.publisher_role(deployment), f"{names.OUTBOX}demo/"


def by_event(accounts: Accounts, deployment: Deployment) -> Sent:
    """(a) A small event, put on the publisher's bus by a sender of another account, as its role; without any, by an
    administrator of the publisher's, whose own role is for the library and the outbox."""
    publisher = deployment.publisher
    account, role, _ = sending_role(deployment)
    detail = {"order": 4711, "text": "Wintermantel, grün, Größe 42 🧥", "lines": [{"sku": "A-1", "amount": 2}]}
    payload = json.dumps(detail, separators=(",", ":"), ensure_ascii=False)
    at = datetime.now(UTC)
    answer = accounts.client(
        "events", account=account, region=publisher.region, role=role if deployment.senders else None
    ).put_events(
        Entries=[
            {
                "EventBusName": names.event_bus_arn(deployment),
                "Source": "shop.orders",
                "DetailType": "Order placed",
                "Detail": payload,
            }
        ]
    )
    (entry,) = answer["Entries"]
    if "EventId" not in entry:
        raise ClientError({"Error": {"Code": entry["ErrorCode"], "Message": entry["ErrorMessage"]}}, "PutEvents")
    return Sent(
        what="a small event",
        route=f"PutEvents from {account}",
        bytes=len(payload.encode()),
        sha256=hashlib.sha256(payload.encode()).hexdigest(),
        at=at,
        message_id=entry["EventId"],
        traced=("event_id", entry["EventId"]),
    )


def by_library(accounts: Accounts, deployment: Deployment, payload: Payload) -> Sent:
    """(b) A file over the threshold, published by an application that uses the library as the publisher role."""
    publisher = deployment.publisher
    whoever = {"account": publisher.account, "region": publisher.region, "role": names.publisher_role(deployment)}
    at = datetime.now(UTC)
    published = Publisher(
        topic_arn=names.topic_arn(deployment),
        store=Store(names.payload_bucket(deployment), names.PAYLOADS, publisher.account, publisher.region),
        threshold=publisher.maximum_message_bytes,
        offload="always",  # also a file of a few bytes
        sns=accounts.client("sns", **whoever),
        s3=accounts.client("s3", **whoever),
    ).publish(
        payload.path,
        attributes={"source": "demo", "file": payload.path.name},
        group_id="demo" if publisher.fifo else None,
    )
    return Sent(
        what=payload.path.name,
        route="the library",
        bytes=payload.bytes,
        sha256=payload.sha256,
        at=at,
        message_id=published.message_id,
    )


def by_outbox(accounts: Accounts, deployment: Deployment, payload: Payload) -> Sent:
    """(c) A file that the same sender drops into its folder of the outbox, from its own account."""
    publisher = deployment.publisher
    account, role, folder = sending_role(deployment)
    key = f"{folder}{payload.path.name}"
    s3 = accounts.client("s3", account=account, region=publisher.region, role=role)
    at = datetime.now(UTC)
    s3.upload_file(
        str(payload.path),
        names.payload_bucket(deployment),
        key,
        ExtraArgs={"ExpectedBucketOwner": publisher.account, "Metadata": {"file": "demo"}},
    )
    return Sent(
        what=payload.path.name,
        route=f"upload from {account}",
        bytes=payload.bytes,
        sha256=payload.sha256,
        at=at,
        traced=("upload", key),
    )

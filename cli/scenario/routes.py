"""The entry points of a deployment. Each function sends one payload as an application would."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from claim_check import Publisher, put_event
from cli.scenario.payloads import SentPayload
from local.accounts import Accounts
from stacks.deployment import Names
from stacks.deployment.names import OUTBOX


@dataclass(frozen=True)
class Submission:
    """A payload that was sent through an entry point."""

    payload: str
    route: str
    bytes: int
    sha256: str
    at: datetime
    message_id: str | None = None
    log_field: tuple[str, str] | None = None
    """The field of the publish function's log, and its value, that identify the message. None for the library."""


class SendingRole(NamedTuple):
    """A role that sends, and the prefix of its uploads."""

    account: str
    role: str
    outbox: str


def sending_role(names: Names) -> SendingRole:
    """Return the role of the first sender, or without senders the publisher's own role."""
    for sender in names.senders.values():
        return SendingRole(sender.place.account, sender.role.name, sender.outbox)
    return SendingRole(names.publisher.place.account, names.publisher.role.name, f"{OUTBOX}demo/")


def send_event(accounts: Accounts, names: Names) -> Submission:
    """Put a small event on the publisher's event bus.

    Without senders, the publisher's administrator puts the event: the publisher's role may not put events.
    """
    account, role, _ = sending_role(names)
    detail = {"order": 4711, "text": "Wintermantel, grün, Größe 42 🧥", "lines": [{"sku": "A-1", "amount": 2}]}
    payload = json.dumps(detail, separators=(",", ":"), ensure_ascii=False)
    at = datetime.now(UTC)
    event_id = put_event(
        bus=names.publisher.event_bus.arn,
        source="shop.orders",
        detail_type="Order placed",
        detail=payload,
        events=accounts.client(
            "events", account=account, region=names.publisher.place.region, role=role if names.senders else None
        ),
    )
    return Submission(
        payload="a small event",
        route=f"PutEvents from {account}",
        bytes=len(payload.encode()),
        sha256=hashlib.sha256(payload.encode()).hexdigest(),
        at=at,
        message_id=event_id,
        log_field=("event_id", event_id),
    )


def send_by_library(accounts: Accounts, names: Names, payload: SentPayload, *, threshold: int) -> Submission:
    """Publish a file with the library, as the publisher's role. `threshold` is `publisher.maximum_message_bytes`."""
    publisher = names.publisher
    caller = {"account": publisher.place.account, "region": publisher.place.region, "role": publisher.role.name}
    at = datetime.now(UTC)
    published = Publisher(
        topic_arn=publisher.topic.arn,
        store=publisher.store,
        threshold=threshold,
        offload="always",  # also a file of a few bytes
        sns=accounts.client("sns", **caller),
        s3=accounts.client("s3", **caller),
    ).publish(
        payload.path,
        attributes={"source": "demo", "file": payload.path.name},
        group_id="demo" if publisher.fifo_suffix else None,
    )
    return Submission(
        payload=payload.path.name,
        route="the library",
        bytes=payload.bytes,
        sha256=payload.sha256,
        at=at,
        message_id=published.message_id,
    )


def send_by_outbox(accounts: Accounts, names: Names, payload: SentPayload) -> Submission:
    """Upload a file to the sender's prefix of the outbox."""
    account, role, outbox = sending_role(names)
    publisher = names.publisher
    key = f"{outbox}{payload.path.name}"
    s3 = accounts.client("s3", account=account, region=publisher.place.region, role=role)
    at = datetime.now(UTC)
    s3.upload_file(
        str(payload.path),
        publisher.payload_bucket.bucket.name,
        key,
        ExtraArgs={"ExpectedBucketOwner": publisher.place.account, "Metadata": {"file": "demo"}},
    )
    return Submission(
        payload=payload.path.name,
        route=f"upload from {account}",
        bytes=payload.bytes,
        sha256=payload.sha256,
        at=at,
        log_field=("upload", key),
    )

"""The entry points of a deployment. Each function sends one payload as an application would."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from claim_check import Publisher, put_event
from cli.scenario.payloads import SentPayload
from cli.scenario.world import ScenarioWorld
from cli.upload import upload
from stacks.deployment import Deployment, Names
from stacks.deployment.filter_reach import UPLOAD_SOURCE
from stacks.deployment.names import OUTBOX
from stacks.deployment.sender import PUBLISHERS_OWN

SOURCE = "coatcheck.verify"
"""The source of the scenario's messages, by which an application can recognise them."""
_DETAIL_TYPE = "Order placed"


@dataclass(frozen=True)
class Submission:
    """A payload that was sent through an entry point."""

    payload: str
    route: str
    bytes: int
    sha256: str
    at: datetime
    message_id: str
    published_at: datetime | None = None
    """Only of the library, which returns after the publication."""
    offloaded: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    """The message's attributes, which filter policies match."""


Sent = Callable[[int], object]
"""Called with the bytes of a file that are sent so far."""


class SendingRole(NamedTuple):
    """A role that sends, the prefix of its uploads, and their attribute `sender`."""

    account: str
    role: str
    outbox: str
    sender: str


def sending_role(names: Names, world: ScenarioWorld | None = None) -> SendingRole:
    """Return the role of the first sender that the world reaches, or without one the publisher's own role."""
    for sender in names.senders.values():
        if world and not world.reaches(sender.place.account):
            continue
        return SendingRole(sender.place.account, sender.role.name, sender.outbox, sender.name)
    own = names.publisher
    return SendingRole(own.place.account, own.role.name, f"{OUTBOX}verify/", PUBLISHERS_OWN)


def routes(
    world: ScenarioWorld, deployment: Deployment, names: Names, payload: SentPayload
) -> Iterator[Callable[[Sent], Submission]]:
    """Return a function for each entry point that can be used with the world's credentials. It sends one payload."""
    publisher = deployment.publisher
    if not world.reaches(sending_role(names, world).account):
        return
    yield partial(send_event, world, names, detail_type=next(iter(publisher.detail_types), _DETAIL_TYPE))
    if publisher.offload == "never":
        return
    if world.reaches(publisher.account):
        yield partial(send_by_library, world, names, payload, threshold=publisher.maximum_message_bytes)
    if payload.bytes <= publisher.outbox.maximum_bytes:
        yield partial(send_by_outbox, world, names, payload)


def send_event(world: ScenarioWorld, names: Names, _sent: Sent, *, detail_type: str) -> Submission:
    """Put a small event on the publisher's event bus.

    Without senders, the publisher's administrator puts the event: the publisher's role may not put events.
    """
    account, role, *_ = sending_role(names, world)
    is_sender = role != names.publisher.role.name
    detail = {"order": 4711, "text": "Wintermantel, grün, Größe 42 🧥", "lines": [{"sku": "A-1", "amount": 2}]}
    payload = json.dumps(detail, separators=(",", ":"), ensure_ascii=False)
    at = datetime.now(UTC)
    event_id = put_event(
        bus=names.publisher.event_bus.arn,
        source=SOURCE,
        detail_type=detail_type,
        detail=payload,
        events=world.client(
            "events", account=account, region=names.publisher.place.region, role=role if is_sender else None
        ),
    )
    return Submission(
        payload="a small event",
        route=f"PutEvents from {account}",
        bytes=len(payload.encode()),
        sha256=hashlib.sha256(payload.encode()).hexdigest(),
        at=at,
        message_id=event_id,
        attributes={
            "source": SOURCE,
            "detail-type": detail_type,
            "account": account,
            "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        },
    )


def send_by_library(
    world: ScenarioWorld, names: Names, payload: SentPayload, sent: Sent, *, threshold: int
) -> Submission:
    """Publish a file with the library, as the publisher's role. `threshold` is `publisher.maximum_message_bytes`."""
    publisher, attributes = names.publisher, {"source": SOURCE, "file": payload.path.name}
    caller = {"account": publisher.place.account, "region": publisher.place.region, "role": publisher.role.name}
    at = datetime.now(UTC)
    published = Publisher(
        topic_arn=publisher.topic.arn,
        store=publisher.store,
        threshold=threshold,
        offload="always",  # also a file of a few bytes
        sns=world.client("sns", **caller),
        s3=world.client("s3", **caller),
    ).publish(
        payload.path,
        attributes=attributes,
        group_id="verify" if publisher.fifo_suffix else None,
        progress=sent,
    )
    return Submission(
        payload=payload.path.name,
        route="the library",
        bytes=payload.bytes,
        sha256=payload.sha256,
        at=at,
        published_at=datetime.now(UTC),
        message_id=published.message_id,
        offloaded=True,
        attributes=attributes,
    )


def send_by_outbox(world: ScenarioWorld, names: Names, payload: SentPayload, sent: Sent) -> Submission:
    """Upload a file to the sender's prefix of the outbox."""
    account, role, outbox, sender = sending_role(names, world)
    publisher = names.publisher
    key, metadata = f"{outbox}{payload.path.name}", {"file": "verify"}
    s3 = world.client("s3", account=account, region=publisher.place.region, role=role)
    at, parts = datetime.now(UTC), list[int]()

    def add(part: int) -> None:
        parts.append(part)
        sent(sum(parts))

    with payload.path.open("rb") as file:
        message_id = upload(
            s3, file, publisher=publisher, key=key, size=payload.bytes, metadata=metadata, progressed=add
        )
    return Submission(
        payload=payload.path.name,
        route=f"upload from {account}",
        bytes=payload.bytes,
        sha256=payload.sha256,
        at=at,
        message_id=message_id,
        attributes={
            "source": UPLOAD_SOURCE,
            "outbox-key": key.removeprefix(OUTBOX),
            "account": account,
            "sender": sender,
            **metadata,
        },
    )

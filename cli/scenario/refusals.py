"""Attempts that must be denied. Each names its caller and the policy that must deny it."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from claim_check import MessagingDenied, Pointer, put_event
from cli.redrive.dead_letter import parse, parse_queued
from cli.redrive.sources import BATCH, QueueReader
from cli.scenario.routes import SOURCE
from cli.scenario.world import ScenarioWorld
from stacks.deployment import Names, Place, PublisherNames, Resource, SenderNames, SubscriberNames
from stacks.deployment.names import OUTBOX, PAYLOADS
from stacks.deployment.regions import dns_suffix

DEAD_LETTER_SECONDS = 60
REPORT_SECONDS = 60
LARGEST_UPLOAD_BYTES = 128 * 2**20
"""Maximum size of an upload that is sent only to be refused."""
_ONLY_READ = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
)


@dataclass(frozen=True)
class RefusedAttempt:
    """An attempt and its response. `denied`: whether the expected policy denied it."""

    attempt: str
    caller: str
    policy: str
    response: str
    denied: bool


_Policy = tuple[str, str]
"""The policy that must deny an attempt, and a pattern that matches its error and no error of another policy."""

# S3's error does not name the action. An error of KMS does.
_BUCKET_POLICY = ("the payload bucket's policy", r"^AccessDenied: (Access Denied$|.*s3:GetObject)")


def attempts(
    world: ScenarioWorld, names: Names, *, message_id: str | None, maximum_upload_bytes: int
) -> Iterator[RefusedAttempt]:
    """Run all attempts of callers whose credentials the world has.

    `message_id` names an existing payload, so that no attempt fails with "not found". Without one, none is read. An
    upload over the maximum is tried if the maximum is low, and the accounts end with the run: it leaves resources.
    """
    publisher = names.publisher
    place = publisher.place
    payload = {"Bucket": publisher.payload_bucket.bucket.name, "Key": f"{PAYLOADS}{message_id}"} if message_id else None
    subscribers = [subscriber for subscriber in names.subscribers.values() if subscriber.place.account != place.account]
    if world.other_account:
        yield from _attempts_of_other_account(world, names, world.other_account, payload)
    if payload and world.reaches(place.account):
        yield _try(
            "read a payload without its key",
            f"the publisher's role, {place.account}, in a session that may read the bucket and use no key",
            ("the key", "kms:Decrypt"),
            _client(world, place, "s3", role=publisher.role.name, session_policy=_ONLY_READ).get_object,
            **payload,
        )
    for subscriber in subscribers:  # the same account has the same administrator
        if world.reaches(subscriber.place.account):
            yield from _attempts_of_subscriber(world, publisher, subscriber, payload)
        if world.reaches(place.account):
            caller = f"the publisher's administrator, {place.account}"
            yield _assume_reader_role(subscriber, caller, _client(world, place, "sts"))
    for sender in names.senders.values():
        if sender.place.account != place.account and world.reaches(sender.place.account):
            yield from _attempts_of_sender(world, publisher, sender)
        if world.is_disposable and maximum_upload_bytes < LARGEST_UPLOAD_BYTES:
            yield _upload_over_the_maximum(world, sender, maximum_upload_bytes)
    for subscriber in names.subscribers.values():
        polled = subscriber.kind == "sqs" and subscriber.has_consume_function
        if polled and world.reaches(subscriber.place.account):
            yield from _attempts_at_queue(world, publisher, subscriber)


def _attempts_of_other_account(
    world: ScenarioWorld, names: Names, account: str, payload: Mapping[str, str] | None
) -> Iterator[RefusedAttempt]:
    publisher = names.publisher
    caller, topic = f"another account, {account}", publisher.topic.arn
    client = partial(_client, world, Place(account, publisher.place.region))
    if payload:
        yield _try("read a payload", caller, _BUCKET_POLICY, client("s3").get_object, **payload)
    for subscriber in names.subscribers.values():
        if subscriber.place.account != publisher.place.account:
            yield _assume_reader_role(subscriber, caller, client("sts"))
    yield _try(
        "subscribe to the topic",
        caller,
        ("the topic's policy", "SNS:Subscribe"),
        client("sns").subscribe,
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=f"arn:{publisher.place.partition}:sqs:{publisher.place.region}:{account}:queue",
    )
    policy = ("the topic's policy", "sns:Publish")
    yield _try("publish to the topic", caller, policy, client("sns").publish, TopicArn=topic, Message="attempt")
    yield _try(
        "put an event on the bus",
        f"an unknown sender, {account}",
        ("the event bus's policy", "events:PutEvents"),
        partial(
            put_event,
            bus=publisher.event_bus.arn,
            source=SOURCE,
            detail_type="attempt",
            detail={},
            events=client("events"),
        ),
    )
    for subscriber in names.subscribers.values():
        if subscriber.kind == "sqs":
            yield _try(
                f"send a message to {subscriber.name}'s queue",
                caller,
                ("the queue's policy", "sqs:SendMessage"),
                _client(world, Place(account, subscriber.place.region), "sqs").send_message,
                QueueUrl=_queue_url(subscriber.queue),
                MessageBody="attempt",
                **({"MessageGroupId": "verify"} if publisher.fifo_suffix else {}),
            )


def _assume_reader_role(subscriber: SubscriberNames, caller: str, sts: Any) -> RefusedAttempt:
    return _try(
        f"assume {subscriber.name}'s reader role",
        caller,
        ("the role's trust policy", "sts:AssumeRole"),
        sts.assume_role,
        RoleArn=subscriber.reader_role.arn,
        RoleSessionName="attempt",
    )


def _attempts_of_subscriber(
    world: ScenarioWorld, publisher: PublisherNames, subscriber: SubscriberNames, payload: Mapping[str, str] | None
) -> Iterator[RefusedAttempt]:
    administrator = partial(_client, world, Place(subscriber.place.account, publisher.place.region))
    caller = f"{subscriber.name}'s administrator, {subscriber.place.account}"
    if payload:
        get_object = administrator("s3").get_object
        yield _try("read a payload", f"{caller}, without the reader role", _BUCKET_POLICY, get_object, **payload)
    yield _try(
        "subscribe an unknown endpoint",
        caller,
        ("the topic's policy (sns:Endpoint)", "SNS:Subscribe .* explicit deny in a resource-based policy"),
        administrator("sns").subscribe,
        TopicArn=publisher.topic.arn,
        Protocol="sqs",
        Endpoint=f"arn:{subscriber.place.partition}:sqs:{subscriber.place.region}:{subscriber.place.account}:unknown",
    )


def _attempts_of_sender(
    world: ScenarioWorld, publisher: PublisherNames, sender: SenderNames
) -> Iterator[RefusedAttempt]:
    place = Place(sender.place.account, publisher.place.region)
    role = _client(world, place, "s3", role=sender.role.name)
    upload = {"Bucket": publisher.payload_bucket.bucket.name, "Body": b"attempt"}
    policy = ("the role's policy, and the payload bucket's", r"^AccessDenied: (Access Denied$|.*s3:PutObject)")
    for attempt, key in (
        ("upload to another sender's prefix", f"{OUTBOX}another-sender/verify"),
        ("upload to the prefix of payloads", f"{PAYLOADS}verify"),
    ):
        yield _try(attempt, f"{sender.name}'s role, {place.account}", policy, role.put_object, **upload, Key=key)
    yield _try(
        f"upload to {sender.name}'s prefix",
        f"{sender.name}'s administrator, {place.account}, without its role",
        ("the payload bucket's policy, and the key's", r"^AccessDenied: .*(s3:PutObject|kms:GenerateDataKey)"),
        _client(world, place, "s3").put_object,
        **upload,
        Key=f"{sender.outbox}verify",
    )


def _upload_over_the_maximum(world: ScenarioWorld, sender: SenderNames, maximum_bytes: int) -> RefusedAttempt:
    """Upload one byte too many as the sender, and wait for the event about it on the sender's bus."""
    publisher, place, name = sender.publisher, sender.place, f"{sender.event_bus.name}-demo"
    events, sqs = (_client(world, place, service) for service in ("events", "sqs"))
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": place.named("sqs", name).arn,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": place.named("events", f"{sender.event_bus.name}/{name}", "rule/").arn}
        },
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
    events.put_rule(
        Name=name, EventBusName=sender.event_bus.name, EventPattern=json.dumps({"detail-type": ["Message refused"]})
    )
    target = {"Id": "queue", "Arn": place.named("sqs", name).arn}
    events.put_targets(Rule=name, EventBusName=sender.event_bus.name, Targets=[target])
    upload = _client(world, Place(place.account, publisher.place.region), "s3", role=sender.role.name).put_object(
        Bucket=publisher.payload_bucket.bucket.name, Key=f"{sender.outbox}too-large", Body=bytes(maximum_bytes + 1)
    )
    report = _report(sqs, url, upload["VersionId"])
    response = f"{report['reason']}: {report['problem']}" if report else f"no event after {REPORT_SECONDS} s"
    return RefusedAttempt(
        attempt="upload more than publisher.outbox.maximum_bytes",
        caller=f"{sender.name}'s role, {place.account}",
        policy=f"the publish function; an event on {sender.name}'s bus has the reason",
        response=response,
        denied=response.startswith("PayloadTooLarge"),
    )


def _report(sqs: Any, url: str, version_id: str) -> dict[str, Any] | None:
    """Wait for the report about an upload. Return its detail, or None after REPORT_SECONDS."""
    deadline = time.monotonic() + REPORT_SECONDS
    while time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []):
            detail: dict[str, Any] = json.loads(message["Body"])["detail"]
            if detail.get("version_id") == version_id:
                return detail
    return None


def _attempts_at_queue(
    world: ScenarioWorld, publisher: PublisherNames, subscriber: SubscriberNames
) -> Iterator[RefusedAttempt]:
    administrator = _client(world, subscriber.place, "sqs")
    url = _queue_url(subscriber.queue)
    # A new group: a dead letter of an earlier run blocks no later one.
    order = ("MessageGroupId", "MessageDeduplicationId") if publisher.fifo_suffix else ()
    secret = f"secret-{uuid.uuid4()}"  # SQS drops a message that was sent to a FIFO queue minutes ago
    untrusted = {
        "a bucket of another account": Pointer("bucket-of-another-account", f"{PAYLOADS}{secret}"),
        "the outbox": Pointer(publisher.payload_bucket.bucket.name, f"{OUTBOX}{secret}"),
    }
    for place, pointer in untrusted.items():
        administrator.send_message(
            QueueUrl=url,
            MessageBody=pointer.body(),
            MessageAttributes={"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}},
            **dict.fromkeys(order, str(uuid.uuid4())),
        )
        reason = dead_letter_reason(world, subscriber.dead_letter_queue, pointer)
        yield RefusedAttempt(
            attempt=f"send a pointer to {place}",
            caller=f"{subscriber.name}'s administrator, {subscriber.place.account}, directly to the queue",
            policy="the consume function, before any request to S3; the message is in the dead-letter queue",
            response=reason or f"nothing in the dead-letter queue after {DEAD_LETTER_SECONDS} s",
            denied=reason is not None and reason.startswith("UntrustedStore"),
        )


def dead_letter_reason(world: ScenarioWorld, queue: Resource, pointer: Pointer) -> str | None:
    """Wait for the dead letter with a pointer. Delete it, and return its reason, or None after DEAD_LETTER_SECONDS.

    The queue can have many others. They are hidden meanwhile, because SQS would return the same ones again.
    """
    reader = QueueReader(
        queue,
        partial(parse, parsers=(parse_queued,)),
        lambda service, _: world.client(service, account=queue.account, region=queue.region),
        wait_seconds=1,
    )
    deadline = time.monotonic() + DEAD_LETTER_SECONDS
    try:
        while time.monotonic() < deadline:
            for letter in reader.receive(BATCH):
                if letter.body == pointer.body():
                    reader.remove(letter)
                    return letter.reason
        return None
    finally:
        reader.release()


def _client(
    world: ScenarioWorld,
    place: Place,
    service: str,
    *,
    role: str | None = None,
    session_policy: str | None = None,
) -> Any:
    return world.client(service, account=place.account, region=place.region, role=role, session_policy=session_policy)


def _queue_url(queue: Resource) -> str:
    """Return a queue's URL, which needs no permission to look it up."""
    return f"https://sqs.{queue.region}.{dns_suffix(queue.region)}/{queue.account}/{queue.name}"


def _try(
    attempt: str, caller: str, policy: _Policy, request: Callable[..., object], **parameters: object
) -> RefusedAttempt:
    name, pattern = policy
    try:
        request(**parameters)
    except (ClientError, MessagingDenied) as error:
        cause = error.__cause__ if isinstance(error, MessagingDenied) else error
        reason = cause.response["Error"] if isinstance(cause, ClientError) else {}
        response = f"{reason.get('Code')}: {reason.get('Message')}"
        # Another error means that the request was invalid, or that another policy denied it.
        return RefusedAttempt(attempt, caller, name, response, bool(re.search(pattern, response, re.IGNORECASE)))
    return RefusedAttempt(attempt, caller, name, "allowed", denied=False)

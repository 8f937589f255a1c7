"""Attempts that must be denied. Each names its caller and the policy that must deny it."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from claim_check import MessagingDenied, Pointer, put_event
from local.accounts import Accounts
from stacks.deployment import Names, Place, PublisherNames, SenderNames, SubscriberNames
from stacks.deployment.names import OUTBOX, PAYLOADS

OTHER_ACCOUNT = "999999999999"
DEAD_LETTER_SECONDS = 60
REPORT_SECONDS = 60
LARGEST_UPLOAD_BYTES = 128 * 2**20
"""Maximum size of an upload that is sent only to be refused."""


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
    accounts: Accounts, names: Names, *, message_id: str, maximum_upload_bytes: int
) -> Iterator[RefusedAttempt]:
    """Run all attempts. `message_id` names an existing payload, so that no attempt fails with "not found".

    An upload over the maximum is tried if the maximum is low.
    """
    publisher = names.publisher
    place, topic, bus = publisher.place, publisher.topic.arn, publisher.event_bus.arn
    stranger, other = (
        f"another account, {OTHER_ACCOUNT}",
        partial(_client, accounts, Place(OTHER_ACCOUNT, place.region)),
    )
    payload = {"Bucket": publisher.payload_bucket.bucket.name, "Key": f"{PAYLOADS}{message_id}"}

    yield _try("read a payload", stranger, _BUCKET_POLICY, other("s3").get_object, **payload)
    yield _try(
        "read a payload without its key",
        f"a role of the publisher's account that may read the bucket, {place.account}",
        ("the key's policy", "kms:Decrypt"),
        _role_without_key(accounts, publisher).get_object,
        **payload,
    )
    for subscriber in names.subscribers.values():
        if subscriber.place.account != place.account:  # the same account has the same administrator
            yield from _attempts_of_subscriber(accounts, publisher, subscriber, payload)
            for caller, sts in (
                (stranger, other("sts")),
                (f"the publisher's administrator, {place.account}", _client(accounts, place, "sts")),
            ):
                yield _try(
                    f"assume {subscriber.name}'s reader role",
                    caller,
                    ("the role's trust policy", "sts:AssumeRole"),
                    sts.assume_role,
                    RoleArn=subscriber.reader_role.arn,
                    RoleSessionName="attempt",
                )
    yield _try(
        "subscribe to the topic",
        stranger,
        ("the topic's policy", "SNS:Subscribe"),
        other("sns").subscribe,
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=f"arn:aws:sqs:{place.region}:{OTHER_ACCOUNT}:queue",
    )
    policy = ("the topic's policy", "sns:Publish")
    yield _try("publish to the topic", stranger, policy, other("sns").publish, TopicArn=topic, Message="attempt")
    yield _try(
        "put an event on the bus",
        f"an unknown sender, {OTHER_ACCOUNT}",
        ("the event bus's policy", "events:PutEvents"),
        partial(put_event, bus=bus, source="attempt", detail_type="attempt", detail={}, events=other("events")),
    )
    for sender in names.senders.values():
        if sender.place.account != place.account:
            yield from _attempts_of_sender(accounts, publisher, sender)
        if maximum_upload_bytes < LARGEST_UPLOAD_BYTES:
            yield _upload_over_the_maximum(accounts, sender, maximum_upload_bytes)
    for subscriber in names.subscribers.values():
        if subscriber.kind == "sqs" and subscriber.has_consume_function:
            yield from _attempts_at_queue(accounts, publisher, subscriber)


def _attempts_of_subscriber(
    accounts: Accounts, publisher: PublisherNames, subscriber: SubscriberNames, payload: Mapping[str, str]
) -> Iterator[RefusedAttempt]:
    administrator = partial(_client, accounts, Place(subscriber.place.account, publisher.place.region))
    caller = f"{subscriber.name}'s administrator, {subscriber.place.account}"
    get_object = administrator("s3").get_object
    yield _try("read a payload", f"{caller}, without the reader role", _BUCKET_POLICY, get_object, **payload)
    yield _try(
        "subscribe an unknown endpoint",
        caller,
        ("the topic's policy (sns:Endpoint)", "SNS:Subscribe .* explicit deny in a resource-based policy"),
        administrator("sns").subscribe,
        TopicArn=publisher.topic.arn,
        Protocol="sqs",
        Endpoint=f"arn:aws:sqs:{subscriber.place.region}:{subscriber.place.account}:unknown",
    )


def _attempts_of_sender(accounts: Accounts, publisher: PublisherNames, sender: SenderNames) -> Iterator[RefusedAttempt]:
    place = Place(sender.place.account, publisher.place.region)
    role = _client(accounts, place, "s3", role=sender.role.name)
    upload = {"Bucket": publisher.payload_bucket.bucket.name, "Body": b"attempt"}
    policy = ("the role's policy, and the payload bucket's", r"^AccessDenied: (Access Denied$|.*s3:PutObject)")
    for attempt, key in (
        ("upload to another sender's prefix", f"{OUTBOX}another-sender/demo"),
        ("upload to the prefix of payloads", f"{PAYLOADS}demo"),
    ):
        yield _try(attempt, f"{sender.name}'s role, {place.account}", policy, role.put_object, **upload, Key=key)
    yield _try(
        f"upload to {sender.name}'s prefix",
        f"{sender.name}'s administrator, {place.account}, without its role",
        ("the payload bucket's policy, and the key's", r"^AccessDenied: .*(s3:PutObject|kms:GenerateDataKey)"),
        _client(accounts, place, "s3").put_object,
        **upload,
        Key=f"{sender.outbox}demo",
    )


def _upload_over_the_maximum(accounts: Accounts, sender: SenderNames, maximum_bytes: int) -> RefusedAttempt:
    """Upload one byte too many as the sender, and wait for the event about it on the sender's bus."""
    publisher, place, name = sender.publisher, sender.place, f"{sender.event_bus.name}-demo"
    events, sqs = (_client(accounts, place, service) for service in ("events", "sqs"))
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
    upload = _client(accounts, Place(place.account, publisher.place.region), "s3", role=sender.role.name).put_object(
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
    accounts: Accounts, publisher: PublisherNames, subscriber: SubscriberNames
) -> Iterator[RefusedAttempt]:
    administrator = _client(accounts, subscriber.place, "sqs")
    url = administrator.get_queue_url(QueueName=subscriber.queue.name)["QueueUrl"]
    dead_letters = administrator.get_queue_url(QueueName=subscriber.dead_letter_queue.name)["QueueUrl"]
    group = {"MessageGroupId": "demo"} if publisher.fifo_suffix else {}
    yield _try(
        f"send a message to {subscriber.name}'s queue",
        f"another account, {OTHER_ACCOUNT}",
        ("the queue's policy", "sqs:SendMessage"),
        _client(accounts, Place(OTHER_ACCOUNT, subscriber.place.region), "sqs").send_message,
        QueueUrl=url,
        MessageBody="attempt",
        **group,
    )
    untrusted = {
        "a bucket of another account": Pointer(f"{OTHER_ACCOUNT}-bucket", f"{PAYLOADS}secret"),
        "the outbox": Pointer(publisher.payload_bucket.bucket.name, f"{OUTBOX}secret"),
    }
    for place, pointer in untrusted.items():
        administrator.send_message(
            QueueUrl=url,
            MessageBody=pointer.body(),
            MessageAttributes={"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}},
            **(group | {"MessageDeduplicationId": place} if group else {}),
        )
        reason = _dead_letter_reason(administrator, dead_letters, pointer)
        yield RefusedAttempt(
            attempt=f"send a pointer to {place}",
            caller=f"{subscriber.name}'s administrator, {subscriber.place.account}, directly to the queue",
            policy="the consume function, before any request to S3; the message is in the dead-letter queue",
            response=reason or f"nothing in the dead-letter queue after {DEAD_LETTER_SECONDS} s",
            denied=reason is not None and reason.startswith("UntrustedStore"),
        )


def _dead_letter_reason(sqs: Any, url: str, pointer: Pointer) -> str | None:
    """Wait for the dead letter with a pointer. Delete it, and return its reason, or None after DEAD_LETTER_SECONDS."""
    deadline = time.monotonic() + DEAD_LETTER_SECONDS
    while time.monotonic() < deadline:
        response = sqs.receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=1, VisibilityTimeout=0
        )
        for message in response.get("Messages", []):
            if message["Body"] == pointer.body():
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                reason = message.get("MessageAttributes", {}).get("DeadLetterReason", {})
                return str(reason.get("StringValue", "dead-lettered without a reason"))
    return None


def _client(accounts: Accounts, place: Place, service: str, *, role: str | None = None) -> Any:
    return accounts.client(service, account=place.account, region=place.region, role=role)


def _role_without_key(accounts: Accounts, publisher: PublisherNames) -> Any:
    """Create a role that may read every object of the account and use no key. Return its client of S3."""
    iam = _client(accounts, publisher.place, "iam")
    role = f"{publisher.prefix}-demo-without-key"
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": publisher.place.account}}
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    trust_policy, read_policy = (json.dumps({"Version": "2012-10-17", "Statement": [part]}) for part in (trust, read))
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust_policy)
    iam.put_role_policy(RoleName=role, PolicyName="read", PolicyDocument=read_policy)
    return _client(accounts, publisher.place, "s3", role=role)


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

"""What must not work, tried for real: each attempt says who tried what, and what refused it."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from claim_check import Pointer
from local.accounts import Accounts
from stacks.deployment import Deployment, SenderConfig, SqsSubscriberConfig, names

STRANGER = "999999999999"
DEAD_LETTER_SECONDS = 60


@dataclass(frozen=True)
class Refusal:
    """`answer`: what came back. `held`: it was refused, and by what it was to be refused by."""

    tried: str
    by: str
    refused_by: str
    answer: str
    held: bool


@dataclass(frozen=True)
class Refuser:
    """What is to refuse an attempt. `says`: a pattern of its answer, which no other refuser's answer matches."""

    name: str
    says: str


# S3 names no action; a key that refuses does.
BUCKET_POLICY = Refuser("the payload bucket's policy", r"^AccessDenied: (Access Denied$|.*s3:GetObject)")


def try_all(accounts: Accounts, deployment: Deployment, *, message_id: str) -> Iterator[Refusal]:
    """Every attempt. `message_id` is that of a payload in the store: nothing is to be refused for want of it."""
    publisher = deployment.publisher
    stranger = _Clients(accounts, STRANGER, publisher.region)
    bucket, key = names.payload_bucket(deployment), f"{names.PAYLOADS}{message_id}"
    topic = names.topic_arn(deployment)

    yield _refused(
        "read a payload",
        f"a stranger, {STRANGER}",
        BUCKET_POLICY,
        lambda: stranger("s3").get_object(Bucket=bucket, Key=key),
    )
    yield _refused(
        "read a payload without its key",
        f"a role of the publisher's account that may read the bucket, {publisher.account}",
        Refuser("the key's policy", "kms:Decrypt"),
        lambda: _without_key(accounts, deployment).get_object(Bucket=bucket, Key=key),
    )
    for subscriber in deployment.subscribers:
        if subscriber.account == publisher.account:
            continue  # no boundary: its administrator is the publisher's
        theirs = _Clients(accounts, subscriber.account, publisher.region)
        elsewhere = f"arn:aws:sqs:{subscriber.region}:{subscriber.account}:elsewhere"
        yield _refused(
            "read a payload",
            f"{subscriber.name}'s administrator, {subscriber.account}, who is not its reader role",
            BUCKET_POLICY,
            partial(theirs("s3").get_object, Bucket=bucket, Key=key),
        )
        yield _refused(
            "subscribe an endpoint that is not configured",
            f"{subscriber.name}'s administrator, {subscriber.account}",
            Refuser("the topic's policy (sns:Endpoint)", "SNS:Subscribe .* explicit deny in a resource-based policy"),
            partial(theirs("sns").subscribe, TopicArn=topic, Protocol="sqs", Endpoint=elsewhere),
        )
    yield _refused(
        "subscribe to the topic",
        f"a stranger, {STRANGER}",
        Refuser("the topic's policy", "SNS:Subscribe"),
        lambda: stranger("sns").subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{publisher.region}:{STRANGER}:mine"
        ),
    )
    yield _refused(
        "publish to the topic",
        f"a stranger, {STRANGER}",
        Refuser("the topic's policy", "sns:Publish"),
        lambda: stranger("sns").publish(TopicArn=topic, Message="let me in"),
    )
    yield _refused(
        "put an event on the bus",
        f"a sender who is not configured, {STRANGER}",
        Refuser("the event bus's policy", "events:PutEvents"),
        lambda: _put_event(stranger("events"), names.event_bus_arn(deployment)),
    )
    for sender in deployment.senders:
        if sender.account != publisher.account:
            yield from _at_the_outbox(accounts, deployment, sender)
    for subscriber in deployment.subscribers:
        if subscriber.kind == "sqs":
            yield from _at_the_queue(accounts, deployment, subscriber)


def _at_the_outbox(accounts: Accounts, deployment: Deployment, sender: SenderConfig) -> Iterator[Refusal]:
    bucket, region = names.payload_bucket(deployment), deployment.publisher.region
    role = accounts.client("s3", account=sender.account, region=region, role=names.sender_role(deployment, sender))
    administrator = accounts.client("s3", account=sender.account, region=region)
    own = f"{names.sender_outbox(sender)}demo"
    for tried, key in (
        ("upload into another sender's folder", f"{names.OUTBOX}somebody-else/demo"),
        ("upload past the outbox, as a payload", f"{names.PAYLOADS}demo"),
    ):
        yield _refused(
            tried,
            f"{sender.name}'s own role, {sender.account}",
            Refuser(
                "the role's own policy, and the payload bucket's", r"^AccessDenied: (Access Denied$|.*s3:PutObject)"
            ),
            partial(role.put_object, Bucket=bucket, Key=key, Body=b"let me in"),
        )
    yield _refused(
        f"upload into {sender.name}'s folder",
        f"{sender.name}'s administrator, {sender.account}, who is not its role",
        Refuser("the payload bucket's policy, and the key's", r"^AccessDenied: .*(s3:PutObject|kms:GenerateDataKey)"),
        partial(administrator.put_object, Bucket=bucket, Key=own, Body=b"let me in"),
    )


def _at_the_queue(accounts: Accounts, deployment: Deployment, subscriber: SqsSubscriberConfig) -> Iterator[Refusal]:
    owner = accounts.client("sqs", account=subscriber.account, region=subscriber.region)
    url = owner.get_queue_url(QueueName=names.queue(deployment, subscriber))["QueueUrl"]
    stranger = accounts.client("sqs", account=STRANGER, region=subscriber.region)
    fifo = {"MessageGroupId": "demo"} if deployment.publisher.fifo else {}
    yield _refused(
        f"send a message to {subscriber.name}'s queue, past the topic",
        f"a stranger, {STRANGER}",
        Refuser("the queue's policy", "sqs:SendMessage"),
        lambda: stranger.send_message(QueueUrl=url, MessageBody="let me in", **fifo),
    )
    forged = {
        "a bucket of a stranger's": Pointer(f"{STRANGER}-bucket", f"{names.PAYLOADS}secret"),
        "the outbox": Pointer(names.payload_bucket(deployment), f"{names.OUTBOX}secret"),
    }
    for where, pointer in forged.items():
        yield _forged_pointer(accounts, deployment, subscriber, url, where, pointer)


def _forged_pointer(
    accounts: Accounts, deployment: Deployment, subscriber: SqsSubscriberConfig, url: str, where: str, pointer: Pointer
) -> Refusal:
    sqs = accounts.client("sqs", account=subscriber.account, region=subscriber.region)
    dead_letters = sqs.get_queue_url(QueueName=names.dead_letter_queue(deployment, subscriber))["QueueUrl"]
    fifo = {"MessageGroupId": "demo", "MessageDeduplicationId": where} if deployment.publisher.fifo else {}
    sqs.send_message(
        QueueUrl=url,
        MessageBody=pointer.body(),
        MessageAttributes={"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}},
        **fifo,
    )
    reason = _dead_letter_reason(sqs, dead_letters, pointer)
    return Refusal(
        tried=f"send a pointer to {where}",
        by=f"{subscriber.name}'s administrator, {subscriber.account}, straight to the queue",
        refused_by="the consume function, before any call to S3; the message is in the dead-letter queue",
        answer=reason or f"nothing in the dead-letter queue after {DEAD_LETTER_SECONDS} s",
        held=reason is not None and reason.startswith("UntrustedStore"),
    )


def _dead_letter_reason(sqs: Any, url: str, pointer: Pointer) -> str | None:
    """Why the message with that pointer was dead-lettered; it is taken out of the queue."""
    deadline = time.monotonic() + DEAD_LETTER_SECONDS
    while time.monotonic() < deadline:
        answer = sqs.receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=1, VisibilityTimeout=0
        )
        for message in answer.get("Messages", []):
            if message["Body"] == pointer.body():
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                reason = message.get("MessageAttributes", {}).get("DeadLetterReason", {})
                return str(reason.get("StringValue", "dead-lettered without a reason"))
    return None


class _Clients:
    def __init__(self, accounts: Accounts, account: str, region: str) -> None:
        self._accounts, self._account, self._region = accounts, account, region

    def __call__(self, service: str) -> Any:
        return self._accounts.client(service, account=self._account, region=self._region)


def _put_event(events: Any, bus: str) -> None:
    answer = events.put_events(
        Entries=[{"EventBusName": bus, "Source": "stranger", "DetailType": "let me in", "Detail": json.dumps({})}]
    )
    (entry,) = answer["Entries"]
    # EventBridge may answer 200 and refuse an entry.
    if "ErrorCode" in entry:
        raise ClientError(
            {"Error": {"Code": entry["ErrorCode"], "Message": entry.get("ErrorMessage", "")}}, "PutEvents"
        )


def _without_key(accounts: Accounts, deployment: Deployment) -> Any:
    """A client for S3 as a new role that may read every object of the account, and use no key."""
    publisher = deployment.publisher
    iam = accounts.client("iam", account=publisher.account, region=publisher.region)
    role = f"{deployment.name}-demo-without-key"
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": publisher.account}}
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=_document(trust))
    iam.put_role_policy(RoleName=role, PolicyName="read", PolicyDocument=_document(read))
    return accounts.client("s3", account=publisher.account, region=publisher.region, role=role)


def _document(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _refused(tried: str, by: str, refuser: Refuser, attempt: Callable[[], object]) -> Refusal:
    try:
        attempt()
    except ClientError as error:
        answer = f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
        # Any other error would say that the attempt was made wrongly, or that something else refused it.
        return Refusal(tried, by, refuser.name, answer, held=bool(re.search(refuser.says, answer, re.IGNORECASE)))
    return Refusal(tried, by, refuser.name, "it was allowed", held=False)

"""What must not work, tried for real: each attempt says who tried what, and what refused it."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from claim_check import Pointer
from local.accounts import Accounts
from stacks import names
from stacks.deployment import Deployment, SqsSubscriber

STRANGER = "999999999999"
DEAD_LETTER_SECONDS = 60
DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "403"}


@dataclass(frozen=True)
class Refusal:
    """`held`: it was refused. `answer`: what came back."""

    tried: str
    by: str
    refused_by: str
    answer: str
    held: bool


def try_all(accounts: Accounts, deployment: Deployment, *, message_id: str) -> Iterator[Refusal]:
    """Every attempt. `message_id` is that of a payload in the store: nothing is to be refused for want of it."""
    publisher = deployment.publisher
    stranger = _Clients(accounts, STRANGER, publisher.region)
    bucket, key = names.payload_bucket(deployment), f"{names.PAYLOADS}{message_id}"
    topic = names.topic_arn(deployment)

    yield _refused(
        "read a payload",
        f"a stranger, {STRANGER}",
        "the payload bucket's policy",
        lambda: stranger("s3").get_object(Bucket=bucket, Key=key),
    )
    for subscriber in deployment.subscribers:
        if subscriber.account == publisher.account:
            continue  # no boundary: its administrator is the publisher's
        yield _refused(
            "read a payload",
            f"{subscriber.name}'s administrator, {subscriber.account}, who is not its reader role",
            "the payload bucket's policy (aws:PrincipalArn)",
            lambda account=subscriber.account: accounts.client(  # type: ignore[misc]
                "s3", account=account, region=publisher.region
            ).get_object(Bucket=bucket, Key=key),
        )
        yield _refused(
            "subscribe an endpoint that is not configured",
            f"{subscriber.name}'s administrator, {subscriber.account}",
            "the topic's policy (sns:Endpoint)",
            lambda account=subscriber.account, region=subscriber.region: accounts.client(  # type: ignore[misc]
                "sns", account=account, region=publisher.region
            ).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{region}:{account}:elsewhere"),
        )
    yield _refused(
        "subscribe to the topic",
        f"a stranger, {STRANGER}",
        "the topic's policy",
        lambda: stranger("sns").subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{publisher.region}:{STRANGER}:mine"
        ),
    )
    yield _refused(
        "publish to the topic",
        f"a stranger, {STRANGER}",
        "the topic's policy",
        lambda: stranger("sns").publish(TopicArn=topic, Message="let me in"),
    )
    yield _refused(
        "put an event on the bus",
        f"a sender who is not configured, {STRANGER}",
        "the event bus's policy",
        lambda: _put_event(stranger("events"), names.event_bus_arn(deployment)),
    )
    for subscriber in deployment.subscribers:
        if subscriber.kind == "sqs":
            yield from _at_the_queue(accounts, deployment, subscriber)


def _at_the_queue(accounts: Accounts, deployment: Deployment, subscriber: SqsSubscriber) -> Iterator[Refusal]:
    owner = accounts.client("sqs", account=subscriber.account, region=subscriber.region)
    url = owner.get_queue_url(QueueName=names.queue(deployment, subscriber))["QueueUrl"]
    stranger = accounts.client("sqs", account=STRANGER, region=subscriber.region)
    fifo = {"MessageGroupId": "demo"} if deployment.publisher.fifo else {}
    yield _refused(
        f"send a message to {subscriber.name}'s queue, past the topic",
        f"a stranger, {STRANGER}",
        "the queue's policy",
        lambda: stranger.send_message(QueueUrl=url, MessageBody="let me in", **fifo),
    )
    forged = {
        "a bucket of a stranger's": Pointer(f"{STRANGER}-bucket", f"{names.PAYLOADS}secret"),
        "the outbox": Pointer(names.payload_bucket(deployment), f"{names.OUTBOX}secret"),
    }
    for where, pointer in forged.items():
        yield _forged_pointer(accounts, deployment, subscriber, url, where, pointer)


def _forged_pointer(
    accounts: Accounts, deployment: Deployment, subscriber: SqsSubscriber, url: str, where: str, pointer: Pointer
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


def _refused(tried: str, by: str, refused_by: str, attempt: Callable[[], object]) -> Refusal:
    try:
        attempt()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        # Any other error would only say that the attempt was made wrongly.
        return Refusal(tried, by, refused_by, f"{code}: {error.response['Error']['Message']}", held=code in DENIED)
    return Refusal(tried, by, refused_by, "it was allowed", held=False)

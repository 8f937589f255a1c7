"""The compared clients. Each publishes a file through SNS, or SQS if it does not support SNS, and receives it.

Every `publish` adds one message to the queue, and every `receive` removes one. If a client accepts only text, the file
is read as text. If it returns only text, it decodes the payload.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from claim_check import Dereferencer, Publisher, Store

TOPIC = "arn:aws:sns:eu-west-1:111111111111:bench"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/111111111111/bench"
BUCKET = "bench-payloads"
PREFIX = "payloads/"
CHUNK = 1024 * 1024


class Client(Protocol):
    """A compared client."""

    def publish(self, path: Path) -> None:
        """Publish the file."""

    def receive(self) -> int:
        """Receive the payload of the last message, and return its size."""


class ClaimCheck:
    """This library, with its own boto3 clients."""

    def __init__(self, session: Any) -> None:
        store = Store(BUCKET, PREFIX, "111111111111", "eu-west-1")
        self._publisher = Publisher(topic_arn=TOPIC, store=store, offload="always", sns=session.client("sns"))
        self._dereferencer = Dereferencer(stores=[store])
        self._sqs = session.client("sqs")

    def publish(self, path: Path) -> None:
        """Publish the file."""
        self._publisher.publish(path)

    def receive(self) -> int:
        """Receive the payload of the last message, and return its size."""
        return self._dereferencer.message(received(self._sqs)).payload.verify_by_reading().size


class ClaimCheckText(ClaimCheck):
    """This library with a str of the whole payload, as the other clients need it."""

    def publish(self, path: Path) -> None:
        """Publish the file."""
        self._publisher.publish(path.read_text("utf-8"))

    def receive(self) -> int:
        """Receive the payload of the last message, and return its size."""
        return len(self._dereferencer.message(received(self._sqs)).payload.text(limit=2**31))


class AwsLabs:
    """amazon-sns-extended-client and amazon-sqs-extended-client 1.0.1."""

    def __init__(self, _: Any) -> None:
        self._sns = import_module("sns_extended_client").SNSExtendedClientSession().client("sns")
        self._sqs = import_module("sqs_extended_client").SQSExtendedClientSession().client("sqs")
        self._sns.large_payload_support = BUCKET
        self._sns.always_through_s3 = True

    def publish(self, path: Path) -> None:
        """Publish the file."""
        self._sns.publish(TopicArn=TOPIC, Message=path.read_text("utf-8"))

    def receive(self) -> int:
        """Receive the payload of the last message, and return its size."""
        return len(self._sqs.receive_message(QueueUrl=QUEUE)["Messages"][0]["Body"])


class Fanferro:
    """sqs-extended-client 0.0.11, which supports only SQS."""

    def __init__(self, _: Any) -> None:
        self._sqs = import_module("sqs_extended_client").SQSExtendedClientSession().client("sqs")
        self._sqs.large_payload_support = BUCKET
        self._sqs.always_through_s3 = True

    def publish(self, path: Path) -> None:
        """Publish the file."""
        self._sqs.send_message(QueueUrl=QUEUE, MessageBody=path.read_text("utf-8"))

    def receive(self) -> int:
        """Receive the payload of the last message, and return its size."""
        return len(self._sqs.receive_message(QueueUrl=QUEUE)["Messages"][0]["Body"])


class Raw:
    """boto3 alone: PutObject of the open file, GetObject read in pieces."""

    def __init__(self, session: Any) -> None:
        self._sns, self._sqs, self._s3 = session.client("sns"), session.client("sqs"), session.client("s3")

    def publish(self, path: Path) -> None:
        """Publish the file."""
        key = PREFIX + str(uuid.uuid4())
        self._store(path, key)
        self._sns.publish(TopicArn=TOPIC, Message=key)

    def receive(self) -> int:
        """Receive the payload of the last message, and return its size."""
        return self._fetch(key_of(received(self._sqs)))

    def _store(self, path: Path, key: str) -> None:
        with path.open("rb") as file:
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=file)

    def _fetch(self, key: str) -> int:
        body, size = self._s3.get_object(Bucket=BUCKET, Key=key)["Body"], 0
        while chunk := body.read(CHUNK):
            size += len(chunk)
        return size


class RawDigested(Raw):
    """boto3 with the digest that this library computes: SHA-256, verified by S3 and by the reader."""

    def _store(self, path: Path, key: str) -> None:
        with path.open("rb") as file:
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=file, ChecksumAlgorithm="SHA256")

    def _fetch(self, key: str) -> int:
        body, size, digest = self._s3.get_object(Bucket=BUCKET, Key=key)["Body"], 0, hashlib.sha256()
        while chunk := body.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
        digest.hexdigest()
        return size


class Transfer(Raw):
    """boto3's s3transfer in its default configuration: ten parts of 8 MiB at a time."""

    def _store(self, path: Path, key: str) -> None:
        self._s3.upload_file(str(path), BUCKET, key)

    def _fetch(self, key: str) -> int:
        counted = _Counted()
        self._s3.download_fileobj(BUCKET, key, counted)
        return counted.size


class _Counted:
    """A file that only counts bytes."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> int:
        """Count the bytes."""
        self.size += len(data)
        return len(data)


CLIENTS: dict[str, Callable[[Any], Client]] = {
    "claim_check": ClaimCheck,
    "claim_check, str": ClaimCheckText,
    "awslabs": AwsLabs,
    "sqs-extended-client": Fanferro,
    "boto3": Raw,
    "boto3, SHA-256": RawDigested,
    "s3transfer": Transfer,
}
RAW = ("boto3", "s3transfer")


def received(sqs: Any) -> dict[str, Any]:
    """Return the message in the queue, received with boto3."""
    (message,) = sqs.receive_message(QueueUrl=QUEUE, MessageAttributeNames=["All"])["Messages"]
    return dict(message)


def key_of(message: dict[str, Any]) -> str:
    """Return the key in a pointer, or a body that is a key."""
    body: str = message["Body"]
    return json.loads(body)[1]["s3Key"] if body.startswith("[") else body

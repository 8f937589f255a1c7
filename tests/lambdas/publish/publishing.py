"""A publisher whose topic is a stub, and its messages."""

from typing import Any, cast

import boto3

from claim_check import Dereferencer, Message, Publisher
from tests.lambdas.conftest import STORE


class Publishing:
    """A publisher that stores in moto's S3 and records its requests to SNS."""

    def __init__(self, *, fifo: bool = False) -> None:
        self.requests: list[dict[str, Any]] = []
        self.publisher = Publisher(
            topic_arn=f"arn:aws:sns:us-east-1:111111111111:messages{'.fifo' if fifo else ''}",
            store=STORE,
            sns=cast("Any", self),
            s3=boto3.client("s3"),
        )

    def publish(self, **request: Any) -> dict[str, str]:
        """Record a request, as the SNS client's method."""
        self.requests.append(request)
        return {"MessageId": "0b9b9b9b-0000-4000-8000-000000000001"}

    def messages(self) -> list[Message]:
        """Return the messages as a subscriber receives them."""
        dereferencer = Dereferencer(stores=[STORE])
        return [
            dereferencer.message(
                {"MessageId": "sqs", "Body": request["Message"], "MessageAttributes": request["MessageAttributes"]}
            )
            for request in self.requests
        ]

    def groups(self) -> list[str]:
        """Return the message groups."""
        return [request["MessageGroupId"] for request in self.requests]


def keys(prefix: str) -> list[str]:
    """Return the keys of all object versions in the payload bucket."""
    listed = boto3.client("s3").list_object_versions(Bucket=STORE.bucket, Prefix=prefix)
    return [version["Key"] for version in listed.get("Versions", [])]


KEY = "outbox/shop/scan.bin"
SENDER = "444444444444"


def upload(
    body: bytes, key: str = KEY, *, metadata: dict[str, str] | None = None, requester: str = SENDER, **properties: Any
) -> dict[str, Any]:
    """Put an object with properties into the outbox, and return the event of S3."""
    s3 = boto3.client("s3")
    version = s3.put_object(Bucket=STORE.bucket, Key=key, Body=body, Metadata=metadata or {}, **properties)["VersionId"]
    return {
        "id": "event",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "account": "111111111111",
        "detail": {
            "bucket": {"name": STORE.bucket},
            "object": {"key": key, "size": len(body), "version-id": version},
            "requester": requester,
        },
    }

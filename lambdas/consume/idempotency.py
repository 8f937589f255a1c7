"""The tasks that were started, by message id, until the payload's lifetime ends.

ECS stores a client token for a day, or until an hour after the task's end if that is sooner. The token prevents a
second task for simultaneous deliveries and quick retries, but not for a dead letter that is redriven weeks later. A
record is written after the task was started. If the function ends before that, and its next attempt comes after the
token's expiry, a second task runs.
"""

import time
from typing import TYPE_CHECKING, Any

from claim_check import Message, PayloadConflict
from shared.handoff import HandOff, fingerprint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class IdempotencyTable:
    """A DynamoDB table with the payload's checksum and the task of each message id.

    DynamoDB deletes a record after `seconds`.
    """

    def __init__(self, *, name: str, seconds: int, dynamodb: "DynamoDBClient") -> None:
        self._name, self._seconds, self._dynamodb = name, seconds, dynamodb

    def find_task(self, message: Message) -> str | None:
        """Return the ARN of the task that was started with this message, or None.

        Raises:
            PayloadConflict: A task was started with another payload under this message id.
        """
        response = self._dynamodb.get_item(TableName=self._name, Key={"id": {"S": message.id}}, ConsistentRead=True)
        item = response.get("Item")
        if item is None:
            return None
        earlier, declared = item.get("payload", {}).get("S"), fingerprint(message)
        if None not in (earlier, declared) and earlier != declared:
            raise PayloadConflict(
                f"another payload, with {earlier}, was handed off under this message id: "
                "publish each payload under its own id",
                message_id=message.id,
                pointer=message.pointer,
            )
        return item["task"]["S"]

    def save(self, handoff: HandOff, task: str) -> None:
        """Write the record of a started task."""
        payload: dict[str, Any] = {"payload": {"S": handoff.fingerprint}} if handoff.fingerprint else {}
        self._dynamodb.put_item(
            TableName=self._name,
            Item={
                "id": {"S": handoff.message_id},
                **payload,
                "task": {"S": task},
                "expiration": {"N": str(int(time.time()) + self._seconds)},
            },
        )

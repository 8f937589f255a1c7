"""What was handed on already, remembered for as long as a payload lives.

ECS itself remembers a client token for a day, or an hour after its task's end when that is sooner, which keeps
simultaneous deliveries and quick retries from running a second task; a dead letter can be sent back weeks later. A
record is written when the task runs and not before, so that a function that dies in between leaves nothing that would
hold up its next try; where that try comes only after ECS has forgotten, a second task runs.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Record:
    """The digest of the payload that was handed on, and the ARN of its task."""

    sha256: str
    task: str


class HandedOn:
    """A DynamoDB table by message id."""

    def __init__(self, *, table: str, seconds: int, dynamodb: "DynamoDBClient") -> None:
        self._table, self._seconds, self._dynamodb = table, seconds, dynamodb

    def find(self, message_id: str) -> Record | None:
        """What was handed on under this id."""
        found = self._dynamodb.get_item(TableName=self._table, Key={"id": {"S": message_id}}, ConsistentRead=True)
        item = found.get("Item")
        return Record(item["sha256"]["S"], item["task"]["S"]) if item else None

    def remember(self, message_id: str, record: Record) -> None:
        """Until `seconds` from now, when DynamoDB forgets it."""
        expiration = int(time.time()) + self._seconds
        self._dynamodb.put_item(
            TableName=self._table,
            Item={
                "id": {"S": message_id},
                "sha256": {"S": record.sha256},
                "task": {"S": record.task},
                "expiration": {"N": str(expiration)},
            },
        )

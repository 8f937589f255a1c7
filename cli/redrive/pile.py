"""The letters of a queue: held while people look at them, then sent and deleted one after the other, or let go."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from cli.redrive.destination import Destination
from cli.redrive.letter import Letter, Shape, read

HELD_SECONDS = 900
"""How long letters are hidden from others, who may be redriving too."""
AT_ONCE = 1000
"""How many are held at once: as many as can be sent, and deleted, long before others see them again."""

WAITED_SECONDS = 1
"""Any wait makes SQS ask every server of the queue, so that an empty answer means an empty queue."""


class Pile:
    """Letters that were there before `until`: what comes back meanwhile, having failed again, waits for another day."""

    def __init__(self, *, url: str, sqs: Any, shapes: tuple[Shape, ...], until: datetime) -> None:
        self._url, self._sqs, self._shapes, self._until = url, sqs, shapes, until
        self._held: dict[str, Letter] = {}

    def count(self) -> int:
        """About as many as there are; SQS does not know it exactly."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def take(self, most: int) -> list[Letter]:
        """Receive and hold at most so many, in the queue's order. Of a FIFO queue's message group, those that follow
        come only when these are gone."""
        taken: list[Letter] = []
        while len(taken) < most:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(10, most - len(taken)),
                VisibilityTimeout=HELD_SECONDS,
                WaitTimeSeconds=WAITED_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp", "MessageGroupId"],
                MessageAttributeNames=["All"],
            )
            received = [read(message, self._shapes) for message in answer.get("Messages", [])]
            if all(letter.id in self._held for letter in received):  # none, or those that were held too long
                break
            self._held |= {letter.id: letter for letter in received}
            taken += (letter for letter in received if letter.sent < self._until)
        return taken

    def send(self, letters: Sequence[Letter], destination: Destination) -> Iterator[Letter]:
        """Each is sent, then deleted, and only then answered: whenever this ends, and whatever it raises, no letter is
        lost. One that was sent and not deleted is sent again next time, and handled once all the same."""
        for letter in letters:
            destination.send(letter)
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt)
            del self._held[letter.id]
            yield letter

    def let_go(self) -> None:
        """Show what is still held to others again, at once. After HELD_SECONDS it comes back by itself."""
        letters = list(self._held.values())
        for start in range(0, len(letters), 10):
            entries = [
                {"Id": str(index), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
                for index, letter in enumerate(letters[start : start + 10])
            ]
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

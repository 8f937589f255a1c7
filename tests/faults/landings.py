"""What the function that lands payloads answered the state machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.faults.arrivals import Arrival


class Landings:
    """One for each execution, however often it landed: the state machine goes on with the first answer."""

    def __init__(self, subscriber: str) -> None:
        self._subscriber = subscriber
        self._known: dict[str, Arrival] = {}

    def note(self, message_id: str, landed: Mapping[str, Any]) -> None:
        """landed: the function's answer for the execution of this message."""
        arrival = Arrival(
            self._subscriber,
            f"s3://{landed['bucket']}/{landed['key']}",
            message_id,
            landed["sha256"],
            landed["bucket"],
            landed["key"],
        )
        self._known.setdefault(message_id, arrival)

    def arrivals(self) -> Iterable[Arrival]:
        return self._known.values()

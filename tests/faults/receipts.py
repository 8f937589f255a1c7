"""What the web server of a subscriber keeps in its folder: a payload and a receipt for each notification."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tests.faults.arrivals import Arrival


class Receipts:
    """A message that was published twice comes as two notifications: its application tells that by the message id, as
    the server's page says, and takes it once. It cannot when the two have other bytes."""

    def __init__(self, subscriber: str, folder: Path) -> None:
        self._subscriber, self._folder = subscriber, folder
        self._known: dict[str, Arrival] = {}

    def arrivals(self) -> Iterable[Arrival]:
        for receipt in self._folder.glob("*.json"):
            if receipt.stem not in self._known:
                self._known[receipt.stem] = self._arrival(receipt)
        return {(each.message_id, each.sha256): each for each in self._known.values()}.values()

    def _arrival(self, receipt: Path) -> Arrival:
        known = json.loads(receipt.read_text())
        place = (str(self._folder), receipt.stem)
        return Arrival(self._subscriber, receipt.stem, known["message_id"], known["sha256"], *place)

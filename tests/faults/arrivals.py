"""What the applications behind the subscribers were handed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

READERS = 4
"""Threads that look at what has arrived."""


@dataclass(frozen=True)
class Arrival:
    """A message that was handed on. arn: of what it started, once for each. sha256: as it was said on the way; bucket,
    key: where it was said that the payload is. started: seconds since 1970, where order matters."""

    subscriber: str
    arn: str
    message_id: str
    sha256: str
    bucket: str
    key: str
    started: float = 0.0


class Source(Protocol):
    """One of the places where messages arrive."""

    def arrivals(self) -> Iterable[Arrival]:
        """All there ever were."""


class Arrivals:
    """Looks at all sources. read: gives the bytes at a bucket and key, or None when nothing is there."""

    def __init__(self, sources: Sequence[Source], *, read: Callable[[str, str], bytes | None]) -> None:
        self._sources, self._read = sources, read

    def all(self) -> list[Arrival]:
        return [arrival for source in self._sources for arrival in source.arrivals()]

    def stored_digests(self, arrivals: Iterable[Arrival]) -> dict[tuple[str, str], str]:
        """The SHA-256 of what lies where the applications were told it does, by (bucket, key)."""
        places = sorted({(arrival.bucket, arrival.key) for arrival in arrivals})
        with ThreadPoolExecutor(READERS) as pool:
            return dict(zip(places, pool.map(self._digest, places), strict=True))

    def _digest(self, place: tuple[str, str]) -> str:
        found = self._read(*place)
        return "nothing there" if found is None else hashlib.sha256(found).hexdigest()

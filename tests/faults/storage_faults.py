"""What becomes of stored payloads, and of their replicas, between sending and delivering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from botocore.exceptions import ClientError

from tests.faults.environment import Site
from tests.faults.message import Message
from tests.faults.run import Chance, Lot, Spoiling

HOPELESS: frozenset[Spoiling] = frozenset({"payload expired", "payload replaced"})
"""What leaves nothing that may be handed on. Of all others the payload itself is as it was."""


class Spoiler:
    """Of the payloads of a site."""

    def __init__(self, site: Site, *, seed: int) -> None:
        self._site, self._chance = site, Chance(seed)
        self._ways = {
            "payload expired": self._expire,
            "payload replaced": self._replace,
            "replica lags": self._lag,
            "replica is shorter": self._shorten,
            "replica differs": self._differ,
        }

    def spoil(self, lot: Lot, sent: Iterable[str]) -> dict[str, Spoiling]:
        """What became of stored payloads, by message id."""
        done: dict[str, Spoiling] = {}
        for number, id_ in enumerate(sent):
            if not lot.spoiled or not self._chance.strikes(lot.share, "spoiled", id_):
                continue
            way = lot.spoiled[number % len(lot.spoiled)]
            try:
                size = self._site.s3.head_object(Bucket=self._site.payloads, Key=_key(id_))["ContentLength"]
            except ClientError:  # it went inline, or its publication failed
                continue
            self._ways[way](_key(id_), size)
            done[id_] = way
        return done

    def restore(self, spoiled: Iterable[str], sent: Mapping[str, Message]) -> None:
        """Put each payload where it was, from where it is replicated."""
        for id_ in spoiled:
            self._site.s3.put_object(Bucket=self._site.payloads, Key=_key(id_), Body=sent[id_].payload)

    def _expire(self, key: str, _size: int) -> None:
        self._site.s3.delete_object(Bucket=self._site.payloads, Key=key)
        self._lag(key, 0)

    def _replace(self, key: str, size: int) -> None:
        self._site.s3.put_object(Bucket=self._site.payloads, Key=key, Body=b"?" * size)

    def _lag(self, key: str, _size: int) -> None:
        self._site.s3.delete_object(Bucket=self._site.replica, Key=key)

    def _shorten(self, key: str, size: int) -> None:
        self._site.s3.put_object(Bucket=self._site.replica, Key=key, Body=b"?" * (size - 1))

    def _differ(self, key: str, size: int) -> None:
        self._site.s3.put_object(Bucket=self._site.replica, Key=key, Body=b"?" * size)


def _key(id_: str) -> str:
    return f"payloads/{id_}"

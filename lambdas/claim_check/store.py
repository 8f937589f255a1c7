"""A store: the place in S3 where one publisher's payloads are, who owns it, and where replicas of it are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from claim_check.wire.pointer import Pointer

_rules = {
    "bucket": (re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"), "a bucket's name"),
    "prefix": (re.compile(r"|(?!/)[^\x00-\x1f\x7f]{1,900}/"), "empty, or a key prefix that ends in '/'"),
    "owner": (re.compile(r"[0-9]{12}"), "an account id of 12 digits"),
    "region": (re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+"), "a Region's name"),
}
_place = ("bucket", "region")


@dataclass(frozen=True)
class Replica:
    """A bucket of the same owner in another Region, into which S3 replicates the store's objects, under their keys.
    Raises ValueError as Store does."""

    bucket: str
    region: str

    def __post_init__(self) -> None:
        _check(self, _place, "replica")

    @classmethod
    def from_dict(cls, settings: Mapping[str, str]) -> Replica:
        """A replica from `{"bucket": …, "region": …}`. Raises ValueError."""
        return cls(**_known(settings, _place, "replica"))


@dataclass(frozen=True)
class Store:
    """A bucket's name, the prefix of the payloads' keys in it (ends in "/"; "" is the whole bucket), the account that
    owns the bucket, and the bucket's Region. Raises ValueError naming the field and its value when one is
    unusable.

    `replicas` are read first, in their order, and the bucket itself when they cannot be: replication lags. Pointers
    name the bucket itself, and everything is written there."""

    bucket: str
    prefix: str
    owner: str
    region: str
    replicas: tuple[Replica, ...] = ()

    def __post_init__(self) -> None:
        _check(self, _rules, "store")

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Store:
        """A store from `{"bucket": …, "prefix": …, "owner": …, "region": …}`, exactly these four, and perhaps
        `"replicas": [{"bucket": …, "region": …}, …]`. Raises ValueError."""
        replicas = tuple(map(Replica.from_dict, settings.get("replicas", ())))
        itself = {name: value for name, value in settings.items() if name != "replicas"}
        return cls(**_known(itself, _rules, "store"), replicas=replicas)

    def key(self, message_id: str) -> str:
        """The key of the payload of the message with this id."""
        return self.prefix + message_id

    def holds(self, pointer: Pointer) -> bool:
        """Whether the pointer leads into this store: the same bucket, under the prefix, and by no detour ('..')."""
        steps = pointer.key.split("/")
        inside = pointer.key.startswith(self.prefix) and pointer.key != self.prefix
        return pointer.bucket == self.bucket and inside and not {".", ".."}.intersection(steps)


def _check(place: Store | Replica, names: Iterable[str], what: str) -> None:
    for name in names:
        pattern, meaning = _rules[name]
        value = getattr(place, name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"{what} {name} = {value!r}: must be {meaning}")


def _known(settings: Mapping[str, Any], names: Iterable[str], what: str) -> Mapping[str, Any]:
    missing, unknown = sorted(set(names) - set(settings)), sorted(set(settings) - set(names))
    if missing or unknown:
        raise ValueError(f"{what} {dict(settings)!r}: missing {missing}, unknown {unknown}")
    return settings

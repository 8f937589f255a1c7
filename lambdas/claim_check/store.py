"""Places in S3: stores, their replicas, and objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from claim_check.errors import InvalidMessage
from claim_check.wire.pointer import MAXIMUM_KEY_BYTES, Pointer

_MAXIMUM_PREFIX_BYTES = MAXIMUM_KEY_BYTES - 64  # the rest is for a message id


def _is_prefix(value: str) -> bool:
    """Return whether readers accept the keys below this prefix, and SNS accepts the message with such a key."""
    return value == "" or (
        value.endswith("/")
        and not value.startswith("/")
        and value.isprintable()
        and len(value.encode()) <= _MAXIMUM_PREFIX_BYTES
        and not _has_detour(value)
    )


def _has_detour(key: str) -> bool:
    """Return whether the key has a step "." or "..", which HTTP clients remove from a URL."""
    return not {".", ".."}.isdisjoint(key.split("/"))


_is_bucket = re.compile(r"(?!.*\.\.)(?![0-9.]+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_rules: dict[str, tuple[Callable[[str], object], str]] = {
    "bucket": (_is_bucket, "a bucket's name"),
    "prefix": (
        _is_prefix,
        f"empty, or a key prefix that ends in '/', of up to {_MAXIMUM_PREFIX_BYTES} bytes of printable text without "
        "steps '.' and '..'",
    ),
    "owner": (re.compile(r"[0-9]{12}").fullmatch, "an account id of 12 digits"),
    "region": (re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+").fullmatch, "a Region's name"),
}
_replica_fields = ("bucket", "region")


class S3Object(NamedTuple):
    """One object in S3, the account that owns its bucket, the bucket's Region, and optionally a version."""

    bucket: str
    key: str
    owner: str
    region: str
    version_id: str | None = None

    @property
    def pointer(self) -> Pointer:
        """The object's bucket and key, as a message carries them."""
        return Pointer(self.bucket, self.key)

    def to_dict(self) -> dict[str, str]:
        """Return the fields as JSON-serialisable members. `version_id` is omitted if it is None."""
        return {name: value for name, value in self._asdict().items() if value is not None}


@dataclass(frozen=True)
class Replica:
    """A bucket of the store's owner in another Region, to which S3 replicates the store's objects, under their keys.

    Raises ValueError as Store does.
    """

    bucket: str
    region: str

    def __post_init__(self) -> None:
        _check(self, _replica_fields, "replica")

    @classmethod
    def from_dict(cls, settings: Mapping[str, str]) -> Replica:
        """Return the replica of `{"bucket": …, "region": …}`. Raises ValueError."""
        return cls(**_known(settings, _replica_fields, "replica"))

    def to_dict(self) -> dict[str, str]:
        """Return the settings that `from_dict` reads."""
        return {"bucket": self.bucket, "region": self.region}


@dataclass(frozen=True)
class Store:
    """The place in S3 of one publisher's payloads.

    `prefix` is the common prefix of their keys: it ends in "/", or is "" for the whole bucket. `owner` is the account
    that owns the bucket. Pointers name the bucket, and payloads are written to it. `replicas` are read first, in their
    order, and the bucket itself if no replica has the payload: replication lags.

    Raises ValueError with the name and value of an invalid field.
    """

    bucket: str
    prefix: str
    owner: str
    region: str
    replicas: tuple[Replica, ...] = ()

    def __post_init__(self) -> None:
        _check(self, _rules, "store")

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Store:
        """Return the store of `{"bucket": …, "prefix": …, "owner": …, "region": …}`.

        `"replicas": [{"bucket": …, "region": …}, …]` is optional, the other members are required. Raises ValueError.
        """
        replicas = tuple(map(Replica.from_dict, settings.get("replicas", ())))
        members = {name: value for name, value in settings.items() if name != "replicas"}
        return cls(**_known(members, _rules, "store"), replicas=replicas)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings that `from_dict` reads. `replicas` is omitted if there are none."""
        members = {name: getattr(self, name) for name in _rules}
        return members | ({"replicas": [replica.to_dict() for replica in self.replicas]} if self.replicas else {})

    def object_of(self, message_id: str) -> S3Object:
        """Return the object that holds the payload of the message with this id.

        Raises InvalidMessage for a key that readers reject: `locate` returns None, or it is too long for S3.
        """
        stored = S3Object(self.bucket, self.prefix + message_id, self.owner, self.region)
        if self.locate(stored.pointer) is None or len(stored.key.encode()) > MAXIMUM_KEY_BYTES:
            raise InvalidMessage(
                f"message_id {message_id!r}: no reader accepts its key; pass up to 64 of A-Z a-z 0-9 . _ -"
            )
        return stored

    def locate(self, pointer: Pointer) -> S3Object | None:
        """Return the object of a pointer into this store, or None for a pointer to any other place.

        A pointer into the store has the store's bucket, a key below the prefix, and no step "." or "..".
        """
        inside = pointer.key.startswith(self.prefix) and pointer.key != self.prefix
        if pointer.bucket != self.bucket or not inside or _has_detour(pointer.key):
            return None
        return S3Object(self.bucket, pointer.key, self.owner, self.region)


def _check(place: Store | Replica, names: Iterable[str], kind: str) -> None:
    for name in names:
        is_valid, meaning = _rules[name]
        value = getattr(place, name)
        if not isinstance(value, str) or not is_valid(value):
            raise ValueError(f"{kind} {name} = {value!r}: must be {meaning}")


def _known(settings: Mapping[str, Any], names: Iterable[str], kind: str) -> Mapping[str, Any]:
    missing, unknown = sorted(set(names) - set(settings)), sorted(set(settings) - set(names))
    if missing or unknown:
        raise ValueError(f"{kind} {dict(settings)!r}: missing {missing}, unknown {unknown}")
    return settings

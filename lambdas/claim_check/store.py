"""A store: the place in S3 where one publisher's payloads are, and who owns it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from claim_check.pointer import Pointer

_rules = {
    "bucket": (re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"), "a bucket's name"),
    "prefix": (re.compile(r"|(?!/)[^\x00-\x1f\x7f]{1,900}/"), "empty, or a key prefix that ends in '/'"),
    "owner": (re.compile(r"[0-9]{12}"), "an account id of 12 digits"),
    "region": (re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+"), "a Region's name"),
}


@dataclass(frozen=True)
class Store:
    """A bucket's name, the prefix of the payloads' keys in it (ends in "/"; "" is the whole bucket), the account that
    owns the bucket, and the bucket's Region. Raises ValueError naming the field and its value when one is
    unusable."""

    bucket: str
    prefix: str
    owner: str
    region: str

    def __post_init__(self) -> None:
        for name, (pattern, meaning) in _rules.items():
            value = getattr(self, name)
            if not isinstance(value, str) or not pattern.fullmatch(value):
                raise ValueError(f"store {name} = {value!r}: must be {meaning}")

    @classmethod
    def from_dict(cls, settings: Mapping[str, str]) -> Store:
        """A store from `{"bucket": …, "prefix": …, "owner": …, "region": …}`, exactly these four. Raises ValueError."""
        names = {field.name for field in fields(cls)}
        missing, unknown = sorted(names - set(settings)), sorted(set(settings) - names)
        if missing or unknown:
            raise ValueError(f"store {dict(settings)!r}: missing {missing}, unknown {unknown}")
        return cls(**settings)

    def key(self, message_id: str) -> str:
        """The key of the payload of the message with this id."""
        return self.prefix + message_id

    def holds(self, pointer: Pointer) -> bool:
        """Whether the pointer leads into this store: the same bucket, under the prefix, and by no detour ('..')."""
        rest = pointer.key.removeprefix(self.prefix)
        steps = pointer.key.split("/")
        inside = pointer.bucket == self.bucket and pointer.key.startswith(self.prefix)
        return inside and rest != "" and not {".", ".."}.intersection(steps)

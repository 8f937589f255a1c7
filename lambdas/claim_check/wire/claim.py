"""The claim: the attribute `ClaimCheck` with the sender's message id and the payload's checksums, as compact JSON."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from claim_check.errors import InvalidMessage, MalformedMessage
from claim_check.wire.attribute import Attribute
from claim_check.wire.text import parse_json

NAME = "ClaimCheck"

_MAXIMUM_CHARACTERS = 1_024
_message_id = re.compile(r"[A-Za-z0-9._-]{1,64}")
_hex_sha256 = re.compile(r"[0-9a-f]{64}")
_MAXIMUM_SIZE = 10**18
_TEXTS = ("id", "sha256", "crc64nvme", "crc32", "encoding")


class Claim(NamedTuple):
    """A message's identity and the payload's checksums. All checksums are optional.

    `id` is the sender's. `sha256` is 64 lower-case hex digits. `crc64nvme` and `crc32` are in S3's form: base64 of 8
    and of 4 bytes, big endian. A reader compares them with S3's own checksums of the whole object, without reading it.

    `encoding` names the compression of the stored bytes, and `expanded` is the number of bytes before it. A message has
    both or none. The checksums are of the stored bytes.
    """

    id: str
    sha256: str | None = None
    crc64nvme: str | None = None
    crc32: str | None = None
    encoding: str | None = None
    expanded: int | None = None

    def attribute(self) -> Attribute:
        """Return the attribute: `{"id":"…","sha256":"…","crc32":"…"}`. Members without a value are omitted."""
        # Not by json.dumps, because every message needs it: no member can contain a character that JSON escapes.
        members = [f'"{name}":"{value}"' for name, value in zip(_TEXTS, self, strict=False) if value is not None]
        members += [] if self.expanded is None else [f'"expanded":{self.expanded}']
        return Attribute("String", f"{{{','.join(members)}}}")

    @classmethod
    def parse(cls, value: str | bytes) -> Claim:
        """Parse an attribute's value. Unknown members are ignored. Raises MalformedMessage."""
        if len(value) > _MAXIMUM_CHARACTERS:
            raise MalformedMessage(f"the attribute {NAME} has {len(value)} characters, more than {_MAXIMUM_CHARACTERS}")
        members = parse_json(value, f"the attribute {NAME}")
        if not isinstance(members, dict):
            raise MalformedMessage(f"the attribute {NAME} is not a JSON object")
        return cls.of(members, f"the attribute {NAME}")

    @classmethod
    def of(cls, members: Mapping[str, Any], subject: str) -> Claim:
        """Return the claim with these members. Raises MalformedMessage, naming `subject`, if one is invalid."""
        for name, is_valid in _checks.items():
            if not is_valid(members.get(name)):
                raise MalformedMessage(f"{subject} has no usable {name!r}")
        if (members.get("encoding") is None) is not (members.get("expanded") is None):
            raise MalformedMessage(f"{subject} has only one of 'encoding' and 'expanded'")
        return cls(members["id"], *(members.get(name) for name in cls._fields[1:]))


def is_message_id(value: object) -> bool:
    """Return whether `value` can be a message id: 1 to 64 of A-Z a-z 0-9 . _ - except "." and ".."."""
    return isinstance(value, str) and _message_id.fullmatch(value) is not None and value not in {".", ".."}


def checked_id(value: str) -> str:
    """Return `value`. Raises InvalidMessage if it cannot be a message id."""
    if not is_message_id(value):
        raise InvalidMessage(
            f"message_id {value!r} is not 1 to 64 of A-Z a-z 0-9 . _ - (and not '.' or '..'): pass a digest of it, "
            "for example hashlib.sha256(…).hexdigest()"
        )
    return value


def fresh_id() -> str:
    """Return a random id for a message whose sender has none. A retry with another id is another message."""
    return os.urandom(16).hex()  # 128 random bits; a UUID has 122 and takes six times as long


def _is_sha256(value: object) -> bool:
    return value is None or (isinstance(value, str) and _hex_sha256.fullmatch(value) is not None)


def _is_encoding(value: object) -> bool:
    return value is None or value == "gzip"


def _is_size(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAXIMUM_SIZE)


def _is_base64(length: int) -> Callable[[object], bool]:
    def is_valid(value: object) -> bool:
        if value is None:
            return True
        try:
            # Compared as text, therefore only the canonical form is accepted.
            data = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
            return len(data) == length and base64.b64encode(data).decode() == value
        except (binascii.Error, ValueError):
            return False

    return is_valid


_checks: Mapping[str, Callable[[object], bool]] = {
    "id": is_message_id,
    "sha256": _is_sha256,
    "crc64nvme": _is_base64(8),
    "crc32": _is_base64(4),
    "encoding": _is_encoding,
    "expanded": _is_size,
}

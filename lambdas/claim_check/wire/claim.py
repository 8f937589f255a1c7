"""The claim: the attribute `ClaimCheck` with the sender's message id and the payload's digest, as compact JSON."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from claim_check.errors import InvalidMessage, MalformedMessage
from claim_check.wire.attribute import Attribute
from claim_check.wire.text import parse_json

NAME = "ClaimCheck"

_MAXIMUM_CHARACTERS = 1_024
_CRC64_BYTES = 8
_message_id = re.compile(r"[A-Za-z0-9._-]{1,64}")
_hex_sha256 = re.compile(r"[0-9a-f]{64}")


class Claim(NamedTuple):
    """A message's identity and the payload's digest.

    `id` is the sender's. `sha256` is 64 lower-case hex digits. `crc64nvme` is S3's checksum in base64. A message
    declares it if only S3 has read the whole payload (a server-side copy of more than 5 GiB).
    """

    id: str
    sha256: str | None = None
    crc64nvme: str | None = None

    def attribute(self) -> Attribute:
        """Return the attribute: `{"id":"…","sha256":"…"}`. Members without a value are omitted."""
        # Not by json.dumps, because every message needs it: no member can contain a character that JSON escapes.
        sha256 = "" if self.sha256 is None else f',"sha256":"{self.sha256}"'
        crc64nvme = "" if self.crc64nvme is None else f',"crc64nvme":"{self.crc64nvme}"'
        return Attribute("String", f'{{"id":"{self.id}"{sha256}{crc64nvme}}}')

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
        return cls(members["id"], members.get("sha256"), members.get("crc64nvme"))


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


def _is_crc64nvme(value: object) -> bool:
    if value is None:
        return True
    try:
        return isinstance(value, str) and len(base64.b64decode(value, validate=True)) == _CRC64_BYTES
    except (binascii.Error, ValueError):
        return False


_checks = {"id": is_message_id, "sha256": _is_sha256, "crc64nvme": _is_crc64nvme}

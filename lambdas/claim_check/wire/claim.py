"""The one attribute of ours, `ClaimCheck`: the sender's message id and the payload's digest, as compact JSON."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from claim_check.errors import MalformedMessage
from claim_check.wire.attribute import Attribute
from claim_check.wire.identity import is_message_id
from claim_check.wire.untrusted import parsed

NAME = "ClaimCheck"

_longest = 1_024
_hex_sha256 = re.compile(r"[0-9a-f]{64}")
_crc64_bytes = 8


class Claim(NamedTuple):
    """`id` is the sender's. `sha256` is 64 lower-case hex digits; `crc64nvme` is S3's own checksum in base64, declared
    where S3 alone has seen the whole payload (a server-side copy of more than 5 GiB)."""

    id: str
    sha256: str | None = None
    crc64nvme: str | None = None

    def attribute(self) -> Attribute:
        """As it travels: `{"id":"…","sha256":"…"}`, absent members left out."""
        # By hand, since it is done for every message: none of the three can hold what JSON would escape.
        sha256 = "" if self.sha256 is None else f',"sha256":"{self.sha256}"'
        crc64nvme = "" if self.crc64nvme is None else f',"crc64nvme":"{self.crc64nvme}"'
        return Attribute("String", f'{{"id":"{self.id}"{sha256}{crc64nvme}}}')

    @classmethod
    def parse(cls, value: str | bytes) -> Claim:
        """The claim in an attribute's value. Raises MalformedMessage; members it does not know are ignored."""
        if len(value) > _longest:
            raise MalformedMessage(f"the attribute {NAME} has {len(value)} characters, more than {_longest}")
        members = parsed(value, f"the attribute {NAME}")
        if not isinstance(members, dict):
            raise MalformedMessage(f"the attribute {NAME} is not a JSON object")
        return cls.of(members, f"the attribute {NAME}")

    @classmethod
    def of(cls, members: Mapping[str, Any], what: str) -> Claim:
        """The claim that these members of `what` make. Raises MalformedMessage when one cannot be what it says."""
        for name, is_valid in _checks.items():
            if not is_valid(members.get(name)):
                raise MalformedMessage(f"{what} has no usable {name!r}")
        return cls(members["id"], members.get("sha256"), members.get("crc64nvme"))


def claim_of(attributes: Mapping[str, Attribute]) -> Claim | None:
    """Our claim in a message, or None when another library published it. Raises MalformedMessage."""
    attribute = attributes.get(NAME)
    return Claim.parse(attribute.value) if attribute else None


def _is_sha256(value: object) -> bool:
    return value is None or (isinstance(value, str) and _hex_sha256.fullmatch(value) is not None)


def _is_crc64nvme(value: object) -> bool:
    if value is None:
        return True
    try:
        return isinstance(value, str) and len(base64.b64decode(value, validate=True)) == _crc64_bytes
    except (binascii.Error, ValueError):
        return False


_checks = {"id": is_message_id, "sha256": _is_sha256, "crc64nvme": _is_crc64nvme}

"""The metadata of an upload as message attributes."""

import json
import unicodedata
from collections.abc import Sequence
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from claim_check import RESERVED_ATTRIBUTES, InvalidMessage, UploadedObject, checked_attributes

ORIGIN_ATTRIBUTES = ("source", "detail-type", "account", "time", "resources", "sender", "outbox-key", "metadata")
"""Attributes about a message's origin. A sender cannot set them."""
MAXIMUM_ATTRIBUTES = 4
"""SNS allows ten attributes if a subscriber has a queue. An upload has four of its origin, and two of its pointer."""
# S3 lower-cases metadata keys, so reserved names are recognised in any case.
_RESERVED_NAMES = frozenset(name.lower() for name in (*ORIGIN_ATTRIBUTES, *RESERVED_ATTRIBUTES))
_WITHOUT_MEANING = ("", "binary/octet-stream", "application/octet-stream")
_UNSAFE_CATEGORIES = ("Cc", "Zl", "Zp")


def attributes_of(found: UploadedObject, *, chosen: Sequence[str] = ()) -> dict[str, str]:
    """Return up to four attributes: of user metadata, `content-type` and `content-encoding`.

    Each entry is an attribute if there are at most four. Otherwise, and if `chosen` has names, only the chosen entries
    are. All others are in the attribute `metadata`, a JSON object. There, too, are entries that cannot be an attribute:
    those with a reserved name, or that SNS rejects. Tools add their own metadata, so no entry prevents the
    publication of an upload.

    S3 encodes text outside ASCII as in RFC 2047; it is decoded here.

    Raises:
        InvalidMessage: A value has a control character or a line break.
    """
    entries = {name: _decode(value) for name, value in found.metadata.items()}
    for name, value in entries.items():
        if any(unicodedata.category(character) in _UNSAFE_CATEGORIES for character in value):
            raise InvalidMessage(f"metadata {name!r}: the value has a control character or a line break; remove it")
    headers = {"content-type": found.content_type, "content-encoding": found.content_encoding}
    content = {name: value for name, value in headers.items() if value not in _WITHOUT_MEANING}
    own = content | {name: value for name, value in entries.items() if name not in content and _fits(name, value)}
    others = {name: value for name, value in entries.items() if own.get(name) != value}
    if chosen or len(own) + bool(others) > MAXIMUM_ATTRIBUTES:
        others |= {name: value for name, value in own.items() if name not in chosen}
        own = {name: own[name] for name in chosen if name in own}
    return own | ({"metadata": json.dumps(others, ensure_ascii=False)} if others else {})


def _fits(name: str, value: str) -> bool:
    if name.lower() in _RESERVED_NAMES:
        return False
    try:
        checked_attributes({name: value})
    except InvalidMessage:
        return False
    return True


def _decode(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value

"""An object's metadata become a message's attributes."""

from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from claim_check import RESERVED_ATTRIBUTES, InvalidMessage

OURS = ("source", "detail-type", "account", "sender", "outbox-key")
"""Attributes that say where a message comes from: no sender's to give."""
MOST = 4
"""SNS takes ten attributes with a queue; an upload has four of ours, and its pointer two."""
# S3 knows metadata in lower case only: what looks like one of ours is refused in any case.
_refused = frozenset(name.lower() for name in (*OURS, *RESERVED_ATTRIBUTES))


def attributes_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Each as a String. S3 gives a value that is not ASCII as RFC 2047 spells it: it is decoded.

    Raises:
        InvalidMessage: there are more than four, one is named like an attribute of ours, or cannot be decoded.
    """
    if len(metadata) > MOST:
        raise InvalidMessage(
            f"metadata: {len(metadata)} of them ({', '.join(sorted(metadata))}); {MOST} at most, since ours take the "
            "other attributes of a message"
        )
    for name in metadata:
        if name.lower() in _refused:
            raise InvalidMessage(
                f"metadata {name!r}: an attribute of this name is not the sender's to give; choose another"
            )
    return {name: _decoded(name, value) for name, value in metadata.items()}


def _decoded(name: str, value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        raise InvalidMessage(f"metadata {name!r}: its value is not what RFC 2047 calls an encoded word") from None

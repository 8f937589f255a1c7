"""A message before it is sent: the caller's fields, checked before the payload is known, and the complete message."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Never

from claim_check.errors import InvalidMessage
from claim_check.wire import claim
from claim_check.wire.attribute import Attribute, AttributeValue, checked_attributes, total_size
from claim_check.wire.claim import Claim, checked_id, fresh_id
from claim_check.wire.pointer import COMPRESSED_MARKER, FORMS, Pointer, PointerForm
from claim_check.wire.text import is_publishable

_MAXIMUM_ATTRIBUTES = 10  # SQS's limit; SNS does not deliver a raw message with more
_MAXIMUM_SUBJECT_CHARACTERS = 100
_token = re.compile(r"[!-~]{1,128}")  # SNS's form of a group id and of a deduplication id

# Placeholders of maximum length, to compute a message's size before its payload is known.
_ANY_SHA256 = "0" * 64
_ANY_CRC32 = "A" * 8
_ANY_SIZE = 10**13
_CLAIM_BYTES = Claim("", _ANY_SHA256).attribute().size(claim.NAME)


def group_id_of(name: str) -> str:
    """Return `name` as a message group id: itself, or its SHA-256 if SNS would reject it."""
    return name if _token.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()


class Published(NamedTuple):
    """A published message: its id, the id of SNS or SQS, and the payload's size in bytes and SHA-256 (hex).

    `sha256` is None if only S3 has read the whole payload, and of the stored bytes if they are compressed. `pointer` is
    None for an inline payload.
    """

    message_id: str
    service_message_id: str
    size: int
    sha256: str | None
    pointer: Pointer | None


class MessageFields(NamedTuple):
    """A message's fields except the payload. Create it with `of`, which validates it.

    `attributes` are a copy of the caller's. `is_fifo` is true for a FIFO topic. `is_fresh` is true for a generated id,
    under which no other call publishes. `reserved_bytes` and `reserved_attributes` are kept free for tracing.
    """

    id: str
    attributes: Mapping[str, Attribute]
    subject: str | None
    group_id: str | None
    deduplication_id: str | None
    is_fifo: bool
    is_fresh: bool
    reserved_bytes: int
    reserved_attributes: int

    @classmethod
    def of(
        cls,
        *,
        is_fifo: bool,
        has_subject: bool = True,
        message_id: str | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        subject: str | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        reserved_bytes: int = 0,
        reserved_attributes: int = 0,
        **unsupported: Never,
    ) -> MessageFields:
        """Return the fields for arguments of `publish`. Raises InvalidMessage if SNS would reject one of them.

        Raises TypeError for unknown arguments.
        """
        _reject_unsupported(unsupported)
        if subject is not None and not has_subject:
            raise InvalidMessage("subject: a message of a queue has none: pass it as an attribute")
        if subject is not None and not (
            0 < len(subject) <= _MAXIMUM_SUBJECT_CHARACTERS and subject.isprintable() and is_publishable(subject)
        ):
            raise InvalidMessage(
                f"subject: must be 1 to {_MAXIMUM_SUBJECT_CHARACTERS} printable characters on one line"
            )
        if is_fifo and group_id is None:
            raise InvalidMessage("group_id: a FIFO topic or queue needs one; messages of the same group stay in order")
        if deduplication_id is not None and not is_fifo:
            raise InvalidMessage("deduplication_id: only a FIFO topic or queue accepts one: omit it")
        _require_token("group_id", group_id)
        _require_token("deduplication_id", deduplication_id)
        fields = cls(
            id=fresh_id() if message_id is None else checked_id(message_id),
            attributes=checked_attributes(attributes) if attributes else {},
            subject=subject,
            group_id=group_id,
            deduplication_id=deduplication_id,
            is_fifo=is_fifo,
            is_fresh=message_id is None,
            reserved_bytes=reserved_bytes,
            reserved_attributes=reserved_attributes,
        )
        fields._require_attributes_up_to(_MAXIMUM_ATTRIBUTES - 1, "the attribute ClaimCheck is added")
        return fields

    @property
    def overhead(self) -> int:
        """The size in bytes of an inline message and of the reserved space, not counting its payload."""
        return total_size(self.attributes) + _CLAIM_BYTES + len(self.id) + self.reserved_bytes

    def require_space_for(
        self, pointer: Pointer, form: PointerForm, maximum: int, *, is_compressed: bool = False
    ) -> None:
        """Raise InvalidMessage if a message with this pointer would have more than `maximum` bytes.

        Called before the payload is stored.
        """
        self._require_attributes_up_to(_MAXIMUM_ATTRIBUTES - 2, "an offloaded payload adds two")
        declared = Claim(self.id, _ANY_SHA256, crc32=_ANY_CRC32)
        if is_compressed:
            declared = declared._replace(encoding="gzip", expanded=_ANY_SIZE)
        attributes = _pointing(self.attributes, _ANY_SIZE, declared, form)
        size = len(pointer.body(form).encode()) + total_size(attributes) + self.reserved_bytes
        if size > maximum:
            raise InvalidMessage(
                f"attributes: with a pointer they make {size} bytes, more than {maximum}: move some into the payload",
                message_id=self.id,
            )

    def parameters(self) -> dict[str, str]:
        """Return the optional parameters of SNS's Publish. The default deduplication id is the message id."""
        parameters = {}
        if self.subject is not None:
            parameters["Subject"] = self.subject
        if self.group_id is not None:
            parameters["MessageGroupId"] = self.group_id
        if self.is_fifo:
            parameters["MessageDeduplicationId"] = self.deduplication_id or self.id
        return parameters

    def _require_attributes_up_to(self, maximum: int, reason: str) -> None:
        maximum -= self.reserved_attributes
        reason += f", {self.reserved_attributes} are reserved" if self.reserved_attributes else ""
        if len(self.attributes) > maximum:
            raise InvalidMessage(
                f"attributes: {len(self.attributes)} are more than {maximum} ({reason}; a message has up to "
                f"{_MAXIMUM_ATTRIBUTES})",
                message_id=self.id,
            )


class OutgoingMessage(NamedTuple):
    """A complete message: its payload is in its body, or in the store.

    `size` and `sha256` are the payload's. `is_deletable` is true for an object under a generated id. No other message
    can point to it.
    """

    fields: MessageFields
    body: str
    attributes: Mapping[str, Attribute]
    size: int
    sha256: str | None
    pointer: Pointer | None = None
    is_deletable: bool = False

    @classmethod
    def inline(cls, fields: MessageFields, data: bytes, text: str) -> OutgoingMessage:
        """Return the message whose body is `text`, the payload. `data` is its encoding."""
        sha256 = hashlib.sha256(data).hexdigest()
        attributes = {**fields.attributes, claim.NAME: Claim(fields.id, sha256).attribute()}
        return cls(fields, text, attributes, len(data), sha256)

    @classmethod
    def pointing(
        cls,
        fields: MessageFields,
        pointer: Pointer,
        *,
        size: int,
        declared: Claim,
        form: PointerForm,
        is_deletable: bool = False,
    ) -> OutgoingMessage:
        """Return the message whose body is a pointer to an object of `size` bytes."""
        attributes = _pointing(fields.attributes, size, declared, form)
        expanded = size if declared.expanded is None else declared.expanded
        return cls(fields, pointer.body(form), attributes, expanded, declared.sha256, pointer, is_deletable)

    @property
    def total_bytes(self) -> int:
        """The size of the whole message, as SNS counts it, and of the reserved space."""
        body = len(self.body.encode()) if self.pointer else self.size
        return body + total_size(self.attributes) + self.fields.reserved_bytes

    def request(self) -> dict[str, Any]:
        """Return the parameters of SNS's Publish, except the topic."""
        return {
            "Message": self.body,
            "MessageAttributes": {name: attribute.wire() for name, attribute in self.attributes.items()},
            **self.fields.parameters(),
        }

    def published(self, service_message_id: str) -> Published:
        """Return the caller's result, after the service has accepted the message."""
        return Published(self.fields.id, service_message_id, self.size, self.sha256, self.pointer)


def _pointing(
    attributes: Mapping[str, Attribute], size: int, declared: Claim, form: PointerForm
) -> dict[str, Attribute]:
    marker = FORMS[form].marker if declared.encoding is None else COMPRESSED_MARKER
    return {**attributes, marker: Attribute("Number", str(size)), claim.NAME: declared.attribute()}


def _require_token(name: str, value: str | None) -> None:
    if value is not None and not _token.fullmatch(value):
        raise InvalidMessage(f"{name} = {value!r}: must be 1 to 128 printable ASCII characters without blanks")


def _reject_unsupported(arguments: Mapping[str, object]) -> None:
    if "MessageStructure" in arguments or "message_structure" in arguments:
        raise InvalidMessage(
            "MessageStructure: a message that differs by protocol has no single payload to offload or digest; publish "
            "one payload, or call SNS directly for such a message"
        )
    if arguments:
        raise TypeError(f"publish() got unexpected arguments: {', '.join(arguments)}")

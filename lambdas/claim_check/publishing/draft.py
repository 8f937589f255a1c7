"""A message to be published, checked as far as it can be before its payload is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from claim_check.errors import InvalidMessage
from claim_check.wire import claim
from claim_check.wire.attribute import Attribute, checked, total_size
from claim_check.wire.claim import Claim
from claim_check.wire.identity import checked_id, fresh_id
from claim_check.wire.pointer import Pointer
from claim_check.wire.text import is_publishable

_most_attributes = 10  # SQS's limit; a raw delivery with more is dropped
_longest_subject = 100
_token = re.compile(r"[!-~]{1,128}")

# Stand-ins of the greatest length, to size a message before its payload is known.
_any_sha256 = "0" * 64
_any_size = 10**13
_claim_overhead = Claim("", _any_sha256).attribute().size(claim.NAME)


class Draft(NamedTuple):
    """All of a message but its payload; made by `of`, which checks it.

    `attributes` are the caller's, copied and checked; `fifo` says whether the topic is one. `fresh`: the id was made up
    here, so that nobody else publishes under it.
    """

    id: str
    attributes: Mapping[str, Attribute]
    subject: str | None
    group_id: str | None
    deduplication_id: str | None
    fifo: bool
    fresh: bool

    @classmethod
    def of(
        cls,
        *,
        message_id: str | None,
        attributes: Mapping[str, str | float | bytes | Attribute] | None,
        subject: str | None,
        group_id: str | None,
        deduplication_id: str | None,
        fifo: bool,
    ) -> Draft:
        """The draft of what a caller of `publish` asks for. Raises InvalidMessage when SNS would refuse it."""
        if subject is not None and not (
            0 < len(subject) <= _longest_subject and subject.isprintable() and is_publishable(subject)
        ):
            raise InvalidMessage(f"subject: must be 1 to {_longest_subject} printable characters on one line")
        if fifo and group_id is None:
            raise InvalidMessage("group_id: a FIFO topic needs one; messages of the same group stay in order")
        if deduplication_id is not None and not fifo:
            raise InvalidMessage("deduplication_id: only a FIFO topic takes one; leave it out")
        _refuse_unless_token("group_id", group_id)
        _refuse_unless_token("deduplication_id", deduplication_id)
        identity = fresh_id() if message_id is None else checked_id(message_id)
        copied = checked(attributes) if attributes else {}
        draft = cls(identity, copied, subject, group_id, deduplication_id, fifo, message_id is None)
        draft._refuse_more_than(_most_attributes - 1, "the ClaimCheck attribute takes one")
        return draft

    @property
    def overhead(self) -> int:
        """Bytes an inline message has beside its payload."""
        return total_size(self.attributes) + _claim_overhead + len(self.id)

    def inline(self, sha256: str) -> dict[str, Attribute]:
        """The attributes of the message that carries its payload itself."""
        return {**self.attributes, claim.NAME: Claim(self.id, sha256).attribute()}

    def pointing(self, size: int, declared: Claim, marker: str) -> dict[str, Attribute]:
        """The attributes of the message that carries a pointer to a payload of `size` bytes."""
        return {**self.attributes, marker: Attribute("Number", str(size)), claim.NAME: declared.attribute()}

    def refuse_unless_it_can_point(self, pointer: Pointer, marker: str, most: int) -> None:
        """Raises InvalidMessage when a pointer and these attributes are more than `most` bytes: before anything is
        stored."""
        self._refuse_more_than(_most_attributes - 2, "with an offloaded payload two of ours travel along")
        attributes = self.pointing(_any_size, Claim(self.id, _any_sha256), marker)
        size = len(pointer.body().encode()) + total_size(attributes)
        if size > most:
            raise InvalidMessage(
                f"attributes: with a pointer they make {size} bytes, more than {most}: move some into the payload",
                message_id=self.id,
            )

    def options(self) -> dict[str, str]:
        """The further parameters of SNS's Publish. A FIFO message is deduplicated by its id unless told otherwise."""
        options = {}
        if self.subject is not None:
            options["Subject"] = self.subject
        if self.group_id is not None:
            options["MessageGroupId"] = self.group_id
        if self.fifo:
            options["MessageDeduplicationId"] = self.deduplication_id or self.id
        return options

    def _refuse_more_than(self, most: int, reason: str) -> None:
        if len(self.attributes) > most:
            raise InvalidMessage(
                f"attributes: {len(self.attributes)} are more than {most} ({reason}; a message has {_most_attributes})",
                message_id=self.id,
            )


def _refuse_unless_token(name: str, value: str | None) -> None:
    if value is not None and not _token.fullmatch(value):
        raise InvalidMessage(f"{name} = {value!r}: must be 1 to 128 printable ASCII characters without blanks")

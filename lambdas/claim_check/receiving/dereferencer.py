"""Dereference: from a received record to a message whose payload can be read. Nothing in a record is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from claim_check.errors import ClaimCheckError, MalformedMessage, PayloadCorrupt, UntrustedStore
from claim_check.receiving.inline import InlineBytes
from claim_check.receiving.message import Message
from claim_check.receiving.payload import Payload
from claim_check.s3.client import s3_client
from claim_check.s3.object_reader import StoredBytes
from claim_check.store import S3Object, Store
from claim_check.wire import claim
from claim_check.wire.attribute import Attribute
from claim_check.wire.claim import Claim, claim_of
from claim_check.wire.envelope import Envelope, open_envelope
from claim_check.wire.identity import is_message_id
from claim_check.wire.pointer import MARKERS, Pointer, marked_size

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_ours = frozenset({*MARKERS, claim.NAME})


class Outcome(NamedTuple):
    """What became of one record: a message, or the error that it alone met."""

    record: Mapping[str, Any]
    message: Message | None
    error: ClaimCheckError | None


class Dereferencer:
    """Turns records into messages, for a subscriber that trusts `stores` and no other place.

    `s3` reads from every store and replica; without it a client is made for each Region when it is first needed.
    `on_stale` is told of each replica that turned out to have other bytes than were published, to count or log it; the
    payload is read elsewhere then.
    """

    def __init__(
        self,
        *,
        stores: Iterable[Store],
        s3: S3Client | None = None,
        on_stale: Callable[[PayloadCorrupt], object] = lambda _: None,
    ) -> None:
        self._stores = tuple(stores)
        self._s3 = s3
        self._on_stale = on_stale
        self._clients: dict[tuple[str, bool], S3Client] = {}

    def message(self, record: Mapping[str, Any]) -> Message:
        """The message in one record: of the SQS API, of an SQS or SNS event, or an SNS envelope. Calls no service.

        Raises MalformedMessage or UntrustedStore, and nothing else, whatever the record holds.
        """
        envelope = open_envelope(record)
        known = envelope.id
        try:
            identity = claim_of(envelope.attributes) or Claim(_delivery_id(envelope))
            known = identity.id
            return self._message(envelope, identity)
        except MalformedMessage as error:
            raise MalformedMessage(str(error), message_id=known) from None

    def outcomes(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Outcome]:
        """One outcome a record, in order: a bad record is its own error and nobody else's."""
        for record in records:
            try:
                yield Outcome(record, self.message(record), None)
            except ClaimCheckError as error:
                yield Outcome(record, None, error)

    def payload(self, pointer: Pointer, *, size: int, message_id: str, sha256: str | None = None) -> Payload:
        """A payload that was dereferenced before and handed on as its place and what it was then: `size` in bytes and
        `sha256` in hex, which are checked as in a message. Calls no service.

        Raises MalformedMessage or UntrustedStore.
        """
        claim = Claim.of({"id": message_id, "sha256": sha256}, "what was handed on")
        if not isinstance(size, int) or size < 0:
            raise MalformedMessage("the size that was handed on is not a non-negative integer", message_id=message_id)
        return self._payload(*self._located(pointer, claim), size, claim)

    def _payload(self, store: Store, stored: S3Object, size: int, claim: Claim) -> Payload:
        reader = partial(StoredBytes, stored=stored, size=size, claim=claim)
        return Payload(
            reader(self._client(store.region)),
            size=size,
            claim=claim,
            replicas=[
                reader(self._client(replica.region, patient=False), replica=replica) for replica in store.replicas
            ],
            on_stale=self._on_stale,
        )

    def _message(self, envelope: Envelope, identity: Claim) -> Message:
        marked = marked_size(envelope.attributes)
        if marked is None:
            stored = None
            data = envelope.body.encode("utf-8")
            size = len(data)
            payload = Payload(InlineBytes(data, message_id=identity.id), size=size, claim=identity)
        else:
            size = marked
            store, stored = self._located(Pointer.parse(envelope.body), identity)
            payload = self._payload(store, stored, size, identity)
        return Message(
            id=identity.id,
            payload=payload,
            attributes=_senders(envelope.attributes),
            subject=envelope.subject,
            topic_arn=envelope.topic_arn,
            stored=stored,
            size=size,
            sha256=identity.sha256,
        )

    def _located(self, pointer: Pointer, identity: Claim) -> tuple[Store, S3Object]:
        for store in self._stores:
            if stored := store.locate(pointer):
                return store, stored
        trusted = ", ".join(f"s3://{store.bucket}/{store.prefix}" for store in self._stores) or "none"
        raise UntrustedStore(
            f"the pointer leads outside the trusted stores ({trusted}); to trust its publisher, add its store",
            message_id=identity.id,
            pointer=pointer,
        )

    def _client(self, region: str, *, patient: bool = True) -> S3Client:
        if self._s3 is not None:
            return self._s3
        if (region, patient) not in self._clients:
            self._clients[region, patient] = s3_client(region, patient=patient)
        return self._clients[region, patient]


def _delivery_id(envelope: Envelope) -> str:
    if envelope.id is None or not is_message_id(envelope.id):
        raise MalformedMessage("the record has no usable message id, neither the sender's nor SNS's or SQS's")
    return envelope.id


def _senders(attributes: Mapping[str, Attribute]) -> Mapping[str, Attribute]:
    return MappingProxyType({name: attribute for name, attribute in attributes.items() if name not in _ours})

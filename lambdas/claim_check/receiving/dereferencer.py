"""The dereferencer: messages with readable payloads, from received records. No field of a record is trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from claim_check.errors import ClaimCheckError, MalformedMessage, PayloadCorrupt, UntrustedStore
from claim_check.memory import DEFAULT_MEMORY_BYTES, Memory
from claim_check.receiving.compressed_payload import CompressedPayload
from claim_check.receiving.message import Message
from claim_check.receiving.payload import InlineReader, Payload, ignore
from claim_check.receiving.prefetch import with_payloads
from claim_check.s3.client import GIB, S3Clients, S3Source
from claim_check.s3.object_reader import ObjectReader
from claim_check.store import S3Object, Store
from claim_check.wire.claim import Claim
from claim_check.wire.envelope import Envelope
from claim_check.wire.pointer import Pointer

EXPANDED_LIMIT_BYTES = GIB


class Outcome(NamedTuple):
    """The result of one record: a message, or the record's error."""

    record: Mapping[str, Any]
    message: Message | None
    error: ClaimCheckError | None


class Dereferencer:
    """A factory of messages from records, for a subscriber that trusts `stores` and no other place.

    `s3` reads from every store and replica: a client, a session of boto3, or a function that returns the client of a
    Region. If it is no client, one is made for each Region on first use, of the default session if None. `on_stale` is
    called for each replica that has other bytes than were published, to count or log it. The payload is then read
    from the next replica or from the store. `memory` limits the bytes that all payloads buffer at a time; the number of
    connections follows from it. A compressed payload with more than `expanded_limit` bytes is not expanded. Raises
    ValueError if `memory` is less than 1 MiB.
    """

    def __init__(
        self,
        *,
        stores: Iterable[Store],
        s3: S3Source | None = None,
        on_stale: Callable[[PayloadCorrupt], object] = ignore,
        memory: int = DEFAULT_MEMORY_BYTES,
        expanded_limit: int = EXPANDED_LIMIT_BYTES,
    ) -> None:
        self._stores = tuple(stores)
        self._clients = S3Clients(s3)
        self._on_stale = on_stale
        self._memory = Memory(memory)
        self._expanded_limit = expanded_limit

    def message(self, record: Mapping[str, Any]) -> Message:
        """Return the message in one record: of the SQS API, of an SQS or SNS event, or an SNS envelope.

        Calls no service. Raises MalformedMessage or UntrustedStore, and no other error, for any content of the record.
        """
        envelope = Envelope.open(record)
        claim = envelope.claim
        if envelope.pointer is None:
            stored = None
            payload = Payload(InlineReader(envelope.body, message_id=claim.id), size=envelope.size, claim=claim)
        else:
            store, stored = self._locate(envelope.pointer, claim)
            payload = self._payload(store, stored, envelope.size, claim)
        return Message(
            id=claim.id,
            payload=payload,
            attributes=envelope.attributes,
            subject=envelope.subject,
            topic_arn=envelope.topic_arn,
            stored=stored,
            size=payload.size,
            sha256=claim.sha256,
            crc64nvme=claim.crc64nvme,
            crc32=claim.crc32,
            encoding=claim.encoding,
            stored_size=envelope.size,
        )

    def outcomes(self, records: Iterable[Mapping[str, Any]], *, prefetch: bool = False) -> Iterator[Outcome]:
        """Yield one outcome for each record, in order. An invalid record does not affect the others.

        With `prefetch`, up to 16 records are examined in advance. While one is processed, the next payloads are read,
        several at a time: those in S3 of less than 8 MiB that fit into the memory limit. Use it if every payload is
        read, and read each before the next outcome is requested.
        """
        outcomes = map(self._outcome, records)
        return with_payloads(outcomes, self._memory) if prefetch else outcomes

    def _outcome(self, record: Mapping[str, Any]) -> Outcome:
        try:
            return Outcome(record, self.message(record), None)
        except ClaimCheckError as error:
            return Outcome(record, None, error)

    def payload(
        self,
        pointer: Pointer,
        *,
        size: int,
        message_id: str,
        sha256: str | None = None,
        crc64nvme: str | None = None,
        crc32: str | None = None,
        encoding: str | None = None,
        expanded: int | None = None,
    ) -> Payload:
        """Return the payload of a hand-off: a pointer with the `size` in bytes and the checksums of a `Message`.

        Of a compressed payload, these are of the stored bytes. `encoding` is the message's, and `expanded` its size.

        Reading and `verify` compare them, as for a message. Calls no service.

        Raises MalformedMessage or UntrustedStore.
        """
        checksums = {"sha256": sha256, "crc64nvme": crc64nvme, "crc32": crc32}
        members = {"id": message_id, **checksums, "encoding": encoding, "expanded": expanded}
        claim = Claim.of(members, "the hand-off")
        if not isinstance(size, int) or size < 0:
            raise MalformedMessage("the size in the hand-off is not a non-negative integer", message_id=message_id)
        return self._payload(*self._locate(pointer, claim), size, claim)

    def _payload(self, store: Store, stored: S3Object, size: int, claim: Claim) -> Payload:
        reader = partial(ObjectReader, self._clients, stored=stored, size=size, claim=claim, memory=self._memory)
        # Other bytes of a replica can fail to expand before their digest is known. So compressed ones are not read.
        replicas = store.replicas if claim.expanded is None else ()
        payload = Payload(
            reader(),
            size=size,
            claim=claim,
            replicas=[reader(replica=replica) for replica in replicas],
            on_stale=self._on_stale,
        )
        if claim.expanded is None:
            return payload
        return CompressedPayload(payload, size=claim.expanded, limit=self._expanded_limit, claim=claim)

    def _locate(self, pointer: Pointer, claim: Claim) -> tuple[Store, S3Object]:
        for store in self._stores:
            if stored := store.locate(pointer):
                return store, stored
        trusted = ", ".join(f"s3://{store.bucket}/{store.prefix}" for store in self._stores) or "none"
        raise UntrustedStore(
            f"the pointer leads outside the trusted stores ({trusted}); to trust its publisher, add its store",
            message_id=claim.id,
            pointer=pointer,
        )

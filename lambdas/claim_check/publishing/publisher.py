"""The publisher: a small payload is the message's body, and a larger payload is offloaded.

If SNS or SQS rejects a message, the object that was stored for it is deleted only if the message id was generated here.
Under a caller's id, another call may publish the same payload at the same time. Its message then points to the same
object, and S3 does not show that. Such an object stays: a retry reuses it, or its lifetime expires.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Never, TypeAlias, get_args

from botocore.exceptions import BotoCoreError, ClientError

from claim_check.compression import Compression, Compressor
from claim_check.errors import ClaimCheckError, InvalidMessage, PayloadTooLarge
from claim_check.memory import DEFAULT_MEMORY_BYTES, MAXIMUM_CONNECTIONS, Memory
from claim_check.publishing.batch import Batch, Entry, EntryOutcome
from claim_check.publishing.destination import Destination, Queue, Topic, is_certain, sending_error
from claim_check.publishing.offload import ObjectWriter, Offloaded, ParallelWriter
from claim_check.publishing.outgoing_message import MessageFields, OutgoingMessage, Published
from claim_check.publishing.s3_object import copy_into_store
from claim_check.publishing.source import PayloadSource, SourceReader
from claim_check.s3.client import S3Clients, S3Source
from claim_check.s3.multipart import Progress
from claim_check.s3.object_options import ObjectOptions
from claim_check.s3.workers import Call
from claim_check.service_errors import is_service_error
from claim_check.wire.attribute import AttributeValue
from claim_check.wire.claim import Claim
from claim_check.wire.pointer import FORMS, Pointer, PointerForm
from claim_check.wire.text import publishable_text

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient
    from mypy_boto3_sqs.client import SQSClient

    from claim_check.store import S3Object, Store

DEFAULT_THRESHOLD_BYTES = 262_144  # SNS's default for a topic's MaximumMessageSize
MAXIMUM_THRESHOLD_BYTES = 1_048_576
EVERY_TOPIC_BYTES = 262_144  # accepted by every topic
_MAXIMUM_RESERVED_ATTRIBUTES = 8  # two of ten are the pointer's
_AHEAD = 2 * MAXIMUM_CONNECTIONS  # entries of a batch that are prepared before the first of them is sent

Offload = Literal["over-threshold", "always", "never"]
# Errors of an entry, and not of a signal handler. Errors of the caller's file or iterable are others.
_ENTRY_ERRORS = (ClaimCheckError, BotoCoreError, ClientError, TypeError, ValueError)

# A message whose payload is being stored.
_Begun: TypeAlias = tuple[MessageFields, Call[Offloaded], Compressor | None]


class Publisher:
    """A publisher of payloads of any size to one topic or to one queue. Threads may share it.

    `threshold` is in bytes, up to the topic's MaximumMessageSize. A message (body and attributes, including the claim)
    that is larger is offloaded to `store`. With `offload="always"` every payload is offloaded. With `"never"` a larger
    message is rejected. `pointer_form` writes pointers as another of AWS's libraries does, for old readers. With
    `compression="gzip"`, offloaded payloads are stored compressed: readers need this library, not AWS's.

    Pass either `topic_arn` or `queue_url`. `sns` and `sqs` are clients of its Region. `s3` is a client, a session of
    boto3, or a function that returns the client of a Region. A client that is None is made on first use.

    `memory` limits the bytes that all calls of this publisher buffer at a time. `object_options` are the properties of
    objects for calls that pass none. `reserved_bytes` and `reserved_attributes` of each message are kept free, also in
    batches, for the additions of tracing libraries when boto sends it.

    `topic_arn`, `queue_url`, `store`, `threshold` and `fifo` (whether topic or queue is FIFO) are attributes. Raises
    ValueError for an invalid argument.
    """

    def __init__(
        self,
        *,
        topic_arn: str | None = None,
        queue_url: str | None = None,
        store: Store,
        threshold: int = DEFAULT_THRESHOLD_BYTES,
        offload: Offload = "over-threshold",
        pointer_form: PointerForm = "sns-java",
        compression: Compression | None = None,
        memory: int = DEFAULT_MEMORY_BYTES,
        object_options: ObjectOptions | None = None,
        reserved_bytes: int = 0,
        reserved_attributes: int = 0,
        sns: SNSClient | None = None,
        sqs: SQSClient | None = None,
        s3: S3Source | None = None,
    ) -> None:
        if not 0 < threshold <= MAXIMUM_THRESHOLD_BYTES:
            raise ValueError(f"threshold = {threshold!r}: must be from 1 to {MAXIMUM_THRESHOLD_BYTES} bytes")
        for name, value, allowed in (("offload", offload, get_args(Offload)), ("pointer_form", pointer_form, FORMS)):
            if value not in allowed:
                raise ValueError(f"{name} = {value!r}: must be one of {', '.join(allowed)}")
        if compression not in {None, "gzip"}:
            raise ValueError(f"compression = {compression!r}: must be None or 'gzip'")
        if compression and pointer_form != "sns-java":
            raise ValueError(f"pointer_form = {pointer_form!r}: its readers cannot expand payloads; omit compression")
        if not 0 <= reserved_bytes < threshold:
            raise ValueError(f"reserved_bytes = {reserved_bytes!r}: must be from 0 to less than the threshold")
        if not 0 <= reserved_attributes <= _MAXIMUM_RESERVED_ATTRIBUTES:
            raise ValueError(
                f"reserved_attributes = {reserved_attributes!r}: must be from 0 to {_MAXIMUM_RESERVED_ATTRIBUTES}"
            )
        self._destination = _destination(topic_arn, queue_url, sns=sns, sqs=sqs)
        self.topic_arn = topic_arn
        self.queue_url = queue_url
        self.fifo = self._destination.fifo
        self.store = store
        self.threshold = threshold
        self._maximum_bytes = max(threshold, EVERY_TOPIC_BYTES)
        self._offload = offload
        self._form = pointer_form
        self._compression = compression
        self._memory = Memory(memory)
        self._object_options = object_options
        self._reserved_bytes = reserved_bytes
        self._reserved_attributes = reserved_attributes
        self._clients = S3Clients(s3)

    def publish(
        self,
        payload: PayloadSource,
        *,
        message_id: str | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        subject: str | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        object_options: ObjectOptions | None = None,
        progress: Progress = lambda _: None,
        **unsupported: Never,
    ) -> Published:
        """Publish one payload, in constant memory: bytes, text, a path, a binary file or an iterable of bytes.

        Publishing again under the same `message_id` is a retry: consumers recognise it, and nothing is stored twice.
        The default is a random id. A payload that SNS cannot carry as text (empty, not UTF-8, control characters) is
        always offloaded. `attributes`: up to 9, and up to 8 with an offloaded payload. A FIFO topic needs a
        `group_id`; the default `deduplication_id` is the message id. SNS's MessageStructure is rejected.

        `object_options` and `progress` are for an offloaded payload, as in `offload`. A signal handler's exception ends
        the call within seconds, and leaves no incomplete upload.

        If SNS rejects the message (a 4xx at the first attempt, except throttling), an object that this call wrote under
        a random id is deleted. After a timeout or a 5xx it stays, because SNS may have sent the message. Under a
        caller's `message_id` it also stays, because another message may point to it.

        Raises:
            InvalidMessage: An argument is invalid, and nothing is stored; or SNS rejects a parameter.
            PayloadConflict: Another payload is stored under the same id.
            PayloadTooLarge: The payload exceeds S3's limits, or the threshold if this publisher never offloads.
            PayloadUnavailable: S3 failed.
            MessagingDenied: SNS or SQS refused the message.
            MessagingUnavailable: SNS or SQS failed, or was not reached. The message may have been sent.
            Exception: The errors of the caller's file or iterable.
        """
        fields = self._fields(
            message_id=message_id,
            attributes=attributes,
            subject=subject,
            group_id=group_id,
            deduplication_id=deduplication_id,
            **unsupported,
        )
        with SourceReader(payload) as source:
            message = self._inline(fields, source)
            if message is None:
                writer = self._writer(fields, object_options, progress)
                stored, compressor = self._encoded(source)
                message = self._pointing(fields, writer.write(stored, may_exist=not fields.is_fresh), compressor)
        return self._send(message)

    def publish_batch(self, entries: Iterable[Entry]) -> list[EntryOutcome]:
        """Publish many messages with SNS's PublishBatch: up to ten a call, and up to the topic's maximum in bytes.

        Returns one outcome for each entry, in their order. A failed entry does not affect the others, and has the
        error of `publish`. Payloads of up to 8 MiB are offloaded up to 16 at a time, within the memory limit. Larger
        payloads are offloaded one by one. All are read in this thread. Messages are sent in the entries' order. If a
        message fails, later messages are still sent, also in a FIFO group. If the order matters, call `publish` for
        each.
        """
        numbered = dict(enumerate(entries))
        outcomes: dict[int, EntryOutcome] = {}
        batch = Batch(self._maximum_bytes)
        with ParallelWriter(self._memory) as writers, writers:
            for index, message in self._messages(numbered, outcomes, writers):
                if not batch.fits(message):
                    outcomes |= self._send_batch(batch, numbered)
                    batch = Batch(self._maximum_bytes)
                batch.add(index, message)
        if batch.messages:
            outcomes |= self._send_batch(batch, numbered)
        return [outcomes[index] for index in numbered]

    def publish_object(
        self,
        source: S3Object,
        *,
        size: int,
        message_id: str,
        attributes: Mapping[str, AttributeValue] | None = None,
        subject: str | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        object_options: ObjectOptions | None = None,
        progress: Progress = lambda _: None,
    ) -> Published:
        """Publish an object of `size` bytes that is in S3 already. No byte of it passes through this process.

        S3 copies it into the store and computes a digest: SHA-256 up to 5 GiB, CRC64NVME above. The message declares
        the digest; with CRC64NVME, `Published.sha256` is None. The source stays: delete it, by its version, after this
        method has returned. The copy also stays, even if SNS rejects the message. Calling again with the same arguments
        is harmless, even if the source has been deleted. `object_options` are properties of the copy: the source's are
        not copied. `progress` is called with the bytes that are copied, as in `publish`.

        Raises the errors of `publish`, and PayloadMissing if there is neither source nor copy.
        """
        fields = self._fields(
            message_id=message_id,
            attributes=attributes,
            subject=subject,
            group_id=group_id,
            deduplication_id=deduplication_id,
        )
        if self._offload == "never":
            raise _not_offloaded(fields, InvalidMessage, "an object in S3 can only be pointed to")
        pointer = self._reserved_pointer(fields)
        copied = copy_into_store(
            self._s3,
            source=source,
            size=size,
            store=self.store,
            message_id=fields.id,
            options=object_options or self._object_options,
            progress=progress,
        )
        declared = Claim(fields.id, copied.sha256, None if copied.sha256 else copied.crc64nvme)
        return self._send(OutgoingMessage.pointing(fields, pointer, size=size, declared=declared, form=self._form))

    def _fields(self, **arguments: Any) -> MessageFields:
        return MessageFields.of(
            is_fifo=self.fifo,
            has_subject=self.topic_arn is not None,
            reserved_bytes=self._reserved_bytes,
            reserved_attributes=self._reserved_attributes,
            **arguments,
        )

    def _messages(
        self, entries: Mapping[int, Entry], outcomes: dict[int, EntryOutcome], writers: ParallelWriter
    ) -> Iterator[tuple[int, OutgoingMessage]]:
        """Yield the messages of a batch's entries, in order. The outcomes of entries that fail are added to `outcomes`.

        Payloads of the next entries are stored meanwhile.
        """
        ids: set[str] = set()
        begun: deque[tuple[int, OutgoingMessage | _Begun]] = deque()
        for index, entry in entries.items():
            source = SourceReader(entry.payload)
            try:
                with source:
                    begun.append((index, self._begin(entry, source, ids, writers)))
            except Exception as error:
                if not (isinstance(error, _ENTRY_ERRORS) or error is source.error):
                    raise  # from a signal handler: it is for the caller, not for this entry
                outcomes[index] = EntryOutcome(entry, entry.message_id, None, error)
            while begun and (len(begun) > _AHEAD or _is_ready(begun[0][1])):
                yield from self._finished(begun, entries, outcomes, writers)
        while begun:
            yield from self._finished(begun, entries, outcomes, writers)

    def _begin(
        self, entry: Entry, source: SourceReader, ids: set[str], writers: ParallelWriter
    ) -> OutgoingMessage | _Begun:
        fields = self._fields(
            message_id=entry.message_id,
            attributes=entry.attributes,
            subject=entry.subject,
            group_id=entry.group_id,
            deduplication_id=entry.deduplication_id,
        )
        if fields.id in ids:
            raise InvalidMessage(
                "message_id: an earlier entry of the batch has the same id: choose another", message_id=fields.id
            )
        ids.add(fields.id)
        if message := self._inline(fields, source):
            return message
        writer = self._writer(fields, entry.object_options)
        encoded, compressor = self._encoded(source)
        stored = writers.begin(writer, encoded, may_exist=not fields.is_fresh)
        if isinstance(stored, Offloaded):
            return self._pointing(fields, stored, compressor)
        return fields, stored, compressor

    def _finished(
        self,
        begun: deque[tuple[int, OutgoingMessage | _Begun]],
        entries: Mapping[int, Entry],
        outcomes: dict[int, EntryOutcome],
        writers: ParallelWriter,
    ) -> Iterator[tuple[int, OutgoingMessage]]:
        """Yield the first message, after its payload is stored."""
        index, message = begun.popleft()
        if isinstance(message, OutgoingMessage):
            yield index, message
            return
        fields, call, compressor = message
        writers.wait_for(call)
        try:
            offloaded = call.result()
        except Exception as error:
            outcomes[index] = EntryOutcome(entries[index], fields.id, None, error)
        else:
            yield index, self._pointing(fields, offloaded, compressor)

    def _inline(self, fields: MessageFields, source: SourceReader) -> OutgoingMessage | None:
        """Return the message with the payload as its body, or None if the payload has to be offloaded."""
        limit = 0 if self._offload == "always" else self.threshold - fields.overhead
        data = source.whole(limit)
        text = publishable_text(data) if data else None
        if data and text:
            return OutgoingMessage.inline(fields, data, text)
        if self._offload == "never":
            if data is None:
                raise _not_offloaded(fields, PayloadTooLarge, f"it has more than {max(limit, 0)} bytes")
            raise _not_offloaded(fields, InvalidMessage, "SNS cannot carry it as text")
        self._reserved_pointer(fields)
        return None

    def _writer(
        self, fields: MessageFields, options: ObjectOptions | None, progress: Progress = lambda _: None
    ) -> ObjectWriter:
        return ObjectWriter(
            self._s3,
            target=self.store.object_of(fields.id),
            message_id=fields.id,
            memory=self._memory,
            options=options or self._object_options,
            progress=progress,
        )

    def _encoded(self, source: SourceReader) -> tuple[SourceReader, Compressor | None]:
        """Return the bytes to store. The compressor is done when they have been read."""
        if self._compression is None:
            return source, None
        compressor = Compressor(source.chunks())
        return SourceReader(compressor.compressed()), compressor

    def _pointing(self, fields: MessageFields, offloaded: Offloaded, compressor: Compressor | None) -> OutgoingMessage:
        declared = Claim(fields.id, offloaded.sha256, crc32=offloaded.crc32)
        if compressor:
            declared = declared._replace(encoding=self._compression, expanded=compressor.expanded)
        return OutgoingMessage.pointing(
            fields,
            offloaded.pointer,
            size=offloaded.size,
            declared=declared,
            form=self._form,
            is_deletable=fields.is_fresh,
        )

    def _reserved_pointer(self, fields: MessageFields) -> Pointer:
        """Return the pointer to the message's payload. Raises InvalidMessage if the message has no space for it."""
        pointer = self.store.object_of(fields.id).pointer
        fields.require_space_for(pointer, self._form, self._maximum_bytes, is_compressed=self._compression is not None)
        return pointer

    def _send(self, message: OutgoingMessage) -> Published:
        try:
            service_message_id = self._destination.send(message.request())
        except Exception as error:
            if not is_service_error(error):
                raise
            raise self._rejection(message, error) from error
        return message.published(service_message_id)

    def _send_batch(self, batch: Batch, entries: Mapping[int, Entry]) -> dict[int, EntryOutcome]:
        results: Mapping[int, str | Exception]
        try:
            results = batch.results(self._destination.send_batch(batch.request()))
        except Exception as error:
            if not is_service_error(error):
                raise
            results = dict.fromkeys(batch.messages, error)
        return {
            index: self._outcome(entries[index], message, results[index]) for index, message in batch.messages.items()
        }

    def _outcome(self, entry: Entry, message: OutgoingMessage, result: str | Exception) -> EntryOutcome:
        if isinstance(result, str):
            return EntryOutcome(entry, message.fields.id, message.published(result), None)
        return EntryOutcome(entry, message.fields.id, None, self._rejection(message, result))

    def _rejection(self, message: OutgoingMessage, error: Exception) -> ClaimCheckError:
        """Return the error to raise for the service's error, after deleting the object that this call stored."""
        reason = sending_error(error, message, destination=self._destination)
        if message.pointer and message.is_deletable and is_certain(error):
            self._delete(message.pointer, reason)
        return reason

    def _delete(self, pointer: Pointer, reason: Exception) -> None:
        try:
            self._s3.delete_object(Bucket=pointer.bucket, Key=pointer.key, ExpectedBucketOwner=self.store.owner)
        except (ClientError, BotoCoreError) as failure:
            reason.add_note(f"{pointer} was not deleted ({type(failure).__name__}); it expires with its lifetime")

    @property
    def _s3(self) -> S3Client:
        return self._clients.client(self.store.region)


def _is_ready(message: OutgoingMessage | _Begun) -> bool:
    return isinstance(message, OutgoingMessage) or message[1].is_done


def _not_offloaded(
    fields: MessageFields, error: type[InvalidMessage | PayloadTooLarge], reason: str
) -> InvalidMessage | PayloadTooLarge:
    return error(
        f"the payload cannot be sent in its message ({reason}), and this publisher never offloads: send a smaller one, "
        "or publish to a topic whose publisher offloads",
        message_id=fields.id,
    )


def _destination(
    topic_arn: str | None, queue_url: str | None, *, sns: SNSClient | None, sqs: SQSClient | None
) -> Destination:
    if topic_arn is not None and queue_url is None:
        return Topic(topic_arn, sns)
    if queue_url is not None and topic_arn is None:
        return Queue(queue_url, sqs)
    raise ValueError("topic_arn, queue_url: pass one of them")

"""Publish: a message that fits goes as it is; a larger one is offloaded, and a pointer goes in its place.

What is taken back. An object that was stored for a message which SNS then refused is deleted again only where the id
was made up here. Under a caller's id another call may be publishing the same payload at the same time: it has found the
object in place and its message points to it, and nothing in S3 would tell us so. Such an object stays: a retry finds
it, or it expires with its lifetime.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal, Never, get_args

from botocore.exceptions import BotoCoreError, ClientError

from claim_check.errors import ClaimCheckError, InvalidMessage, PayloadTooLarge
from claim_check.publishing.batch import Batch, Entry, EntryOutcome
from claim_check.publishing.draft import Draft
from claim_check.publishing.offload import offload_chunks
from claim_check.publishing.ready import Published, Ready
from claim_check.publishing.s3_object import copy_into_store
from claim_check.publishing.source import Source, ahead, at_once, chunks_of
from claim_check.s3.client import code, s3_client
from claim_check.wire.attribute import Attribute
from claim_check.wire.claim import Claim
from claim_check.wire.pointer import LEGACY_MARKER, MARKER, Pointer
from claim_check.wire.text import publishable_text

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient

    from claim_check.store import S3Object, Store

DEFAULT_THRESHOLD = 262_144  # bytes; SNS's own default for a topic's MaximumMessageSize
LARGEST_THRESHOLD = 1_048_576
SMALLEST_MAXIMUM = 262_144  # bytes any topic takes, whatever the threshold

Offload = Literal["over-threshold", "always", "never"]

_topic = re.compile(r"arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?P<fifo>\.fifo)?")
_invalid = frozenset(
    {
        "InvalidParameter",
        "ParameterValueInvalid",
        "InvalidParameterValue",
        "ValidationException",
        "BatchRequestTooLong",
        "AWS.SimpleNotificationService.BatchRequestTooLong",
    }
)


class Publisher:
    """Publishes payloads of any size to one topic.

    `threshold` is in bytes and the topic's MaximumMessageSize at most: a message (body and attributes, ours included)
    that is strictly larger is offloaded to `store`; with `offload="always"` every one is, and with `"never"` it is
    refused. `legacy_marker` marks
    pointers for readers that know no marker but `SQSLargePayloadSize`. `sns` and `s3` are clients of the topic's and
    the store's Regions, made when first needed if None. `topic_arn`, `store`, `threshold` and `fifo` (whether the topic
    is one) can be read back. Raises ValueError for an unusable topic or threshold.
    """

    def __init__(
        self,
        *,
        topic_arn: str,
        store: Store,
        threshold: int = DEFAULT_THRESHOLD,
        offload: Offload = "over-threshold",
        legacy_marker: bool = False,
        sns: SNSClient | None = None,
        s3: S3Client | None = None,
    ) -> None:
        topic = _topic.fullmatch(topic_arn)
        if not topic:
            raise ValueError(f"topic_arn = {topic_arn!r}: must be an SNS topic's ARN")
        if not 0 < threshold <= LARGEST_THRESHOLD:
            raise ValueError(f"threshold = {threshold!r}: must be from 1 to {LARGEST_THRESHOLD} bytes")
        if offload not in get_args(Offload):
            raise ValueError(f"offload = {offload!r}: must be one of {', '.join(get_args(Offload))}")
        self.topic_arn = topic_arn
        self.fifo = topic["fifo"] is not None
        self.store = store
        self.threshold = threshold
        self._maximum = max(threshold, SMALLEST_MAXIMUM)
        self._region = topic["region"]
        self._offload = offload
        self._marker = LEGACY_MARKER if legacy_marker else MARKER
        self._sns_given = sns
        self._s3_given = s3

    def publish(
        self,
        payload: Source,
        *,
        message_id: str | None = None,
        attributes: Mapping[str, str | float | bytes | Attribute] | None = None,
        subject: str | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        **others: Never,
    ) -> Published:
        """Publishes one payload, in constant memory: bytes, text, a path, a binary file or an iterable of bytes.

        Publishing again under the same `message_id` is a retry: consumers can tell, and nothing is stored twice.
        Without one, a fresh id is made. A payload that SNS cannot carry as text (empty, not UTF-8, control
        characters) is offloaded whatever its size. `attributes`: at most 9, and 8 with an offloaded payload. On a
        FIFO topic `group_id` is required and `deduplication_id` is the message id unless given. `others` are refused:
        SNS's MessageStructure with InvalidMessage that says why, anything else with TypeError.

        When SNS refuses the message outright (a 4xx at the first try, and not throttling), an object that this call
        wrote under a fresh id is deleted again, as best it can be. After a timeout or a 5xx it stays: the message may
        have gone out. Under a `message_id` of the caller's it stays as well: another message may point to it.

        Raises InvalidMessage before anything is stored, PayloadConflict, PayloadTooLarge, PayloadUnavailable,
        whatever the caller's file or iterable raises, and what boto raises for SNS (InvalidMessage when SNS calls a
        parameter invalid).
        """
        _refuse(others)
        draft = self._draft(message_id, attributes, subject, group_id, deduplication_id)
        return self._send(self._ready(draft, payload))

    def publish_batch(self, entries: Iterable[Entry]) -> list[EntryOutcome]:
        """Publishes many messages by SNS's PublishBatch, in calls of at most ten and filled to the topic's maximum.

        One outcome an entry, in their order: an entry that fails fails alone, with what `publish` would have raised.
        Payloads are offloaded where `publish` would, one at a time, so that beside the entries themselves one batch is
        held in memory. Messages are sent in the entries' order; but when one fails, because its payload could not be
        stored or SNS refused it, a later one may go out all the same, also in a FIFO group: where the order matters,
        `publish` one after another.
        """
        outcomes: dict[int, EntryOutcome] = {}
        batch = Batch(self._maximum)
        ids: set[str] = set()
        places = dict(enumerate(entries))
        for place, entry in places.items():
            try:
                draft = self._draft(
                    entry.message_id, entry.attributes, entry.subject, entry.group_id, entry.deduplication_id
                )
                _refuse_again(draft, ids)
                message = self._ready(draft, entry.payload)
            except Exception as error:
                outcomes[place] = EntryOutcome(entry, entry.message_id, None, error)
                continue
            if not batch.takes(message):
                outcomes |= self._send_batch(batch, places)
                batch = Batch(self._maximum)
            batch.add(place, message)
        if batch.messages:
            outcomes |= self._send_batch(batch, places)
        return [outcomes[place] for place in places]

    def publish_object(
        self,
        source: S3Object,
        *,
        size: int,
        message_id: str,
        attributes: Mapping[str, str | float | bytes | Attribute] | None = None,
        subject: str | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> Published:
        """Publish an object of `size` bytes that is in S3 already. No byte of it passes through this process.

        S3 copies it into the store and digests it: with SHA-256 up to 5 GiB, above with CRC64NVME, which the message
        then declares in its place (`Published.sha256` is None). The source stays: delete it, by its version, after
        this has returned. The copy stays, too, even when SNS refuses the message. Calling again with the same
        arguments is harmless, even when the source is gone by then. Raises as `publish` does, and PayloadMissing when
        there is neither source nor copy.
        """
        draft = self._draft(message_id, attributes, subject, group_id, deduplication_id)
        self._refuse_to_offload(InvalidMessage, "an object in S3 can only be pointed to", draft)
        self._refuse_unless_it_can_point(draft)
        copied = copy_into_store(self._s3, source=source, size=size, store=self.store, message_id=draft.id)
        declared = Claim(draft.id, copied.sha256, None if copied.sha256 else copied.crc64nvme)
        return self._send(self._pointing(draft, self._pointer(draft), size, declared))

    def _draft(
        self,
        message_id: str | None,
        attributes: Mapping[str, str | float | bytes | Attribute] | None,
        subject: str | None,
        group_id: str | None,
        deduplication_id: str | None,
    ) -> Draft:
        return Draft.of(
            message_id=message_id,
            attributes=attributes,
            subject=subject,
            group_id=group_id,
            deduplication_id=deduplication_id,
            fifo=self.fifo,
        )

    def _ready(self, draft: Draft, payload: Source) -> Ready:
        """The message of a draft and its payload, which is stored by then if it has to be."""
        room = 0 if self._offload == "always" else self.threshold - draft.overhead
        data = at_once(payload, room)
        if data and (text := publishable_text(data)):
            return _inline(draft, data, text)
        with closing(chunks_of(payload)) as chunks:
            head = _more_than(room, chunks)
            if sum(map(len, head)) <= room:
                data = b"".join(head)
                text = publishable_text(data)
                if text is not None:
                    return _inline(draft, data, text)
                self._refuse_to_offload(InvalidMessage, "SNS cannot carry it as text", draft)
            self._refuse_to_offload(PayloadTooLarge, f"it has more than the {max(room, 0)} bytes left for it", draft)
            self._refuse_unless_it_can_point(draft)
            stored = offload_chunks(ahead(head, chunks), store=self.store, message_id=draft.id, s3=self._s3)
        declared = Claim(draft.id, stored.sha256)
        return self._pointing(draft, stored.pointer, stored.size, declared, deletable=draft.fresh)

    def _pointing(
        self, draft: Draft, pointer: Pointer, size: int, declared: Claim, *, deletable: bool = False
    ) -> Ready:
        attributes = draft.pointing(size, declared, self._marker)
        return Ready(draft, pointer.body(), attributes, size, declared.sha256, pointer, deletable)

    def _pointer(self, draft: Draft) -> Pointer:
        return self.store.object_of(draft.id).pointer

    def _refuse_to_offload(self, refusal: type[ClaimCheckError], reason: str, draft: Draft) -> None:
        if self._offload == "never":
            raise refusal(
                f"the payload cannot go in its message ({reason}), and this publisher never offloads: send a smaller "
                "one, or publish to a topic whose publisher does",
                message_id=draft.id,
            )

    def _refuse_unless_it_can_point(self, draft: Draft) -> None:
        draft.refuse_unless_it_can_point(self._pointer(draft), self._marker, self._maximum)

    def _send(self, message: Ready) -> Published:
        try:
            answer = self._sns.publish(TopicArn=self.topic_arn, **message.request())
        except ClientError as error:
            raise self._refused(message, error)  # noqa: B904 - most often it is this error itself
        return message.published(answer["MessageId"])

    def _send_batch(self, batch: Batch, entries: Mapping[int, Entry]) -> dict[int, EntryOutcome]:
        try:
            answer = self._sns.publish_batch(
                TopicArn=self.topic_arn,
                PublishBatchRequestEntries=[message.entry(str(place)) for place, message in batch.messages.items()],
            )
        except (ClientError, BotoCoreError) as error:
            return {place: self._failed(entries[place], message, error) for place, message in batch.messages.items()}
        sent = {int(entry["Id"]): entry["MessageId"] for entry in answer.get("Successful", [])}
        errors = {int(entry["Id"]): _error_of(entry, answer) for entry in answer.get("Failed", [])}
        return {
            place: EntryOutcome(entries[place], message.draft.id, message.published(sent[place]), None)
            if place in sent
            else self._failed(entries[place], message, errors.get(place) or _error_of({}, answer))
            for place, message in batch.messages.items()
        }

    def _failed(self, entry: Entry, message: Ready, error: ClientError | BotoCoreError) -> EntryOutcome:
        reason = self._refused(message, error) if isinstance(error, ClientError) else error
        return EntryOutcome(entry, message.draft.id, None, reason)

    def _refused(self, message: Ready, error: ClientError) -> ClientError | InvalidMessage:
        """What to tell the caller of SNS's no, after what this call stored for the message is deleted again."""
        reason = self._understood(message, error)
        if message.pointer and message.deletable and _is_final(error):
            self._delete(message.pointer, reason)
        return reason

    def _understood(self, message: Ready, error: ClientError) -> ClientError | InvalidMessage:
        if code(error) not in _invalid:
            return error
        invalid = InvalidMessage(
            f"SNS refused the message ({code(error)}); if it is too long, set the threshold of {self.threshold} to the "
            "topic's MaximumMessageSize",
            message_id=message.draft.id,
            pointer=message.pointer,
        )
        invalid.__cause__ = error
        return invalid

    def _delete(self, pointer: Pointer, reason: Exception) -> None:
        try:
            self._s3.delete_object(Bucket=pointer.bucket, Key=pointer.key, ExpectedBucketOwner=self.store.owner)
        except (ClientError, BotoCoreError) as failure:
            reason.add_note(f"{pointer} was not deleted ({type(failure).__name__}); it expires with its lifetime")

    @property
    def _s3(self) -> S3Client:
        self._s3_given = self._s3_given or s3_client(self.store.region)
        return self._s3_given

    @property
    def _sns(self) -> SNSClient:
        if self._sns_given is None:
            import boto3  # late, as in s3.py

            self._sns_given = boto3.client("sns", region_name=self._region)
        return self._sns_given


def _inline(draft: Draft, data: bytes, text: str) -> Ready:
    sha256 = hashlib.sha256(data).hexdigest()
    return Ready(draft, text, draft.inline(sha256), len(data), sha256)


def _more_than(size: int, chunks: Iterable[bytes]) -> list[bytes]:
    """The first chunks of a payload: more than `size` bytes, or all there are."""
    held: list[bytes] = []
    total = 0
    for chunk in chunks:
        held.append(chunk)
        total += len(chunk)
        if total > size:
            break
    return held


def _is_final(error: ClientError) -> bool:
    """Whether SNS said no and means it: the message has certainly not gone out, and the same call will not succeed."""
    metadata = error.response.get("ResponseMetadata", {})
    status, retries = metadata.get("HTTPStatusCode", 0), metadata.get("RetryAttempts", 0)
    # After a retry the first attempt, whose answer was lost, may have succeeded.
    return 400 <= status < 500 and status not in {408, 429} and "Throttl" not in code(error) and not retries


def _error_of(entry: Mapping[str, Any], answer: Mapping[str, Any]) -> ClientError:
    """What boto would have raised, had the refused entry of a batch been a call of its own."""
    status = 400 if entry.get("SenderFault") else 500
    metadata = {**answer.get("ResponseMetadata", {}), "HTTPStatusCode": status}
    said = {"Code": entry.get("Code", "NoAnswer"), "Message": entry.get("Message", "SNS said nothing of this entry")}
    response: Any = {"Error": said, "ResponseMetadata": metadata}
    return ClientError(response, "PublishBatch")


def _refuse_again(draft: Draft, ids: set[str]) -> None:
    if draft.id in ids:
        raise InvalidMessage(
            "message_id: an earlier entry of the batch has it already; give every message an id of its own",
            message_id=draft.id,
        )
    ids.add(draft.id)


def _refuse(others: Mapping[str, object]) -> None:
    if "MessageStructure" in others or "message_structure" in others:
        raise InvalidMessage(
            "MessageStructure: a message that differs by protocol has no one payload to offload or to digest; publish "
            "one payload, or call SNS yourself for such messages"
        )
    if others:
        raise TypeError(f"publish() got unexpected arguments: {', '.join(others)}")

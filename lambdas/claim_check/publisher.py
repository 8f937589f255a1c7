"""Publish: a message that fits goes as it is; a larger one is offloaded, and a pointer goes in its place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from claim_check.attribute import Attribute
from claim_check.claim import Claim
from claim_check.copying import Place
from claim_check.draft import Draft
from claim_check.errors import InvalidMessage
from claim_check.offloading import offload_chunks
from claim_check.outbox import copy_into_store
from claim_check.pointer import Pointer
from claim_check.s3 import client, code
from claim_check.source import Source, chunks_of
from claim_check.text import publishable_text

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient

    from claim_check.store import Store

DEFAULT_THRESHOLD = 262_144  # bytes; SNS's own default for a topic's MaximumMessageSize
LARGEST_THRESHOLD = 1_048_576

_topic = re.compile(r"arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?P<fifo>\.fifo)?")
_invalid = frozenset({"InvalidParameter", "ParameterValueInvalid", "InvalidParameterValue", "ValidationException"})


@dataclass(frozen=True)
class Published:
    """What was published: our id, SNS's id, the payload's bytes and SHA-256 (hex; None when S3 alone saw all of it),
    and the pointer (None for an inline payload)."""

    message_id: str
    sns_message_id: str
    size: int
    sha256: str | None
    pointer: Pointer | None


class Publisher:
    """Publishes payloads of any size to one topic.

    `threshold` is in bytes and the topic's MaximumMessageSize at most: a message (body and attributes, ours included)
    that is strictly larger is offloaded to `store`, and with `always_offload` every one is. `sns` and `s3` are
    clients of the topic's and the store's Regions, made when first needed if None. `topic_arn`, `store`, `threshold`
    and `fifo` (whether the topic is one) can be read back. Raises ValueError for an unusable topic or threshold.
    """

    def __init__(
        self,
        *,
        topic_arn: str,
        store: Store,
        threshold: int = DEFAULT_THRESHOLD,
        always_offload: bool = False,
        sns: SNSClient | None = None,
        s3: S3Client | None = None,
    ) -> None:
        topic = _topic.fullmatch(topic_arn)
        if not topic:
            raise ValueError(f"topic_arn = {topic_arn!r}: must be an SNS topic's ARN")
        if not 0 < threshold <= LARGEST_THRESHOLD:
            raise ValueError(f"threshold = {threshold!r}: must be from 1 to {LARGEST_THRESHOLD} bytes")
        self.topic_arn = topic_arn
        self.fifo = topic["fifo"] is not None
        self.store = store
        self.threshold = threshold
        self._region = topic["region"]
        self._always_offload = always_offload
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
    ) -> Published:
        """Publishes one payload, in constant memory: bytes, text, a path, a binary file or an iterable of bytes.

        Publishing again under the same `message_id` is a retry: consumers can tell, and nothing is stored twice.
        Without one, a fresh id is made. A payload that SNS cannot carry as text (empty, not UTF-8, control
        characters) is offloaded whatever its size. `attributes`: at most 9, and 8 with an offloaded payload. On a
        FIFO topic `group_id` is required and `deduplication_id` is the message id unless given.

        When SNS refuses the message outright (a 4xx at the first try, and not throttling), an object that this call
        wrote is deleted again, as best it can be. After a timeout or a 5xx it stays: the message may have gone out.
        It stays as well when it was there before: an earlier message may point to it.

        Raises InvalidMessage before anything is stored, PayloadConflict, PayloadTooLarge, PayloadUnavailable,
        whatever the caller's file or iterable raises, and what boto raises for SNS (InvalidMessage when SNS calls a
        parameter invalid).
        """
        draft = self._draft(message_id, attributes, subject, group_id, deduplication_id)
        room = 0 if self._always_offload else self.threshold - draft.overhead
        with closing(chunks_of(payload)) as chunks:
            head = _more_than(room, chunks)
            text = publishable_text(head) if len(head) <= room else None
            if text is not None:
                sha256 = hashlib.sha256(head).hexdigest()
                sent = self._send(draft, text, draft.inline(sha256))
                return Published(draft.id, sent, len(head), sha256, None)
            self._refuse_unless_it_can_point(draft)
            stored = offload_chunks(chain([head], chunks), store=self.store, message_id=draft.id, s3=self._s3)
        declared = Claim(draft.id, stored.sha256)
        try:
            sent = self._send(draft, stored.pointer.body(), draft.pointing(stored.size, declared))
        except (ClientError, InvalidMessage) as error:
            if stored.created and _is_final(error):
                self._delete(stored.pointer, error)
            raise
        return Published(draft.id, sent, stored.size, stored.sha256, stored.pointer)

    def publish_object(
        self,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        size: int,
        message_id: str,
        attributes: Mapping[str, str | float | bytes | Attribute] | None = None,
        subject: str | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> Published:
        """Publishes an object of `size` bytes that lies in a bucket of the store's owner; no byte passes through here.

        S3 copies it into the store and digests it: with SHA-256 up to 5 GiB, above with CRC64NVME, which the message
        then declares in its place (`Published.sha256` is None). The source stays: delete it, by its version, after
        this has returned. The copy stays, too, even when SNS refuses the message. Calling again with the same
        arguments is harmless, even when the source is gone by then. Raises as `publish` does, and PayloadMissing when
        there is neither source nor copy.
        """
        draft = self._draft(message_id, attributes, subject, group_id, deduplication_id)
        self._refuse_unless_it_can_point(draft)
        source = Place(bucket, key, self.store.owner, version_id)
        copied = copy_into_store(self._s3, source=source, size=size, store=self.store, message_id=draft.id)
        pointer = Pointer(self.store.bucket, self.store.key(draft.id))
        declared = Claim(draft.id, copied.sha256, None if copied.sha256 else copied.crc64nvme)
        sent = self._send(draft, pointer.body(), draft.pointing(size, declared))
        return Published(draft.id, sent, size, copied.sha256, pointer)

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

    def _refuse_unless_it_can_point(self, draft: Draft) -> None:
        pointer = Pointer(self.store.bucket, self.store.key(draft.id))
        draft.refuse_unless_it_can_point(pointer, self.threshold)

    def _send(self, draft: Draft, body: str, attributes: Mapping[str, Attribute]) -> str:
        try:
            answer = self._sns.publish(
                TopicArn=self.topic_arn,
                Message=body,
                MessageAttributes={name: attribute.wire() for name, attribute in attributes.items()},
                **draft.options(),
            )
        except ClientError as error:
            if code(error) in _invalid:
                raise InvalidMessage(
                    f"SNS refused the message ({code(error)}); if it is too long, set the threshold of "
                    f"{self.threshold} to the topic's MaximumMessageSize",
                    message_id=draft.id,
                ) from error
            raise
        return answer["MessageId"]

    def _delete(self, pointer: Pointer, reason: Exception) -> None:
        try:
            self._s3.delete_object(Bucket=pointer.bucket, Key=pointer.key, ExpectedBucketOwner=self.store.owner)
        except (ClientError, BotoCoreError) as failure:
            reason.add_note(f"{pointer} was not deleted ({type(failure).__name__}); it expires with its lifetime")

    @property
    def _s3(self) -> S3Client:
        self._s3_given = self._s3_given or client(self.store.region)
        return self._s3_given

    @property
    def _sns(self) -> SNSClient:
        if self._sns_given is None:
            import boto3  # late, as in s3.py

            self._sns_given = boto3.client("sns", region_name=self._region)
        return self._sns_given


def _more_than(size: int, chunks: Iterable[bytes]) -> bytes:
    """The first chunks of a payload: more than `size` bytes, or all there are."""
    held: list[bytes] = []
    total = 0
    for chunk in chunks:
        held.append(chunk)
        total += len(chunk)
        if total > size:
            break
    return b"".join(held)


def _is_final(error: Exception) -> bool:
    """Whether SNS said no and means it: the message has certainly not gone out, and the same call will not succeed."""
    answer = error.__cause__ if isinstance(error, InvalidMessage) else error
    if not isinstance(answer, ClientError):
        return False
    metadata = answer.response.get("ResponseMetadata", {})
    status, retries = metadata.get("HTTPStatusCode", 0), metadata.get("RetryAttempts", 0)
    # After a retry the first attempt, whose answer was lost, may have succeeded.
    return 400 <= status < 500 and status not in {408, 429} and "Throttl" not in code(answer) and not retries

"""The hand-off: a pointer to a payload and its summary, which a consume function passes to the application."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import boto3

from claim_check import (
    ClaimCheckError,
    Dereferencer,
    MalformedMessage,
    Message,
    Payload,
    Proof,
    S3Object,
    Store,
    offload,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


CHECKSUMS = ("sha256", "crc64nvme", "crc32")
"""The strongest first."""


class _Checksums(Protocol):
    @property
    def sha256(self) -> str | None: ...
    @property
    def crc64nvme(self) -> str | None: ...
    @property
    def crc32(self) -> str | None: ...


class InputTooLarge(ClaimCheckError):
    """Subject, attributes and own code's result exceed the size of an execution's input, or of a task's environment."""

    advice = "Return less from own code and redrive, or publish the message again with fewer attributes."


class InvalidResult(ClaimCheckError):
    """Own code returned a value that JSON cannot hold. It may return another after its next deployment."""

    repairable = True
    advice = "Return numbers, text, lists and dictionaries from own code, then redrive."


class EncodingNotSupported(ClaimCheckError):
    """The payload is compressed. Applications after a hand-off read stored bytes as they are."""

    advice = "Publish the message again without compression, under another message id."


@dataclass(frozen=True, kw_only=True)
class HandOff:
    """A payload in a store, with its size and checksums. No byte of it was read.

    `sha256` (hex), `crc64nvme` and `crc32` (base64) are those of the message, or of S3 if the message declares none.
    `proved_by` names the checksum that is equal in the message and in S3. If they have none in common, it is "size":
    then only the size is proved, and the application's reading compares the checksums.

    Only this class writes and reads its two forms: the input of an execution and the environment of a task. The detail
    of an event on the subscriber's bus contains the input.
    """

    message_id: str
    stored: S3Object
    bytes: int
    sha256: str | None = None
    crc64nvme: str | None = None
    crc32: str | None = None
    proved_by: str = "size"
    subject: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    result: Any = None
    """The JSON-ready result of the consume function's own code."""

    @property
    def fingerprint(self) -> str | None:
        """The strongest checksum with its name. Two payloads under one message id differ in it."""
        return fingerprint(self)

    def to_input(self) -> dict[str, Any]:
        """Return the input of an execution."""
        return {
            "message_id": self.message_id,
            "pointer": self.stored.to_dict(),
            "summary": {
                "bytes": self.bytes,
                "sha256": self.sha256,
                "crc64nvme": self.crc64nvme,
                "crc32": self.crc32,
                "proved_by": self.proved_by,
                "subject": self.subject,
                "attributes": dict(self.attributes),
            },
            "result": self.result,
        }

    @classmethod
    def from_input(cls, content: Mapping[str, Any]) -> Self:
        """Read an execution's input, or an event's detail. Raises MalformedMessage."""
        match content:
            case {
                "message_id": str(message_id),
                "pointer": {"bucket": str(bucket), "key": str(key), "owner": str(owner), "region": str(region)},
                "summary": {
                    "bytes": int(size),
                    "sha256": str() | None as sha256,
                    "crc64nvme": str() | None as crc64nvme,
                    "crc32": str() | None as crc32,
                    "proved_by": str(proved_by),
                    "subject": str() | None as subject,
                    "attributes": {**attributes},
                },
            }:
                return cls(
                    message_id=message_id,
                    stored=S3Object(bucket, key, owner, region),
                    bytes=size,
                    sha256=sha256,
                    crc64nvme=crc64nvme,
                    crc32=crc32,
                    proved_by=proved_by,
                    subject=subject,
                    attributes={str(name): str(value) for name, value in attributes.items()},
                    result=content.get("result"),
                )
        raise MalformedMessage("the input must have message_id, pointer and summary")

    def to_environment(self) -> dict[str, str]:
        """Return the environment variables of a task. They omit subject and attributes, which can be too large.

        A checksum without a value is omitted, and so is a result of None. `RESULT` is JSON.
        """
        checksums = {f"PAYLOAD_{name.upper()}": getattr(self, name) for name in CHECKSUMS}
        return {
            "MESSAGE_ID": self.message_id,
            "PAYLOAD_BUCKET": self.stored.bucket,
            "PAYLOAD_KEY": self.stored.key,
            "PAYLOAD_OWNER": self.stored.owner,
            "PAYLOAD_REGION": self.stored.region,
            "PAYLOAD_BYTES": str(self.bytes),
            **{name: value for name, value in checksums.items() if value is not None},
            **({} if self.result is None else {"RESULT": json.dumps(self.result, ensure_ascii=False)}),
        }

    @classmethod
    def from_task(cls, task: Mapping[str, Any]) -> Self:
        """Read the environment of a task, in the form of `ecs:DescribeTasks`. Raises KeyError."""
        variables = {
            variable["name"]: variable["value"]
            for container in task["overrides"]["containerOverrides"]
            for variable in container.get("environment", ())
        }
        names = ("PAYLOAD_BUCKET", "PAYLOAD_KEY", "PAYLOAD_OWNER", "PAYLOAD_REGION")
        return cls(
            message_id=variables["MESSAGE_ID"],
            stored=S3Object(*(variables[name] for name in names)),
            bytes=int(variables["PAYLOAD_BYTES"]),
            sha256=variables.get("PAYLOAD_SHA256"),
            crc64nvme=variables.get("PAYLOAD_CRC64NVME"),
            crc32=variables.get("PAYLOAD_CRC32"),
            result=json.loads(variables.get("RESULT", "null")),
        )

    def payload(self, dereferencer: Dereferencer) -> Payload:
        """Return the payload, from a store that the dereferencer trusts.

        Raises:
            MalformedMessage: A field is invalid.
            UntrustedStore: The payload is in another store.
        """
        return dereferencer.payload(
            self.stored.pointer,
            size=self.bytes,
            message_id=self.message_id,
            sha256=self.sha256,
            crc64nvme=self.crc64nvme,
            crc32=self.crc32,
        )


def fingerprint(checksums: _Checksums) -> str | None:
    """Return the strongest checksum with its name, or None if there is none."""
    values = ((name, getattr(checksums, name)) for name in CHECKSUMS)
    return next((f"{name} {value}" for name, value in values if value), None)


@dataclass(frozen=True, kw_only=True)
class Staging:
    """The staging bucket, for payloads that came inline."""

    store: Store
    s3: "S3Client"

    @classmethod
    def of(cls, store: Store) -> Self:
        """Return the bucket of a store, with a client in its Region."""
        return cls(store=store, s3=boto3.client("s3", region_name=store.region))


def reject_compressed(message: Message) -> None:
    """Raise EncodingNotSupported for a compressed payload."""
    if message.encoding:
        raise EncodingNotSupported(
            f"the payload is compressed ({message.encoding}), and the application could not expand it",
            message_id=message.id,
            pointer=message.pointer,
        )


def prepare_handoff(message: Message, proof: Proof, *, result: Any = None, staging: Staging) -> HandOff:
    """Return the hand-off of a proved payload.

    An inline payload is stored in the staging bucket, so that the application always gets a pointer. The call can be
    repeated.

    Raises:
        ClaimCheckError: S3 failed.
    """
    stored = message.stored
    if stored is None:
        body = message.payload.read(limit=message.size)
        stored = offload(body, store=staging.store, message_id=message.id, s3=staging.s3).stored
    checksums: _Checksums = message if fingerprint(message) else proof.reported
    return HandOff(
        message_id=message.id,
        stored=stored,
        bytes=message.size,
        sha256=checksums.sha256,
        crc64nvme=checksums.crc64nvme,
        crc32=checksums.crc32,
        proved_by=proof.checksum or "size",
        subject=message.subject,
        # JSON cannot hold binary attributes, so they are omitted.
        attributes={
            name: attribute.value for name, attribute in message.attributes.items() if isinstance(attribute.value, str)
        },
        result=result,
    )

"""The hand-off: a pointer to a payload and its summary, which a consume function passes to the application."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from claim_check import ClaimCheckError, Dereferencer, MalformedMessage, Message, Payload, S3Object, Store, offload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class InputTooLarge(ClaimCheckError):
    """Subject and attributes exceed the size of an execution's input."""

    advice = "Publish the message again with fewer attributes, under another message id."


class EncodingNotSupported(ClaimCheckError):
    """The payload is compressed. Applications behind a hand-off read stored bytes as they are."""

    advice = "Publish the message again without compression, under another message id."


@dataclass(frozen=True, kw_only=True)
class HandOff:
    """A payload that was read once. Size and SHA-256 were computed from the bytes, not taken from the message.

    Only this class writes and reads its two forms: the input of an execution and the environment of a task. The detail
    of an event on the subscriber's bus contains the input.
    """

    message_id: str
    stored: S3Object
    bytes: int
    sha256: str
    subject: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def to_input(self) -> dict[str, Any]:
        """Return the input of an execution."""
        return {
            "message_id": self.message_id,
            "pointer": self.stored.to_dict(),
            "summary": {
                "bytes": self.bytes,
                "sha256": self.sha256,
                "subject": self.subject,
                "attributes": dict(self.attributes),
            },
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
                    "sha256": str(sha256),
                    "subject": str() | None as subject,
                    "attributes": {**attributes},
                },
            }:
                return cls(
                    message_id=message_id,
                    stored=S3Object(bucket, key, owner, region),
                    bytes=size,
                    sha256=sha256,
                    subject=subject,
                    attributes={str(name): str(value) for name, value in attributes.items()},
                )
        raise MalformedMessage("the input must have message_id, pointer and summary")

    def to_environment(self) -> dict[str, str]:
        """Return the environment variables of a task. They omit subject and attributes, which can be too large."""
        return {
            "MESSAGE_ID": self.message_id,
            "PAYLOAD_BUCKET": self.stored.bucket,
            "PAYLOAD_KEY": self.stored.key,
            "PAYLOAD_OWNER": self.stored.owner,
            "PAYLOAD_REGION": self.stored.region,
            "PAYLOAD_BYTES": str(self.bytes),
            "PAYLOAD_SHA256": self.sha256,
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
            sha256=variables["PAYLOAD_SHA256"],
        )

    def payload(self, dereferencer: Dereferencer) -> Payload:
        """Return the payload, from a store that the dereferencer trusts.

        Raises:
            MalformedMessage: A field is invalid.
            UntrustedStore: The payload is in another store.
        """
        return dereferencer.payload(
            self.stored.pointer, size=self.bytes, message_id=self.message_id, sha256=self.sha256
        )


def prepare_handoff(
    message: Message, *, staging: Store, staging_s3: "S3Client", meanwhile: Callable[[], object] = lambda: None
) -> HandOff:
    """Read the payload once, in constant memory, and return its hand-off.

    An inline payload is then stored in the staging bucket, so that the application always gets a pointer. The call can
    be repeated. `meanwhile` is called after each MiB. An exception that it raises ends the reading.

    Raises:
        ClaimCheckError: The payload cannot be read, or differs from the message.
    """
    if message.encoding:
        raise EncodingNotSupported(
            f"the payload is compressed ({message.encoding}), and the application could not expand it",
            message_id=message.id,
            pointer=message.pointer,
        )
    sha256 = message.payload.verify_by_reading(meanwhile).sha256
    stored = message.stored
    if stored is None:
        body = message.payload.read(limit=message.size)
        stored = offload(body, store=staging, message_id=message.id, s3=staging_s3).stored
    return HandOff(
        message_id=message.id,
        stored=stored,
        bytes=message.size,
        sha256=sha256,
        subject=message.subject,
        # JSON cannot hold binary attributes, so they are omitted.
        attributes={
            name: attribute.value for name, attribute in message.attributes.items() if isinstance(attribute.value, str)
        },
    )

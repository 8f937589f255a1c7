"""From a message to what is handed on."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from claim_check import Message, S3Object, Store, offload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, kw_only=True)
class Handover:
    """A payload that was read through once: what was counted and digested on the way, not what the message says."""

    message_id: str
    pointer: S3Object
    bytes: int
    sha256: str
    subject: str | None
    attributes: dict[str, str]

    def to_input(self) -> dict[str, Any]:
        """As JSON-ready fields: `message_id`, `pointer`, and the rest under `summary`."""
        fields = asdict(self)
        fields.pop("pointer")
        return {"message_id": fields.pop("message_id"), "pointer": self.pointer.to_dict(), "summary": fields}


def take_over(
    message: Message, *, staging: Store, staging_s3: "S3Client", meanwhile: Callable[[], object] = lambda: None
) -> Handover:
    """Read the payload through, in constant memory, and say where it is.

    A payload that came inside its message is put into the staging bucket first, so that the application always
    finds it behind a pointer. Doing so twice is harmless.
    `meanwhile` is called between the pieces, a MiB each, and may raise.

    Raises:
        ClaimCheckError: the payload cannot be read, or is not what the message says.
    """
    sha256 = message.payload.verify(meanwhile).sha256
    pointer = message.stored
    if pointer is None:
        body = message.payload.read(limit=message.size)
        pointer = offload(body, store=staging, message_id=message.id, s3=staging_s3).stored
    return Handover(
        message_id=message.id,
        pointer=pointer,
        bytes=message.size,
        sha256=sha256,
        subject=message.subject,
        # Binary attributes are the application's business with the message, not part of a summary.
        attributes={
            name: attribute.value for name, attribute in message.attributes.items() if isinstance(attribute.value, str)
        },
    )

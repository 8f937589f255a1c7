"""The library's errors. Each class declares the operator's first step. No error holds payload content.

Errors end up in logs and dead-letter queues, which have other readers than the store.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

_SHOWN_CHARACTERS = 100


class ClaimCheckError(Exception):
    """Base of the library's errors.

    `message_id` and `pointer` (bucket and key) are those known when the error was raised, or None. `problem` is the
    error's text without them.
    """

    permanent: ClassVar[bool] = True
    """Whether the same input fails again. A consumer can dead-letter the message at once."""
    repairable: ClassVar[bool] = False
    """Whether a permanent error ends after a repair of permissions, credentials or names. Then redrive the message."""
    alarm: ClassVar[bool] = False
    """Whether one occurrence is an alarm, because the message may be hostile, or the payload was changed."""
    advice: ClassVar[str]
    """The first step to take, as one sentence."""

    def __init__(self, problem: str, *, message_id: str | None = None, pointer: tuple[str, str] | None = None) -> None:
        # An error is one log line. Ids and keys of a hostile message can have line breaks and any length, hence repr
        # and a limit. A key cannot be longer than 1,024 bytes.
        known = [f"message {message_id[:_SHOWN_CHARACTERS]!r}"] if message_id is not None else []
        known += [f"payload {f's3://{pointer[0]}/{pointer[1]}'!r}"] if pointer is not None else []
        super().__init__(f"{problem} ({', '.join(known)})" if known else problem)
        self.problem = problem
        self.message_id = message_id
        self.pointer = pointer

    def record(self) -> dict[str, str | None]:
        """Return JSON-serialisable details of a rejected message, without payload data."""
        bucket, key = self.pointer or (None, None)
        return {
            "error": type(self).__name__,
            "problem": str(self),
            "message_id": self.message_id,
            "bucket": bucket,
            "key": key,
        }


class InvalidMessage(ClaimCheckError, ValueError):
    """The arguments of a call cannot be published. Nothing was published."""

    advice = "Fix the message and publish it again."


class MalformedMessage(ClaimCheckError):
    """A received record, pointer or attribute does not have its declared form."""

    alarm = True
    advice = "Find out who sent the message."


class UntrustedStore(ClaimCheckError):
    """The pointer leads outside every store that this subscriber trusts. Nothing was read."""

    alarm = True
    advice = "Find out who sent the message."


class UntrustedNotification(ClaimCheckError):
    """A request over HTTPS is too old, or not signed by SNS for an expected topic. Nothing was done."""

    advice = "Find out who sent the request."


class PayloadMissing(ClaimCheckError):
    """The object does not exist. Most likely its lifetime has expired."""

    advice = "Ask the sender to publish the payload again."


class PayloadCorrupt(ClaimCheckError):
    """Size or digest of the stored bytes differ from the message. Discard the bytes that were read."""

    alarm = True
    advice = "Find out who replaced the payload."


class PayloadTooLarge(ClaimCheckError):
    """The payload is larger than the caller's limit, or larger than S3 allows."""

    advice = "Raise the limit or publish the payload in smaller parts."


class PayloadConflict(ClaimCheckError):
    """Another payload is stored under this message id. An id belongs to one payload permanently."""

    advice = "Publish the payload again under an unused message id."


class PayloadRejected(ClaimCheckError):
    """The application refuses the payload permanently. Application code raises it; the library does not."""

    advice = (
        "Ask the sender for another payload; or, if the code was wrong, deploy the correction and process the message "
        "again."
    )


class PayloadUnavailable(ClaimCheckError):
    """S3 throttled or failed the request, or was not reached. `__cause__` is boto's error."""

    permanent = False
    advice = "Retry."


class PayloadDenied(PayloadUnavailable):
    """S3 refused the request, and refuses it again until permissions, credentials, key or bucket are changed.

    S3 also denies access to a missing object, if the caller must not list the bucket. `__cause__` is boto's error.
    """

    permanent = True
    repairable = True
    advice = "Check permissions, credentials, KMS key, and the name and owner of the bucket."


class MessagingUnavailable(ClaimCheckError):
    """SNS, SQS or EventBridge throttled or failed the request, or was not reached. `__cause__` is the reason.

    A message may have been sent nevertheless: only the response may be lost.
    """

    permanent = False
    advice = "Retry under the same message id; an HTTPS endpoint responds with a 5xx status."


class MessagingDenied(MessagingUnavailable):
    """SNS, SQS or EventBridge refused the request, and nothing was sent. `__cause__` is boto's error.

    It refuses the request again until permissions, credentials, key, topic or queue are changed.
    """

    permanent = True
    repairable = True
    advice = "Check permissions, credentials, KMS key, and the name of the topic, queue or bus."


def error_classes() -> list[type[ClaimCheckError]]:
    """Return the library's error classes, in alphabetical order."""
    kinds = [kind for kind in globals().values() if isinstance(kind, type)]
    errors = [kind for kind in kinds if issubclass(kind, ClaimCheckError) and kind is not ClaimCheckError]
    return sorted(errors, key=lambda kind: kind.__name__)


class Disposition(StrEnum):
    """The treatment of a failed message.

    RETRY: leave the message in the queue. DEAD_LETTER: move it to the dead-letter queue with its reason. DROP: log
    `error.record()` and delete it.
    """

    RETRY = "retry"
    DEAD_LETTER = "dead-letter"
    DROP = "drop"


def disposition(
    error: Exception,
    *,
    missing: Disposition = Disposition.DEAD_LETTER,
    denied: Disposition = Disposition.DEAD_LETTER,
) -> Disposition:
    """Return the disposition of a message that failed with `error`.

    `missing` applies to PayloadMissing. RETRY suits a replicated store, where the object can arrive later. DROP suits
    messages that are useless when they are late. `denied` applies to PayloadDenied and MessagingDenied. RETRY suits a
    deployment whose policies take effect minutes later. Other errors are dead-lettered if permanent. An error of
    another library is retried: the queue's redrive policy limits its attempts.
    """
    if isinstance(error, PayloadMissing):
        return missing
    if isinstance(error, PayloadDenied | MessagingDenied):
        return denied
    permanent = isinstance(error, ClaimCheckError) and error.permanent
    return Disposition.DEAD_LETTER if permanent else Disposition.RETRY

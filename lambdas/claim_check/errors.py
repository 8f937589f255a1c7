"""What can go wrong, as a small tree: every error says what to do, and whether a retry can help.

No error carries payload content: they end up in logs and dead-letter queues, which have other readers than the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from claim_check.wire.pointer import Pointer


_shown = 100


class ClaimCheckError(Exception):
    """Base of all errors of this library.

    `permanent` (a class attribute) is True where retrying the same input cannot help, so that a consumer can
    dead-letter the message at once. `message_id` and `pointer` are what was known when the error was raised, else
    None.
    """

    permanent: ClassVar[bool] = True

    def __init__(self, problem: str, *, message_id: str | None = None, pointer: Pointer | None = None) -> None:
        # repr and a limit: ids and keys of a hostile message may hold line breaks or go on for ever, and this is one
        # log line. A key cannot be longer than 1,024 bytes.
        known = [f"message {message_id[:_shown]!r}"] if message_id is not None else []
        known += [f"payload {str(pointer)!r}"] if pointer is not None else []
        super().__init__(f"{problem} ({', '.join(known)})" if known else problem)
        self.message_id = message_id
        self.pointer = pointer

    def record(self) -> dict[str, str | None]:
        """What is left to write down of a message that is given up: JSON-ready, and nothing of its payload."""
        return {
            "error": type(self).__name__,
            "problem": str(self),
            "message_id": self.message_id,
            "bucket": self.pointer.bucket if self.pointer else None,
            "key": self.pointer.key if self.pointer else None,
        }


class InvalidMessage(ClaimCheckError, ValueError):
    """What the caller handed in cannot be published as it is; nothing was published."""


class MalformedMessage(ClaimCheckError):
    """A received record, pointer or attribute does not have the shape its own markers promise."""


class UntrustedStore(ClaimCheckError):
    """The pointer leads outside every store this subscriber trusts; nothing was read."""


class UntrustedNotification(ClaimCheckError):
    """What arrived over HTTPS was not signed by SNS for a topic that is expected here, or is too old; nothing was
    done."""


class PayloadMissing(ClaimCheckError):
    """There is no such object: most likely its lifetime has expired."""


class PayloadCorrupt(ClaimCheckError):
    """The stored bytes are not the ones the message declares (size or digest); discard what was read."""


class PayloadTooLarge(ClaimCheckError):
    """The payload is larger than the caller's limit, or than S3 can hold."""


class PayloadConflict(ClaimCheckError):
    """Another payload is stored under this message id already; an id belongs to one payload for ever."""


class PayloadUnavailable(ClaimCheckError):
    """S3 did not answer as hoped (throttled, out of order, access denied); `__cause__` is what boto raised. Try
    again."""

    permanent = False


class SnsUnavailable(ClaimCheckError):
    """SNS did not give its certificate, or did not confirm a subscription; `__cause__` is what went wrong. Answer with
    a 5xx, so that SNS delivers again."""

    permanent = False

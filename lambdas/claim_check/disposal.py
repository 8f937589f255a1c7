"""What to do with a message that failed: the subscriber's choice where the payload is gone, the error's elsewhere."""

from __future__ import annotations

from enum import StrEnum

from claim_check.errors import ClaimCheckError, PayloadMissing


class Disposal(StrEnum):
    """RETRY: leave it in the queue. DEAD_LETTER: send it, with its reason, where somebody looks at it. DROP: write
    `error.record()` down and be done with it."""

    RETRY = "retry"
    DEAD_LETTER = "dead-letter"
    DROP = "drop"


def disposal(error: Exception, *, missing: Disposal = Disposal.DEAD_LETTER) -> Disposal:
    """What a subscriber should do with the message that met `error`.

    `missing` is for PayloadMissing alone. RETRY suits a store that is replicated to, where the object may be on its
    way; DROP suits messages that are worth nothing once they are late. Everything else goes by whether a retry can
    help. An error that is not this library's is retried: the queue's own redrive policy ends that.
    """
    if isinstance(error, PayloadMissing):
        return missing
    permanent = isinstance(error, ClaimCheckError) and error.permanent
    return Disposal.DEAD_LETTER if permanent else Disposal.RETRY

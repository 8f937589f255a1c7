"""The time that an invocation has left: what runs out of it fails alone, instead of taking its whole batch along."""

from collections.abc import Callable

RESERVE_MS = 10_000
"""What is kept back for answering, and for dead-lettering."""


class OutOfTime(Exception):
    """The function's time-out is near; the message is to be received again."""


class Deadline:
    """`remaining_ms`: Lambda's `context.get_remaining_time_in_millis`."""

    def __init__(self, remaining_ms: Callable[[], int]) -> None:
        self._remaining_ms = remaining_ms

    def leaves(self, seconds: float) -> bool:
        """Whether so much time is left besides the reserve."""
        return self._remaining_ms() - RESERVE_MS >= seconds * 1000

    def check(self) -> None:
        """Raises OutOfTime when only the reserve is left."""
        if self._remaining_ms() <= RESERVE_MS:
            raise OutOfTime(
                "not read within the function's time-out: raise function_timeout_seconds in the deployment file, "
                "or lower batch_size"
            )

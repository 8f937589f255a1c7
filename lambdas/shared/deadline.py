"""The time that an invocation has left."""

from collections.abc import Callable

RESERVE_MS = 10_000
"""Time reserved for the response, and for dead-lettering."""


class OutOfTime(Exception):
    """The function's timeout is near. The message has to be received again."""


class Deadline:
    """The end of an invocation, minus the reserve. A record that is read past it fails without the rest of its batch.

    `remaining_ms` is `context.get_remaining_time_in_millis` of Lambda.
    """

    def __init__(self, remaining_ms: Callable[[], int]) -> None:
        self._remaining_ms = remaining_ms

    def leaves(self, seconds: float) -> bool:
        """Return whether at least `seconds` are left before the reserve."""
        return self._remaining_ms() - RESERVE_MS >= seconds * 1000

    def check(self) -> None:
        """Raise OutOfTime if only the reserve is left."""
        if self._remaining_ms() <= RESERVE_MS:
            raise OutOfTime(
                "not read within the function's timeout: raise function_timeout_seconds in the deployment file, "
                'or lower batch_size (kind = "sqs")'
            )

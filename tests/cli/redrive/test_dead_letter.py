"""Reasons of dead letters."""

from claim_check import ClaimCheckError
from cli.redrive.dead_letter import PERMANENT
from consume_queue.execution import InputTooLarge


def _subclasses(error: type[ClaimCheckError]) -> set[type[ClaimCheckError]]:
    return {error}.union(*map(_subclasses, error.__subclasses__()))


def test_permanent_errors_are_complete() -> None:
    """Except for errors that HTTPS endpoints alone raise, which have no queue that redrive reads."""
    library = {error for error in _subclasses(ClaimCheckError) if error.__module__ == "claim_check.errors"}
    permanent = {error.__name__ for error in library | {InputTooLarge} if error.permanent}
    assert set(PERMANENT) - {"ABORTED"} == permanent - {"ClaimCheckError", "UntrustedNotification"}

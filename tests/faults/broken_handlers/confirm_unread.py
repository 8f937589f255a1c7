"""The web server, which confirms a notification although its payload cannot be read."""

from contextlib import suppress

from claim_check import ClaimCheckError
from claim_check.https import Delivery
from tests.faults import endpoint as correct

_store = correct.received.store


def _store_or_not(delivery: Delivery) -> None:
    with suppress(ClaimCheckError):
        _store(delivery)


correct.received.store = _store_or_not  # type: ignore[method-assign]
handler = correct.handler

"""The web server, had nobody thought of payloads that cannot be read: it tells SNS that it has got each."""

from contextlib import suppress

from claim_check import ClaimCheckError
from claim_check.https import Delivery
from tests.faults import endpoint as careful

_store = careful.received.store


def _store_or_not(delivery: Delivery) -> None:
    with suppress(ClaimCheckError):
        _store(delivery)


careful.received.store = _store_or_not  # type: ignore[method-assign]
handler = careful.handler

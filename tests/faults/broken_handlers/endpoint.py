"""The web server, had nobody thought of payloads that cannot be read: it tells SNS that it has got each."""

from contextlib import suppress

from claim_check import ClaimCheckError
from claim_check.https import Delivery
from tests.faults import endpoint as careful

_keep = careful.received.keep


def _keep_or_not(delivery: Delivery) -> None:
    with suppress(ClaimCheckError):
        _keep(delivery)


careful.received.keep = _keep_or_not  # type: ignore[method-assign]
handler = careful.handler

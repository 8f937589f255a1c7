"""The consume function of `orders`, which hands payloads off without a comparison of size and checksum."""

from claim_check.receiving import payload
from claim_check.receiving.proof import Proof
from consume_queue import handler as correct

setattr(payload, "prove", lambda reported, **_: Proof("sha256", reported))  # noqa: B010
handler = correct.handler

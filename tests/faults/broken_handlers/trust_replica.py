"""The consume function near a replica, which does not compare size and digest of the replica."""

from claim_check.receiving.payload import Payload
from claim_check.s3.object_reader import ObjectReader
from consume_queue import handler as correct

ObjectReader._compare = lambda *_: None  # type: ignore[method-assign]
Payload._compare = lambda *_: None  # type: ignore[method-assign]
handler = correct.handler

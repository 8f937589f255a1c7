"""The function of the subscriber near a replica, had nobody thought of replicas that have something else."""

from claim_check.receiving.payload import Payload
from claim_check.s3.object_reader import ObjectReader
from consume_queue import handler as careful

ObjectReader._compare = lambda *_: None  # type: ignore[method-assign]
Payload._compare = lambda *_: None  # type: ignore[method-assign]
handler = careful.handler

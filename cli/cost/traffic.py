"""The costs of one message: the billed requests and bytes of each hop, from the sender to each application."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cli.cost import Route
from cli.cost.prices import Assumed
from stacks.deployment import (
    Deployment,
    FunctionSubscriberConfig,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
)
from stacks.deployment.publisher import ARCHIVED_OVER_BYTES

KIB, MIB, GIB = 1024, 1024**2, 1024**3
GB = 1000**3
CHUNK_BYTES = 64 * KIB
"""EventBridge, SNS and SQS bill a request for each 64 KiB."""
EVENT_BYTES = 1_000_000
"""Largest event of EventBridge, as in `claim_check.put_event`. (EventBridge API reference, PutEvents.)"""
ASYNCHRONOUS_BYTES = 256 * KIB
"""Size of an asynchronous Lambda event that is one request. Each further 64 KiB are another. (Lambda pricing.)"""
POINTER_BYTES = KIB
"""A message with a pointer, and the envelope of a message with its payload, together with SNS's own attributes."""
UPLOAD_PART_BYTES = 8 * MIB
"""Part size of the AWS CLI."""
SMALLEST_PART_BYTES = 5 * MIB
"""Of an upload to S3. The library's parts have at least this size."""
COPY_PART_BYTES, SINGLE_COPY_BYTES = 512 * MIB, 5 * GIB
FUNCTION_GB = 1.0
GLACIER_IR_DAYS = 90
"""S3 bills an object in Glacier Instant Retrieval for at least 90 days. (S3 user guide, "Storage classes".)"""
MONTH_DAYS = 365 / 12


class Charge(NamedTuple):
    """A billed quantity of one message."""

    hop: str
    region: str
    price: str
    """Name in the price table."""
    quantity: float
    assumed: bool = False
    """Whether the quantity depends on the table's assumptions."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """One kind of message. The charges of each hop are an upper bound: queues are polled for one message at a time."""

    deployment: Deployment
    size: int
    """Payload in bytes."""
    route: Route
    assumed: Assumed
    reads: float = 1
    """Times that each application reads the whole payload."""

    @property
    def offloaded(self) -> bool:
        """Whether the payload is in S3, and the message has a pointer."""
        publisher = self.deployment.publisher
        over = self.size + POINTER_BYTES > publisher.maximum_message_bytes
        return self.route == "outbox" or publisher.offload == "always" or (over and publisher.offload != "never")

    @property
    def message_bytes(self) -> int:
        """Size of the SNS message."""
        return POINTER_BYTES if self.offloaded else POINTER_BYTES + self.size

    def charges(self) -> Iterator[Charge]:
        """Yield the charges of one message.

        Raises:
            ValueError: An event of this size is too large for EventBridge.
        """
        yield from self._publish()
        for region in self.deployment.publisher.replicas:
            yield from self._replicate(region)
        for subscriber in self.deployment.subscribers:
            yield from self._deliver(subscriber)
            if not isinstance(subscriber, HttpsSubscriberConfig):
                yield from self._consume(subscriber)
            yield from self._read(subscriber)

    def _publish(self) -> Iterator[Charge]:
        publisher, seconds = self.deployment.publisher, self.assumed.publish_seconds
        hop, region = "publisher", publisher.region
        match self.route:
            case "bus":
                if self.size + POINTER_BYTES > EVENT_BYTES:
                    raise ValueError(f"an event of {self.size} bytes is too large for EventBridge; use the outbox")
                yield Charge(hop, region, "event", _chunks(self.size))
                yield from self._function(hop, region, seconds, self.size)
            case "outbox":
                yield Charge(hop, region, "s3_put", _parts(self.size, UPLOAD_PART_BYTES, single=UPLOAD_PART_BYTES))
                yield Charge(hop, region, "event", 1)
                yield from self._function(hop, region, seconds + self.copy_seconds, POINTER_BYTES)
                yield Charge(hop, region, "s3_get", 1)
                yield Charge(hop, region, "s3_put", _parts(self.size, COPY_PART_BYTES, single=SINGLE_COPY_BYTES))
            case "library":
                pass
        if self.offloaded:
            if self.route != "outbox":
                yield Charge(hop, region, "s3_put", _parts(self.size, SMALLEST_PART_BYTES, single=SMALLEST_PART_BYTES))
            yield from self._payload_storage(hop, region)
        if publisher.fifo:
            yield Charge(hop, region, "sns_fifo_publish", 1)
            yield Charge(hop, region, "sns_fifo_gb", self.message_bytes / GB)
        else:
            yield Charge(hop, region, "sns_publish", _chunks(self.message_bytes))

    def _replicate(self, region: str) -> Iterator[Charge]:
        if self.offloaded:
            hop = f"replica in {region}"
            yield Charge(hop, region, "s3_put", 1)
            yield Charge(hop, self.deployment.publisher.region, "transfer_gb", self.size / GB)
            yield from self._payload_storage(hop, region)

    def _deliver(self, subscriber: SubscriberConfig) -> Iterator[Charge]:
        publisher, hop = self.deployment.publisher, subscriber.name
        if subscriber.filter_policy and subscriber.filter_policy_scope == "body":
            yield Charge(hop, publisher.region, "sns_body_filter_gb", self.message_bytes / GB)
        if subscriber.region != publisher.region:
            yield Charge(hop, publisher.region, "transfer_gb", self.message_bytes / GB)
        match subscriber:
            case SqsSubscriberConfig():
                requests = 3 * _chunks(self.message_bytes)  # send, receive, delete
                yield Charge(hop, subscriber.region, "sqs_fifo_request" if publisher.fifo else "sqs_request", requests)
            case HttpsSubscriberConfig():
                yield Charge(hop, publisher.region, "sns_https_delivery", _chunks(self.message_bytes))
            case LambdaSubscriberConfig():
                pass

    def _consume(self, subscriber: FunctionSubscriberConfig) -> Iterator[Charge]:
        hop, region = subscriber.name, subscriber.region
        if subscriber.application == "queue":
            return
        event = self.message_bytes if subscriber.kind == "lambda" else 0
        yield from self._function(hop, region, self.assumed.consume_seconds, event)
        if self.offloaded:
            yield Charge(hop, self.deployment.publisher.region, "s3_get", 1)  # HeadObject proves the payload
        elif subscriber.hands_off:
            yield Charge(hop, region, "s3_put", 1)  # the staging bucket
            yield self._storage(hop, region, self.deployment.publisher.payload_lifetime_days)
        if subscriber.application == "state_machine":
            yield from self._state_machine(subscriber)
        elif subscriber.application == "ecs_task":
            yield from self._task(subscriber)

    def _state_machine(self, subscriber: FunctionSubscriberConfig) -> Iterator[Charge]:
        hop, region = subscriber.name, subscriber.region
        if subscriber.landing:
            yield Charge(hop, region, "state_transition", 1)
            yield from self._function(hop, region, self.copy_seconds, 0)
            yield Charge(hop, region, "s3_put", _parts(self.size, COPY_PART_BYTES, single=SINGLE_COPY_BYTES))
            yield self._storage(hop, region, subscriber.landing.retention_days)
            if self._is_far(region):
                yield Charge(hop, self.deployment.publisher.region, "transfer_gb", self.size / GB)
        yield Charge(hop, region, "state_transition", 1)
        yield Charge(hop, region, "event", 1)  # the built-in definition's result

    def _task(self, subscriber: FunctionSubscriberConfig) -> Iterator[Charge]:
        hop, region, task = subscriber.name, subscriber.region, subscriber.task
        hours = self.assumed.task_seconds / 3600
        yield Charge(hop, region, "table_read", 1)
        yield Charge(hop, region, "table_write", 1)
        yield Charge(hop, region, "fargate_vcpu_hour", hours * task.cpu / 1024, assumed=True)
        yield Charge(hop, region, "fargate_gb_hour", hours * task.memory_mib / 1024, assumed=True)
        if subscriber.network is None or subscriber.network.assign_public_ip:
            yield Charge(hop, region, "public_ipv4_hour", hours, assumed=True)

    def _read(self, subscriber: SubscriberConfig) -> Iterator[Charge]:
        landed = isinstance(subscriber, FunctionSubscriberConfig) and subscriber.landing
        has_code = isinstance(subscriber, FunctionSubscriberConfig) and subscriber.code and self.offloaded
        own_code = 1 if has_code else 0
        if reads := self.reads + own_code:
            yield Charge(subscriber.name, subscriber.region, "s3_get", reads)
        if self.offloaded and self._is_far(subscriber.region):
            far = own_code + (0 if landed else self.reads)
            yield Charge(subscriber.name, self.deployment.publisher.region, "transfer_gb", far * self.size / GB)

    def _function(self, hop: str, region: str, seconds: float, event: int) -> Iterator[Charge]:
        yield Charge(hop, region, "function_request", 1 + max(0, math.ceil((event - ASYNCHRONOUS_BYTES) / CHUNK_BYTES)))
        yield Charge(hop, region, "function_gb_second", FUNCTION_GB * seconds, assumed=True)
        yield Charge(hop, region, "log_gb", self.assumed.log_bytes / GB, assumed=True)

    def _payload_storage(self, hop: str, region: str) -> Iterator[Charge]:
        publisher = self.deployment.publisher
        days, archived = publisher.payload_lifetime_days, publisher.glacier_after_days
        if archived is None or self.size <= ARCHIVED_OVER_BYTES:
            yield self._storage(hop, region, days)
        else:
            yield self._storage(hop, region, archived)
            months = max(days - archived, GLACIER_IR_DAYS) / MONTH_DAYS
            yield Charge(hop, region, "s3_glacier_ir_gb_month", self.size / GB * months)
            yield Charge(hop, region, "s3_glacier_ir_transition", 1)

    def _storage(self, hop: str, region: str, days: int) -> Charge:
        return Charge(hop, region, "s3_standard_gb_month", self.size / GB * days / MONTH_DAYS)

    @property
    def copy_seconds(self) -> float:
        """Time in which S3 copies the payload, while a function waits."""
        return self.assumed.copy_seconds * self.size / GIB

    def _is_far(self, region: str) -> bool:
        publisher = self.deployment.publisher
        return region != publisher.region and region not in publisher.replicas


def _chunks(size: int) -> int:
    return max(1, math.ceil(size / CHUNK_BYTES))


def _parts(size: int, part: int, *, single: int) -> int:
    """Return the number of requests of an upload or a copy: one, or its beginning, its parts and its end."""
    return 1 if size <= single else 2 + math.ceil(size / part)

"""The steps of one message: proof, own code, hand-off."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from aws_lambda_powertools.metrics import MetricUnit

from claim_check import Message
from consume.application import Application, application_from
from consume.own_code import Process, process_from
from consume.read_bytes import ReadBytes
from shared.telemetry import log_handoff, logger, metrics, record_processing_time


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """The consumer of a subscriber. `process` is the application's own code."""

    process: Process
    application: Application
    reads: ReadBytes

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the consumer that the environment describes. Raises InvalidSettings."""
        reads = ReadBytes()
        return cls(process=process_from(environment), application=application_from(environment), reads=reads)

    def consume(self, message: Message, remaining_ms: Callable[[], int]) -> None:
        """Prove the payload by one HeadObject, call own code, and hand off, unless that was done before.

        Without own code, no byte of a payload in S3 is read. `remaining_ms` is the time in milliseconds that remains
        for this message.

        Raises:
            ClaimCheckError: The payload does not exist, S3 failed, or size or checksum differ from the message.
            Exception: Own code or the hand-off failed.
        """
        logger.append_keys(message_id=message.id)
        if earlier := self.application.find_earlier(message):
            logger.info("already handed off", application=earlier)
            return
        started = time.monotonic()
        proof = message.payload.verify()
        self.reads.take()
        try:
            result = self.process(message)
        finally:
            read_bytes = self.reads.take()
            metrics.add_metric(name="ReadBytes", unit=MetricUnit.Bytes, value=read_bytes)
        application = self.application.hand_off(message, proof=proof, result=result, remaining_ms=remaining_ms)
        metrics.add_metric(name="ConsumedBytes", unit=MetricUnit.Bytes, value=message.size)
        record_processing_time(started)
        log_handoff(message, proof, application, read_bytes=read_bytes)

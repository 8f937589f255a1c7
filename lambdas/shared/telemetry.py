"""Logger and metrics of the functions."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from claim_check import Message, PayloadCorrupt, Proof
from shared.handoff import fingerprint

logger = Logger()
metrics = Metrics()


@contextmanager
def counting_errors() -> Iterator[None]:
    """Count an error in a metric with the name of its class, log it, and raise it again."""
    try:
        yield
    except Exception as error:
        metrics.add_metric(name=type(error).__name__, unit=MetricUnit.Count, value=1)
        logger.exception("failed")
        raise


def log_handoff(message: Message, proof: Proof, application: str, *, read_bytes: int) -> None:
    """Log the hand-off to an execution or a task, by its ARN. `read_bytes` are those that own code read from S3.

    If `proved_by` is "size", S3 and the message have no checksum in common: the application's reading is the proof.
    """
    checksum = fingerprint(message) or fingerprint(proof.reported)
    summary = {"bytes": message.size, "checksum": checksum, "proved_by": proof.checksum or "size"}
    summary["read_bytes"] = read_bytes
    logger.info("handed off", extra={"application": application, **summary})


def record_processing_time(started: float) -> None:
    """Record the time since `started`, a value of `time.monotonic`."""
    milliseconds = 1000 * (time.monotonic() - started)
    metrics.add_metric(name="ProcessingTime", unit=MetricUnit.Milliseconds, value=milliseconds)


def record_delivery_latency(sent: datetime) -> None:
    """Record the time since a message was sent."""
    # The sender's clock can be ahead of this machine's.
    milliseconds = max(0, round((datetime.now(tz=sent.tzinfo) - sent).total_seconds() * 1000))
    metrics.add_metric(name="DeliveryLatency", unit=MetricUnit.Milliseconds, value=milliseconds)


def count_stale_replica(error: PayloadCorrupt) -> None:
    """Count and log a stale replica. No action is needed: replication lags, and the payload is read elsewhere."""
    metrics.add_metric(name="StaleReplica", unit=MetricUnit.Count, value=1)
    log_stale_replica(error)


def log_stale_replica(error: PayloadCorrupt) -> None:
    """Log a stale replica."""
    logger.warning("stale replica", problem=str(error))

"""Delays of a pointer, and the minimum payload lifetime."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.deployment.problems import Problem
from stacks.deployment.publisher import PublisherConfig
from stacks.deployment.subscriber import SubscriberConfig

PUBLISH_RETRY_DAYS = 2
"""EventBridge retries the publish function for a day, then Lambda for six hours. In whole days."""
PUBLISH_DEAD_LETTER_DAYS = 14
"""Retention of the publish function's dead letters, whose payloads may be offloaded already."""
SNS_RETRY_DAYS = 23
"""Retries of SNS for SQS and Lambda: 100,015 attempts. (SNS developer guide, "Message delivery retries".)"""
HTTPS_RETRY_DAYS = 1
"""Retries of SNS for HTTPS, an hour at most (same page), in whole days."""
LAMBDA_RETRY_DAYS = 1
"""Retention of an asynchronous event in Lambda, six hours, in whole days."""
EXECUTION_RETRY_DAYS = 1
"""Retries of an execution's states, about 15 hours, in whole days."""
EXECUTION_REDRIVE_DAYS = 14
"""Time in which a failed execution can be redriven. (Step Functions developer guide, "Quotas".)"""


def pointer_delays(subscriber: SubscriberConfig) -> dict[str, int]:
    """Return the stages that can delay a pointer after its payload is stored, each with its maximum in days."""
    retention = subscriber.dead_letter_retention_days
    delays = {
        "publish retries": PUBLISH_RETRY_DAYS,
        "publish dead letters": PUBLISH_DEAD_LETTER_DAYS,
        "SNS retries": HTTPS_RETRY_DAYS if subscriber.kind == "https" else SNS_RETRY_DAYS,
        "undelivered queue": retention,
    }
    if subscriber.kind == "https":
        return delays
    if subscriber.kind == "sqs":
        delays |= {"queue": subscriber.queue_retention_days}
    else:
        delays |= {"Lambda retries": LAMBDA_RETRY_DAYS}
    delays |= {"dead-letter queue": retention}
    if subscriber.application == "ecs_task":
        delays |= {"failed task": retention}
    if subscriber.landing:
        delays |= {"execution retries": EXECUTION_RETRY_DAYS, "execution redrive": EXECUTION_REDRIVE_DAYS}
    if subscriber.pipeline:
        delays |= {"pipeline trigger retries": LAMBDA_RETRY_DAYS, "pipeline trigger dead letters": retention}
    return delays


def days_until_forgotten(subscriber: SubscriberConfig, *, payload_lifetime_days: int) -> int:
    """Return the days after which a message cannot be delivered again.

    Its payload has expired and every queue has deleted it.
    """
    return max(payload_lifetime_days, sum(pointer_delays(subscriber).values()))


def check_lifetime(key: str, subscriber: SubscriberConfig, publisher: PublisherConfig) -> Iterator[Problem]:
    """Check that payloads outlive their pointers."""
    delays = pointer_delays(subscriber)
    minimum = sum(delays.values())
    if publisher.payload_lifetime_days < minimum and not publisher.accept_expired_pointers:
        stages = " + ".join(f"{stage} {days}" for stage, days in delays.items())
        yield Problem(
            "publisher.payload_lifetime_days",
            publisher.payload_lifetime_days,
            f'a pointer can be delivered to {key} ("{subscriber.name}") up to {minimum} days late ({stages}), after '
            f"its payload has expired. Use at least {minimum}, or set accept_expired_pointers = true.",
        )


def check_archive(publisher: PublisherConfig) -> Iterator[Problem]:
    """Check that payloads move to Glacier before they expire. S3 rejects other rules."""
    if publisher.glacier_after_days and publisher.glacier_after_days >= publisher.payload_lifetime_days:
        yield Problem(
            "publisher.glacier_after_days",
            publisher.glacier_after_days,
            f"payloads expire after publisher.payload_lifetime_days = {publisher.payload_lifetime_days}. Use less, or "
            "remove the key.",
        )

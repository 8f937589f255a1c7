"""How late a pointer can be, and whether its payload is still there; how long a function takes to read a payload."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.deployment.problems import Conflict
from stacks.deployment.publisher import PublisherConfig
from stacks.deployment.subscriber import SubscriberConfig

SNS_RETRY_DAYS = 23
"""How long SNS tries to deliver to SQS or Lambda (100,015 tries; SNS developer guide, "message delivery retries")."""
HTTPS_RETRY_DAYS = 1
"""How long SNS tries an HTTPS endpoint, an hour at most (the same page), in whole days."""
LAMBDA_RETRY_DAYS = 1
"""How long Lambda keeps an asynchronous event, six hours, in whole days."""
PUBLISH_RETRY_DAYS = 2
"""How long EventBridge tries to invoke the publish function, a day, and then Lambda the function, six hours."""
PUBLISH_DEAD_LETTER_DAYS = 14
"""How long what was not published can wait to be published after all, its payload offloaded already."""
EXECUTION_RETRY_DAYS = 1
"""How long a state tries to have a payload landed, and to tell of it, some 15 hours, in whole days."""
EXECUTION_REDRIVE_DAYS = 14
"""How long Step Functions lets a failed execution be redriven. (Its developer guide, "Quotas".)"""
ANSWER_SECONDS = 10
"""What a function keeps back of its time, for answering."""
READ_BYTES_PER_SECOND = 20_000_000
"""What a function reads at least, across Regions. An assumption: AWS promises none."""


def ways_to_be_late(subscriber: SubscriberConfig) -> dict[str, int]:
    """The stations at which a pointer can wait, once its payload is stored, one after the other, each in days."""
    waits = {
        "publish retries": PUBLISH_RETRY_DAYS,
        "publish dead letters": PUBLISH_DEAD_LETTER_DAYS,
        "SNS retries": HTTPS_RETRY_DAYS if subscriber.kind == "https" else SNS_RETRY_DAYS,
        "redrive queue": subscriber.dead_letter_retention_days,
    }
    if subscriber.kind == "https":
        return waits  # its redrive queue is its dead-letter queue
    dead_letters = subscriber.dead_letter_retention_days
    if subscriber.kind == "lambda":
        behind = {"Lambda retries": LAMBDA_RETRY_DAYS, "dead-letter queue": dead_letters, "failed task": dead_letters}
        return {**waits, **behind}
    waits |= {"queue": subscriber.queue_retention_days, "dead-letter queue": dead_letters}
    if subscriber.landing:
        waits |= {"execution retries": EXECUTION_RETRY_DAYS, "execution redriven": EXECUTION_REDRIVE_DAYS}
    if subscriber.pipeline:
        waits |= {"intake retries": LAMBDA_RETRY_DAYS, "intake dead letters": dead_letters}
    return waits


def slow_readers(key: str, publisher: PublisherConfig, subscriber: SubscriberConfig) -> Iterator[Conflict]:
    """Whoever hands a payload on reads it once, within the function's time-out."""
    if subscriber.kind == "https":
        return
    size, timeout = "publisher.outbox.maximum_bytes", f"{key}.function_timeout_seconds"
    needed = -(-publisher.outbox.maximum_bytes // READ_BYTES_PER_SECOND) + ANSWER_SECONDS
    if needed > subscriber.function_timeout_seconds:
        yield Conflict(
            (size, timeout),
            f"{timeout} = {subscriber.function_timeout_seconds}: to read {size} = {publisher.outbox.maximum_bytes} "
            f"and answer can take {needed} s, at {READ_BYTES_PER_SECOND // 1_000_000} MB/s; raise the one (to 900 at "
            "most), or lower the other",
        )


def late_pointers(key: str, publisher: PublisherConfig, subscriber: SubscriberConfig) -> Iterator[Conflict]:
    waits = ways_to_be_late(subscriber)
    latest = sum(waits.values())
    if publisher.payload_lifetime_days < latest and not publisher.accept_expired_pointers:
        spelled = " + ".join(f"{station} {days}" for station, days in waits.items())
        yield Conflict(
            (
                "publisher.payload_lifetime_days",
                f"{key}.queue_retention_days",
                f"{key}.dead_letter_retention_days",
                f"{key}.kind",
            ),
            f"publisher.payload_lifetime_days = {publisher.payload_lifetime_days}: a pointer can reach {key} "
            f"({subscriber.name!r}) {latest} days late ({spelled}), when its payload is gone; use at least {latest}, "
            "or accept_expired_pointers = true",
        )

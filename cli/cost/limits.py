"""The first quota of AWS that limits messages per second, and its remedy."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cli.cost.traffic import Traffic

QUOTAS = Path(__file__).with_name("quotas.toml")


class Limit(NamedTuple):
    """Messages per second that a quota, or a key of the deployment file, allows."""

    hop: str
    name: str
    messages_per_second: float
    remedy: str


def limits(traffic: Traffic) -> list[Limit]:
    """Return the limits on one kind of message, the lowest first. A hop has its account to itself."""
    return sorted(_limits(traffic), key=lambda limit: limit.messages_per_second)


def _limits(traffic: Traffic) -> Iterator[Limit]:
    quotas = {quota["name"]: float(quota["value"]) for quota in tomllib.loads(QUOTAS.read_text("utf-8"))["quotas"]}
    publisher = traffic.deployment.publisher

    def quota(hop: str, name: str, each: float, remedy: str = "Request more in Service Quotas.") -> Iterator[Limit]:
        if each:
            yield Limit(hop, name, quotas[name] / each, remedy)

    writes = sum(charge.quantity for charge in traffic.charges() if charge[:3:2] == ("publisher", "s3_put"))
    if traffic.route == "bus":
        yield from quota("publisher", "EventBridge PutEvents", 1)
    if traffic.route != "library":
        yield from quota("publisher", "EventBridge invocations", 1)
        seconds = traffic.assumed.publish_seconds + (traffic.copy_seconds if traffic.route == "outbox" else 0)
        yield from quota("publisher", "Lambda concurrency of the account", seconds)
    yield from quota(
        "publisher",
        "S3 write",
        writes,
        "S3 raises it as traffic grows. Until then requests are retried.",
    )
    readers = sum(subscriber.region not in publisher.replicas for subscriber in traffic.deployment.subscribers)
    yield from quota("publisher", "S3 read", readers * (1 + traffic.reads) if traffic.offloaded else 0, "Add replicas.")
    if publisher.fifo:
        yield from quota("publisher", "SNS FIFO publish", 1, "Use a standard topic, or request more.")
    else:
        yield from quota("publisher", "SNS publish", 1)
    for subscriber in traffic.deployment.subscribers:
        seconds, name = traffic.assumed.consume_seconds, subscriber.name
        if subscriber.kind == "https" or subscriber.application == "queue":
            continue
        if subscriber.kind == "sqs":
            yield Limit(
                name,
                f"maximum_concurrency = {subscriber.maximum_concurrency}",
                subscriber.maximum_concurrency / seconds,
                "Raise it. Until then messages wait in the queue.",
            )
        else:
            yield from quota(name, "Lambda concurrency of the account", seconds)
        if subscriber.application == "state_machine":
            yield from quota(name, "Step Functions StartExecution", 1)
        if subscriber.application == "ecs_task":
            yield from quota(name, "ECS RunTask on Fargate", 1, "Request more, or choose an application without tasks.")
            vcpus = subscriber.task.cpu / 1024 * traffic.assumed.task_seconds
            yield from quota(name, "Fargate vCPU", vcpus, "Request more, or use smaller or shorter tasks.")

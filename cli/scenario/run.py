"""The run of the scenario in a world: send, wait, try forbidden requests, measure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from claim_check import ClaimCheckError
from cli.redrive.sources import response_time
from cli.scenario import memory, refusals
from cli.scenario.arrivals import ScenarioArrivals
from cli.scenario.deliveries import ReceivedPayload, follow
from cli.scenario.memory import FunctionMemory
from cli.scenario.payloads import SentPayload
from cli.scenario.report import Report
from cli.scenario.routes import routes, sending_role
from cli.scenario.stages import Stage
from cli.scenario.world import ScenarioWorld, Unseen
from cli.sizes import size_text
from local.limitations import Limitation
from stacks.deployment import Deployment, Names, SubscriberConfig

FAILURES = (BotoCoreError, Boto3Error, ClientError, ClaimCheckError, OSError)
"""Errors that end a run: of AWS, the library, the network or this machine."""
_SLOWEST_BYTES_PER_SECOND = 10 * 2**20
_LOG_SECONDS = 60.0
"""Time until a function's REPORT line is in its log."""


def run(
    world: ScenarioWorld,
    deployment: Deployment,
    payload: SentPayload,
    *,
    stage: Stage,
    seconds: float,
    not_enforced: Sequence[Limitation] = (),
) -> Report:
    """Run the scenario in the accounts that the world reaches, and return the result.

    seconds: time for the arrival of small payloads.
    """
    names, started_at = Names(deployment), datetime.now(UTC)
    since = aws_time(world, names)
    subscribers, unseen = observed(world, deployment), list(missing(world, deployment))
    maximum = deployment.publisher.outbox.maximum_bytes
    with stage("send payloads, wait for every subscriber") as show:
        submissions = [
            send(lambda sent: show(f"{size_text(sent)} of {size_text(payload.bytes)} sent"))
            for send in routes(world, deployment, names, payload)
        ]
        arrived: list[str] = []

        def show_arrival(payload: ReceivedPayload, subscriber: SubscriberConfig) -> None:
            arrived.append(f"{subscriber.name} has {payload.submission.payload}")
            show(f"{len(arrived)} arrived, {arrived[-1]}")

        received = follow(
            ScenarioArrivals(world, names, since),
            subscribers,
            submissions,
            log_is_readable=world.reaches(deployment.publisher.account),
            seconds=seconds + 4 * payload.bytes / _SLOWEST_BYTES_PER_SECOND,
            progress=show_arrival,
        )
    with stage("try forbidden requests"):
        stored = (each.message_id for each in received if each.submission.offloaded)
        attempts = list(refusals.attempts(world, names, message_id=next(stored, None), maximum_upload_bytes=maximum))
    return Report(
        deployment=deployment.name,
        started_at=started_at,
        publisher=deployment.publisher,
        subscribers=subscribers,
        unseen=unseen,
        not_sent=list(_not_sent(payload, maximum)),
        not_enforced=not_enforced,
        payloads=received,
        attempts=attempts,
        functions=_functions(world, names, subscribers, since) if received else [],
    )


def aws_time(world: ScenarioWorld, names: Names) -> datetime:
    """Return the time of AWS's clock, which the logs have. This machine's can be minutes ahead."""
    account = sending_role(names, world).account
    if not world.reaches(account):
        return datetime.now(UTC)
    sts = world.client("sts", account=account, region=names.publisher.place.region)
    return response_time(sts.get_caller_identity())


def _not_sent(payload: SentPayload, maximum: int) -> Iterator[Unseen]:
    if payload.bytes > maximum:
        yield Unseen(f"{payload.path.name} as an upload", f"over publisher.outbox.maximum_bytes = {maximum}")


def observed(world: ScenarioWorld, deployment: Deployment) -> list[SubscriberConfig]:
    """Return the subscribers that receive the scenario's messages and whose arrivals can be seen."""
    return [each for each in deployment.subscribers if not _reason_unseen(world, each)]


def missing(world: ScenarioWorld, deployment: Deployment) -> Iterator[Unseen]:
    """Return the parts of the scenario that cannot be tried or observed in this world."""
    publisher, names = deployment.publisher, Names(deployment)
    if not world.reaches(publisher.account):
        yield Unseen("publisher", f"no credentials of its account, {publisher.account}: no payload by the library")
    for sender in deployment.senders:
        if not world.reaches(sender.account):
            yield Unseen(sender.name, f"no credentials of the sender's account, {sender.account}")
    if not world.reaches(sending_role(names, world).account):
        yield Unseen("payloads", "no credentials of an account that sends: nothing is sent")
    for subscriber in deployment.subscribers:
        if reason := _reason_unseen(world, subscriber):
            yield Unseen(subscriber.name, reason)
        elif subscriber.kind != "https" and subscriber.application == "ecs_task" and not world.runs_task(subscriber):
            yield Unseen(subscriber.name, "its ECS task is recorded and does not run")
    if not world.other_account:
        yield Unseen(
            "other accounts", "no credentials of an account outside the deployment: its requests are not tried"
        )
    if publisher.offload == "never":
        yield Unseen("files", 'publisher.offload = "never": only an event is sent')


def _reason_unseen(world: ScenarioWorld, subscriber: SubscriberConfig) -> str | None:
    if not subscriber.subscribed:
        return "subscribed = false: it receives no message"
    if subscriber.filter_policy and subscriber.filter_policy_scope == "body":
        return "its filter_policy may not match the scenario's messages"
    if subscriber.kind == "https":
        return None if world.received(subscriber) is not None else "its own log shows what its server received"
    if subscriber.application == "queue":
        return "its own service polls the queue"
    if not world.reaches(subscriber.account):
        return f"no credentials of its account, {subscriber.account}: its arrivals are not seen"
    return None


def _functions(
    world: ScenarioWorld, names: Names, subscribers: Sequence[SubscriberConfig], since: datetime
) -> list[FunctionMemory]:
    """Return the memory of the functions, as soon as all logs have it."""
    deadline = time.monotonic() + _LOG_SECONDS
    while True:
        measured = list(memory.measure(world, names, subscribers, since))
        if all(each.peak_memory_mb for each in measured) or time.monotonic() > deadline:
            return measured
        time.sleep(1)

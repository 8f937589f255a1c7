"""What the parts of a deployment file allow alone, and AWS, or the way of a message, does not allow together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from stacks.deployment.ecs_task import EcsTaskConfig
from stacks.deployment.filter_policy import is_nested
from stacks.deployment.model import Deployment
from stacks.deployment.payload_lifetime import late_pointers, slow_readers
from stacks.deployment.problems import Conflict
from stacks.deployment.publisher import SNS_DEFAULT_MAXIMUM_BYTES, PublisherConfig
from stacks.deployment.quotas import LARGEST_PATTERN, long_names, policies
from stacks.deployment.regions import is_opt_in, partition
from stacks.deployment.research import ResearchConfig
from stacks.deployment.sender import PUBLISHERS_OWN, SenderConfig
from stacks.deployment.state_machine import PLACEHOLDERS, WITH_LANDING, unknown_placeholders
from stacks.deployment.subscriber import SubscriberConfig

DAY_SECONDS = 86_400


def conflicts(
    deployment: Deployment, *, subscribers: Mapping[str, SubscriberConfig], senders: Mapping[str, SenderConfig]
) -> Iterator[Conflict]:
    """All of them. Subscribers and senders by their key in the file: `subscribers[0]`, counted from 0."""
    publisher = deployment.publisher
    yield from policies(subscribers, senders)
    for key, sender in senders.items():
        if sender.region and partition(sender.region) != partition(publisher.region):
            yield Conflict(
                (f"{key}.region", "publisher.region"),
                f"{key}.region = {sender.region!r}: is in the partition {partition(sender.region)}, the publisher's "
                f"Region {publisher.region} in {partition(publisher.region)}; roles do not cross",
            )
    yield from _of_replicas(publisher, subscribers)
    pattern = len(json.dumps({"source": [_OTHERS], "detail-type": [{"anything-but": publisher.detail_types}]}))
    if pattern > LARGEST_PATTERN:
        yield Conflict(
            ("publisher.detail_types",),
            f"publisher.detail_types: {len(publisher.detail_types)} of them make an event pattern of {pattern} "
            f"characters, and EventBridge takes {LARGEST_PATTERN}; use fewer, or none",
        )
    for key, subscriber in subscribers.items():
        if partition(subscriber.region) != partition(publisher.region):
            yield Conflict(
                (f"{key}.region", "publisher.region"),
                f"{key}.region = {subscriber.region!r}: is in the partition {partition(subscriber.region)}, "
                f"the publisher's Region {publisher.region} in {partition(publisher.region)}; SNS does not cross",
            )
        yield from _of_filter(key, publisher, subscriber)
        yield from _of_kind[subscriber.kind](key, publisher, subscriber)
        yield from slow_readers(key, publisher, subscriber)
        yield from late_pointers(key, publisher, subscriber)
        yield from _fed_pipeline(key, subscriber, deployment.research)
    yield from long_names(deployment, subscribers, senders)


_OTHERS = {"anything-but": {"prefix": "aws."}}


def _of_filter(key: str, publisher: PublisherConfig, subscriber: SubscriberConfig) -> Iterator[Conflict]:
    keys = (f"{key}.filter_policy", f"{key}.filter_policy_scope", "publisher.offload")
    scope = f"{key}.filter_policy_scope = {subscriber.filter_policy_scope!r}"
    if subscriber.filter_policy is None:
        if subscriber.filter_policy_scope == "body":
            yield Conflict(keys, f"{scope}: there is no filter_policy; add one, or take this out")
    elif subscriber.filter_policy_scope == "attributes":
        if is_nested(subscriber.filter_policy):
            yield Conflict(
                keys,
                f"{key}.filter_policy = {subscriber.filter_policy}: a key whose value is a table is a property inside "
                "the body, and attributes have none; use a list",
            )
    elif publisher.offload != "never":
        yield Conflict(
            keys,
            f"{scope}: with publisher.offload = {publisher.offload!r} a message's body may be a pointer, whatever is "
            'in its payload, and the filter would drop it; filter on attributes, or use offload = "never"',
        )


def _of_replicas(publisher: PublisherConfig, places: Mapping[str, SubscriberConfig]) -> Iterator[Conflict]:
    regions = {subscriber.region for subscriber in places.values()}
    for index, region in enumerate(publisher.replicas):
        if region == publisher.region:
            problem = "is the publisher's own Region, where the payloads are already; take it out"
        elif region in publisher.replicas[:index]:
            problem = "is there already; name it once"
        elif partition(region) != partition(publisher.region):
            problem = f"is in the partition {partition(region)}, the publisher's Region {publisher.region} in "
            problem += f"{partition(publisher.region)}; S3 does not replicate across"
        elif region not in regions:
            problem = "no subscriber is in that Region, and nobody else reads a replica; take it out"
        else:
            continue
        yield Conflict(
            ("publisher.replicas", "publisher.region", *(f"{key}.region" for key in places)),
            f"publisher.replicas[{index}] = {region!r}: {problem}",
        )


def _of_sqs(key: str, _: PublisherConfig, subscriber: Any) -> Iterator[Conflict]:
    yield from _of_workflow(key, subscriber)
    least = 6 * subscriber.function_timeout_seconds
    visibility, timeout = f"{key}.visibility_timeout_seconds", f"{key}.function_timeout_seconds"
    if subscriber.visibility_timeout < least:
        yield Conflict(
            (visibility, timeout),
            f"{visibility} = {subscriber.visibility_timeout}: must be at least 6 x function_timeout_seconds = {least}, "
            "or a message is received again while it is still being processed",
        )
    tries = subscriber.maximum_receives * subscriber.visibility_timeout
    queue, receives = f"{key}.queue_retention_days", f"{key}.maximum_receives"
    if tries >= subscriber.queue_retention_days * DAY_SECONDS:
        yield Conflict(
            (receives, visibility, timeout, queue),
            f"{receives} = {subscriber.maximum_receives}: so many tries, each {subscriber.visibility_timeout} s apart, "
            f"take longer than the {subscriber.queue_retention_days} days of queue_retention_days, after which SQS "
            "deletes a message before it is dead-lettered; lower the one or raise the other",
        )
    if subscriber.dead_letter_retention_days <= subscriber.queue_retention_days:
        dead_letters = f"{key}.dead_letter_retention_days"
        yield Conflict(
            (dead_letters, queue),
            f"{dead_letters} = {subscriber.dead_letter_retention_days}: must be more than queue_retention_days = "
            f"{subscriber.queue_retention_days}: a message that SQS moves keeps its age, and is deleted at once",
        )


def _of_workflow(key: str, subscriber: Any) -> Iterator[Conflict]:
    """What is behind the queue: our state machine, or one of somebody's own."""
    if subscriber.fan_out and not subscriber.landing:
        yield Conflict(
            (f"{key}.fan_out", f"{key}.landing"),
            f"{key}.fan_out: items are read from a landed payload; add [subscribers.landing]",
        )
    if subscriber.fan_out and subscriber.state_machine:
        yield Conflict(
            (f"{key}.fan_out", f"{key}.state_machine"),
            f"{key}.state_machine: is instead of our state machine, of which fan_out is a part; take the one out or "
            "the other",
        )
    for name, file in subscriber.state_machine or ():
        unknown = unknown_placeholders(file, landing=bool(subscriber.landing)) if file else []
        if unknown:
            known = ", ".join(f"${{{each}}}" for each in (*PLACEHOLDERS, *WITH_LANDING))
            yield Conflict(
                (f"{key}.state_machine", f"{key}.landing"),
                f"{key}.state_machine.{name} = {file!r}: there is no ${{{unknown[0]}}}; there are {known} (Land… with "
                "landing only)",
            )


def _of_task(key: str, task: EcsTaskConfig) -> Iterator[Conflict]:
    if task.image and task.context:
        yield Conflict(
            (f"{key}.task",),
            f"{key}.task.context = {task.context!r}: image is one that is built already; take the one out or the other",
        )
    if not task.is_a_size_of_fargate:
        yield Conflict(
            (f"{key}.task",),
            f"{key}.task.memory_mib = {task.memory_mib}: with cpu = {task.cpu}, Fargate has {task.sizes}",
        )


def _of_lambda(key: str, publisher: PublisherConfig, subscriber: Any) -> Iterator[Conflict]:
    yield from _of_task(key, subscriber.task)
    if publisher.fifo:
        yield Conflict(
            ("publisher.fifo",),
            f'{key}.kind = "lambda": publisher.fifo is true and a FIFO topic delivers to SQS queues only; '
            'use kind = "sqs", or fifo = false',
        )
    if publisher.maximum_message_bytes > SNS_DEFAULT_MAXIMUM_BYTES:
        yield Conflict(
            ("publisher.maximum_message_bytes",),
            f'{key}.kind = "lambda": publisher.maximum_message_bytes = {publisher.maximum_message_bytes} can grow past '
            f"Lambda's asynchronous limit of 1 MB once it is escaped as JSON; with a lambda subscriber at most "
            f"{SNS_DEFAULT_MAXIMUM_BYTES} is safe",
        )
    if subscriber.region != publisher.region and is_opt_in(subscriber.region):
        yield Conflict(
            (f"{key}.region", "publisher.region"),
            f"{key}.region = {subscriber.region!r}: SNS does not deliver from another Region to a function in an "
            f'opt-in Region; use kind = "sqs", or {publisher.region}, where the publisher is',
        )


def _of_https(key: str, publisher: PublisherConfig, subscriber: Any) -> Iterator[Conflict]:
    if publisher.fifo:
        yield Conflict(
            ("publisher.fifo",),
            f'{key}.kind = "https": publisher.fifo is true and a FIFO topic delivers to SQS queues only; '
            'use kind = "sqs", or fifo = false',
        )
    if publisher.maximum_message_bytes > SNS_DEFAULT_MAXIMUM_BYTES:
        yield Conflict(
            ("publisher.maximum_message_bytes",),
            f'{key}.kind = "https": publisher.maximum_message_bytes = {publisher.maximum_message_bytes}: SNS does not '
            f"deliver over HTTPS from a topic with more than {SNS_DEFAULT_MAXIMUM_BYTES}",
        )
    for index, arn in enumerate(subscriber.reader_principals):
        _, owning_partition, _, _, account, _ = arn.split(":", 5)
        if (owning_partition, account) != (partition(subscriber.region), subscriber.account):
            yield Conflict(
                (f"{key}.reader_principals", f"{key}.account", f"{key}.region"),
                f"{key}.reader_principals[{index}] = {arn!r}: must be a role of the subscriber's own account "
                f"{subscriber.account}; another account's goes through a role there",
            )


_of_kind: dict[str, Callable[[str, PublisherConfig, Any], Iterator[Conflict]]] = {
    "sqs": _of_sqs,
    "lambda": _of_lambda,
    "https": _of_https,
}


def clashes(subscribers: object, senders: object, *, with_research: bool) -> Iterator[str]:
    """Two things of one name, whatever else is wrong with them. The file's tables, as they are."""
    yield from _same_endpoints(subscribers)
    taken = {
        "publisher": "the publisher's stack and role",
        "publish": "the publish function",
        "publish-dead-letters": "the publish function's dead-letter queue",
    }
    if with_research:
        taken["research"] = "the research environment's stack"
    for key, name in _names("subscribers", subscribers):
        wanted = [name, f"{name}-undelivered", f"{name}-dead-letters", f"{name}-pipeline-trigger-dead-letters"]
        if clash := next((each for each in wanted if each in taken), None):
            yield f"{key}.name = {name!r}: {clash!r} already names {taken[clash]}; choose another name"
        taken = dict.fromkeys(wanted, f"{key} or a queue of its") | taken
    for key, name in _names("senders", senders):
        stack = f"{name}-sender"
        if name == PUBLISHERS_OWN:
            yield f"{key}.name = {name!r}: is what uploads of the publisher's own account are called; choose another"
        elif stack in taken:
            yield f"{key}.name = {name!r}: {stack!r} already names {taken[stack]}; choose another name"
        taken.setdefault(stack, f"the stack of {key}")


def _same_endpoints(tables: object) -> Iterator[str]:
    """To SNS, one endpoint is one subscription."""
    taken: dict[str, int] = {}
    for index, table in enumerate(tables if isinstance(tables, list) else []):
        endpoint = table.get("endpoint") if isinstance(table, dict) else None
        if isinstance(endpoint, str) and taken.setdefault(endpoint, index) != index:
            yield (
                f"subscribers[{index}].endpoint = {endpoint!r}: subscribers[{taken[endpoint]}] has it already, and to "
                "SNS one endpoint is one subscription; give it an address of its own"
            )


def _names(what: str, tables: object) -> Iterator[tuple[str, str]]:
    for index, table in enumerate(tables if isinstance(tables, list) else []):
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str):
            yield f"{what}[{index}]", name


def _fed_pipeline(key: str, subscriber: SubscriberConfig, research: ResearchConfig | None) -> Iterator[Conflict]:
    """A subscriber feeds a pipeline that there is, in its own account and Region: S3 then needs no policy between."""
    name = subscriber.pipeline if subscriber.kind == "sqs" else None
    if name is None:
        return
    pipelines = [pipeline.name for pipeline in research.pipelines] if research else []
    if name not in pipelines:
        there = ", ".join(pipelines) or "there are none"
        yield Conflict((f"{key}.pipeline",), f"{key}.pipeline = {name!r}: is none of [[research.pipelines]] ({there})")
    elif research and (subscriber.account, subscriber.region) != (research.account, research.region):
        yield Conflict(
            (f"{key}.pipeline", f"{key}.account", f"{key}.region"),
            f"{key}.pipeline = {name!r}: the subscriber is in {subscriber.account} {subscriber.region}, the research "
            f"environment in {research.account} {research.region}; they have to be in the same account and Region",
        )

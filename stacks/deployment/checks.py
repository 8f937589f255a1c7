"""What the parts of a deployment file allow alone, and AWS, or the way of a message, does not allow together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from stacks.deployment import names
from stacks.deployment.filter_policy import is_nested
from stacks.deployment.regions import is_opt_in, partition
from stacks.deployment.state_machine import PLACEHOLDERS, WITH_LANDING, unknown_placeholders

if TYPE_CHECKING:
    from stacks.deployment.ecs_task import EcsTaskConfig
    from stacks.deployment.model import Deployment, PublisherConfig, SenderConfig, SubscriberConfig
    from stacks.deployment.research import ResearchConfig

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
SNS_DEFAULT_MAXIMUM_BYTES = 262_144
EXECUTION_RETRY_DAYS = 1
"""How long a state tries to have a payload landed, and to tell of it, some 15 hours, in whole days."""
EXECUTION_REDRIVE_DAYS = 14
"""How long Step Functions lets a failed execution be redriven. (Its developer guide, "Quotas".)"""
ANSWER_SECONDS = 10
"""What a function keeps back of its time, for answering."""
DAY_SECONDS = 86_400
READ_BYTES_PER_SECOND = 20_000_000
"""What a function reads at least, across Regions. An assumption: AWS promises none."""
LARGEST_PATTERN = 2_048
"""Characters of an event pattern. (EventBridge user guide, "Quotas".)"""
MOST_PARTIES = 36
"""A bucket's policy has 20 KB at most, and each subscriber and each sender a statement in it, of up to 540 bytes where
names are the longest."""
MOST_ENDPOINTS_CHARACTERS = 6_000
"""A topic's policy has 30 KB at most, and each HTTPS endpoint stands in it twice; 18 KB are for everything else."""
MOST_SENDER_ACCOUNTS = 25
"""An event bus's policy has 10 KB at most, and each account that sends a statement in it."""


class Conflict(NamedTuple):
    """`keys` of the file whose values conflict: when one of them is wrong in itself, that is what has to be said."""

    keys: tuple[str, ...]
    text: str


def conflicts(
    deployment: Deployment, *, subscribers: Mapping[str, SubscriberConfig], senders: Mapping[str, SenderConfig]
) -> Iterator[Conflict]:
    """All of them. Subscribers and senders by their key in the file: `subscribers[0]`, counted from 0."""
    publisher = deployment.publisher
    yield from _of_policies(subscribers, senders)
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
        yield from _slow_readers(key, publisher, subscriber)
        yield from _late_pointers(key, publisher, subscriber)
        yield from _fed_pipeline(key, subscriber, deployment.research)
    yield from _long_names(deployment, subscribers, senders)


def _of_policies(
    subscribers: Mapping[str, SubscriberConfig], senders: Mapping[str, SenderConfig]
) -> Iterator[Conflict]:
    accounts = {sender.account for sender in senders.values()}
    if len(accounts) > MOST_SENDER_ACCOUNTS:
        yield Conflict(
            ("senders",), f"senders: in {len(accounts)} accounts; a bus's policy has room for {MOST_SENDER_ACCOUNTS}"
        )
    endpoints = {f"{key}.endpoint": each.endpoint for key, each in subscribers.items() if each.kind == "https"}
    if (characters := sum(map(len, endpoints.values()))) > MOST_ENDPOINTS_CHARACTERS:
        yield Conflict(
            ("subscribers", *endpoints),
            f"subscribers: their endpoints have {characters} characters together; the topic's policy has room for "
            f"{MOST_ENDPOINTS_CHARACTERS}",
        )
    if len(subscribers) + len(senders) > MOST_PARTIES:
        yield Conflict(
            ("subscribers", "senders"),
            f"subscribers: {len(subscribers)} of them, and {len(senders)} senders; a bucket's policy has room for "
            f"{MOST_PARTIES} together",
        )


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
    if subscriber.fan_out and subscriber.definition:
        yield Conflict(
            (f"{key}.fan_out", f"{key}.definition"),
            f"{key}.definition = {subscriber.definition!r}: is instead of our state machine, of which fan_out is "
            "a part; take the one out or the other",
        )
    if subscriber.permissions and not subscriber.definition:
        yield Conflict(
            (f"{key}.permissions", f"{key}.definition"),
            f"{key}.permissions = {subscriber.permissions!r}: is for a definition of your own, and there is none",
        )
    for name in ("definition", "permissions"):
        file = getattr(subscriber, name)
        unknown = unknown_placeholders(file, landing=bool(subscriber.landing)) if file else []
        if unknown:
            known = ", ".join(f"${{{each}}}" for each in (*PLACEHOLDERS, *WITH_LANDING))
            yield Conflict(
                (f"{key}.{name}", f"{key}.landing"),
                f"{key}.{name} = {file!r}: there is no ${{{unknown[0]}}}; there are {known} (Land… with landing only)",
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
    for index, arn in enumerate(subscriber.readers):
        _, owning_partition, _, _, account, _ = arn.split(":", 5)
        if (owning_partition, account) != (partition(subscriber.region), subscriber.account):
            yield Conflict(
                (f"{key}.readers", f"{key}.account", f"{key}.region"),
                f"{key}.readers[{index}] = {arn!r}: must be a role of the subscriber's own account "
                f"{subscriber.account}; another account's goes through a role there",
            )


_of_kind: dict[str, Callable[[str, PublisherConfig, Any], Iterator[Conflict]]] = {
    "sqs": _of_sqs,
    "lambda": _of_lambda,
    "https": _of_https,
}


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


def _slow_readers(key: str, publisher: PublisherConfig, subscriber: SubscriberConfig) -> Iterator[Conflict]:
    """Whoever hands a payload on reads it once, within the function's time-out."""
    if subscriber.kind == "https":
        return
    size, timeout = "publisher.maximum_payload_bytes", f"{key}.function_timeout_seconds"
    needed = -(-publisher.maximum_payload_bytes // READ_BYTES_PER_SECOND) + ANSWER_SECONDS
    if needed > subscriber.function_timeout_seconds:
        yield Conflict(
            (size, timeout),
            f"{timeout} = {subscriber.function_timeout_seconds}: to read {size} = {publisher.maximum_payload_bytes} "
            f"and answer can take {needed} s, at {READ_BYTES_PER_SECOND // 1_000_000} MB/s; raise the one (to 900 at "
            "most), or lower the other",
        )


def _late_pointers(key: str, publisher: PublisherConfig, subscriber: SubscriberConfig) -> Iterator[Conflict]:
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


PUBLISHERS_OWN = "publisher"
"""The sender of what comes from no configured sender's folder."""


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


def _long_names(
    deployment: Deployment, subscribers: Mapping[str, SubscriberConfig], senders: Mapping[str, SenderConfig]
) -> Iterator[Conflict]:
    """Physical names over what AWS takes."""
    limits: list[tuple[tuple[str, ...], str, str, str, int]] = [
        (
            ("name", "publisher.account", "publisher.region"),
            deployment.name,
            "payload bucket",
            names.payload_bucket(deployment),
            63,
        ),
        *(
            (
                ("name", "publisher.account", "publisher.replicas"),
                deployment.name,
                "replica's bucket",
                names.payload_bucket(deployment, region),
                63,
            )
            for region in deployment.publisher.replicas
        ),
        (("name",), deployment.name, "publish function", names.publish_function(deployment), 64),
        (("name",), deployment.name, "archive", names.archive(deployment), 48),
    ]
    for key, sender in senders.items():
        limits.append(((f"{key}.name", "name"), sender.name, "sender role", names.sender_role(deployment, sender), 64))
    for key, subscriber in subscribers.items():
        name = (f"{key}.name", "name")
        placed = (*name, f"{key}.account", f"{key}.region")
        limits += [
            (name, subscriber.name, "reader role", names.reader_role(deployment, subscriber), 64),
            (name, subscriber.name, "redrive queue", names.undelivered_queue(deployment, subscriber), 80),
        ]
        if subscriber.kind != "https":
            limits += [
                (placed, subscriber.name, "inbox bucket", names.staging_bucket(deployment, subscriber), 63),
                (name, subscriber.name, "consume function", names.consume_function(deployment, subscriber), 64),
                (name, subscriber.name, "dead-letter queue", names.dead_letter_queue(deployment, subscriber), 80),
            ]
        if subscriber.kind == "sqs" and subscriber.landing:
            limits.append((placed, subscriber.name, "landing bucket", names.landing_bucket(deployment, subscriber), 63))
    for keys, value, what, name_, limit in limits:
        if len(name_) > limit:
            yield Conflict(keys, f"{keys[0]} = {value!r}: {over(what, name_, limit)}; shorten it")


def over(what: str, name: str, limit: int) -> str:
    """Says that a name is too long."""
    return f"the {what}'s name {name!r} has {len(name)} characters, {limit} at most"

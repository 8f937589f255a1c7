"""Quotas of AWS: lengths of names, sizes of policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacks.deployment import names
from stacks.deployment.model import BaseDeployment, Deployment
from stacks.deployment.problems import Conflict
from stacks.deployment.research import ResearchConfig
from stacks.deployment.sender import SenderConfig
from stacks.deployment.subscriber import SubscriberConfig

LARGEST_PATTERN = 2_048
"""Characters of an event pattern. (EventBridge user guide, "Quotas".)"""
MOST_PARTIES = 36
"""A bucket's policy has 20 KB at most, and each subscriber and each sender a statement in it, of up to 540 bytes where
names are the longest."""
MOST_ENDPOINTS_CHARACTERS = 6_000
"""A topic's policy has 30 KB at most, and each HTTPS endpoint stands in it twice; 18 KB are for everything else."""
MOST_SENDER_ACCOUNTS = 25
"""An event bus's policy has 10 KB at most, and each account that sends a statement in it."""


def policies(subscribers: Mapping[str, SubscriberConfig], senders: Mapping[str, SenderConfig]) -> Iterator[Conflict]:
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


def long_names(
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


def research_names(deployment: BaseDeployment, research: ResearchConfig) -> Iterator[tuple[str, str, str, str, int]]:
    """Names with a limit: the key that makes them, its value, what is named, its name, how long that may be."""
    yield "name", deployment.name, "data bucket", names.data_bucket(deployment, research), 63
    yield "name", deployment.name, "image build function", names.image_build_function(deployment), 64
    for index, user in enumerate(research.users):
        yield f"research.users[{index}].name", user.name, "user's profile", user.profile, 63
        yield f"research.users[{index}].name", user.name, "user's role", names.studio_role(deployment, user), 64
    for index, image in enumerate(research.images):
        for app in image.apps:
            config = names.app_image_config(deployment, image, app)
            yield f"research.images[{index}].name", image.name, "image's configuration", config, 63
    for index, each in enumerate(research.pipelines):
        # SageMaker adds the execution and the step to it, for a job's name.
        yield f"research.pipelines[{index}].name", each.name, "pipeline", names.pipeline(deployment, each), 40
    for index, space in enumerate(research.spaces):
        yield f"research.spaces[{index}].name", space.name, "space", space.name, 63

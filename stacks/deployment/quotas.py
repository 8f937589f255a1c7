"""Quotas of AWS: lengths of names, sizes of policies and patterns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from stacks.deployment.model import Deployment
from stacks.deployment.names import Names, PublisherNames, ResearchNames, SubscriberNames
from stacks.deployment.problems import Problem
from stacks.deployment.research import ResearchConfig
from stacks.deployment.subscriber import SubscriberConfig

EVENT_PATTERN_CHARACTERS = 2_048
"""Maximum length of an event pattern. (EventBridge user guide, "Quotas".)"""
SUBSCRIBERS_AND_SENDERS = 29
"""A bucket policy has at most 20 KB. Each subscriber and sender adds a statement of up to 630 bytes. A sender in the
publisher's account adds two. 500 bytes stay free, also in an `ephemeral` deployment, where CDK adds a
statement."""
ENDPOINT_CHARACTERS = 6_000
"""A topic policy has at most 30 KB and names each HTTPS endpoint twice. 18 KB are reserved for the rest."""
SENDER_ACCOUNTS = 25
"""An event bus policy has at most 10 KB. Each account that sends adds a statement."""

COMMAND_CHARACTERS = 50_000
"""A task definition has at most 64 KiB. (ECS developer guide, "Service quotas".)"""
READER_CHARACTERS = 3_500
"""A trust policy has 2 KB, and 4 KB after an increase of the quota. `coatcheck check` reports the quota before."""
OWN_VARIABLES = {"state_machine": 3_000, "ecs_task": 2_100, "function": 3_000}
"""Bytes for variables of own code, by application. Lambda allows 4 KB for all variables of a function, and those of
coatcheck name up to 16 subnets of an ECS task."""

BUCKET_LENGTH = 63
FUNCTION_LENGTH = 64
QUEUE_LENGTH = 80
ROLE_LENGTH = 64


class _Name(NamedTuple):
    """A physical name, its quota, and the key of the file that makes it too long."""

    key: str
    value: str
    noun: str
    name: str
    quota: int


def check_messaging(deployment: Deployment, names: Names) -> Iterator[Problem]:
    """Check the names and policies of a deployment with messages."""
    yield from _check_policies(deployment)
    yield from _check_lengths(_publisher_names(deployment.name, names.publisher))
    for index, sender in enumerate(deployment.senders):
        role = names.senders[sender.name].role.name
        yield from _check_lengths([_Name(f"senders[{index}].name", sender.name, "sender role", role, ROLE_LENGTH)])
    for index, subscriber in enumerate(deployment.subscribers):
        key = f"subscribers[{index}].name"
        yield from _check_lengths(_subscriber_names(key, subscriber, names.subscribers[subscriber.name]))


def check_research(research: ResearchConfig, names: ResearchNames) -> Iterator[Problem]:
    """Check the names of a research environment."""
    yield from _check_lengths(_research_names(research, names))


def _check_policies(deployment: Deployment) -> Iterator[Problem]:
    pattern = json.dumps(unmatched_pattern(deployment.publisher.detail_types))
    if len(pattern) > EVENT_PATTERN_CHARACTERS:
        yield Problem(
            "publisher.detail_types",
            None,
            f"{len(deployment.publisher.detail_types)} detail-types make an event pattern of {len(pattern)} "
            f"characters. EventBridge allows {EVENT_PATTERN_CHARACTERS}. Use fewer detail-types, or none.",
        )
    accounts = {sender.account for sender in deployment.senders}
    if len(accounts) > SENDER_ACCOUNTS:
        yield Problem(
            "senders",
            None,
            f"are in {len(accounts)} accounts. Use at most {SENDER_ACCOUNTS}: the event bus's policy names each.",
        )
    characters = sum(len(subscriber.endpoint) for subscriber in deployment.subscribers if subscriber.kind == "https")
    if characters > ENDPOINT_CHARACTERS:
        yield Problem(
            "subscribers",
            None,
            f"their endpoints have {characters} characters together. Use at most {ENDPOINT_CHARACTERS}: the topic's "
            "policy names each.",
        )
    parties = len(deployment.subscribers) + len(deployment.senders)
    parties += sum(sender.account == deployment.publisher.account for sender in deployment.senders)
    if parties > SUBSCRIBERS_AND_SENDERS:
        yield Problem(
            "subscribers",
            None,
            f"there are {parties} subscribers and senders. Use at most {SUBSCRIBERS_AND_SENDERS}: the bucket's policy "
            "has a statement for each.",
        )


def unmatched_pattern(detail_types: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return the archive's event pattern, which is longer than the rule's: events that are not published.

    Without `detail_types` it matches nothing, because every event has a detail-type. Events of AWS services are neither
    published nor archived. Events of partners, which an application can forward, are.
    """
    return {
        "source": [{"anything-but": {"prefix": "aws."}}, {"prefix": "aws.partner/"}],
        "detail-type": [{"anything-but": list(detail_types)} if detail_types else {"exists": False}],
    }


def _check_lengths(names: Iterator[_Name] | list[_Name]) -> Iterator[Problem]:
    for key, value, noun, name, quota in names:
        if len(name) > quota:
            yield Problem(
                key, value, f'the {noun}\'s name "{name}" has {len(name)} characters. AWS allows {quota}. Shorten it.'
            )


def _publisher_names(name: str, names: PublisherNames) -> Iterator[_Name]:
    yield _Name("name", name, "payload bucket", names.payload_bucket.bucket.name, BUCKET_LENGTH)
    for replica in names.replicas.values():
        yield _Name("name", name, "replica", replica.bucket.name, BUCKET_LENGTH)
    yield _Name("name", name, "publish function", names.publish_function.name, FUNCTION_LENGTH)
    yield _Name("name", name, "archive", names.archive.name, 48)


def _subscriber_names(key: str, subscriber: SubscriberConfig, names: SubscriberNames) -> Iterator[_Name]:
    name = subscriber.name
    yield _Name(key, name, "reader role", names.reader_role.name, ROLE_LENGTH)
    yield _Name(key, name, "undelivered queue", names.undelivered_queue.name, QUEUE_LENGTH)
    if subscriber.kind != "https":
        yield _Name(key, name, "dead-letter queue", names.dead_letter_queue.name, QUEUE_LENGTH)
        if subscriber.hands_off:
            yield _Name(key, name, "staging bucket", names.staging_bucket.name, BUCKET_LENGTH)
        if names.has_consume_function:
            yield _Name(key, name, "consume function", names.consume_function.name, FUNCTION_LENGTH)
        if subscriber.landing:
            yield _Name(key, name, "landing bucket", names.landing_bucket.name, BUCKET_LENGTH)


def _research_names(research: ResearchConfig, names: ResearchNames) -> Iterator[_Name]:
    yield _Name("name", names.prefix, "data bucket", names.data_bucket.name, BUCKET_LENGTH)
    yield _Name("name", names.prefix, "image build function", names.image_build_function.name, FUNCTION_LENGTH)
    for index, user in enumerate(research.users):
        key = f"research.users[{index}].name"
        yield _Name(key, user.name, "profile", user.profile, 63)
        yield _Name(key, user.name, "user's role", names.studio_role(user).name, ROLE_LENGTH)
    for index, image in enumerate(research.images):
        for app in image.apps:
            config = names.app_image_config(image, app).name
            yield _Name(f"research.images[{index}].name", image.name, "image configuration", config, 63)
    for index, pipeline in enumerate(research.pipelines):
        # SageMaker appends the execution and the step to a job's name.
        key = f"research.pipelines[{index}].name"
        yield _Name(key, pipeline.name, "pipeline job", names.pipeline_job(pipeline.name), 40)
    for index, space in enumerate(research.spaces):
        yield _Name(f"research.spaces[{index}].name", space.name, "space", space.name, 63)

"""Checks between keys of the deployment file: values that are valid alone but not together."""

from __future__ import annotations

import json
from collections.abc import Iterator

from stacks.deployment import payload_lifetime, platform_checks, quotas, research_checks
from stacks.deployment.ecs_task import EcsTaskConfig
from stacks.deployment.filter_policy import is_nested
from stacks.deployment.filter_reach import reaching
from stacks.deployment.model import Deployment, ResearchDeployment
from stacks.deployment.names import Names, ResearchNames
from stacks.deployment.own_code import RESERVE_SECONDS
from stacks.deployment.permissions import excessive_permissions
from stacks.deployment.problems import Problem
from stacks.deployment.publisher import SNS_DEFAULT_MAXIMUM_BYTES, PublisherConfig
from stacks.deployment.regions import has_resource_type, is_isolated, is_opt_in_for_sns, partition
from stacks.deployment.research import ResearchConfig
from stacks.deployment.sender import PUBLISHERS_OWN
from stacks.deployment.state_machine import LANDING_PLACEHOLDERS, PLACEHOLDERS, unknown_placeholders
from stacks.deployment.subscriber import (
    FunctionSubscriberConfig,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
)
from stacks.deployment.types import Table

DAY_SECONDS = 86_400
_WITH_FUNCTION = ("state_machine", "ecs_task", "function")
_APPLICATIONS_OF = {
    **dict.fromkeys(("landing", "pipeline", "state_machine"), ("state_machine",)),
    **dict.fromkeys(("task", "network"), ("ecs_task",)),
    **dict.fromkeys(("function_timeout_seconds", "batch_size", "maximum_concurrency"), _WITH_FUNCTION),
    "code": _WITH_FUNCTION,
    "reader_principals": ("queue",),
}
"""The applications to which a key applies. Other keys apply to all."""


def check(deployment: Deployment | ResearchDeployment) -> Iterator[Problem]:
    """Yield all problems between the keys of a deployment file whose values are valid."""
    if isinstance(deployment, Deployment):
        yield from _check_messaging(deployment)
    yield from platform_checks.check(deployment)
    if deployment.research:
        yield from research_checks.check(deployment.research)
        yield from quotas.check_research(deployment.research, ResearchNames(deployment.name, deployment.research))


def _check_messaging(deployment: Deployment) -> Iterator[Problem]:
    publisher, names = deployment.publisher, Names(deployment)
    yield from _check_duplicates(deployment, names)
    yield from _check_endpoints(deployment.subscribers)
    yield from _check_replicas(deployment)
    for index, sender in enumerate(deployment.senders):
        yield from _check_partition(f"senders[{index}].region", sender.region or publisher.region, publisher)
    for index, subscriber in enumerate(deployment.subscribers):
        key = f"subscribers[{index}]"
        yield from _check_partition(f"{key}.region", subscriber.region, publisher)
        yield from _check_filter(key, subscriber, deployment)
        match subscriber:
            case SqsSubscriberConfig():
                yield from _check_sqs(key, subscriber, publisher)
                yield from _check_reader_principals(key, subscriber)
            case LambdaSubscriberConfig():
                yield from _check_lambda(key, subscriber, publisher)
            case HttpsSubscriberConfig():
                yield from _check_https(key, subscriber, publisher)
        if subscriber.kind != "https":
            yield from _check_delivery(key, subscriber, publisher)
            yield from _check_application(key, subscriber, publisher)
            yield from _check_code(key, subscriber, names)
            yield from _check_state_machine(key, subscriber, names)
            yield from _check_pipeline(key, subscriber, deployment.research)
            if subscriber.application == "ecs_task":
                yield from _check_build(key, subscriber)
                yield from _check_task(f"{key}.task", subscriber.task)
        yield from payload_lifetime.check_lifetime(key, subscriber, publisher)
    yield from payload_lifetime.check_archive(publisher)
    yield from quotas.check_messaging(deployment, names)


def _check_duplicates(deployment: Deployment, names: Names) -> Iterator[Problem]:
    """Check that stacks, queues and the publish function have different names."""
    taken = {
        names.publisher.stack: "the publisher's stack and role",
        names.publisher.publish_function.name: "the publish function",
        names.publisher.dead_letter_queue.name: "the publish function's dead-letter queue",
    }
    if names.research:
        taken[names.research.stack] = "the research stack"
        taken[names.research.budget_stack] = "the budget's stack"
    for index, subscriber in enumerate(deployment.subscribers):
        key, own = f"subscribers[{index}]", names.subscribers[subscriber.name]
        wanted = (
            *(own.stack, own.queue.name, own.undelivered_stack, own.undelivered_queue.name),
            *(own.dead_letter_queue.name, own.pipeline_trigger_dead_letter_queue.name),
        )
        yield from _check_taken(f"{key}.name", subscriber.name, wanted, taken)
        taken = dict.fromkeys(wanted, f"{key} or one of its queues") | taken
    for index, sender in enumerate(deployment.senders):
        key, stack = f"senders[{index}]", names.senders[sender.name].stack
        if sender.name == PUBLISHERS_OWN:
            text = "is reserved for uploads from the publisher's account. Choose another name."
            yield Problem(f"{key}.name", sender.name, text)
        yield from _check_taken(f"{key}.name", sender.name, (stack,), taken)
        taken.setdefault(stack, f"the stack of {key}")
    yield from _check_roles(deployment, names)


def _check_roles(deployment: Deployment, names: Names) -> Iterator[Problem]:
    """Check that a researcher's role has another name than the roles of subscribers and senders in the account."""
    taken = {
        names.senders[sender.name].role.arn: f"senders[{index}]" for index, sender in enumerate(deployment.senders)
    }
    for index, subscriber in enumerate(deployment.subscribers):
        taken |= dict.fromkeys((role.arn for role in names.subscribers[subscriber.name].roles), f"subscribers[{index}]")
    for index, user in enumerate(deployment.research.users if deployment.research else ()):
        role = names.research.studio_role(user) if names.research else None
        if role and role.arn in taken:
            text = f'the name of its role "{role.name}" is already used by {taken[role.arn]}. Choose another name.'
            yield Problem(f"research.users[{index}].name", user.name, text)


def _check_taken(key: str, value: str, names: tuple[str, ...], taken: dict[str, str]) -> Iterator[Problem]:
    for name in names:
        if name in taken:
            yield Problem(key, value, f'the name "{name}" is already used by {taken[name]}. Choose another name.')
            return


def _check_endpoints(subscribers: tuple[SubscriberConfig, ...]) -> Iterator[Problem]:
    keys: dict[str, str] = {}
    for index, subscriber in enumerate(subscribers):
        if subscriber.kind == "https":
            key = f"subscribers[{index}]"
            first = keys.setdefault(subscriber.endpoint, key)
            if first != key:
                yield Problem(
                    f"{key}.endpoint",
                    subscriber.endpoint,
                    f"is also the endpoint of {first}. SNS allows one subscription for each: use another URL.",
                )


def _check_partition(key: str, region: str, publisher: PublisherConfig) -> Iterator[Problem]:
    """Check that a Region is in the publisher's partition: neither roles nor messages cross partitions."""
    own = partition(publisher.region)
    if partition(region) != own:
        yield Problem(
            key,
            region,
            f'is in the partition {partition(region)}, and publisher.region = "{publisher.region}" in {own}. Use a '
            "Region in the same partition.",
        )


def _check_replicas(deployment: Deployment) -> Iterator[Problem]:
    publisher = deployment.publisher
    regions = {subscriber.region for subscriber in deployment.subscribers}
    for index, region in enumerate(publisher.replicas):
        key = f"publisher.replicas[{index}]"
        yield from _check_partition(key, region, publisher)
        if region == publisher.region:
            text = "is the publisher's Region, which already has the payload bucket. Remove it."
            yield Problem(key, region, text)
        elif region not in regions:
            text = "no subscriber is in this Region, so the replica would not be read. Remove it."
            yield Problem(key, region, text)


def _check_filter(key: str, subscriber: SubscriberConfig, deployment: Deployment) -> Iterator[Problem]:
    policy, scope, publisher = subscriber.filter_policy, subscriber.filter_policy_scope, deployment.publisher
    if policy and scope == "attributes" and is_nested(policy):
        yield Problem(
            f"{key}.filter_policy",
            json.loads(policy),
            "has a table as a key's value, and message attributes are not nested. Use a list of accepted values.",
        )
    elif policy and scope == "attributes" and not set(reaching(deployment, policy)):
        yield Problem(
            f"{key}.filter_policy",
            json.loads(policy),
            "can match no message, from the bus, the outbox or the library: no attribute has such a name or value. "
            "Correct it. See docs/sending-and-receiving.md for the attributes.",
        )
    if not policy and scope == "body":
        text = "applies only with filter_policy. Add filter_policy or remove filter_policy_scope."
        yield Problem(f"{key}.filter_policy_scope", scope, text)
    if policy and scope == "body" and publisher.offload != "never":
        yield Problem(
            f"{key}.filter_policy_scope",
            scope,
            f'with publisher.offload = "{publisher.offload}", a body may be a pointer, which the filter would drop. '
            'Filter on attributes, or set publisher.offload = "never".',
        )


def _check_sqs(key: str, subscriber: SqsSubscriberConfig, publisher: PublisherConfig) -> Iterator[Problem]:
    minimum = 6 * subscriber.function_timeout_seconds
    if subscriber.visibility_timeout < minimum and not subscriber.is_polled:
        yield Problem(
            f"{key}.visibility_timeout_seconds",
            subscriber.visibility_timeout,
            f"is less than 6 x function_timeout_seconds = {minimum}, so a message could be received again while it is "
            f"processed. Use at least {minimum}.",
        )
    retention = subscriber.queue_retention_days
    receives = subscriber.receives(fifo=publisher.fifo)
    if receives * subscriber.visibility_timeout >= retention * DAY_SECONDS:
        yield Problem(
            f"{key}.maximum_receives",
            subscriber.maximum_receives,
            f"{receives} receives, {subscriber.visibility_timeout} s apart, take longer than "
            f"queue_retention_days = {retention}, so SQS would delete messages instead of dead-lettering them. Lower "
            "maximum_receives or raise queue_retention_days.",
        )
    if subscriber.dead_letter_retention_days <= retention:
        yield Problem(
            f"{key}.dead_letter_retention_days",
            subscriber.dead_letter_retention_days,
            f"must be more than queue_retention_days = {retention}: a dead-lettered message keeps its age, and SQS "
            "would delete it at once. Raise dead_letter_retention_days or lower queue_retention_days.",
        )


def _check_application(key: str, subscriber: FunctionSubscriberConfig, publisher: PublisherConfig) -> Iterator[Problem]:
    """Check that the kind can deliver to the application, and that no key is for another application."""
    application = subscriber.application
    if application == "queue" and subscriber.kind == "lambda":
        text = 'a service can poll the queue of kind = "sqs" only. Use kind = "sqs", or another application.'
        yield Problem(f"{key}.application", application, text)
    if application == "ecs_task" and subscriber.kind == "sqs" and publisher.fifo:
        yield Problem(
            f"{key}.application",
            application,
            "tasks of a message group run at the same time, so that publisher.fifo = true has no effect on them. Use "
            'application = "function" or publisher.fifo = false.',
        )
    if application == "function" and not subscriber.code:
        text = "is own code alone, and there is none. Add [subscribers.code] with the folder of the code."
        yield Problem(f"{key}.application", application, text)
    for name, field in type(subscriber).model_fields.items():
        value, needed = getattr(subscriber, name), _APPLICATIONS_OF.get(name, (application,))
        if application in needed or value == field.default:
            continue
        shown = value.model_dump(mode="json", exclude_unset=True) if isinstance(value, Table) else value
        known = " or ".join(f'"{each}"' for each in needed)
        text = f'applies with application = {known}, and application is "{application}". Remove {name} or change it.'
        yield Problem(f"{key}.{name}", shown, text)


def _check_code(key: str, subscriber: FunctionSubscriberConfig, names: Names) -> Iterator[Problem]:
    code = subscriber.code
    if not code:
        return
    batch = subscriber.batch_size if subscriber.kind == "sqs" else 1
    needed = batch * code.timeout_seconds + RESERVE_SECONDS
    if subscriber.function_timeout_seconds < needed:
        of_batch = f"{batch} x " if subscriber.kind == "sqs" else ""
        yield Problem(
            f"{key}.function_timeout_seconds",
            subscriber.function_timeout_seconds,
            f"own code may take {of_batch}{code.timeout_seconds} s, and the function needs {RESERVE_SECONDS} s more. "
            f"Use at least {needed}, or lower code.timeout_seconds{' or batch_size' if of_batch else ''}.",
        )
    size = len(json.dumps(code.environment, ensure_ascii=False).encode())
    limit = quotas.OWN_VARIABLES.get(subscriber.application, size)
    if size > limit:
        text = f"has {size} bytes. Use at most {limit}: Lambda allows 4 KB for all variables of the function."
        yield Problem(f"{key}.code.environment", None, text)
    if file := code.permissions:
        for placeholder in unknown_placeholders(file, known=()):
            text = f"the placeholder ${{{placeholder}}} has no value. Use an ARN."
            yield Problem(f"{key}.code.permissions", file, text)
        for text in excessive_permissions(file, names):
            yield Problem(f"{key}.code.permissions", file, text)


def _check_state_machine(key: str, subscriber: FunctionSubscriberConfig, names: Names) -> Iterator[Problem]:
    placeholders = (*PLACEHOLDERS, *(LANDING_PLACEHOLDERS if subscriber.landing else ()))
    for name, file in subscriber.state_machine or ():
        for placeholder in unknown_placeholders(file, known=placeholders) if file else ():
            known = ", ".join(f"${{{known}}}" for known in PLACEHOLDERS)
            remedy = "Add [subscribers.landing]" if placeholder in LANDING_PLACEHOLDERS else f"Use one of {known}"
            text = f"the placeholder ${{{placeholder}}} has no value. {remedy}."
            yield Problem(f"{key}.state_machine.{name}", file, text)
    if file := subscriber.state_machine and subscriber.state_machine.permissions:
        for text in excessive_permissions(file, names):
            yield Problem(f"{key}.state_machine.permissions", file, text)


def _check_pipeline(
    key: str, subscriber: FunctionSubscriberConfig, research: ResearchConfig | None
) -> Iterator[Problem]:
    """Check that the pipeline is in the subscriber's account and Region, so that no cross-account policy is needed."""
    name = subscriber.pipeline
    if name is None:
        return
    pipelines = [pipeline.name for pipeline in research.pipelines] if research else []
    if name not in pipelines:
        text = f"is not in [[research.pipelines]] ({', '.join(pipelines) or 'which is empty'}). Add it there."
        yield Problem(f"{key}.pipeline", name, text)
    elif research and (subscriber.account, subscriber.region) != (research.account, research.region):
        yield Problem(
            f"{key}.pipeline",
            name,
            f"the subscriber is in {subscriber.account} {subscriber.region}, the research environment in "
            f"{research.account} {research.region}. Use the same account and Region for both.",
        )


def _check_delivery(key: str, subscriber: SubscriberConfig, publisher: PublisherConfig) -> Iterator[Problem]:
    """Check that SNS delivers between the Regions."""
    pair = {subscriber.region, publisher.region}
    if len(pair) == 2 and all(map(is_opt_in_for_sns, pair)):
        yield Problem(
            f"{key}.region",
            subscriber.region,
            f'SNS does not deliver between two opt-in Regions (or Osaka), and publisher.region = "{publisher.region}". '
            "Use that Region or one that is enabled by default.",
        )


def _check_lambda(key: str, subscriber: LambdaSubscriberConfig, publisher: PublisherConfig) -> Iterator[Problem]:
    yield from _check_fifo(key, subscriber, publisher)
    if publisher.maximum_message_bytes > SNS_DEFAULT_MAXIMUM_BYTES:
        yield Problem(
            f"{key}.kind",
            "lambda",
            f"a message of publisher.maximum_message_bytes = {publisher.maximum_message_bytes}, escaped as JSON, can "
            f"exceed Lambda's limit of 1 MB for asynchronous events. Use at most {SNS_DEFAULT_MAXIMUM_BYTES}.",
        )
    if subscriber.region != publisher.region and is_opt_in_for_sns(subscriber.region):
        yield Problem(
            f"{key}.region",
            subscriber.region,
            "SNS does not deliver from another Region to a function in an opt-in Region or Osaka. Use "
            f'kind = "sqs" or region = "{publisher.region}".',
        )


def _check_https(key: str, subscriber: HttpsSubscriberConfig, publisher: PublisherConfig) -> Iterator[Problem]:
    yield from _check_fifo(key, subscriber, publisher)
    if publisher.maximum_message_bytes > SNS_DEFAULT_MAXIMUM_BYTES:
        yield Problem(
            f"{key}.kind",
            "https",
            f"SNS does not deliver over HTTPS from a topic with publisher.maximum_message_bytes = "
            f"{publisher.maximum_message_bytes}. Use at most {SNS_DEFAULT_MAXIMUM_BYTES}.",
        )
    yield from _check_reader_principals(key, subscriber)


def _check_reader_principals(key: str, subscriber: SqsSubscriberConfig | HttpsSubscriberConfig) -> Iterator[Problem]:
    characters = sum(map(len, subscriber.reader_principals))
    if characters > quotas.READER_CHARACTERS:
        text = (
            f"have {characters} characters together. Use at most {quotas.READER_CHARACTERS}: the role's trust policy "
            "names each. Use one role that the others may assume."
        )
        yield Problem(f"{key}.reader_principals", None, text)
    for index, arn in enumerate(subscriber.reader_principals):
        _, role_partition, _, _, account, _ = arn.split(":", 5)
        if (role_partition, account) != (partition(subscriber.region), subscriber.account):
            yield Problem(
                f"{key}.reader_principals[{index}]",
                arn,
                f"is not a role of the subscriber's account {subscriber.account}. Use a role of that account, which "
                "roles of other accounts may assume.",
            )


def _check_fifo(
    key: str, subscriber: LambdaSubscriberConfig | HttpsSubscriberConfig, publisher: PublisherConfig
) -> Iterator[Problem]:
    if publisher.fifo:
        yield Problem(
            f"{key}.kind",
            subscriber.kind,
            'SNS delivers from a FIFO topic to SQS queues only. Use kind = "sqs" or publisher.fifo = false.',
        )


def _check_build(key: str, subscriber: FunctionSubscriberConfig) -> Iterator[Problem]:
    """Check that the task's image can be built in the Region."""
    if subscriber.task.image:
        return
    if not has_resource_type(subscriber.region, "AWS::CodeBuild::Project"):
        reason = "where CloudFormation has no AWS::CodeBuild::Project to build it"
    elif is_isolated(subscriber.region):
        reason = "from which a build does not reach the base image in ECR Public"
    else:
        return
    yield Problem(
        f"{key}.task.image",
        None,
        f"is required in {subscriber.region}, {reason}. Add an existing arm64 image with its digest.",
    )


def _check_task(key: str, task: EcsTaskConfig) -> Iterator[Problem]:
    if task.image and task.context:
        text = "applies only without image. Remove context or image."
        yield Problem(f"{key}.context", task.context, text)
    if (characters := sum(map(len, task.command))) > quotas.COMMAND_CHARACTERS:
        text = f"has {characters} characters. Use at most {quotas.COMMAND_CHARACTERS}: ECS limits a task definition."
        yield Problem(f"{key}.command", None, text)
    if not task.has_valid_size:
        text = f"Fargate does not offer it with cpu = {task.cpu}. Use {task.memory_choices}."
        yield Problem(f"{key}.memory_mib", task.memory_mib, text)

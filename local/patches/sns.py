"""SNS's gaps: subscriptions and deliveries across accounts and Regions, and what a subscription may be."""

from __future__ import annotations

import contextlib
import contextvars
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region
from ministack.services import sns, sqs

from local.patches import lambda_, sns_https
from local.patches.patch import instead_of, instead_of_handler, on_each_deployment
from local.patches.policy import scope_of

_DEFAULT_MAXIMUM = 262_144


def install() -> None:
    """Fill every gap of SNS, those of its other file included."""
    subscribing_has_its_condition_keys()
    subscription_reaches_other_accounts()
    delivery_reaches_functions_of_other_accounts()
    undeliverable_is_redriven()
    topic_properties_by_cloudformation()
    maximum_message_size_is_the_topics()
    sns_https.install()


# --- subscribing ------------------------------------------------------------------------------------------------------

# What the policies are asked with: the keys of the subscription being made.
_NO_KEYS: Mapping[str, str] = MappingProxyType({})
_subscription_keys = contextvars.ContextVar("subscription_keys", default=_NO_KEYS)


@contextlib.contextmanager
def _subscribing(protocol: str, endpoint: str) -> Iterator[None]:
    token = _subscription_keys.set({"sns:protocol": protocol, "sns:endpoint": endpoint})
    try:
        yield
    finally:
        _subscription_keys.reset(token)


def subscribing_has_its_condition_keys() -> None:
    """AWS: policies on sns:Subscribe see `sns:Protocol` and `sns:Endpoint`.

    The emulator: supplies neither, so that a condition on them never allows, and `StringNotEquals` always denies.
    """

    @instead_of(iam_actions, "request_tag_context")
    def context(original: Any, service: str, action: str, body: bytes, parameters: Any) -> Any:
        found = original(service, action, body, parameters)
        if action != "sns:Subscribe":
            return found
        keys = {"sns:protocol": sns._p(parameters, "Protocol"), "sns:endpoint": sns._p(parameters, "Endpoint")}
        return {**found, **keys}

    @instead_of(sns, "_subscribe")
    def subscribe(original: Any, parameters: Any) -> Any:
        with _subscribing(sns._p(parameters, "Protocol"), sns._p(parameters, "Endpoint")):
            return original(parameters)

    @instead_of(sns, "_enforce_topic_policy")
    def enforce(original: Any, topic: dict[str, Any], action: str) -> Any:
        if action != "sns:Subscribe":
            return original(topic, action)
        if _may_subscribe(topic, iam_evaluator.caller_arn()):
            return None
        return sns._error("AuthorizationError", _refusal(topic["arn"], iam_evaluator.caller_arn()), 403)


def _may_subscribe(topic: dict[str, Any], caller: str) -> bool:
    owner = parse_arn(topic["arn"]).account_id
    context = iam_evaluator.EvalContext(
        principal_arn=caller,
        principal_type="Root",
        principal_account=get_account_id(),
        action="sns:Subscribe",
        resource_arn=topic["arn"],
        region=parse_arn(topic["arn"]).region,
        service_context=dict(_subscription_keys.get()),
    )
    return bool(
        iam_evaluator.resource_policy_allows(topic["attributes"].get("Policy"), context, owner == get_account_id())
    )


def _refusal(topic_arn: str, caller: str) -> str:
    return (
        f"User: {caller} is not authorized to perform: SNS:Subscribe on resource: {topic_arn} because no "
        "resource-based policy allows the SNS:Subscribe action, or one denies it"
    )


def subscription_reaches_other_accounts() -> None:
    """AWS: an AWS::SNS::Subscription to another account's topic, with `Region` in another Region too, is made if the
    topic's policy allows it, and fails the stack if not.

    The emulator: says CREATE_COMPLETE and makes nothing; to a topic of the same account it asks no policy.
    """

    @instead_of_handler("AWS::SNS::Subscription", "create")
    def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        topic, subscriber = _subscribable(properties), get_account_id()
        with scope_of(topic["arn"]):
            physical_id, attributes = original(logical_id, properties, stack)
            made = sns._find_subscription(topic["arn"], physical_id)
            made["owner"] = subscriber
            made["attributes"]["Owner"] = subscriber
            sns._refresh_subscription_counts(topic)
        return physical_id, attributes

    @instead_of_handler("AWS::SNS::Subscription", "update")
    def update(
        original: Any, physical_id: str, old: Any, new: dict[str, Any], stack: str, logical_id: Any = None
    ) -> Any:
        if any(old.get(name) != new.get(name) for name in ("TopicArn", "Protocol", "Endpoint")):
            made = create(logical_id, new, stack)
            delete(physical_id, old)
            return made
        with scope_of(physical_id):
            return original(physical_id, old, new, stack, logical_id)

    @instead_of_handler("AWS::SNS::Subscription", "delete")
    def delete(original: Any, physical_id: str, properties: Any) -> Any:
        with scope_of(physical_id):
            return original(physical_id, properties)


def _subscribable(properties: dict[str, Any]) -> dict[str, Any]:
    """The topic a template subscribes to, in its owner's scope. Raises ValueError, which fails the resource."""
    arn = properties["TopicArn"]
    spec = parse_arn(arn)
    region = properties.get("Region") or get_region()
    if region != spec.region:
        raise ValueError(f"Invalid parameter: TopicArn: {arn} is not in {region}; set the property Region.")
    topic: dict[str, Any] | None = sns._topics.get_scoped(spec.account_id, spec.region, arn)
    if topic is None:
        raise ValueError(f"Topic does not exist: {arn}")
    caller = f"arn:aws:iam::{get_account_id()}:root"
    with _subscribing(properties.get("Protocol", ""), properties.get("Endpoint", "")):
        if not _may_subscribe(topic, caller):
            raise ValueError(_refusal(arn, caller))
    return topic


# --- delivering -------------------------------------------------------------------------------------------------------


def delivery_reaches_functions_of_other_accounts() -> None:
    """AWS: SNS invokes a subscribed function of any account, asynchronously, if the function's policy lets the topic.

    The emulator: only within the account, asking no policy, once, with no retry and no on-failure destination.
    """

    @instead_of(sns, "_deliver_to_lambda")
    def deliver(
        _original: Any, endpoint: str, envelope: str, topic_arn: str, subscription_arn: str, *_rest: Any
    ) -> None:
        record = {
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription_arn,
            "EventSource": "aws:sns",
            "Sns": json.loads(envelope),
        }
        accepted = lambda_.invoke_for_service(
            endpoint, {"Records": [record]}, service="sns.amazonaws.com", source=topic_arn
        )
        if not accepted:
            sns.logger.warning("%s may not invoke %s, or there is no such function", topic_arn, endpoint)
            redrive(topic_arn, "lambda", endpoint, envelope)


def undeliverable_is_redriven() -> None:
    """AWS: what cannot be delivered to a subscription goes to the queue in its RedrivePolicy, if that queue's policy
    lets the topic.

    The emulator: keeps the RedrivePolicy and drops the message. (AWS tries for 23 days while the endpoint fails by
    itself; an endpoint that is missing or refuses, as here, is not retried there either.)
    """

    @instead_of(sns, "_deliver_to_sqs")
    def deliver(
        original: Any,
        endpoint: str,
        envelope: str,
        raw: bool,
        raw_message: str,
        message_group_id: str = "",
        message_dedup_id: str = "",
        message_attributes: dict[str, Any] | None = None,
        topic_arn: str = "",
    ) -> None:
        ordering = {"message_group_id": message_group_id, "message_dedup_id": message_dedup_id}
        sender = parse_arn(topic_arn).account_id
        if sqs._queue_by_arn(endpoint) and sqs.queue_policy_allows(endpoint, "sns.amazonaws.com", topic_arn, sender):
            original(
                endpoint,
                envelope,
                raw,
                raw_message,
                message_attributes=message_attributes,
                topic_arn=topic_arn,
                **ordering,
            )
            return
        sns.logger.warning("%s may not send to %s, or there is no such queue", topic_arn, endpoint)
        if raw:
            redrive(topic_arn, "sqs", endpoint, raw_message, message_attributes, **ordering)
        else:
            redrive(topic_arn, "sqs", endpoint, envelope, **ordering)


def redrive(topic_arn: str, protocol: str, endpoint: str, body: str, attributes: Any = None, **ordering: str) -> None:
    """Put what could not be delivered into the subscription's redrive queue."""
    topic = sns._topic_by_arn_any_scope(topic_arn)
    for subscription in topic["subscriptions"]:
        policy = subscription["attributes"].get("RedrivePolicy")
        if policy and (subscription["protocol"], subscription["endpoint"]) == (protocol, endpoint):
            queue = (json.loads(policy) if isinstance(policy, str) else policy)["deadLetterTargetArn"]
            # A delivery like any other: the redrive queue's policy is asked too, and a refusal is the end of it.
            sns._deliver_to_sqs(
                queue, body, True, body, message_attributes=attributes or {}, topic_arn=topic_arn, **ordering
            )


# --- topics -----------------------------------------------------------------------------------------------------------

_TOPIC_PROPERTIES = (
    "FifoTopic",
    "ContentBasedDeduplication",
    "FifoThroughputScope",
    "KmsMasterKeyId",
    "SignatureVersion",
    "MaximumMessageSize",
)


def topic_properties_by_cloudformation() -> None:
    """AWS: a template's topic is FIFO, encrypted and as large as its properties say; its default policy lets its own
    account alone.

    The emulator: drops all of them but the name, and its default policy lets anybody publish and subscribe.
    """

    @on_each_deployment("AWS::SNS::Topic")
    def apply(arn: str, properties: dict[str, Any]) -> None:
        attributes = sns._topics[arn]["attributes"]
        for name in _TOPIC_PROPERTIES:
            if name in properties:
                value = properties[name]
                attributes[name] = str(value).lower() if isinstance(value, bool) else str(value)
            else:
                attributes.pop(name, None)
        if attributes.get("FifoTopic") == "true":
            attributes.setdefault("ContentBasedDeduplication", "false")

    @instead_of_handler("AWS::SNS::Topic", "create")
    def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        created = original(logical_id, properties, stack)
        policy = json.loads(sns._topics[created[0]]["attributes"]["Policy"])
        policy["Statement"][0]["Condition"] = {"StringEquals": {"AWS:SourceOwner": get_account_id()}}
        sns._topics[created[0]]["attributes"]["Policy"] = json.dumps(policy)
        return created


def maximum_message_size_is_the_topics() -> None:
    """AWS: a message, and a whole batch, may have as many bytes as the topic's MaximumMessageSize, 256 KiB by default.

    The emulator: 256 KiB for every topic, and no limit for a batch.
    """

    @instead_of(sns, "_publish")
    def publish(original: Any, parameters: Any) -> Any:
        topic_arn = sns._p(parameters, "TopicArn") or sns._p(parameters, "TargetArn")
        with _maximum_of(topic_arn):
            return original(parameters)

    @instead_of(sns, "_publish_batch")
    def publish_batch(original: Any, parameters: Any) -> Any:
        with _maximum_of(sns._p(parameters, "TopicArn")):
            total = sum(
                _true_size(entry.get("message", ""), entry.get("message_attributes", {}))
                for entry in sns._parse_batch_entries(parameters)
            )
            if total > _maximum.get():
                return sns._error(
                    "BatchRequestTooLong", "The length of all the messages put together is more than the limit.", 400
                )
            return original(parameters)

    @instead_of(sns, "publish_internal")
    def publish_internal(original: Any, topic_arn: str, *arguments: Any, **named: Any) -> Any:
        with _maximum_of(topic_arn):
            return original(topic_arn, *arguments, **named)

    _true_size = sns._message_payload_size

    @instead_of(sns, "_message_payload_size")
    def size(original: Any, message: str, attributes: Any) -> int:
        # Compared with 256 KiB wherever it is called: what exceeds this topic's own maximum exceeds that as well.
        return int(original(message, attributes)) - _maximum.get() + _DEFAULT_MAXIMUM


_maximum: contextvars.ContextVar[int] = contextvars.ContextVar("maximum_message_size", default=_DEFAULT_MAXIMUM)


@contextlib.contextmanager
def _maximum_of(topic_arn: str) -> Iterator[None]:
    topic = sns._topic_by_arn_any_scope(sns._normalize_arn(topic_arn)) or {"attributes": {}}
    token = _maximum.set(int(topic["attributes"].get("MaximumMessageSize") or _DEFAULT_MAXIMUM))
    try:
        yield
    finally:
        _maximum.reset(token)

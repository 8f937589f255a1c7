"""Patches of SNS: subscriptions across accounts and Regions, and properties of topics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import sns

from local.patches.patch import after_deployment, during, patch, replaces, replaces_handler
from local.patches.policy import scope_of

_DEFAULT_MAXIMUM = 262_144

# --- subscriptions ----------------------------------------------------------------------------------------------------

# The condition keys of the subscription that is being created.
_NO_KEYS: Mapping[str, str] = MappingProxyType({})
_subscription_keys = ContextVar("subscription_keys", default=_NO_KEYS)


def _subscribing(protocol: str, endpoint: str) -> AbstractContextManager[None]:
    return during(_subscription_keys, {"sns:protocol": protocol, "sns:endpoint": endpoint})


@patch
def subscribe_has_condition_keys() -> None:
    """Supply the condition keys of sns:Subscribe.

    AWS: policies on sns:Subscribe can use `sns:Protocol` and `sns:Endpoint`. The emulator: supplies neither, so that a
    statement with `StringEquals` never allows, and a denial with `StringNotEquals` always applies.
    """

    @replaces(iam_actions, "request_tag_context")
    def context(original: Any, service: str, action: str, body: bytes, parameters: Any) -> Any:
        tags = original(service, action, body, parameters)
        if action != "sns:Subscribe":
            return tags
        keys = {"sns:protocol": sns._p(parameters, "Protocol"), "sns:endpoint": sns._p(parameters, "Endpoint")}
        return {**tags, **keys}

    @replaces(sns, "_subscribe")
    def subscribe(original: Any, parameters: Any) -> Any:
        with _subscribing(sns._p(parameters, "Protocol"), sns._p(parameters, "Endpoint")):
            return original(parameters)

    @replaces(sns, "_enforce_topic_policy")
    def enforce(original: Any, topic: dict[str, Any], action: str) -> Any:
        if action != "sns:Subscribe":
            return original(topic, action)
        if _may_subscribe(topic, iam_evaluator.caller_arn()):
            return None
        return sns._error("AuthorizationError", _denial(topic["arn"], iam_evaluator.caller_arn()), 403)


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


def _denial(topic_arn: str, caller: str) -> str:
    return (
        f"User: {caller} is not authorized to perform: SNS:Subscribe on resource: {topic_arn} because no "
        "resource-based policy allows the SNS:Subscribe action, or one denies it"
    )


@patch
def template_subscribes_across_accounts() -> None:
    """Create the subscriptions of a template to topics of other accounts and Regions.

    AWS: AWS::SNS::Subscription subscribes to a topic of another account, and with `Region` of another Region, if the
    topic's policy allows it. Otherwise the stack fails. So does an update that removes the scope of a filter policy.

    The emulator: reports CREATE_COMPLETE and creates nothing. For a topic of the same account it checks no policy. A
    removed scope becomes the default.
    """

    @replaces_handler("AWS::SNS::Subscription", "create")
    def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        topic, subscriber = _authorized_topic(properties), get_account_id()
        with scope_of(topic["arn"]):
            physical_id, attributes = original(logical_id, properties, stack)
            subscription = sns._find_subscription(topic["arn"], physical_id)
            subscription["owner"] = subscriber
            subscription["attributes"]["Owner"] = subscriber
            sns._refresh_subscription_counts(topic)
        with request_scope(subscriber, parse_arn(topic["arn"]).region):
            sns._sub_arn_to_topic[physical_id] = topic["arn"]  # the subscriber reads its subscription's attributes
        return physical_id, attributes

    @replaces_handler("AWS::SNS::Subscription", "update")
    def update(
        original: Any, physical_id: str, old: Any, new: dict[str, Any], stack: str, logical_id: Any = None
    ) -> Any:
        if any(old.get(name) != new.get(name) for name in ("TopicArn", "Protocol", "Endpoint")):
            replacement = create(logical_id, new, stack)
            delete(physical_id, old)
            return replacement
        # CloudFormation sets a property that left the template to null. (cloudformation-coverage-roadmap #1840, open.)
        if "FilterPolicyScope" in old and "FilterPolicyScope" not in new:
            raise ValueError("Invalid parameter: FilterPolicyScope: Invalid value [null]")
        with scope_of(physical_id):
            return original(physical_id, old, new, stack, logical_id)

    @replaces_handler("AWS::SNS::Subscription", "delete")
    def delete(original: Any, physical_id: str, properties: Any) -> Any:
        with scope_of(physical_id):
            return original(physical_id, properties)


def _authorized_topic(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the topic of a template's subscription. Raises ValueError, which fails the resource."""
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
            raise ValueError(_denial(arn, caller))
    return topic


# --- topics -----------------------------------------------------------------------------------------------------------

_TOPIC_PROPERTIES = (
    "FifoTopic",
    "ContentBasedDeduplication",
    "FifoThroughputScope",
    "KmsMasterKeyId",
    "SignatureVersion",
    "MaximumMessageSize",
)


@patch
def template_sets_topic_properties() -> None:
    """Apply a template's properties of a topic.

    AWS: the topic is FIFO, encrypted and limited in size as its properties declare. Its default policy allows only its
    own account.

    The emulator: ignores all properties except the name. Its default policy allows all principals to publish and
    subscribe.
    """

    @after_deployment("AWS::SNS::Topic")
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

    @replaces_handler("AWS::SNS::Topic", "create")
    def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        created = original(logical_id, properties, stack)
        policy = json.loads(sns._topics[created[0]]["attributes"]["Policy"])
        policy["Statement"][0]["Condition"] = {"StringEquals": {"AWS:SourceOwner": get_account_id()}}
        sns._topics[created[0]]["attributes"]["Policy"] = json.dumps(policy)
        return created


@patch
def message_size_limit_is_the_topics() -> None:
    """Apply the topic's MaximumMessageSize to messages and batches.

    AWS: a message, and a whole batch, may have up to MaximumMessageSize bytes, by default 256 KiB. The emulator: the
    limit is 256 KiB for a message of every topic, and a batch has no limit.
    """

    @replaces(sns, "_publish")
    def publish(original: Any, parameters: Any) -> Any:
        topic_arn = sns._p(parameters, "TopicArn") or sns._p(parameters, "TargetArn")
        with _maximum_of(topic_arn):
            return original(parameters)

    @replaces(sns, "_publish_batch")
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

    @replaces(sns, "publish_internal")
    def publish_internal(original: Any, topic_arn: str, *arguments: Any, **named: Any) -> Any:
        with _maximum_of(topic_arn):
            return original(topic_arn, *arguments, **named)

    _true_size = sns._message_payload_size

    @replaces(sns, "_message_payload_size")
    def size(original: Any, message: str, attributes: Any) -> int:
        # The emulator compares this size with 256 KiB. Shift it, so that the topic's limit is at 256 KiB.
        return int(original(message, attributes)) - _maximum.get() + _DEFAULT_MAXIMUM


_maximum = ContextVar("maximum_message_size", default=_DEFAULT_MAXIMUM)


def _maximum_of(topic_arn: str) -> AbstractContextManager[None]:
    topic = sns._topic_by_arn_any_scope(sns._normalize_arn(topic_arn)) or {"attributes": {}}
    return during(_maximum, int(topic["attributes"].get("MaximumMessageSize") or _DEFAULT_MAXIMUM))

"""Patches of SNS: delivery to functions of other accounts, and queues for undelivered messages."""

from __future__ import annotations

import json
from typing import Any

from ministack.core.arn import parse_arn
from ministack.services import sns, sqs

from local.patches.lambda_ import invoke_for_service
from local.patches.patch import patch, replaces


@patch
def functions_of_other_accounts_are_invoked() -> None:
    """Invoke subscribed functions of any account, with a check of the function's policy.

    AWS: SNS invokes a subscribed function of any account asynchronously, if the function's policy allows the topic.

    The emulator: invokes only functions of the topic's account. It checks no policy, does not retry, and uses no
    on-failure destination.
    """

    @replaces(sns, "_deliver_to_lambda")
    def deliver(
        _original: Any, endpoint: str, envelope: str, topic_arn: str, subscription_arn: str, *_rest: Any
    ) -> None:
        record = {
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription_arn,
            "EventSource": "aws:sns",
            "Sns": json.loads(envelope),
        }
        accepted = invoke_for_service(endpoint, {"Records": [record]}, service="sns.amazonaws.com", source=topic_arn)
        if not accepted:
            sns.logger.warning("%s may not invoke %s, or there is no such function", topic_arn, endpoint)
            redrive("lambda", endpoint, envelope, topic_arn=topic_arn)


@patch
def undelivered_messages_are_redriven() -> None:
    """Send undelivered messages to the queue in the subscription's RedrivePolicy.

    AWS: the queue receives a message that could not be delivered, if the queue's policy allows the topic. SNS retries
    for 23 days while the endpoint fails, but not at all if the endpoint is missing or denies access.

    The emulator: stores the RedrivePolicy and drops the message. The patch covers missing and denied endpoints.
    """

    @replaces(sns, "_deliver_to_sqs")
    def deliver(original: Any, endpoint: str, envelope: str, raw: bool, raw_message: str, **named: Any) -> None:
        topic_arn = named["topic_arn"]
        sender = parse_arn(topic_arn).account_id
        if sqs._queue_by_arn(endpoint) and sqs.queue_policy_allows(endpoint, "sns.amazonaws.com", topic_arn, sender):
            original(endpoint, envelope, raw, raw_message, **named)
            return
        sns.logger.warning("%s may not send to %s, or there is no such queue", topic_arn, endpoint)
        if not raw:
            named["message_attributes"] = {}  # they are in the envelope
        redrive("sqs", endpoint, raw_message if raw else envelope, **named)


def redrive(protocol: str, endpoint: str, body: str, *, topic_arn: str, **named: Any) -> None:
    """Send an undelivered message to the queue in the subscription's RedrivePolicy."""
    topic = sns._topic_by_arn_any_scope(topic_arn)
    for subscription in topic["subscriptions"]:
        policy = subscription["attributes"].get("RedrivePolicy")
        if policy and (subscription["protocol"], subscription["endpoint"]) == (protocol, endpoint):
            queue = (json.loads(policy) if isinstance(policy, str) else policy)["deadLetterTargetArn"]
            # As any delivery, this one needs the permission of the queue's policy. Without it, the message is lost.
            sns._deliver_to_sqs(queue, body, True, body, topic_arn=topic_arn, **named)

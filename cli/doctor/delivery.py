"""Whether messages arrive: subscriptions, and what stops a stack's resources without an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from access.assembly import StackTemplate
from access.template import Resources
from cli.doctor.requests import AbsentError, Requests
from cli.page import Finding, note, problem

_AGAIN = "See `docs/runbook.md`, Make a subscription again."


def findings(requests: Mapping[str, Requests], stack: StackTemplate) -> Iterator[Finding]:
    """Yield what stops messages in a deployed stack.

    requests: those of each account with credentials.
    """
    resources, own = Resources(stack), requests[stack.account]
    for logical, resource in resources.all.items():
        where = f"{stack.name}/{logical}"
        physical = stack.physical_ids.get(logical, "")
        try:
            match resource["Type"]:
                case "AWS::SNS::Subscription":
                    yield from _subscription(requests, resources, logical, where)
                case "AWS::Lambda::EventSourceMapping":
                    yield from _mapping(own, stack.region, physical, where)
                case "AWS::Lambda::Function":
                    yield from _function(own, resources, logical, where)
                case "AWS::Events::Rule":
                    yield from _rule(own, resources, logical, where)
                case "AWS::KMS::Key":
                    yield from _key(own, stack.region, physical, where)
        except AbsentError:
            yield problem(f"{where}: {resource['Type']} {physical} does not exist. It was deleted outside its stack.")
    yield from _alarms(own, resources)


def _subscription(
    requests: Mapping[str, Requests], resources: Resources, logical: str, where: str
) -> Iterator[Finding]:
    """Yield a missing, unconfirmed or changed subscription. The topic's account knows it best, if it may be asked."""
    properties = resources.resolve(resources.properties(logical), logical)
    topic, endpoint = properties["TopicArn"], properties["Endpoint"]
    region, account = topic.split(":")[3:5]
    asking = requests.get(account, requests[resources.stack.account])
    arn = resources.stack.physical_ids.get(logical, "")
    try:
        if account in requests:
            arn = _listed(asking, region, topic, endpoint, default=arn)
        answer = asking.ask("sns", "get_subscription_attributes", region, SubscriptionArn=arn) if ":" in arn else None
    except AbsentError:
        yield problem(f"{where}: {endpoint} is not subscribed to {topic}, so that no message arrives. {_AGAIN}")
        return
    if ":" not in arn or (answer and answer["Attributes"].get("PendingConfirmation") == "true"):
        yield problem(f"{where}: the subscription of {endpoint} is not confirmed, so that no message arrives.")
    elif answer:
        yield from _attributes(properties, answer["Attributes"], where)


def _listed(requests: Requests, region: str, topic: str, endpoint: str, *, default: str) -> str:
    """Return the ARN of an endpoint's subscription, or `PendingConfirmation`. If it may not be asked, the default.

    Raises:
        AbsentError: the topic has no such subscription.
    """
    pages = list(requests.pages("sns", "list_subscriptions_by_topic", region, TopicArn=topic))
    listed = [
        each["SubscriptionArn"] for page in pages for each in page["Subscriptions"] if each["Endpoint"] == endpoint
    ]
    if pages and not listed:
        raise AbsentError(endpoint)
    return str(listed[0]) if listed else default


def _attributes(properties: Mapping[str, Any], found: Mapping[str, str], where: str) -> Iterator[Finding]:
    expected = {
        "FilterPolicy": properties.get("FilterPolicy") or {},
        "RawMessageDelivery": properties.get("RawMessageDelivery") or False,
        "RedrivePolicy": properties.get("RedrivePolicy") or {},
    }
    for name, value in expected.items():
        there = json.loads(found.get(name) or json.dumps(type(value)()))
        if there != (json.loads(value) if isinstance(value, str) else value):
            yield problem(
                f"{where}: {name} of the subscription is {json.dumps(there)}, in the template {json.dumps(value)}."
            )


def _mapping(requests: Requests, region: str, uuid: str, where: str) -> Iterator[Finding]:
    answer = requests.ask("lambda", "get_event_source_mapping", region, UUID=uuid)
    if answer and answer["State"] not in ("Enabled", "Creating", "Updating", "Enabling"):
        yield problem(
            f"{where}: the event source mapping is {answer['State']}, so that the function reads no message. Run: aws "
            f"lambda update-event-source-mapping --region {region} --enabled --uuid {uuid}"
        )


def _function(requests: Requests, resources: Resources, logical: str, where: str) -> Iterator[Finding]:
    name = resources.arn(logical).rpartition(":")[2]
    region = resources.stack.region
    state = requests.ask("lambda", "get_function_configuration", region, FunctionName=name) or {}
    if "Failed" in (state.get("State"), state.get("LastUpdateStatus")):
        reason = state.get("LastUpdateStatusReason") or state.get("StateReason")
        yield problem(f"{where}: the function {name} is Failed: {reason}. Deploy its stack again.")
    if answer := requests.ask("lambda", "get_function_concurrency", region, FunctionName=name):
        there, here = (
            answer.get("ReservedConcurrentExecutions"),
            resources.properties(logical).get("ReservedConcurrentExecutions"),
        )
        if there == 0:
            yield problem(
                f"{where}: the function {name} is throttled to zero, so that it never runs. Run: aws lambda "
                f"delete-function-concurrency --region {region} --function-name {name}"
            )
        elif there != here:
            yield problem(
                f"{where}: the reserved concurrency of {name} is {there or 'not set'}, in the template "
                f"{here or 'not set'}."
            )


def _rule(requests: Requests, resources: Resources, logical: str, where: str) -> Iterator[Finding]:
    name = resources.arn(logical).rpartition("/")[2]
    bus = resources.resolve(resources.properties(logical).get("EventBusName", "default"), logical)
    region, intended = resources.stack.region, resources.properties(logical).get("State", "ENABLED")
    answer = requests.ask("events", "describe_rule", region, Name=name, EventBusName=bus)
    if answer and answer["State"] != intended:
        yield problem(
            f"{where}: the rule is {answer['State']}, so that its events go nowhere. Run: aws events enable-rule "
            f"--region {region} --event-bus-name {bus} --name {name}"
        )


def _key(requests: Requests, region: str, key: str, where: str) -> Iterator[Finding]:
    answer = requests.ask("kms", "describe_key", region, KeyId=key)
    state = answer["KeyMetadata"]["KeyState"] if answer else "Enabled"
    if state != "Enabled":
        remedy = "cancel-key-deletion, then enable-key" if state == "PendingDeletion" else "enable-key"
        yield problem(
            f"{where}: the key {key} is {state}, so that what it encrypts cannot be read. Run: aws kms {remedy} "
            f"--region {region} --key-id {key}"
        )


def _alarms(requests: Requests, resources: Resources) -> Iterator[Finding]:
    names = {
        resources.resolve(resources.properties(logical).get("AlarmName", ""), logical): logical
        for logical in resources.of_type("AWS::CloudWatch::Alarm")
    }
    if not names:
        return
    prefix = f"{resources.stack.name}-"
    pages = requests.pages("cloudwatch", "describe_alarms", resources.stack.region, AlarmNamePrefix=prefix)
    for alarm in (each for page in pages for each in page["MetricAlarms"] if each["AlarmName"] in names):
        where = f"{resources.stack.name}/{names[alarm['AlarmName']]}"
        if not alarm.get("ActionsEnabled", True):
            yield problem(
                f"{where}: the actions of the alarm are disabled, so it sends no notification. Run: aws cloudwatch "
                f"enable-alarm-actions --region {resources.stack.region} --alarm-names {alarm['AlarmName']}"
            )
        if alarm["StateValue"] == "ALARM":
            yield note(f"{where}: {alarm['AlarmName']} is in alarm. See `docs/runbook.md`.")

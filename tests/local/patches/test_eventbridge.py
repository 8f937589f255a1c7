"""Patches of EventBridge."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.support import PUBLISHER, SUBSCRIBER, Account, eventually, root, unique

pytestmark = pytest.mark.system


def _bus(account: Account, statement: dict[str, Any]) -> str:
    """Deploy a bus whose policy has this one statement, and return its ARN."""
    name = unique("bus")
    arn = f"arn:aws:events:{account.region}:{account.number}:event-bus/{name}"
    policy = {"EventBusName": {"Ref": "Bus"}, "StatementId": "only", "Statement": {**statement, "Resource": arn}}
    account.create(
        {
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}},
            "Policy": {"Type": "AWS::Events::EventBusPolicy", "Properties": policy},
        }
    )
    return arn


def _bus_for_subscriber(account: Account, subscriber: str = SUBSCRIBER) -> str:
    return _bus(account, {"Effect": "Allow", "Principal": root(subscriber), "Action": "events:PutEvents"})


def _put(account: Account, bus: str, detail: dict[str, Any] | None = None, role: str | None = None) -> dict[str, Any]:
    entry = {"EventBusName": bus, "Source": "orders", "DetailType": "Order", "Detail": json.dumps(detail or {})}
    events = account.accounts.client("events", account=account.number, region=bus.split(":")[3], role=role)
    response: dict[str, Any] = events.put_events(Entries=[entry])
    return response


def _rule(account: Account, bus: str, target: dict[str, Any]) -> str:
    """Create a rule that sends all events of the source `orders` to a target, and return its ARN."""
    events, name = account.client("events"), unique("rule")
    pattern = json.dumps({"source": ["orders"]})
    arn: str = events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)["RuleArn"]
    assert events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "t", **target}])["FailedEntryCount"] == 0
    return arn


def _queue_of_rules(account: Account) -> str:
    """Create a queue to which every rule of the account may send, and return its ARN."""
    return account.queue_for("events.amazonaws.com", f"arn:aws:events:{account.region}:{account.number}:rule/*")


@pytest.mark.patched
def test_rule_sends_only_to_queues_of_its_policy(publisher: Account) -> None:
    denying, allowing = publisher.queue(), _queue_of_rules(publisher)
    for queue in (denying, allowing):
        _rule(publisher, "default", {"Arn": queue})
    _put(publisher, f"arn:aws:events:{publisher.region}:{publisher.number}:event-bus/default", {"n": 1})
    eventually(lambda: publisher.messages(allowing))
    assert publisher.messages(denying) == []


@pytest.mark.patched
def test_allowed_account_puts_events(publisher: Account, subscriber: Account) -> None:
    bus = _bus_for_subscriber(publisher)
    queue = _queue_of_rules(publisher)
    _rule(publisher, bus.rsplit("/", 1)[1], {"Arn": queue})

    response = _put(subscriber, bus, {"n": 1})

    assert response["FailedEntryCount"] == 0
    (message,) = eventually(lambda: publisher.messages(queue))
    event = json.loads(message["Body"])
    assert event["id"] == response["Entries"][0]["EventId"]
    assert event["account"] == SUBSCRIBER
    assert event["region"] == publisher.region
    assert event["detail"] == {"n": 1}


@pytest.mark.patched
def test_other_account_is_denied(publisher: Account, other_account: Account) -> None:
    bus = _bus_for_subscriber(publisher)

    with pytest.raises(ClientError, match="AccessDenied"):
        _put(other_account, bus)


@pytest.mark.aws
def test_role_needs_its_own_permission(publisher: Account, subscriber: Account) -> None:
    bus = _bus_for_subscriber(publisher, subscriber.number)
    allowed, denied = subscriber.role({"Action": "events:PutEvents", "Resource": bus}), subscriber.role()

    assert _put(subscriber, bus, role=allowed)["FailedEntryCount"] == 0
    with pytest.raises(ClientError, match="AccessDenied"):
        _put(subscriber, bus, role=denied)


@pytest.mark.aws
def test_deny_applies_in_the_buss_account(publisher: Account) -> None:
    bus = _bus(publisher, {"Effect": "Deny", "Principal": "*", "Action": "events:PutEvents"})

    with pytest.raises(ClientError, match="AccessDenied"):
        _put(publisher, bus)


@pytest.mark.aws
def test_error_is_reported_for_its_entry(publisher: Account, subscriber: Account) -> None:
    bus = _bus_for_subscriber(publisher, subscriber.number)
    entry = {"Source": "orders", "DetailType": "Order", "Detail": "{}", "EventBusName": bus}
    events = subscriber.accounts.client("events", account=subscriber.number, region=publisher.region)

    response = events.put_events(Entries=[entry, {**entry, "Source": "aws.s3"}])

    assert response["FailedEntryCount"] == 1
    codes = [result.get("ErrorCode") for result in response["Entries"]]
    assert codes == [None, "NotAuthorizedForSourceException"]


@pytest.mark.patched
@pytest.mark.aws
def test_statement_is_replaced_and_removed_by_id(publisher: Account, subscriber: Account) -> None:
    name, stack, first, second = unique("bus"), unique("stack"), publisher.number, subscriber.number
    arn = f"arn:aws:events:{publisher.region}:{publisher.number}:event-bus/{name}"

    def deploy(*senders: str) -> list[str]:
        resources: dict[str, Any] = {"Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}}
        for sender in senders:
            statement = {"Effect": "Allow", "Principal": root(sender), "Action": "events:PutEvents", "Resource": arn}
            properties = {"EventBusName": {"Ref": "Bus"}, "StatementId": f"From{sender}", "Statement": statement}
            resources[f"From{sender}"] = {"Type": "AWS::Events::EventBusPolicy", "Properties": properties}
        publisher.create(resources, stack)
        policy = publisher.client("events").describe_event_bus(Name=name).get("Policy", '{"Statement": []}')
        return sorted(statement["Sid"] for statement in json.loads(policy)["Statement"])

    assert deploy(first) == [f"From{first}"]
    assert deploy(first, second) == sorted([f"From{first}", f"From{second}"])
    assert deploy(second) == [f"From{second}"]


def _archive(account: Account, bus: str, name: str, stack: str, *, kind: str) -> None:
    """Deploy an archive of events with this kind."""
    properties = {
        "ArchiveName": name,
        "SourceArn": bus,
        "EventPattern": {"detail": {"kind": [kind]}},
        "RetentionDays": 30,
    }
    account.create({"Archive": {"Type": "AWS::Events::Archive", "Properties": properties}}, stack)


@pytest.mark.patched
def test_archive_replays_matching_events_unchanged(publisher: Account, subscriber: Account) -> None:
    bus, queue, name, stack = (
        _bus_for_subscriber(publisher),
        _queue_of_rules(publisher),
        unique("archive"),
        unique("stack"),
    )
    _archive(publisher, bus, name, stack, kind="late")
    events = publisher.client("events")
    assert events.describe_archive(ArchiveName=name)["RetentionDays"] == 30
    _put(subscriber, bus, {"kind": "other"})
    late = _put(subscriber, bus, {"kind": "late"})["Entries"][0]["EventId"]
    _rule(publisher, bus.rsplit("/", 1)[1], {"Arn": queue})

    archive = events.describe_archive(ArchiveName=name)
    now = datetime.now(UTC)
    events.start_replay(
        ReplayName=unique("replay"),
        EventSourceArn=archive["ArchiveArn"],
        EventStartTime=now - timedelta(hours=1),
        EventEndTime=now + timedelta(hours=1),
        Destination={"Arn": bus},
    )

    (message,) = eventually(lambda: publisher.messages(queue))
    event = json.loads(message["Body"])
    assert (event["id"], event["account"], event["detail"]) == (late, SUBSCRIBER, {"kind": "late"})
    assert event["replay-name"]
    _archive(publisher, bus, name, stack, kind="later")
    _put(subscriber, bus, {"kind": "later"})
    assert events.describe_archive(ArchiveName=name)["EventCount"] == 2


@pytest.mark.patched
@pytest.mark.aws
@pytest.mark.parametrize("kept", ["rule", "archive"])
def test_bus_with_rules_is_not_deleted(publisher: Account, kept: str) -> None:
    """Also by CloudFormation, when an application has a rule on the bus of a stack."""
    name, stack, events = unique("bus"), unique("stack"), publisher.client("events")
    publisher.create({"Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}}, stack)
    if kept == "rule":
        _rule(publisher, name, {"Arn": publisher.queue()})
    else:
        arn = events.describe_event_bus(Name=name)["Arn"]
        events.create_archive(ArchiveName=unique("archive"), EventSourceArn=arn)

    with pytest.raises(ClientError, match="can't be deleted since it has rules"):
        events.delete_event_bus(Name=name)
    cloudformation = publisher.client("cloudformation")
    cloudformation.delete_stack(StackName=stack)
    (described,) = eventually(lambda: _ended(cloudformation.describe_stacks(StackName=stack)["Stacks"]), 300)
    assert described["StackStatus"] == "DELETE_FAILED"


def _ended(stacks: list[Any]) -> list[Any]:
    return [stack for stack in stacks if not stack["StackStatus"].endswith("_IN_PROGRESS")]


_FAIL = "def handler(event, context):\n    print('attempt')\n    raise RuntimeError('no')\n"


@pytest.mark.patched
def test_event_of_denied_rule_is_dead_lettered(publisher: Account) -> None:
    function, bus = publisher.function(), _bus_for_subscriber(publisher)
    dead_letters = publisher.queue_for("events.amazonaws.com", f"arn:aws:events:*:{PUBLISHER}:rule/*")
    without_policy = publisher.queue()
    name = bus.rsplit("/", 1)[1]
    rule = _rule(publisher, name, {"Arn": function, "DeadLetterConfig": {"Arn": dead_letters}})
    _rule(publisher, name, {"Arn": function, "DeadLetterConfig": {"Arn": without_policy}})
    publisher.allow_invoke(function, "events.amazonaws.com", rule + "-another")

    _put(publisher, bus, {"n": 1})

    (message,) = eventually(lambda: publisher.messages(dead_letters))
    assert json.loads(message["Body"])["detail"] == {"n": 1}
    assert publisher.messages(without_policy) == []
    assert publisher.events(function) == []


@pytest.mark.patched
def test_failing_function_has_three_attempts(publisher: Account) -> None:
    function, bus = publisher.function(_FAIL), _bus_for_subscriber(publisher)
    failed = publisher.on_failure_queue(function)
    rule = _rule(publisher, bus.rsplit("/", 1)[1], {"Arn": function})
    publisher.allow_invoke(function, "events.amazonaws.com", rule)

    _put(publisher, bus, {"n": 1})

    (message,) = eventually(lambda: publisher.messages(failed))
    record = json.loads(message["Body"])
    assert record["requestPayload"]["detail"] == {"n": 1}
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responsePayload"]["errorType"] == "RuntimeError"
    assert publisher.log(function).count("attempt") == 3

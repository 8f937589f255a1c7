"""EventBridge's gaps: buses other accounts put events on, and functions as targets."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import PUBLISHER, STRANGER, SUBSCRIBER, Account, eventually, root, unique

pytestmark = pytest.mark.system


def _bus(account: Account, statement: dict[str, Any]) -> str:
    """The ARN of a bus with this one policy statement, by CloudFormation."""
    name = unique("bus")
    arn = f"arn:aws:events:{account.region}:{account.number}:event-bus/{name}"
    policy = {"EventBusName": {"Ref": "Bus"}, "StatementId": "only", "Statement": {**statement, "Resource": arn}}
    status, reasons = account.deploy(
        {
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}},
            "Policy": {"Type": "AWS::Events::EventBusPolicy", "Properties": policy},
        }
    )
    assert status == "CREATE_COMPLETE", reasons
    return arn


def _open_bus(account: Account) -> str:
    return _bus(account, {"Effect": "Allow", "Principal": root(SUBSCRIBER), "Action": "events:PutEvents"})


def _put(account: Account, bus: str, detail: dict[str, Any] | None = None, role: str | None = None) -> dict[str, Any]:
    entry = {"EventBusName": bus, "Source": "orders", "DetailType": "Order", "Detail": json.dumps(detail or {})}
    events = account.accounts.client("events", account=account.number, region=bus.split(":")[3], role=role)
    answer: dict[str, Any] = events.put_events(Entries=[entry])
    return answer


def _rule(account: Account, bus: str, target: dict[str, Any]) -> str:
    """The ARN of a rule that sends every event of the source `orders` to a target."""
    events, name = account.client("events"), unique("rule")
    pattern = json.dumps({"source": ["orders"]})
    arn: str = events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)["RuleArn"]
    assert events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "t", **target}])["FailedEntryCount"] == 0
    return arn


# --- buses ---


def test_an_allowed_account_puts_events_on_the_bus(publisher: Account, subscriber: Account) -> None:
    bus = _open_bus(publisher)
    queue = publisher.queue()
    _rule(publisher, bus.rsplit("/", 1)[1], {"Arn": queue})

    answer = _put(subscriber, bus, {"n": 1})

    assert answer["FailedEntryCount"] == 0
    (message,) = eventually(lambda: publisher.messages(queue))
    event = json.loads(message["Body"])
    assert event["id"] == answer["Entries"][0]["EventId"]
    assert event["account"] == SUBSCRIBER
    assert event["region"] == publisher.region
    assert event["detail"] == {"n": 1}


def test_another_account_is_refused(publisher: Account, stranger: Account) -> None:
    bus = _open_bus(publisher)

    with pytest.raises(ClientError, match="AccessDenied"):
        _put(stranger, bus)


def test_a_role_needs_its_own_permission_too(publisher: Account, subscriber: Account) -> None:
    bus = _open_bus(publisher)
    allowed, denied = subscriber.role({"Action": "events:PutEvents", "Resource": bus}), subscriber.role()

    assert _put(subscriber, bus, role=allowed)["FailedEntryCount"] == 0
    with pytest.raises(ClientError, match="AccessDenied"):
        _put(subscriber, bus, role=denied)


def test_a_deny_holds_in_the_buss_own_account(publisher: Account) -> None:
    bus = _bus(publisher, {"Effect": "Deny", "Principal": "*", "Action": "events:PutEvents"})

    with pytest.raises(ClientError, match="AccessDenied"):
        _put(publisher, bus)


def test_what_is_wrong_with_an_entry_is_said_of_that_entry(publisher: Account, subscriber: Account) -> None:
    statement = {"Effect": "Allow", "Principal": root(SUBSCRIBER), "Action": "events:PutEvents"}
    bus = _bus(publisher, statement)
    entry = {"Source": "orders", "DetailType": "Order", "Detail": "{}"}
    events = subscriber.accounts.client("events", account=SUBSCRIBER, region=publisher.region)

    answer = events.put_events(
        Entries=[{**entry, "EventBusName": bus}, {**entry, "EventBusName": bus, "Source": "aws.s3"}]
    )

    assert answer["FailedEntryCount"] == 1
    assert [one.get("ErrorCode") for one in answer["Entries"]] == [None, "NotAuthorizedForSourceException"]


def test_a_statement_is_replaced_and_removed_by_its_id(publisher: Account) -> None:
    name, stack = unique("bus"), unique("stack")

    def deploy(*senders: str) -> list[str]:
        resources: dict[str, Any] = {"Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}}
        for sender in senders:
            statement = {"Effect": "Allow", "Principal": root(sender), "Action": "events:PutEvents", "Resource": "*"}
            properties = {"EventBusName": {"Ref": "Bus"}, "StatementId": f"From{sender}", "Statement": statement}
            resources[f"From{sender}"] = {"Type": "AWS::Events::EventBusPolicy", "Properties": properties}
        status, reasons = publisher.deploy(resources, stack)
        assert status.endswith("_COMPLETE"), reasons
        policy = publisher.client("events").describe_event_bus(Name=name).get("Policy", '{"Statement": []}')
        return sorted(one["Sid"] for one in json.loads(policy)["Statement"])

    assert deploy(SUBSCRIBER) == [f"From{SUBSCRIBER}"]
    assert deploy(SUBSCRIBER, STRANGER) == [f"From{SUBSCRIBER}", f"From{STRANGER}"]
    assert deploy(STRANGER) == [f"From{STRANGER}"]


# --- archives ---


def _archive(account: Account, bus: str, name: str, stack: str, *, of: list[str]) -> None:
    properties = {
        "ArchiveName": name,
        "SourceArn": bus,
        "EventPattern": {"detail": {"kind": of}},
        "RetentionDays": 30,
    }
    status, reasons = account.deploy({"Archive": {"Type": "AWS::Events::Archive", "Properties": properties}}, stack)
    assert status.endswith("_COMPLETE"), reasons


def test_what_an_archive_matches_is_kept_and_replayed_as_the_same_event(
    publisher: Account, subscriber: Account
) -> None:
    bus, queue, name, stack = _open_bus(publisher), publisher.queue(), unique("archive"), unique("stack")
    _archive(publisher, bus, name, stack, of=["late"])
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
    _archive(publisher, bus, name, stack, of=["later"])
    _put(subscriber, bus, {"kind": "later"})
    assert events.describe_archive(ArchiveName=name)["EventCount"] == 2


def test_gap_archive_by_cloudformation(bare: Accounts) -> None:
    with pytest.raises(ClientError, match="Unrecognized resource types"):
        _archive(Account(bare, PUBLISHER), "arn:aws:events:us-east-1:111111111111:event-bus/x", "x", "x", of=["x"])


def test_gap_bus_policy_by_cloudformation(bare: Accounts) -> None:
    with pytest.raises(ClientError, match="Unrecognized resource types"):
        _open_bus(Account(bare, PUBLISHER))


def test_gap_events_of_other_accounts(bare: Accounts) -> None:
    publisher, subscriber = Account(bare, PUBLISHER), Account(bare, SUBSCRIBER)
    events, name = publisher.client("events"), unique("bus")
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    events.put_permission(EventBusName=name, StatementId="s", Principal=SUBSCRIBER, Action="events:PutEvents")

    assert _put(subscriber, bus)["Entries"][0]["ErrorCode"] == "ResourceNotFoundException"


# --- functions as targets ---

_FAIL = "def handler(event, context):\n    print('tried')\n    raise RuntimeError('no')\n"


def test_a_rule_the_function_lets_invokes_it(publisher: Account) -> None:
    function = publisher.function()
    rule = _rule(publisher, "default", {"Arn": function})
    publisher.let_invoke(function, "events.amazonaws.com", rule)

    _put(publisher, f"arn:aws:events:{publisher.region}:{PUBLISHER}:event-bus/default", {"n": 1})

    events = eventually(lambda: publisher.events(function))
    assert {"n": 1} in [event["detail"] for event in events]


def test_a_rule_it_does_not_let_goes_to_the_targets_dead_letters(publisher: Account) -> None:
    function, bus = publisher.function(), _open_bus(publisher)
    dead_letters = publisher.queue_open_to("events.amazonaws.com", f"arn:aws:events:*:{PUBLISHER}:rule/*")
    shut = publisher.queue()
    name = bus.rsplit("/", 1)[1]
    rule = _rule(publisher, name, {"Arn": function, "DeadLetterConfig": {"Arn": dead_letters}})
    _rule(publisher, name, {"Arn": function, "DeadLetterConfig": {"Arn": shut}})
    publisher.let_invoke(function, "events.amazonaws.com", rule + "-another")

    _put(publisher, bus, {"n": 1})

    (message,) = eventually(lambda: publisher.messages(dead_letters))
    assert json.loads(message["Body"])["detail"] == {"n": 1}
    assert publisher.messages(shut) == []
    assert publisher.events(function) == []


def test_a_failing_function_is_tried_three_times_and_its_event_kept(publisher: Account) -> None:
    kept = publisher.queue()
    function = publisher.function(_FAIL)
    publisher.client("lambda").put_function_event_invoke_config(
        FunctionName=function, DestinationConfig={"OnFailure": {"Destination": kept}}
    )
    bus = _open_bus(publisher)
    publisher.let_invoke(function, "events.amazonaws.com", _rule(publisher, bus.rsplit("/", 1)[1], {"Arn": function}))

    _put(publisher, bus, {"n": 1})

    (message,) = eventually(lambda: publisher.messages(kept))
    record = json.loads(message["Body"])
    assert record["requestPayload"]["detail"] == {"n": 1}
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responsePayload"]["errorType"] == "RuntimeError"
    assert publisher.log(function).count("tried") == 3


def test_gap_function_targets(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    function = account.function()
    _rule(account, "default", {"Arn": function})  # and no permission for it

    _put(account, f"arn:aws:events:{account.region}:{PUBLISHER}:event-bus/default")

    assert eventually(lambda: account.events(function))


def test_gap_failing_function_is_tried_once(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    kept, function = account.queue(), account.function(_FAIL)
    account.client("lambda").put_function_event_invoke_config(
        FunctionName=function, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": kept}}
    )
    _rule(account, "default", {"Arn": function})

    _put(account, f"arn:aws:events:{account.region}:{PUBLISHER}:event-bus/default")

    eventually(lambda: account.log(function))
    assert account.messages(kept) == []


def test_gap_dead_letters_of_a_target(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    dead_letters = account.queue_open_to("events.amazonaws.com", f"arn:aws:events:*:{PUBLISHER}:rule/*")
    there, gone = account.function(), f"arn:aws:lambda:{account.region}:{PUBLISHER}:function:gone"
    _rule(account, "default", {"Arn": gone, "DeadLetterConfig": {"Arn": dead_letters}})
    _rule(account, "default", {"Arn": there})

    _put(account, f"arn:aws:events:{account.region}:{PUBLISHER}:event-bus/default")

    eventually(lambda: account.events(there))
    assert account.messages(dead_letters) == []

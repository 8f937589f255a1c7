"""Patches of EventBridge: event buses that other accounts use, functions as targets, archives."""

from __future__ import annotations

import contextvars
import json
import time
from collections.abc import Mapping
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, new_uuid
from ministack.services import eventbridge, sqs
from ministack.services.cloudformation import provisioners

from local.patches import lambda_
from local.patches.patch import during, patch, replaces, replaces_handler
from local.patches.policy import scope_of, service_may


@patch
def template_creates_bus_policy() -> None:
    """Support AWS::Events::EventBusPolicy.

    AWS: the resource adds one statement, identified by its StatementId, to a bus's policy. The emulator: rejects the
    resource type.
    """

    def put(_logical_id: str, properties: Mapping[str, Any], _stack: str) -> tuple[str, dict[str, str]]:
        bus, statement_id = properties.get("EventBusName") or "default", properties["StatementId"]
        if bus != "default" and bus not in eventbridge._event_buses:
            raise ValueError(f"Event bus {bus} does not exist.")
        if "Statement" not in properties:
            raise ValueError("AWS::Events::EventBusPolicy: the local emulator supports only the property Statement.")
        statement = {**_document(properties["Statement"]), "Sid": statement_id}
        policy = eventbridge._event_bus_policies.get(bus) or {"Version": "2012-10-17", "Statement": []}
        others = [each for each in policy["Statement"] if each.get("Sid") != statement_id]
        eventbridge._event_bus_policies[bus] = {**policy, "Statement": [*others, statement]}
        return f"{bus}|{statement_id}", {}

    def update(physical_id: str, old: Any, new: Mapping[str, Any], stack: str, logical_id: str = "") -> Any:
        if any(old.get(name) != new.get(name) for name in ("EventBusName", "StatementId")):
            delete(physical_id, old)
        return put(logical_id, new, stack)

    def delete(physical_id: str, _properties: Any) -> None:
        bus, statement_id = physical_id.split("|", 1)
        eventbridge._remove_permission({"EventBusName": bus, "StatementId": statement_id})

    provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {"create": put, "update": update, "delete": delete}


def _document(statement: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(statement) if isinstance(statement, str) else dict(statement)
    return document


@patch
def bus_policy_is_enforced() -> None:
    """Apply the bus's policy to PutEvents.

    AWS: a caller of another account needs the bus's policy, and a Deny in it applies to all callers. The emulator:
    stores bus policies and ignores them.
    """

    def bus_policy_for_arn(arn: str) -> tuple[Any, str] | None:
        try:
            spec = parse_arn(arn)
        except ArnParseError:
            return None
        kind, _, bus = spec.resource.partition("/")
        if spec.service != "events" or kind != "event-bus":
            return None
        return eventbridge._event_bus_policies.get_scoped(spec.account_id, spec.region, bus) or "", spec.account_id

    eventbridge.bus_policy_for_arn = bus_policy_for_arn
    iam_evaluator._RESOURCE_POLICY_LOOKUPS["events"] = ("eventbridge", "bus_policy_for_arn")


@patch
def events_reach_other_accounts() -> None:
    """Put events on buses of other accounts.

    AWS: an entry may name a bus of another account in the same Region by its ARN. The emulator: reports that the bus
    does not exist. (`bus_policy_is_enforced` checks the permission.)
    """

    @replaces(eventbridge, "_put_events")
    def put_events(original: Any, data: dict[str, Any], allow_aws_source: bool = False) -> Any:
        entries = data.get("Entries", [])
        if len(entries) > 10 or not any(_is_foreign(entry) for entry in entries):
            return original(data, allow_aws_source)
        results = []
        for entry in entries:
            if _is_foreign(entry):
                results.append(_put_on(entry["EventBusName"], entry))
            else:
                results += json.loads(original({"Entries": [entry]}, allow_aws_source)[2])["Entries"]
        return json_response({"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results})


def _is_foreign(entry: Mapping[str, Any]) -> bool:
    bus = entry.get("EventBusName") or ""
    return bus.startswith("arn:") and parse_arn(bus).account_id != get_account_id()


def _put_on(bus_arn: str, entry: Mapping[str, Any]) -> dict[str, str]:
    spec, sender = parse_arn(bus_arn), get_account_id()
    bus = spec.resource.partition("/")[2]
    if spec.region != get_region():
        return {"ErrorCode": "InvalidArgument", "ErrorMessage": f"Event bus {bus_arn} is in another Region."}
    if str(entry.get("Source", "")).startswith("aws."):
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
    with scope_of(bus_arn):
        if bus != "default" and bus not in eventbridge._event_buses:
            return {"ErrorCode": "ResourceNotFoundException", "ErrorMessage": f"Event bus {bus} does not exist."}
        event = {
            "EventId": new_uuid(),
            "Source": entry.get("Source", ""),
            "DetailType": entry.get("DetailType", ""),
            "Detail": entry.get("Detail", "{}"),
            "EventBusName": bus,
            "Time": int(time.time()),
            "Resources": entry.get("Resources", []),
            "Account": sender,
            "Region": spec.region,
        }
        eventbridge._events_log_list().append(event)
        eventbridge._dispatch_event(event)
        eventbridge._archive_event(event)
        return {"EventId": event["EventId"]}


# The current rule and target, which the emulator does not pass to `_dispatch_to_lambda`.
_serving: contextvars.ContextVar[tuple[dict[str, Any], dict[str, Any]]] = contextvars.ContextVar("serving")


@patch
def function_targets_are_authorized() -> None:
    """Check the function's policy, retry, and use the target's dead-letter queue.

    AWS: a rule invokes a function asynchronously (two retries, then the on-failure destination) if the function's
    policy allows the rule. If not, the event goes to the queue in the target's DeadLetterConfig.

    The emulator: invokes once, checks no policy, and has no dead-letter queues for targets.
    """

    @replaces(eventbridge, "_invoke_target")
    def invoke_target(original: Any, target: Any, event: Any, rule: Any, view: Any = None) -> Any:
        with during(_serving, (rule, target)):
            return original(target, event, rule, view)

    @replaces(eventbridge, "_dispatch_to_lambda")
    def dispatch(_original: Any, function_arn: str, payload: str) -> None:
        rule, target = _serving.get()
        event = json.loads(payload)
        if lambda_.invoke_for_service(function_arn, event, service="events.amazonaws.com", source=rule["Arn"]):
            return
        eventbridge.logger.warning("%s may not invoke %s, or there is no such function", rule["Arn"], function_arn)
        dead_letters = (target.get("DeadLetterConfig") or {}).get("Arn")
        if dead_letters and _may_send(dead_letters, rule["Arn"]):
            eventbridge._dispatch_to_sqs(parse_arn(dead_letters), payload)


@patch
def queue_targets_are_authorized() -> None:
    """Check the policy of a queue that is a rule's target.

    AWS: the queue's policy must allow the rule. If not, the event is lost, or goes to the target's dead-letter queue.
    The emulator: checks no policy.
    """

    @replaces(eventbridge, "_dispatch_to_sqs")
    def dispatch(original: Any, queue: Any, *rest: Any) -> None:
        rule, _ = _serving.get()
        if _may_send(str(queue), rule["Arn"]):
            original(queue, *rest)
        else:
            eventbridge.logger.warning("%s may not send to %s, or there is no such queue", rule["Arn"], queue)


def _may_send(queue_arn: str, rule_arn: str) -> bool:
    queue = sqs._queue_by_arn(queue_arn)
    return queue is not None and service_may(
        queue["attributes"].get("Policy"),
        service="events.amazonaws.com",
        action="sqs:SendMessage",
        resource=queue_arn,
        source=rule_arn,
    )


@patch
def template_creates_archive() -> None:
    """Support AWS::Events::Archive.

    AWS: an archive stores the events of a bus that match its pattern, for its retention. The emulator: has archives and
    replays, but rejects the resource type. (It never deletes archived events. The patch does not change that.)
    """

    def settings(properties: Mapping[str, Any]) -> dict[str, Any]:
        pattern = properties.get("EventPattern")
        return {
            "Description": properties.get("Description", ""),
            "EventPattern": json.dumps(pattern) if pattern else "",
            "RetentionDays": int(properties.get("RetentionDays", 0)),
        }

    def create(_logical_id: str, properties: Mapping[str, Any], _stack: str) -> Any:
        name = properties["ArchiveName"]
        source = {"ArchiveName": name, "EventSourceArn": properties["SourceArn"]}
        return name, {"Arn": _body(eventbridge._create_archive({**source, **settings(properties)}))["ArchiveArn"]}

    def update(physical_id: str, old: Any, new: Mapping[str, Any], stack: str, logical_id: str = "") -> Any:
        if any(old.get(name) != new.get(name) for name in ("ArchiveName", "SourceArn")):
            delete(physical_id, old)
            return create(logical_id, new, stack)
        updated = _body(eventbridge._update_archive({"ArchiveName": physical_id, **settings(new)}))
        return physical_id, {"Arn": updated["ArchiveArn"]}

    def delete(physical_id: str, _properties: Any) -> None:
        eventbridge._delete_archive({"ArchiveName": physical_id})

    provisioners._RESOURCE_HANDLERS["AWS::Events::Archive"] = {"create": create, "update": update, "delete": delete}


@patch
def bus_with_rules_is_not_deleted() -> None:
    """Refuse to delete a bus that has rules or archives.

    AWS: "EventBus can't be deleted since it has rules." An archive has a rule on the bus. Therefore the
    deletion of a stack with a bus fails if an archive is retained, or an application added a rule.

    The emulator: deletes the bus and its rules.
    """

    @replaces(eventbridge, "_delete_event_bus")
    def delete_event_bus(original: Any, data: dict[str, Any]) -> Any:
        bus = eventbridge._event_buses.get(data.get("Name"))
        if bus and _is_in_use(bus):
            return error_response_json("ValidationException", "EventBus can't be deleted since it has rules.", 400)
        return original(data)

    @replaces_handler("AWS::Events::EventBus", "delete")
    def delete(_original: Any, physical_id: str, _properties: Any) -> None:
        _body(eventbridge._delete_event_bus({"Name": physical_id}))


def _is_in_use(bus: Mapping[str, Any]) -> bool:
    rules = any(rule.get("EventBusName") == bus["Name"] for rule in eventbridge._rules.values())
    return rules or any(archive["EventSourceArn"] == bus["Arn"] for archive in eventbridge._archives.values())


def _body(response: Any) -> dict[str, Any]:
    """Return the body of a successful response. Raises ValueError, which fails the resource."""
    body: dict[str, Any] = json.loads(response[2])
    if response[0] >= 400:
        raise ValueError(f"{body.get('__type', 'Error')}: {body.get('message', body)}")
    return body

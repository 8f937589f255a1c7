"""EventBridge's gaps: buses that other accounts put events on, and functions as targets."""

from __future__ import annotations

import contextvars
import json
import time
from collections.abc import Mapping
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import get_account_id, get_region, json_response, new_uuid
from ministack.services import eventbridge, sqs
from ministack.services.cloudformation import provisioners

from local.patches import lambda_
from local.patches.patch import instead_of
from local.patches.policy import scope_of, service_may


def install() -> None:
    """Fill every gap of this file."""
    bus_policy_by_cloudformation()
    bus_policy_is_asked()
    events_reach_buses_of_other_accounts()
    function_targets_are_asked_and_retried()
    archive_by_cloudformation()


def bus_policy_by_cloudformation() -> None:
    """AWS: AWS::Events::EventBusPolicy adds one statement, by its StatementId, to a bus's policy.

    The emulator: refuses the resource type.
    """

    def put(_logical_id: str, properties: Mapping[str, Any], _stack: str) -> tuple[str, dict[str, str]]:
        bus, statement_id = properties.get("EventBusName") or "default", properties["StatementId"]
        if bus != "default" and bus not in eventbridge._event_buses:
            raise ValueError(f"Event bus {bus} does not exist.")
        if "Statement" not in properties:
            raise ValueError("AWS::Events::EventBusPolicy: locally only the property Statement is understood.")
        statement = {**_document(properties["Statement"]), "Sid": statement_id}
        policy = eventbridge._event_bus_policies.get(bus) or {"Version": "2012-10-17", "Statement": []}
        others = [kept for kept in policy["Statement"] if kept.get("Sid") != statement_id]
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
    found: dict[str, Any] = json.loads(statement) if isinstance(statement, str) else dict(statement)
    return found


def bus_policy_is_asked() -> None:
    """AWS: PutEvents needs the bus's policy across accounts, and a Deny in it holds for everybody.

    The emulator: keeps bus policies and never asks them.
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


def events_reach_buses_of_other_accounts() -> None:
    """AWS: an entry may name a bus of another account in the same Region by its ARN.

    The emulator: answers that there is no such bus. (Whether the caller may is asked before: `bus_policy_is_asked`.)
    """

    @instead_of(eventbridge, "_put_events")
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
        return json_response({"FailedEntryCount": sum("ErrorCode" in one for one in results), "Entries": results})


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


# The rule and target being served: what reaches a function is told neither.
_serving: contextvars.ContextVar[tuple[dict[str, Any], dict[str, Any]]] = contextvars.ContextVar("serving")


def function_targets_are_asked_and_retried() -> None:
    """AWS: a rule invokes a function asynchronously (two retries, then the on-failure destination) if the function's
    policy lets that rule; if not, the event goes to the target's DeadLetterConfig queue.

    The emulator: invokes once, asks no policy, and knows no dead-letter queue of a target.
    """

    @instead_of(eventbridge, "_invoke_target")
    def invoke_target(original: Any, target: Any, event: Any, rule: Any, view: Any = None) -> Any:
        token = _serving.set((rule, target))
        try:
            return original(target, event, rule, view)
        finally:
            _serving.reset(token)

    @instead_of(eventbridge, "_dispatch_to_lambda")
    def dispatch(_original: Any, function_arn: str, payload: str) -> None:
        rule, target = _serving.get()
        event = json.loads(payload)
        if lambda_.invoke_for_service(function_arn, event, service="events.amazonaws.com", source=rule["Arn"]):
            return
        eventbridge.logger.warning("%s may not invoke %s, or there is no such function", rule["Arn"], function_arn)
        dead_letters = (target.get("DeadLetterConfig") or {}).get("Arn")
        if dead_letters and _may_send(dead_letters, rule["Arn"]):
            eventbridge._dispatch_to_sqs(parse_arn(dead_letters), payload)


def _may_send(queue_arn: str, rule_arn: str) -> bool:
    queue = sqs._queue_by_arn(queue_arn)
    return queue is not None and service_may(
        queue["attributes"].get("Policy"),
        service="events.amazonaws.com",
        action="sqs:SendMessage",
        resource=queue_arn,
        source=rule_arn,
    )


def archive_by_cloudformation() -> None:
    """AWS: AWS::Events::Archive keeps the events of a bus that its pattern matches, for so many days.

    The emulator: has archives and replays, and refuses the resource type. (It keeps events for ever, either way.)
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
        return name, {"Arn": _accepted(eventbridge._create_archive({**source, **settings(properties)}))["ArchiveArn"]}

    def update(physical_id: str, old: Any, new: Mapping[str, Any], stack: str, logical_id: str = "") -> Any:
        if any(old.get(name) != new.get(name) for name in ("ArchiveName", "SourceArn")):
            delete(physical_id, old)
            return create(logical_id, new, stack)
        updated = _accepted(eventbridge._update_archive({"ArchiveName": physical_id, **settings(new)}))
        return physical_id, {"Arn": updated["ArchiveArn"]}

    def delete(physical_id: str, _properties: Any) -> None:
        eventbridge._delete_archive({"ArchiveName": physical_id})

    provisioners._RESOURCE_HANDLERS["AWS::Events::Archive"] = {"create": create, "update": update, "delete": delete}


def _accepted(answer: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(answer[2])
    if answer[0] >= 400:
        raise ValueError(f"{said.get('__type', 'Error')}: {said.get('message', said)}")
    return said

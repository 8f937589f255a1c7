"""Comparison of deployed resources with the deployed templates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jmespath  # type: ignore[import-untyped]

from access.assembly import StackTemplate
from access.template import Resources
from cli.doctor.properties import ANY, TABLE, Read
from cli.doctor.requests import AbsentError, Requests, named
from cli.page import Finding, note, problem

_AGAIN = "See `docs/runbook.md`, Make a subscription again."
_PARALLEL = 8
_SHOWN = 300
"""Characters of a value."""


class Difference(NamedTuple):
    """A difference between a resource and its template. `where`: stack and logical id.

    unsubscribed: The topic has no such subscription.
    """

    where: str
    text: str
    unsubscribed: bool = False

    @property
    def finding(self) -> Finding:
        """The difference as a finding."""
        return problem(f"{self.where}: {self.text}")


class _Resource(NamedTuple):
    """A deployed resource. `names` are the values that requests can name."""

    requests: Requests
    region: str
    where: str
    type: str
    properties: Mapping[str, Any]
    names: Mapping[str, str]


def differences(requests: Mapping[str, Requests], stacks: Iterable[StackTemplate]) -> Iterator[Difference]:
    """Yield the differences of deployed resources from their templates.

    requests: those of each account with credentials.
    """
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for found in pool.map(lambda each: list(_compare(requests, *each)), _known(stacks)):
            yield from found


def _known(stacks: Iterable[StackTemplate]) -> Iterator[tuple[Resources, str]]:
    """Yield the deployed resources whose types are in the table, by stack and logical id."""
    for stack in stacks:
        resources = Resources(stack)
        yield from ((resources, logical) for logical in stack.physical_ids if logical in resources.all)


def _compare(requests: Mapping[str, Requests], resources: Resources, logical: str) -> Iterator[Difference]:
    stack, kind = resources.stack, resources.all[logical]["Type"]
    if kind not in TABLE:
        return
    properties = resources.resolve(resources.properties(logical), logical)
    physical = stack.physical_ids[logical]
    names = {key: value for key, value in properties.items() if isinstance(value, str)} | {
        "account": stack.account,
        "bus": properties.get("EventBusName", "default"),
        "name": resources.name(logical),
        "physical": physical,
        "region": stack.region,
    }
    where = f"{stack.name}/{logical}"
    each = _Resource(requests[stack.account], stack.region, where, kind, properties, names)
    try:
        if kind == "AWS::SNS::Subscription":
            each = _subscription(requests, each)
            if ":" not in each.names["physical"]:
                yield Difference(where, "the subscription is not confirmed, so that no message arrives.")
                return
        for index, read in enumerate(TABLE[kind]):
            yield from _differences(each, read, required=index == 0)
    except AbsentError:
        if kind == "AWS::SNS::Subscription":
            endpoint, topic = properties["Endpoint"], properties["TopicArn"]
            text = f"{endpoint} is not subscribed to {topic}, so that no message arrives. {_AGAIN}"
        else:
            text = f"{kind} {physical} does not exist. It was deleted outside its stack."
        yield Difference(where, text, unsubscribed=kind == "AWS::SNS::Subscription")


def _subscription(requests: Mapping[str, Requests], each: _Resource) -> _Resource:
    """Return a subscription with the requests of the topic's account and Region, and with its present ARN.

    The topic's account can list all subscriptions. Otherwise the ARN is CloudFormation's.

    Raises:
        AbsentError: the topic has no subscription of the endpoint.
    """
    topic, endpoint = each.properties["TopicArn"], each.properties["Endpoint"]
    region, account = topic.split(":")[3:5]
    asking = requests.get(account, each.requests)
    pages = (
        list(asking.pages("sns", "list_subscriptions_by_topic", region, TopicArn=topic)) if account in requests else []
    )
    listed = [one["SubscriptionArn"] for page in pages for one in page["Subscriptions"] if one["Endpoint"] == endpoint]
    if pages and not listed:
        raise AbsentError(endpoint)
    arn = str(listed[0]) if listed else each.names["physical"]
    return each._replace(requests=asking, region=region, names={**each.names, "physical": arn, "region": region})


def _differences(each: _Resource, read: Read, *, required: bool) -> Iterator[Difference]:
    try:
        answer = each.requests.read(read, each.region, each.names)
    except AbsentError:
        if required:
            raise
        answer = {}
    if answer is None:
        return
    found = jmespath.search(named(read.root, each.names), answer)
    if found is None and required:
        raise AbsentError(each.where)
    for name, at in read.places().items():
        expected = jmespath.search(at.here or name, each.properties)
        there = jmespath.search(at.path, found) if at.path else _by_name(found or {}, name)
        if expected is None and (at.default is ANY or there is None):
            continue
        wanted = at.default if expected is None else expected
        for path, here, other in _unequal(wanted, there, name):
            effect = f" {named(at.effect, each.names)}" if at.effect else ""
            yield Difference(
                each.where, f"{path} is {_shown(other, 'not set')}, expected {_shown(here, 'none')}.{effect}"
            )


def _by_name(found: Mapping[str, Any], name: str) -> Any:
    return next((value for key, value in found.items() if key.lower() == name.lower()), None)


def _unequal(here: Any, there: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the paths of unequal values, with both values."""
    here, there = _parsed(here), _parsed(there)
    if _equal(here, there):
        return
    if not (isinstance(here, dict) and isinstance(there, dict)) or None in (_normal(here), _normal(there)):
        yield path, here, there
        return
    for key in {key.lower(): key for key in (*there, *here)}.values():
        yield from _unequal(_by_name(here, key), _by_name(there, key), f"{path}.{key}")


def _equal(here: Any, there: Any) -> bool:
    one, other = _normal(here), _normal(there)
    # Both can be meant by a property: the name of a function, and its ARN.
    return one == other or (
        isinstance(one, str) and str(other).startswith("arn:") and str(other).endswith((f":{one}", f"/{one}"))
    )


def _normal(value: Any) -> Any:
    """Return one form for values that AWS and templates write in several: JSON in a text, numbers as texts, order.

    Absent, false and empty values are equal. The names of keys differ in case between services.
    """
    match _parsed(value):
        case dict() as value:
            items = {key.lower(): _normal(item) for key, item in value.items()}
            return {key: item for key, item in items.items() if item is not None} or None
        case list() as value:
            return sorted((_normal(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True)) or None
        case True | "true":
            return "true"
        case False | "false":
            return None
        case int() | float():
            return f"{value:.15g}"
        case _:
            return value or None


def _parsed(value: Any) -> Any:
    """Return the value of a JSON text, or any other value as it is."""
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
    except ValueError:
        return value


def _shown(value: Any, absent: str) -> str:
    text = absent if value is not False and _normal(value) is None else json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def alarm_findings(requests: Requests, stack: StackTemplate) -> Iterator[Finding]:
    """Yield the alarms of a deployed stack that are in alarm."""
    own = {stack.physical_ids.get(logical): logical for logical in Resources(stack).of_type("AWS::CloudWatch::Alarm")}
    prefix = f"{stack.name}-"
    for page in requests.pages(
        "cloudwatch", "describe_alarms", stack.region, AlarmNamePrefix=prefix, StateValue="ALARM"
    ):
        for name in (alarm["AlarmName"] for alarm in page["MetricAlarms"] if alarm["AlarmName"] in own):
            yield note(f"{stack.name}/{own[name]}: {name} is in alarm. See `docs/runbook.md`.")

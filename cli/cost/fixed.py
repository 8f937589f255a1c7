"""Resources that cost money without messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from access.assembly import StackTemplate

HOURS_PER_MONTH = 730
IDLE_POLLS_PER_MONTH = 5 * 3 * 60 * HOURS_PER_MONTH
"""Lambda polls an empty queue with five connections, and each poll lasts 20 seconds. (AWS Compute Blog, "Estimating
cost for Amazon SQS message processing using AWS Lambda".)"""

METRICS_OF_A_FUNCTION = 3
"""Its messages, bytes and times. A month without messages has none, and a month with errors has more."""


class Item(NamedTuple):
    """A billed quantity of each month in one stack."""

    stack: str
    region: str
    price: str
    """Name in the price table."""
    quantity: float


Properties = Mapping[str, Any]


def _zones(properties: Properties) -> int:
    """Return the number of zones of an interface endpoint. Gateway endpoints cost nothing."""
    return len(properties.get("SubnetIds", ())) if properties.get("VpcEndpointType") == "Interface" else 0


def _alarm_metrics(properties: Properties) -> int:
    """Return the number of metrics of an alarm. An expression is billed by the metrics in it."""
    return sum("MetricStat" in metric for metric in properties.get("Metrics", ())) or 1


def _custom_metrics(properties: Properties) -> int:
    """Return the number of metrics of a function that processes messages: only such a function has a store."""
    variables = properties.get("Environment", {}).get("Variables", {})
    return METRICS_OF_A_FUNCTION if any(name.endswith(("_STORE", "_STORES")) for name in variables) else 0


_BILLED: Mapping[str, tuple[str, Callable[[Properties], float]]] = {
    "AWS::KMS::Key": ("key_month", lambda _: 1),
    "AWS::CloudWatch::Alarm": ("alarm_month", _alarm_metrics),
    "AWS::CloudWatch::Dashboard": ("dashboard_month", lambda _: 1),
    "AWS::EC2::VPCEndpoint": ("endpoint_hour", lambda properties: HOURS_PER_MONTH * _zones(properties)),
    "AWS::EC2::NatGateway": ("nat_gateway_hour", lambda _: HOURS_PER_MONTH),
    "AWS::Lambda::EventSourceMapping": ("sqs_request", lambda _: IDLE_POLLS_PER_MONTH),
    "AWS::Lambda::Function": ("custom_metric_month", _custom_metrics),
}


def fixed_items(stacks: Iterable[StackTemplate]) -> Iterator[Item]:
    """Yield the costs of each stack in a month without messages, jobs and apps."""
    for stack in stacks:
        quantities: defaultdict[str, float] = defaultdict(float)
        for resource in stack.template["Resources"].values():
            if resource["Type"] in _BILLED:
                price, quantity = _BILLED[resource["Type"]]
                quantities[price] += quantity(resource.get("Properties", {}))
        for price, amount in quantities.items():
            if amount:
                yield Item(stack.name, stack.region, price, amount)

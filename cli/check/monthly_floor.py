"""The cost of a month without use, from the templates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from access.assembly import StackTemplate

PRICES_DATE = "2026-11"
KEY_USD = 1.00
ALARM_METRIC_USD = 0.10
DASHBOARD_USD = 3.00
ENDPOINT_USD_PER_HOUR = 0.01
HOURS = 730
"""List prices of us-east-1 by month, and hours of a month. Other Regions differ. The free tier is not deducted."""


class Cost(NamedTuple):
    """A cost of each month."""

    resource: str
    usd: float


def monthly_floor(stacks: Iterable[StackTemplate]) -> tuple[Cost, ...]:
    """Return the costs of resources that are charged without use. Those without resources are left out."""
    found = [
        (resource["Type"], resource.get("Properties", {}))
        for stack in stacks
        for resource in stack.template["Resources"].values()
    ]
    keys = sum(kind == "AWS::KMS::Key" for kind, _ in found)
    metrics = sum(_metrics(properties) for kind, properties in found if kind == "AWS::CloudWatch::Alarm")
    dashboards = sum(kind == "AWS::CloudWatch::Dashboard" for kind, _ in found)
    endpoints = sum(
        len(properties["SubnetIds"])
        for kind, properties in found
        if kind == "AWS::EC2::VPCEndpoint" and properties.get("VpcEndpointType") == "Interface"
    )
    costs = (
        Cost(f"KMS keys: {keys}", keys * KEY_USD),
        Cost(f"metrics of alarms: {metrics}", metrics * ALARM_METRIC_USD),
        Cost(f"dashboards: {dashboards}", dashboards * DASHBOARD_USD),
        Cost(f"network interfaces of endpoints: {endpoints}", endpoints * HOURS * ENDPOINT_USD_PER_HOUR),
    )
    return tuple(cost for cost in costs if cost.usd)


def _metrics(alarm: dict[str, Any]) -> int:
    """Return the number of metrics that an alarm reads. Each is charged."""
    return sum("MetricStat" in metric for metric in alarm.get("Metrics", ())) or 1

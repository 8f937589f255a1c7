"""Fixed costs of a month."""

import pytest

from access.assembly import StackTemplate
from cli.check.monthly_floor import monthly_floor
from stacks.deployment import load
from tests.templates import ROOT, synthesize


def test_costs_of_research_are_those_of_endpoints_and_keys() -> None:
    costs = {cost.resource: cost.usd for cost in monthly_floor(synthesize(load(ROOT / "deployments/research.toml")))}
    assert costs.pop("network interfaces of endpoints: 16") == pytest.approx(116.8)
    assert "KMS keys: 1" in costs


def test_each_metric_of_an_alarm_is_charged() -> None:
    metrics = [{"Id": "a", "MetricStat": {}}, {"Id": "b", "MetricStat": {}}, {"Id": "c", "Expression": "a / b"}]
    alarms = {"One": {"MetricName": "Errors"}, "Two": {"Metrics": metrics}}
    template = {"Resources": {name: {"Type": "AWS::CloudWatch::Alarm", "Properties": alarms[name]} for name in alarms}}
    (cost,) = monthly_floor([StackTemplate("a", "a", "111111111111", "us-east-1", template)])
    assert cost.resource == "metrics of alarms: 3"
    assert cost.usd == pytest.approx(0.3)

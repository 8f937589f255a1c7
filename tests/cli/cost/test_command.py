"""`coatcheck cost`: what stacks cost without messages, and the two forms of its report."""

import json
from typing import Any

import pytest

from access.assembly import StackTemplate
from cli.cost import command
from cli.cost.command import monthly_lines, render, report
from cli.cost.prices import load
from stacks import deployment
from tests.templates import ROOT, synthesize


def stack(*resources: tuple[str, dict[str, Any]]) -> StackTemplate:
    named = {f"Resource{i}": {"Type": kind, "Properties": properties} for i, (kind, properties) in enumerate(resources)}
    return StackTemplate("stack", "stack", "111111111111", "us-east-1", {"Resources": named})


@pytest.mark.parametrize(
    ("kind", "properties", "usd"),
    [
        ("AWS::KMS::Key", {}, 1),
        ("AWS::CloudWatch::Alarm", {"MetricName": "Errors"}, 0.1),
        ("AWS::CloudWatch::Alarm", {"Metrics": [{"Expression": "a"}, {"MetricStat": {}}, {"MetricStat": {}}]}, 0.2),
        ("AWS::CloudWatch::Dashboard", {}, 3),
        ("AWS::EC2::VPCEndpoint", {"VpcEndpointType": "Interface", "SubnetIds": ["a", "b"]}, 14.6),
        ("AWS::EC2::VPCEndpoint", {"VpcEndpointType": "Gateway"}, 0),
        ("AWS::Lambda::EventSourceMapping", {}, 0.2628),
        ("AWS::Lambda::Function", {"Environment": {"Variables": {"TRUSTED_STORES": "[]"}}}, 0.9),
        ("AWS::Lambda::Function", {"Environment": {"Variables": {"POWERTOOLS_METRICS_NAMESPACE": "c"}}}, 0),
        ("AWS::S3::Bucket", {}, 0),
    ],
)
def test_resource_costs_each_month(kind: str, properties: dict[str, Any], usd: float) -> None:
    assert sum(line.usd for line in monthly_lines([stack((kind, properties))], load())) == pytest.approx(usd)


def test_report_as_text_and_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "synthesize", lambda file: synthesize(deployment.load(file)))
    result = report(ROOT / "deployments" / "example.toml", size=300 * 1024, route=None, reads=1, price_table=None)

    text = render(result, details=True)
    assert max(map(len, text.splitlines())) <= 80
    assert "1 x KMS key, each month" in text
    assert "billing: Fargate vCPU" in text
    content = json.loads(result.to_json())
    assert sum(line["usd"] for line in content["million"]) == pytest.approx(493.63, abs=0.01)
    assert content["limits"][0]["hop"] == "billing"
    assert content["unpriced_regions"] == []

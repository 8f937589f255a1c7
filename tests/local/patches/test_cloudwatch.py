"""The patch of CloudWatch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.support import Account, unique

pytestmark = pytest.mark.system


def _alarm_on_expression(account: Account) -> tuple[str, list[dict[str, Any]]]:
    """Deploy an alarm, and return the reasons of a failure and the alarms of its name."""
    name = unique("alarm")
    stat = {"Metric": {"Namespace": "AWS/SNS", "MetricName": "Published"}, "Period": 60, "Stat": "Sum"}
    properties = {
        "AlarmName": name,
        "Metrics": [
            {"Id": "alarm", "Expression": "IF(published > 0, 1, 0)"},
            {"Id": "published", "MetricStat": stat, "ReturnData": False},
        ],
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "EvaluationPeriods": 1,
        "Threshold": 1,
    }
    _, reasons = account.deploy({"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}})
    return reasons, account.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]


@pytest.mark.aws
def test_template_creates_alarm_on_expression(publisher: Account) -> None:
    reasons, (alarm,) = _alarm_on_expression(publisher)

    assert not reasons
    assert (alarm["Threshold"], alarm["StateValue"]) == (1.0, "INSUFFICIENT_DATA")


def test_unpatched_template_creates_no_alarm_on_expression(unpatched_account: Account) -> None:
    reasons, alarms = _alarm_on_expression(unpatched_account)

    assert "metric math" in reasons
    assert alarms == []

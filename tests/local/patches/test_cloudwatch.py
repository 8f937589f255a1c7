"""The patch of CloudWatch."""

from __future__ import annotations

import pytest

from tests.local.support import Account, unique

pytestmark = pytest.mark.system


@pytest.mark.aws
@pytest.mark.patched
def test_template_creates_alarm_on_expression(publisher: Account) -> None:
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
    publisher.create({"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}})
    (alarm,) = publisher.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (alarm["Threshold"], alarm["StateValue"]) == (1.0, "INSUFFICIENT_DATA")

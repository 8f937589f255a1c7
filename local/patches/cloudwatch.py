"""Patch of CloudWatch."""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners

from local.patches.patch import patch, replaces


@patch
def template_creates_alarm_on_expression() -> None:
    """Create a template's alarm on a metric math expression.

    AWS: the alarm evaluates the expression. The emulator: the deployment fails. With the patch, the alarm is recorded
    with its metrics and without `MetricName`, so that it stays in its first state.
    """

    @replaces(provisioners, "_cw_metric_alarm_record")
    def record(original: Any, name: str, properties: dict[str, Any]) -> Any:
        metrics = properties.get("Metrics") or []
        if not metrics:
            return original(name, properties)
        single = {key: value for key, value in properties.items() if key != "Metrics"}
        recorded = original(name, {**single, "MetricName": "none", "Namespace": "expression"})
        own = {key: value for key, value in recorded.items() if key not in _OF_ONE_METRIC}
        return {**own, "Metrics": metrics}


_OF_ONE_METRIC = ("MetricName", "Namespace", "Period", "Statistic", "Dimensions")

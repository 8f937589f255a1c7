"""Dashboards: layout, alarms and graphs."""

import json
from itertools import groupby, pairwise
from typing import Any

import pytest

from access.assembly import StackTemplate
from tests.stacks.conftest import RUNBOOK_URL
from tests.stacks.policies import resolved, resources

WITH_FUNCTIONS = ("coatcheck-publisher", "coatcheck-datasets", "coatcheck-orders", "coatcheck-billing")
STACKS = (*WITH_FUNCTIONS, "coatcheck-partner", "coatcheck-service")


def widgets(stack: StackTemplate) -> list[dict[str, Any]]:
    """Return the dashboard's widgets."""
    body = resolved(stack.template, "AWS::CloudWatch::Dashboard")["DashboardBody"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def graph(stack: StackTemplate, title: str) -> list[Any]:
    """The metrics of the one graph whose title begins so."""
    (found,) = (each["properties"] for each in widgets(stack) if each["properties"].get("title", "").startswith(title))
    metrics: list[Any] = found["metrics"]
    return metrics


@pytest.mark.parametrize("name", STACKS)
def test_dashboard_shows_advice_then_alarms_then_dead_letters(everything: dict[str, StackTemplate], name: str) -> None:
    shown = widgets(everything[name])
    assert [widget["type"] for widget in shown[:3]] == ["text", "alarm", "metric"]
    assert f"({RUNBOOK_URL})" in shown[0]["properties"]["markdown"]
    assert len(shown[1]["properties"]["alarms"]) == len(resources(everything[name].template, "AWS::CloudWatch::Alarm"))
    assert shown[2]["properties"]["metrics"][0][1] == "ApproximateNumberOfMessagesVisible"
    if name in WITH_FUNCTIONS:
        assert shown[-1]["type"] == "log"
        assert "message_id" in shown[-1]["properties"]["query"]


@pytest.mark.parametrize("name", STACKS)
def test_dashboard_widgets_do_not_overlap(everything: dict[str, StackTemplate], name: str) -> None:
    rows = [list(row) for _, row in groupby(widgets(everything[name]), key=lambda widget: widget["y"])]
    for row in rows:
        assert [widget["x"] for widget in row] == [0, 12][: len(row)]
        assert row[-1]["x"] + row[-1]["width"] in (24, 12)
    for above, below in pairwise(row[0] for row in rows):
        assert below["y"] == above["y"] + above["height"]


@pytest.mark.parametrize("name", STACKS)
def test_large_threshold_has_a_graph_axis_of_its_own(everything: dict[str, StackTemplate], name: str) -> None:
    """On an axis with a threshold in milliseconds or seconds, another metric would be a flat line."""
    for widget in (each["properties"] for each in widgets(everything[name])):
        lines = widget.get("annotations", {}).get("horizontal", []) if widget.get("metrics") else []
        if any(line["value"] > 1 for line in lines):
            left = [metric for metric in widget["metrics"] if metric[-1].get("yAxis") != "right"]
            assert len(left) == 1, widget["title"]


def test_dashboard_shows_the_undelivered_queue_of_another_region(everything: dict[str, StackTemplate]) -> None:
    (metric,) = graph(everything["coatcheck-orders"], "Undelivered")
    assert metric[:4] == ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "coatcheck-orders-undelivered"]
    assert metric[4]["region"] == "us-east-1"


def test_publisher_dashboard_shows_replication_of_both_regions(everything: dict[str, StackTemplate]) -> None:
    failed, lag = graph(everything["coatcheck-publisher"], "Replication")
    dimensions = [
        *("DestinationBucket", "coatcheck-payloads-111111111111-us-west-2"),
        *("RuleId", "Replicate-us-west-2"),
        *("SourceBucket", "coatcheck-payloads-111111111111-us-east-1"),
    ]
    assert failed[:8] == ["AWS/S3", "OperationsFailedReplication", *dimensions]
    assert lag[:8] == ["AWS/S3", "ReplicationLatency", *dimensions]
    assert (lag[8]["region"], lag[8]["yAxis"]) == ("us-west-2", "right")

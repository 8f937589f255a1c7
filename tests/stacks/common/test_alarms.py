"""Alarms: texts, topics, metrics and thresholds."""

import re
from typing import Any

import pytest

import claim_check
from access.assembly import StackTemplate
from stacks.common.alarms import ERRORS
from stacks.deployment import load
from tests.stacks.conftest import RUNBOOK_URL
from tests.stacks.policies import Template, resources
from tests.templates import ROOT, synthesize
from tools import reference

Alarm = dict[str, Any]


def alarms_of(template: Template) -> list[Alarm]:
    return [alarm["Properties"] for alarm in resources(template, "AWS::CloudWatch::Alarm").values()]


def short(alarm: Alarm) -> str:
    """The last part of the alarm's name, which the runbook explains."""
    return str(alarm["AlarmName"]).rpartition("-")[2]


@pytest.fixture(scope="module")
def all_alarms(everything: dict[str, StackTemplate]) -> dict[str, Alarm]:
    """All alarms by name."""
    return {alarm["AlarmName"]: alarm for stack in everything.values() for alarm in alarms_of(stack.template)}


@pytest.fixture(scope="module")
def alarms(all_alarms: dict[str, Alarm]) -> dict[str, Alarm]:
    """Alarms on one metric, by name."""
    return {name: alarm for name, alarm in all_alarms.items() if "MetricName" in alarm}


def test_alarm_text_has_three_parts_and_a_runbook_section(all_alarms: dict[str, Alarm]) -> None:
    alarms = all_alarms
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (\w+)$", runbook, flags=re.MULTILINE)
    assert sorted(sections) == sorted({short(alarm) for alarm in alarms.values()})
    for name, alarm in alarms.items():
        text, _, link = alarm["AlarmDescription"].partition(" Details: ")
        assert link == f"{RUNBOOK_URL}#{short(alarm).lower()}", name
        # What happened, what it means for messages, and the first step.
        assert len(re.findall(r"[.:] (?=[A-Z])", text)) >= 2, name
        assert text.endswith("."), name
        assert len(alarm["AlarmDescription"]) <= 1024, name
        assert ("coatcheck inspect" in text) == ("NotEmpty" in name), name
        # The command requires one of these options.
        assert ("coatcheck redrive" in text) == ("--subscriber NAME" in text or "--publisher" in text), name


def test_reference_has_every_alarm(all_alarms: dict[str, Alarm]) -> None:
    stacks = [stack for file in reference.EXAMPLES for stack in synthesize(load(file))]
    page = reference.ALARMS.read_text(encoding="utf-8")
    assert page == reference.render(reference.ALARMS, reference.alarms(stacks)), "run: make docs"
    assert set(re.findall(r"^\| \[`(\w+)`", page, re.MULTILINE)) == {short(alarm) for alarm in all_alarms.values()}


def test_alarm_has_no_link_without_a_runbook(templates: dict[str, Template]) -> None:
    for alarm in alarms_of(templates["coatcheck-publisher"]):
        assert "Details" not in alarm["AlarmDescription"]


def test_error_alarms_equal_the_librarys(alarms: dict[str, Alarm]) -> None:
    errors = [getattr(claim_check, name) for name in claim_check.__all__]
    errors = [error for error in errors if isinstance(error, type) and issubclass(error, claim_check.ClaimCheckError)]
    assert set(ERRORS) == {error.__name__ for error in errors if error.alarm}
    counted = {
        (alarm["MetricName"], alarm["Dimensions"][0]["Value"])
        for alarm in alarms.values()
        if alarm["Namespace"] == "coatcheck"
    }
    consumers = {"coatcheck-orders-consume", "coatcheck-billing-consume", "coatcheck-datasets-consume"}
    assert counted == {(error, function) for error in ERRORS for function in consumers} | {
        (error, "coatcheck-publish") for error in ("PayloadCorrupt", "ReportLost")
    }


SQS, LAMBDA, EVENTS, SNS = "AWS/SQS", "AWS/Lambda", "AWS/Events", "AWS/SNS"
QUEUE, FUNCTION, RULE, TOPIC = {"QueueName"}, {"FunctionName"}, {"RuleName"}, {"TopicName"}
VISIBLE = (SQS, "ApproximateNumberOfMessagesVisible", "Maximum", QUEUE)
REPLICATION_RULE = {"SourceBucket", "DestinationBucket", "RuleId"}
COUNTED: dict[str, tuple[str, str, str, set[str]]] = {
    "DeadLettersNotEmpty": VISIBLE,
    "UndeliveredNotEmpty": VISIBLE,
    "PublishDeadLettersNotEmpty": VISIBLE,
    "PipelineTriggerDeadLettersNotEmpty": VISIBLE,
    "QueueLate": (SQS, "ApproximateAgeOfOldestMessage", "Maximum", QUEUE),
    "NotDelivered": (SNS, "NumberOfNotificationsRedrivenToDlq", "Sum", TOPIC),
    "DeliveryLost": (SNS, "NumberOfNotificationsFailedToRedriveToDlq", "Sum", TOPIC),
    "NotReplicated": ("AWS/S3", "OperationsFailedReplication", "Sum", REPLICATION_RULE),
    "ReplicaLate": ("AWS/S3", "ReplicationLatency", "Maximum", REPLICATION_RULE),
    "EventsLost": (EVENTS, "InvocationsFailedToBeSentToDlq", "Sum", {"RuleName", "EventBusName"}),
    "UploadsLost": (EVENTS, "InvocationsFailedToBeSentToDlq", "Sum", RULE),
    "TaskFailuresLost": (EVENTS, "FailedInvocations", "Sum", RULE),
    "ExecutionEventsLost": (EVENTS, "FailedInvocations", "Sum", RULE),
    "PipelineEventsLost": (EVENTS, "FailedInvocations", "Sum", RULE),
    "ExecutionsFailed": ("AWS/States", "ExecutionsFailed", "Sum", {"StateMachineArn"}),
    "ExecutionsTimedOut": ("AWS/States", "ExecutionsTimedOut", "Sum", {"StateMachineArn"}),
    **{
        f"{name}{suffix}": (LAMBDA, metric, "Sum", FUNCTION)
        for name in ("Publish", "Consume", "Copy", "PipelineTrigger")
        for suffix, metric in (("Fails", "Errors"), ("Throttled", "Throttles"))
    },
    **{
        f"{name}{suffix}": (LAMBDA, metric, statistic, FUNCTION)
        for name in ("Publish", "Consume", "PipelineTrigger")
        for suffix, metric, statistic in (
            ("Late", "AsyncEventAge", "Maximum"),
            ("Lost", "DestinationDeliveryFailures", "Sum"),
        )
    },
    **{
        name: ("coatcheck", name, "Sum", {"service"})
        for name in ("UntrustedStore", "MalformedMessage", "PayloadCorrupt", "ReportLost")
    },
}
"""By alarm: namespace, metric, statistic and dimensions, as in each service's list of metrics. CloudWatch accepts an
alarm on a metric that no service writes; such an alarm is never on."""


def test_alarm_metrics_are_those_of_the_services(alarms: dict[str, Alarm]) -> None:
    for name, alarm in alarms.items():
        dimensions = {dimension["Name"] for dimension in alarm["Dimensions"]}
        counted = (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"], dimensions)
        assert counted == COUNTED[short(alarm)], name
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert {short(alarm) for alarm in alarms.values()} == set(COUNTED)

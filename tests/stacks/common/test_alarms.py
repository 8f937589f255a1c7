"""Alarms: texts, topics, metrics and thresholds."""

import re
from typing import Any

import pytest

import claim_check
from access.assembly import StackTemplate
from access.template import Resources
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


def test_alarm_notifies_the_topic_of_its_stack(everything: dict[str, StackTemplate]) -> None:
    for stack in everything.values():
        topics = resources(stack.template, "AWS::SNS::Topic").items()
        found = [name for name, topic in topics if topic["Properties"]["TopicName"] == f"{stack.name}-operations"]
        for alarm in alarms_of(stack.template):
            assert alarm["AlarmName"].startswith(f"{stack.name}-")
            assert alarm["AlarmActions"] == [{"Ref": name} for name in found]
            assert alarm["TreatMissingData"] == "notBreaching"


def test_operators_are_subscribed_by_email(everything: dict[str, StackTemplate]) -> None:
    for name, stack in everything.items():
        subscriptions = [each["Properties"] for each in resources(stack.template, "AWS::SNS::Subscription").values()]
        emails = [each["Endpoint"] for each in subscriptions if each["Protocol"] == "email"]
        assert emails == (["night@example.com"] if alarms_of(stack.template) else []), name


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


def test_alarm_evaluation_periods(alarms: dict[str, Alarm]) -> None:
    lasting = [alarm for alarm in alarms.values() if alarm["EvaluationPeriods"] > 1]
    assert {short(alarm) for alarm in lasting} == {
        f"{name}{end}" for name in ("Publish", "Consume", "Copy", "PipelineTrigger") for end in ("Fails", "Throttled")
    }
    assert {(alarm["EvaluationPeriods"], alarm["Period"]) for alarm in lasting} == {(3, 300)}


def test_dead_letter_alarms_are_on_within_a_minute(alarms: dict[str, Alarm]) -> None:
    depths = [alarm for alarm in alarms.values() if short(alarm).endswith("NotEmpty")]
    assert len(depths) == 11
    for alarm in depths:
        assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Period"]) == (1, 1, 60)


def test_alarm_thresholds(alarms: dict[str, Alarm]) -> None:
    hour, receives = 3600, 5 * 6 * 300  # maximum receives x visibility timeout, in seconds
    assert {name: alarm["Threshold"] for name, alarm in alarms.items() if alarm["Threshold"] != 1} == {
        "coatcheck-datasets-QueueLate": receives,
        "coatcheck-orders-QueueLate": receives,
        "coatcheck-service-QueueLate": 5 * 300,
        "coatcheck-publisher-PublishLate": hour * 1000,
        "coatcheck-billing-ConsumeLate": hour * 1000,
        "coatcheck-datasets-PipelineTriggerLate": hour * 1000,
        "coatcheck-replica-us-west-2-ReplicaLate": hour,
    }


def test_rule_alarms_name_the_bus_of_a_custom_rule(everything: dict[str, StackTemplate]) -> None:
    publisher = everything["coatcheck-publisher"]
    reader = Resources(publisher)
    dimensions = {
        short(alarm): {each["Name"]: each["Value"] for each in reader.resolve(alarm["Dimensions"], "alarm")}
        for alarm in alarms_of(publisher.template)
        if alarm.get("Namespace") == EVENTS
    }
    assert dimensions["EventsLost"]["EventBusName"] == "coatcheck"
    assert dimensions["EventsLost"]["RuleName"].startswith("coatcheck-publisher-EventBusRule")
    assert set(dimensions["UploadsLost"]) == {"RuleName"}


def test_replication_alarms_are_in_the_region_of_their_metric(alarms: dict[str, Alarm]) -> None:
    """S3 counts failed operations in the source's Region and lag in the replica's."""
    failed = alarms["coatcheck-publisher-us-west-2-NotReplicated"]
    late = alarms["coatcheck-replica-us-west-2-ReplicaLate"]
    assert (
        failed["Dimensions"]
        == late["Dimensions"]
        == [
            {"Name": "DestinationBucket", "Value": "coatcheck-payloads-111111111111-us-west-2"},
            {"Name": "RuleId", "Value": "Replicate-us-west-2"},
            {"Name": "SourceBucket", "Value": "coatcheck-payloads-111111111111-us-east-1"},
        ]
    )
    assert "us-west-2" in failed["AlarmDescription"]


def test_idle_consumer_with_waiting_messages_is_noticed(all_alarms: dict[str, Alarm]) -> None:
    """Waiting messages of which none is taken. Without waiting messages there is no value, and no alarm."""
    stopped = {name: alarm for name, alarm in all_alarms.items() if name.endswith("Stopped")}
    waiting = {
        "IF(visible > 0 AND hidden < 1 AND FILL(taken, 0) < 1, 1, 0)",
        (SQS, "ApproximateNumberOfMessagesVisible", "Maximum", 300),
        (SQS, "ApproximateNumberOfMessagesNotVisible", "Minimum", 300),
    }
    assert {alarm["EvaluationPeriods"] for alarm in stopped.values()} == {2}
    assert {name: metrics_of(alarm) for name, alarm in stopped.items()} == {
        "coatcheck-orders-ConsumeStopped": waiting | {(LAMBDA, "Invocations", "Sum", 300)},
        "coatcheck-datasets-ConsumeStopped": waiting | {(LAMBDA, "Invocations", "Sum", 300)},
        "coatcheck-service-ServiceStopped": waiting | {(SQS, "NumberOfMessagesReceived", "Sum", 300)},
        "coatcheck-billing-ConsumeStopped": {
            "IF(throttles > 0 AND FILL(taken, 0) < 1, 1, 0)",
            (LAMBDA, "Throttles", "Sum", 300),
            (LAMBDA, "ConcurrentExecutions", "Maximum", 300),
        },
    }


def test_missing_subscription_is_noticed_in_two_of_three_hours(all_alarms: dict[str, Alarm]) -> None:
    alarm = all_alarms["coatcheck-publisher-SubscriptionMissing"]
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (2, 3)
    attempts = "FILL(filtered, 0) + FILL(delivered, 0) + FILL(failed, 0)"
    assert metrics_of(alarm) == {
        f"IF(published > 0 AND {attempts} <= published * 4.5, 1, 0)",
        (SNS, "NumberOfMessagesPublished", "Sum", 3600),
        *((SNS, f"NumberOfNotifications{end}", "Sum", 3600) for end in ("FilteredOut", "Delivered", "Failed")),
    }


def metrics_of(alarm: Alarm) -> set[Any]:
    """Return the expression of an alarm, and namespace, name, statistic and period of each of its metrics."""
    stats = [metric["MetricStat"] for metric in alarm["Metrics"] if "MetricStat" in metric]
    expressions = {metric["Expression"] for metric in alarm["Metrics"] if "Expression" in metric}
    return expressions | {
        (stat["Metric"]["Namespace"], stat["Metric"]["MetricName"], stat["Stat"], stat["Period"]) for stat in stats
    }

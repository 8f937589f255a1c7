"""What tells people: each alarm counts something that is counted, acts on a topic, and is explained."""

import json
import re
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any

import pytest

import claim_check
from access.assembly import StackTemplate
from access.template import Resources
from stacks.common.alarms import ERRORS
from stacks.deployment import Deployment, load, parse_messaging
from tests.stacks.policies import Template, only, ours, resources, statements, with_sid
from tests.templates import ROOT, synthesize

Synth = Callable[[Deployment], dict[str, Template]]
Alarm = dict[str, Any]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
STACKS = {"coatcheck-publisher", "coatcheck-orders", "coatcheck-orders-undelivered", "coatcheck-billing"}


@pytest.fixture(scope="module")
def stacks(example: Deployment) -> dict[str, StackTemplate]:
    """All but a sender's, in which nothing runs; the example, with landing."""
    table = json.loads(example.model_dump_json())
    table["subscribers"][0]["landing"] = {}
    deployment = parse_messaging(table)
    return {each.name: each for each in synthesize(deployment) if not each.name.endswith("-sender")}


@pytest.fixture(scope="module")
def alarms(stacks: dict[str, StackTemplate]) -> dict[str, Alarm]:
    """All of the deployment, by name."""
    found = {}
    for stack in stacks.values():
        for alarm in resources(stack.template, "AWS::CloudWatch::Alarm").values():
            found[alarm["Properties"]["AlarmName"]] = alarm["Properties"]
    return found


def test_every_alarm_acts_on_its_own_stacks_topic(stacks: dict[str, StackTemplate]) -> None:
    assert set(stacks) == STACKS
    for stack in stacks.values():
        topics = resources(stack.template, "AWS::SNS::Topic")
        (operations,) = (name for name in topics if topics[name]["Properties"]["TopicName"].endswith("-operations"))
        found = resources(stack.template, "AWS::CloudWatch::Alarm").values()
        assert found
        for alarm in found:
            assert alarm["Properties"]["AlarmActions"] == [{"Ref": operations}]
            assert alarm["Properties"]["TreatMissingData"] == "notBreaching"


def test_every_alarm_has_a_section_of_the_runbook_and_says_where(example: Deployment) -> None:
    """Every alarm of every deployment beside the example, and of what none of them has."""
    landing = json.loads(example.model_dump_json())
    landing["subscribers"][0]["landing"] = {}
    found = [parse_messaging(landing), *(load(path) for path in sorted((ROOT / "deployments").glob("*.toml")))]
    alarms = {
        alarm["Properties"]["AlarmName"]: alarm["Properties"]
        for deployment in found
        if isinstance(deployment, Deployment)
        for stack in synthesize(deployment)
        for alarm in resources(stack.template, "AWS::CloudWatch::Alarm").values()
    }
    sections = re.findall(r"^### (\w+)$", RUNBOOK, flags=re.MULTILINE)
    assert len(sections) == len(set(sections))
    explained = set()
    for name, alarm in alarms.items():
        short = name.rpartition("-")[2]
        explained.add(short)
        assert short in sections, f"docs/runbook.md has no section for {name}"
        assert alarm["AlarmDescription"].endswith(f"docs/runbook.md#{short.lower()}")
    assert explained == set(sections), "sections of alarms that are not there"


def test_alarms_of_refusals_count_what_handlers_count(alarms: dict[str, Alarm]) -> None:
    """An error under its class's name, with one dimension: the function's name (tests/lambdas/test_telemetry.py)."""
    own = [alarm for alarm in alarms.values() if alarm["Namespace"] == "coatcheck"]
    assert {alarm["MetricName"] for alarm in own} == set(ERRORS)
    for error in ERRORS:
        assert issubclass(getattr(claim_check, error), claim_check.ClaimCheckError)
    assert {(alarm["MetricName"], alarm["Dimensions"][0]["Value"]) for alarm in own} >= {
        ("UntrustedStore", "coatcheck-orders-consume"),
        ("UntrustedStore", "coatcheck-billing-consume"),
        ("PayloadCorrupt", "coatcheck-publish"),
    }
    for alarm in own:
        assert [dimension["Name"] for dimension in alarm["Dimensions"]] == ["service"]


@pytest.fixture(scope="module")
def everything(example: Deployment) -> dict[str, StackTemplate]:
    """The stacks of a deployment that has all there is to watch; without senders', in which nothing runs."""
    table = json.loads(load(ROOT / "deployments" / "research-messages.toml").model_dump_json())
    orders, billing = json.loads(example.model_dump_json())["subscribers"]
    everywhere = json.loads(load(ROOT / "deployments" / "everywhere.toml").model_dump_json())
    (partner,) = (each for each in everywhere["subscribers"] if each["kind"] == "https")
    table["subscribers"] += [orders | {"landing": {}}, billing, partner]
    table["publisher"]["replicas"] = [orders["region"]]
    found = synthesize(parse_messaging(table))
    return {each.name: each for each in found if not each.name.endswith("-sender")}


SQS, LAMBDA, EVENTS, SNS = "AWS/SQS", "AWS/Lambda", "AWS/Events", "AWS/SNS"
QUEUE, FUNCTION, RULE, TOPIC = {"QueueName"}, {"FunctionName"}, {"RuleName"}, {"TopicName"}
VISIBLE = (SQS, "ApproximateNumberOfMessagesVisible", "Maximum", QUEUE)
RULE_ID = {"SourceBucket", "DestinationBucket", "RuleId"}
COUNTED: dict[str, tuple[str, str, str, set[str]]] = {
    "DeadLettersNotEmpty": VISIBLE,
    "UndeliveredNotEmpty": VISIBLE,
    "PublishDeadLettersNotEmpty": VISIBLE,
    "PipelineTriggerDeadLettersNotEmpty": VISIBLE,
    "QueueLate": (SQS, "ApproximateAgeOfOldestMessage", "Maximum", QUEUE),
    "NotDelivered": (SNS, "NumberOfNotificationsRedrivenToDlq", "Sum", TOPIC),
    "DeliveryLost": (SNS, "NumberOfNotificationsFailedToRedriveToDlq", "Sum", TOPIC),
    "NotReplicated": ("AWS/S3", "OperationsFailedReplication", "Sum", RULE_ID),
    "ReplicaLate": ("AWS/S3", "ReplicationLatency", "Maximum", RULE_ID),
    "EventsLost": (EVENTS, "InvocationsFailedToBeSentToDlq", "Sum", {"RuleName", "EventBusName"}),
    "UploadsLost": (EVENTS, "InvocationsFailedToBeSentToDlq", "Sum", RULE),
    "TaskFailuresLost": (EVENTS, "FailedInvocations", "Sum", RULE),
    "ExecutionEventsLost": (EVENTS, "FailedInvocations", "Sum", RULE),
    "PipelineEventsLost": (EVENTS, "FailedInvocations", "Sum", RULE),
    "ExecutionsFailed": ("AWS/States", "ExecutionsFailed", "Sum", {"StateMachineArn"}),
    "ExecutionsTimedOut": ("AWS/States", "ExecutionsTimedOut", "Sum", {"StateMachineArn"}),
    **{
        f"{name}Fails": (LAMBDA, "Errors", "Sum", FUNCTION)
        for name in ("Publish", "Consume", "Copy", "PipelineTrigger")
    },
    **{
        f"{name}Throttled": (LAMBDA, "Throttles", "Sum", FUNCTION)
        for name in ("Publish", "Consume", "Copy", "PipelineTrigger")
    },
    **{
        f"{name}Late": (LAMBDA, "AsyncEventAge", "Maximum", FUNCTION)
        for name in ("Publish", "Consume", "PipelineTrigger")
    },
    **{
        f"{name}Lost": (LAMBDA, "DestinationDeliveryFailures", "Sum", FUNCTION)
        for name in ("Publish", "Consume", "PipelineTrigger")
    },
    **{
        name: ("coatcheck", name, "Sum", {"service"})
        for name in ("UntrustedStore", "MalformedMessage", "PayloadCorrupt")
    },
}
"""By alarm: namespace, metric, statistic and dimensions, as each service's page of metrics spells them. CloudWatch
takes an alarm on a metric that nobody writes, which is then never on."""


def test_every_alarm_counts_what_a_service_says_that_it_counts(everything: dict[str, StackTemplate]) -> None:
    found = [
        (alarm["AlarmName"].rpartition("-")[2], alarm)
        for stack in everything.values()
        for alarm in (each["Properties"] for each in resources(stack.template, "AWS::CloudWatch::Alarm").values())
    ]
    for name, alarm in found:
        dimensions = {each["Name"] for each in alarm["Dimensions"]}
        counted = (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"], dimensions)
        assert counted == COUNTED[name], alarm["AlarmName"]
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert {name for name, _ in found} == set(COUNTED)


def test_every_stack_in_which_something_runs_or_waits_has_its_dashboard(everything: dict[str, StackTemplate]) -> None:
    """But for those that hold a redrive queue or a replica alone, and the research environment's."""
    dashboards = {
        name: [each["Properties"]["DashboardName"] for each in found.values()]
        for name, stack in everything.items()
        if (found := resources(stack.template, "AWS::CloudWatch::Dashboard"))
    }
    shown = ("coatcheck-publisher", "coatcheck-datasets", "coatcheck-orders", "coatcheck-billing", "coatcheck-partner")
    assert dashboards == {name: [name] for name in shown}


def test_what_is_an_alarm_at_once_and_what_has_to_go_on(alarms: dict[str, Alarm]) -> None:
    lasting = {name for name, alarm in alarms.items() if alarm["EvaluationPeriods"] > 1}
    assert {name.rpartition("-")[2] for name in lasting} == {
        "PublishFails",
        "PublishThrottled",
        "ConsumeFails",
        "ConsumeThrottled",
        "CopyFails",
        "CopyThrottled",
    }
    assert {alarms[name]["EvaluationPeriods"] for name in lasting} == {3}
    thresholds = {name: alarm["Threshold"] for name, alarm in alarms.items() if alarm["Threshold"] != 1}
    assert thresholds == {
        "coatcheck-orders-QueueLate": 5 * 6 * 300,  # tries x visibility time-out, in seconds
        "coatcheck-publisher-PublishLate": 3_600_000,
        "coatcheck-billing-ConsumeLate": 3_600_000,
    }


def test_rules_are_counted_by_bus_and_name(stacks: dict[str, StackTemplate]) -> None:
    publisher = stacks["coatcheck-publisher"]
    dimensions = {
        alarm["AlarmName"].rpartition("-")[2]: {d["Name"]: d["Value"] for d in alarm["Dimensions"]}
        for alarm in (
            {**each, "Dimensions": Resources(publisher).resolve(each["Dimensions"], "alarm")}
            for each in (a["Properties"] for a in resources(publisher.template, "AWS::CloudWatch::Alarm").values())
            if each["Namespace"] == "AWS/Events"
        )
    }
    assert set(dimensions["EventsLost"]) == {"EventBusName", "RuleName"}
    assert dimensions["EventsLost"]["EventBusName"] == "coatcheck"
    assert dimensions["EventsLost"]["RuleName"].startswith("coatcheck-publisher-EventBusRule")
    assert set(dimensions["UploadsLost"]) == {"RuleName"}


def test_alarms_of_the_stack_alone_may_tell(stacks: dict[str, StackTemplate]) -> None:
    template = stacks["coatcheck-orders"].template
    condition = {
        "StringEquals": {"aws:SourceAccount": "222222222222"},
        "ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:us-west-2:222222222222:alarm:coatcheck-orders-*"},
    }
    tell = with_sid(statements(template, "AWS::SNS::TopicPolicy"), "PublishAlarms")
    assert (tell["Principal"], tell["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    assert tell["Condition"] == condition
    ((key, owned),) = (
        (name, each["Properties"]["KeyPolicy"])
        for name, each in resources(template, "AWS::KMS::Key").items()
        if name.startswith("Alarms")
    )
    encrypt = with_sid(owned["Statement"], "EncryptAlarms")
    assert encrypt["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert encrypt["Condition"] == condition
    assert only(template, "AWS::SNS::Topic")["Properties"]["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}


def widgets(stack: StackTemplate) -> list[dict[str, Any]]:
    """The dashboard's, with what CloudFormation fills in left out."""
    body = only(stack.template, "AWS::CloudWatch::Dashboard")["Properties"]["DashboardBody"]
    text = "".join(part if isinstance(part, str) else "FILLED-IN" for part in body["Fn::Join"][1])
    found: list[dict[str, Any]] = json.loads(text)["widgets"]
    return found


def test_a_dashboard_begins_with_what_to_do_and_what_is_wrong(stacks: dict[str, StackTemplate]) -> None:
    for name in STACKS - {"coatcheck-orders-undelivered"}:
        shown = widgets(stacks[name])
        assert [widget["type"] for widget in shown[:3]] == ["text", "alarm", "metric"]
        assert "docs/runbook.md" in shown[0]["properties"]["markdown"]
        assert len(shown[1]["properties"]["alarms"]) == len(resources(stacks[name].template, "AWS::CloudWatch::Alarm"))
        # Dead letters first.
        assert shown[2]["properties"]["metrics"][0][1] == "ApproximateNumberOfMessagesVisible"
        assert shown[-1]["type"] == "log"
        assert "message_id" in shown[-1]["properties"]["query"]
        # Side by side or below one another, none over another, none wider than the page.
        rows = [list(row) for _, row in groupby(shown, key=lambda widget: widget["y"])]
        for row in rows:
            assert [widget["x"] for widget in row] == [0, 12][: len(row)]
            assert row[-1]["x"] + row[-1]["width"] in (24, 12)
        for above, below in pairwise(row[0] for row in rows):
            assert below["y"] == above["y"] + above["height"]


def test_no_threshold_flattens_what_is_beside_it(stacks: dict[str, StackTemplate]) -> None:
    """A threshold of milliseconds or seconds is on a graph that has nothing else on its axis."""
    for name in STACKS - {"coatcheck-orders-undelivered"}:
        for widget in (each["properties"] for each in widgets(stacks[name])):
            horizontal = widget.get("annotations", {}).get("horizontal", []) if widget.get("metrics") else []
            if any(line["value"] > 1 for line in horizontal):
                left = [each for each in widget["metrics"] if each[-1].get("yAxis") != "right"]
                assert len(left) == 1, widget["title"]


def test_the_dashboard_shows_the_redrive_queue_of_another_region(stacks: dict[str, StackTemplate]) -> None:
    shown = [widget["properties"] for widget in widgets(stacks["coatcheck-orders"])]
    (redrive,) = (each for each in shown if "Undelivered" in each.get("title", ""))
    assert redrive["metrics"][0][:4] == [
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        "QueueName",
        "coatcheck-orders-undelivered",
    ]
    assert redrive["metrics"][0][4]["region"] == "us-east-1"


def with_operations(example: Deployment, **keys: object) -> Deployment:
    return parse_messaging({**json.loads(example.model_dump_json()), "operations": keys})


def test_people_are_mailed_where_the_file_names_them(synth: Synth, example: Deployment) -> None:
    deployment = with_operations(example, emails=["night@example.com"], runbook="https://wiki.example.com/coatcheck")
    for name in STACKS:
        template = synth(deployment)[name]
        mails = [
            each["Properties"]
            for each in resources(template, "AWS::SNS::Subscription").values()
            if each["Properties"]["Protocol"] == "email"
        ]
        assert [mail["Endpoint"] for mail in mails] == ["night@example.com"], name
        alarm = next(iter(resources(template, "AWS::CloudWatch::Alarm").values()))["Properties"]
        assert "https://wiki.example.com/coatcheck#" in alarm["AlarmDescription"]


EXAMPLES = sorted(path.stem for path in (ROOT / "deployments").glob("*.toml"))
SOME = ("many-subscribers", "research-messages")
"""They have every kind of stack."""


@pytest.mark.parametrize("ephemeral", [False, True])
@pytest.mark.parametrize(
    "file", [each if each in SOME else pytest.param(each, marks=pytest.mark.exhaustive) for each in EXAMPLES]
)
def test_every_log_is_kept_as_long_as_the_file_says(file: str, ephemeral: bool) -> None:
    """Of every function, too, CDK's own included: without a log group Lambda makes one, and keeps it for ever."""
    deployment = load(ROOT / "deployments" / f"{file}.toml")
    operations = type(deployment.operations)(log_retention_days=90)
    found = synthesize(deployment.model_copy(update={"operations": operations, "ephemeral": ephemeral}))
    for stack in found:
        groups = resources(stack.template, "AWS::Logs::LogGroup")
        assert all(group["Properties"]["RetentionInDays"] == 90 for group in groups.values())
        written = [group["Properties"].get("LogGroupName") for group in groups.values()]
        for name, function in resources(stack.template, "AWS::Lambda::Function").items():
            group = function["Properties"].get("LoggingConfig", {}).get("LogGroup", {}).get("Ref")
            by_default = {"Fn::Join": ["", ["/aws/lambda/", {"Ref": name}]]}
            assert group in groups or by_default in written, f"{stack.name}/{name}"
        for name, project in resources(stack.template, "AWS::CodeBuild::Project").items():
            logs = project["Properties"]["LogsConfig"]["CloudWatchLogs"]
            assert logs["GroupName"]["Ref"] in groups, f"{stack.name}/{name}"
    assert any(resources(stack.template, "AWS::Lambda::Function") for stack in found)


def test_everything_that_can_be_traced_is(stacks: dict[str, StackTemplate]) -> None:
    functions = [function["TracingConfig"] for stack in stacks.values() for function in ours(stack.template)]
    assert functions
    assert all(tracing == {"Mode": "Active"} for tracing in functions)
    machine = only(stacks["coatcheck-orders"].template, "AWS::StepFunctions::StateMachine")
    assert machine["Properties"]["TracingConfiguration"] == {"Enabled": True}

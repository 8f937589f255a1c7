"""What is behind a subscriber: landing, the state machine, and the bus that tells what became of payloads."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_stepfunctions as sfn

from access.assembly import StackTemplate, read
from access.template import Resources
from stacks.deployment import Deployment, load_messaging, parse_messaging
from stacks.deployment.state_machine import listed
from stacks.subscriber.state_machine import PERMANENT_ERRORS
from tests.stacks.policies import Template, only, resources, statements
from tests.templates import ROOT, synthesize

WORKFLOW = ROOT / "deployments" / "workflow.toml"
Synth = Callable[[Deployment], dict[str, Template]]


def with_orders(example: Deployment, **keys: Any) -> Deployment:
    """The example, with more keys for its subscriber with a queue."""
    table = json.loads(example.model_dump_json())
    table["subscribers"][0] |= keys
    return parse_messaging(table)


@pytest.fixture(scope="module")
def landing(synth: Synth, example: Deployment) -> Template:
    return synth(with_orders(example, landing={"retention_days": 7}))["coatcheck-orders"]


def definition(template: Template) -> dict[str, Any]:
    """The state machine's, with logical ids in the place of what CloudFormation fills in."""
    machine = only(template, "AWS::StepFunctions::StateMachine")["Properties"]
    parts = machine["DefinitionString"]["Fn::Join"][1]
    text = "".join(p if isinstance(p, str) else p.get("Ref") or p["Fn::GetAtt"][0] for p in parts)
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_landing_bucket_is_private_under_a_key_of_its_own_and_forgets(landing: Template) -> None:
    (bucket,) = (
        b["Properties"]
        for b in resources(landing, "AWS::S3::Bucket").values()
        if b["Properties"]["BucketName"] == "coatcheck-orders-landing-222222222222-us-west-2"
    )
    (key_id,) = (name for name in resources(landing, "AWS::KMS::Key") if name.startswith("LandingKey"))
    assert landing["Resources"][key_id]["Properties"]["EnableKeyRotation"] is True
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": {"Fn::GetAtt": [key_id, "Arn"]},
    }
    assert rule["BucketKeyEnabled"] is True
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (expiry,) = bucket["LifecycleConfiguration"]["Rules"]
    assert expiry["ExpirationInDays"] == 7
    assert expiry["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    denied = [s for s in statements(landing, "AWS::S3::BucketPolicy") if s["Effect"] == "Deny"]
    assert [s["Condition"] for s in denied] == [{"Bool": {"aws:SecureTransport": "false"}}] * 2


def test_what_was_landed_outlives_the_stack_unless_ephemeral(
    landing: Template, synth: Synth, example: Deployment
) -> None:
    ephemeral = with_orders(example, landing={}).model_copy(update={"ephemeral": True})
    for template, policy in ((landing, "RetainExceptOnCreate"), (synth(ephemeral)["coatcheck-orders"], "Delete")):
        kept = [
            each for name, each in template["Resources"].items() if name.startswith(("LandingKey", "LandingBucket6"))
        ]
        assert [each["DeletionPolicy"] for each in kept] == [policy] * 2


def test_the_land_function_trusts_two_stores_and_has_fifteen_minutes(landing: Template) -> None:
    (function,) = (
        f["Properties"]
        for f in resources(landing, "AWS::Lambda::Function").values()
        if f["Properties"].get("FunctionName") == "coatcheck-orders-copy"
    )
    assert function["Timeout"] == 900
    stores = json.loads(function["Environment"]["Variables"]["TRUSTED_STORES"])
    assert [(s["bucket"], s["prefix"]) for s in stores] == [
        ("coatcheck-payloads-111111111111-us-east-1", "payloads/"),
        ("coatcheck-orders-staging-222222222222-us-west-2", "inline/"),
    ]


def test_a_payload_is_landed_then_told_of(landing: Template) -> None:
    found = definition(landing)
    land, tell = found["States"]["CopyPayload"], found["States"]["PublishResult"]
    assert (found["StartAt"], land["Next"], tell["End"]) == ("CopyPayload", "PublishResult", True)
    assert land["ResultPath"] == "$.landed"
    (entry,) = tell["Parameters"]["Entries"]
    assert entry["DetailType"] == "Payload processed"
    assert entry["Detail.$"] == "$"
    # What is caught cannot be redriven where it failed.
    assert not [state for state in found["States"].values() if "Catch" in state]


def test_landing_is_tried_again_unless_there_is_no_hope(landing: Template) -> None:
    never, _, otherwise = definition(landing)["States"]["CopyPayload"]["Retry"]
    assert never == {"ErrorEquals": PERMANENT_ERRORS, "MaxAttempts": 0}
    assert {"MalformedMessage", "PayloadCorrupt", "PayloadMissing", "UntrustedStore"} <= set(PERMANENT_ERRORS)
    assert "PayloadUnavailable" not in PERMANENT_ERRORS
    assert otherwise["ErrorEquals"] == ["States.ALL"]
    assert (otherwise["MaxAttempts"], otherwise["BackoffRate"]) == (5, 3)


def hours_of(retrier: dict[str, Any]) -> float:
    """How long its tries go on, on average: with full jitter a pause is anything from none to what it may be."""
    assert retrier["JitterStrategy"] == "FULL"
    pauses = (retrier["IntervalSeconds"] * retrier["BackoffRate"] ** n for n in range(retrier["MaxAttempts"]))
    seconds: float = sum(min(pause, retrier["MaxDelaySeconds"]) for pause in pauses) / 2
    return seconds / 3600


def test_a_burst_waits_for_room(landing: Template, synth: Synth) -> None:
    """Lambda's throttling and its own errors, as Step Functions' guide spells them, are waited out for half a day; what
    EventBridge does not take, for hours."""
    ours = definition(landing)["States"]
    workflow = definition(synth(load_messaging(WORKFLOW))["coatcheck-orders"])["States"]
    for land in (ours["CopyPayload"], workflow["CopyPayload"]):
        room = land["Retry"][1]
        assert room["ErrorEquals"] == [
            "Lambda.TooManyRequestsException",
            "Lambda.ClientExecutionTimeoutException",
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
        ]
        assert 12 <= hours_of(room) < 13
    (told,) = ours["PublishResult"]["Retry"]
    assert told["ErrorEquals"] == ["States.ALL"]
    assert 2 <= hours_of(told) < 3
    # They are within the execution's time: it has the year that Step Functions gives it.
    assert "TimeoutSeconds" not in definition(landing)


def test_without_landing_a_payload_is_told_of(templates: dict[str, Template]) -> None:
    assert list(definition(templates["coatcheck-orders"])["States"]) == ["PublishResult"]
    assert not [name for name in templates["coatcheck-orders"]["Resources"] if name.startswith("Landing")]


def test_executions_that_end_badly_are_told_of_on_the_same_bus(landing: Template) -> None:
    rule = only(landing, "AWS::Events::Rule")["Properties"]
    (machine,) = resources(landing, "AWS::StepFunctions::StateMachine")
    assert rule["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [{"Ref": machine}]},
    }
    bus = only(landing, "AWS::Events::EventBus")
    assert bus["Properties"]["Name"] == "coatcheck-orders"
    (bus_id,) = resources(landing, "AWS::Events::EventBus")
    assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": [bus_id, "Arn"]}]


SOUND = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed", "Comment": "${EventBusName}"}}}


def test_permissions_and_definition_of_ones_own_reach_the_template(synth: Synth) -> None:
    (template,) = (t for name, t in synth(load_messaging(WORKFLOW)).items() if name == "coatcheck-orders")
    found = definition(template)
    assert list(found["States"]) == ["CopyPayload", "IsEmpty", "Done", "RecordFile", "PublishResult"]
    assert found["States"]["CopyPayload"]["Resource"].startswith("LandingCopyFunction")
    mine = [s for s in statements(template, "AWS::IAM::Policy") if s.get("Sid") == "RecordFile"]
    assert [s["Action"] for s in mine] == ["dynamodb:PutItem"]
    allowed = {str(s["Action"]) for s in statements(template, "AWS::IAM::Policy")}
    assert {"lambda:InvokeFunction", "events:PutEvents"} <= allowed


def test_documented_permissions_suffice_for_a_distributed_map(tmp_path: Path, example: Deployment) -> None:
    """The statements in docs/deployment-file.md are those that CDK grants for a distributed map."""
    documented = re.search(
        r"distributed map.*?```json\n(.*?)```", (ROOT / "docs" / "deployment-file.md").read_text(), flags=re.DOTALL
    )
    assert documented
    (tmp_path / "a.json").write_text(json.dumps(SOUND))
    (tmp_path / "p.json").write_text(f"[{documented[1]}]")
    table = json.loads(example.model_dump_json())
    table["subscribers"][0] |= {"state_machine": {"definition": "a.json", "permissions": "p.json"}}
    deployment = parse_messaging(table, tmp_path / "deployment.toml")
    (stack,) = (each for each in synthesize(deployment) if each.name == "coatcheck-orders")
    assert state_permissions(stack) == state_permissions(stack_with_distributed_map(stack.account, stack.region))


def stack_with_distributed_map(account: str, region: str) -> StackTemplate:
    app = App()
    stack = Stack(app, "coatcheck-orders", env=Environment(account=account, region=region))
    items = sfn.DistributedMap(stack, "Items").item_processor(
        sfn.Pass(stack, "Item"), mode=sfn.ProcessorMode.DISTRIBUTED, execution_type=sfn.ProcessorType.STANDARD
    )
    body = sfn.DefinitionBody.from_chainable(items)
    sfn.StateMachine(stack, "StateMachine", state_machine_name="coatcheck-orders", definition_body=body)
    (found,) = read(Path(app.synth().directory))
    return found


def state_permissions(stack: StackTemplate) -> list[tuple[str, str]]:
    """Actions of Step Functions, with their resources, that the state machine's role is allowed."""
    template = Resources(stack)
    return sorted(
        (action, template.resolve(statement["Resource"], "policy"))
        for name, policy in resources(stack.template, "AWS::IAM::Policy").items()
        if name.startswith("StateMachine")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
        if action.startswith("states:")
    )


def test_a_task_that_failed_is_kept_with_its_message_id(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-billing"]
    rule = only(template, "AWS::Events::Rule")["Properties"]
    (cluster,) = resources(template, "AWS::ECS::Cluster")
    assert rule["EventPattern"] == {
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {
            "clusterArn": [{"Fn::GetAtt": [cluster, "Arn"]}],
            "lastStatus": ["STOPPED"],
            "$or": [
                {"containers": {"exitCode": [{"anything-but": [0]}]}},
                {"stopCode": ["TaskFailedToStart"]},
            ],
        },
    }
    (target,) = rule["Targets"]
    queue = template["Resources"][target["Arn"]["Fn::GetAtt"][0]]["Properties"]
    assert queue["QueueName"] == "coatcheck-billing-dead-letters"
    # The message's id is a variable in the overrides, with all that it takes to run the task again.
    assert "$.detail.overrides" in target["InputTransformer"]["InputPathsMap"].values()

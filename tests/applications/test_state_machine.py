"""The sample definitions of state machines and their permissions."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn

import claim_check
from access.assembly import read
from access.template import Resources
from local.environment import ROOT
from stacks.deployment.state_machine import (
    LANDING_PLACEHOLDERS,
    PLACEHOLDERS,
    StateMachineConfig,
    as_list,
    read_statements,
    unknown_placeholders,
)

FOLDER = ROOT / "applications" / "state_machine"


@pytest.mark.parametrize("name", ["orders", "rows"])
def test_sample_is_accepted_by_the_deployment_file(name: str) -> None:
    files = {"definition": f"{name}.asl.json", "permissions": f"{name}.permissions.json"}
    config = StateMachineConfig.model_validate(files, context={"folder": FOLDER})
    for path in (config.definition, config.permissions):
        assert path
        assert unknown_placeholders(path, known=(*PLACEHOLDERS, *LANDING_PLACEHOLDERS)) == []


@pytest.mark.parametrize("name", ["orders", "rows"])
def test_sample_retries_no_permanent_error(name: str) -> None:
    states = json.loads((FOLDER / f"{name}.asl.json").read_text())["States"]
    permanent = next(retry for retry in states["CopyPayload"]["Retry"] if retry["MaxAttempts"] == 0)
    assert all(getattr(claim_check, error).permanent for error in permanent["ErrorEquals"])


def permissions(statements: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the resource of each action."""
    return {action: each["Resource"] for each in statements for action in as_list(each["Action"])}


def test_distributed_map_equals_cdks() -> None:
    """CDK renders the same state, and grants the same actions."""
    app = App(context={"@aws-cdk/aws-stepfunctions:useDistributedMapResultWriterV2": True})
    stack = Stack(app, "coatcheck-orders", env=Environment(account="222222222222", region="us-west-2"))
    bucket = s3.Bucket.from_bucket_name(stack, "Landing", "landing-bucket")
    rows = sfn.DistributedMap(
        stack,
        "ProcessRows",
        item_reader=sfn.S3CsvItemReader(
            bucket=bucket, key=sfn.JsonPath.string_at("$.landed.key"), csv_headers=sfn.CsvHeaders.use_first_row()
        ),
        result_writer_v2=sfn.ResultWriterV2(
            bucket=bucket, prefix=sfn.JsonPath.format("results/{}", sfn.JsonPath.string_at("$.message_id"))
        ),
        max_concurrency=10,
        result_path="$.rows",
    ).item_processor(
        sfn.Pass(stack, "ProcessRow"), mode=sfn.ProcessorMode.DISTRIBUTED, execution_type=sfn.ProcessorType.STANDARD
    )
    body = sfn.DefinitionBody.from_chainable(rows)
    sfn.StateMachine(stack, "Rows", definition_body=body, state_machine_name="coatcheck-orders")

    text = (FOLDER / "rows.asl.json").read_text().replace("${LandingBucket}", "landing-bucket")
    sample, rendered = json.loads(text)["States"]["ProcessRows"], stack.resolve(rows.to_state_json())
    del sample["Next"], rendered["End"]
    for member in ("ItemReader", "ResultWriter"):
        service = sample[member].pop("Resource").removeprefix("arn:aws")
        assert service in str(rendered[member].pop("Resource"))
    assert sample == rendered

    (template,) = read(Path(app.synth().directory))
    values = Resources(template)
    granted = permissions(
        statement
        for logical in values.of_type("AWS::IAM::Policy")
        for statement in values.resolve(values.properties(logical)["PolicyDocument"]["Statement"], logical)
    )
    arn = values.arn(*values.of_type("AWS::StepFunctions::StateMachine"))
    filled = {"StateMachineArn": arn, "ExecutionArnPrefix": arn.replace(":stateMachine:", ":execution:")}
    filled |= {"LandingBucketArn": "arn:aws:s3:::landing-bucket", "LandingKeyArn": "key"}
    own = permissions(read_statements(str(FOLDER / "rows.permissions.json"), filled))
    assert granted.keys() == {action for action in own if not action.startswith("kms:")}  # this bucket has no key
    for action in (action for action in granted if action.startswith("states:")):
        assert own[action] == granted[action]

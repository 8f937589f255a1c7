"""The sample definitions of state machines and their permissions."""

import json
from pathlib import Path

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn

import claim_check
from access.assembly import read
from stacks.deployment.state_machine import (
    LANDING_PLACEHOLDERS,
    PLACEHOLDERS,
    StateMachineConfig,
    as_list,
    unknown_placeholders,
)
from tests.templates import ROOT

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


def test_distributed_map_equals_cdks() -> None:
    """CDK renders the same state, and grants the same actions."""
    app = App(context={"@aws-cdk/aws-stepfunctions:useDistributedMapResultWriterV2": True})
    stack = Stack(app, "orders", env=Environment(account="222222222222", region="us-west-2"))
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
        sfn.Pass(stack, "ProcessRow"),
        mode=sfn.ProcessorMode.DISTRIBUTED,
        execution_type=sfn.ProcessorType.STANDARD,
    )
    sfn.StateMachine(stack, "Rows", definition_body=sfn.DefinitionBody.from_chainable(rows))

    text = (FOLDER / "rows.asl.json").read_text().replace("${LandingBucket}", "landing-bucket")
    sample, rendered = json.loads(text)["States"]["ProcessRows"], stack.resolve(rows.to_state_json())
    del sample["Next"], rendered["End"]
    for member in ("ItemReader", "ResultWriter"):
        service = sample[member].pop("Resource").removeprefix("arn:aws")
        assert service in str(rendered[member].pop("Resource"))
    assert sample == rendered

    (template,) = read(Path(app.synth().directory))
    granted = {
        action
        for resource in template.template["Resources"].values()
        if resource["Type"] == "AWS::IAM::Policy"
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        for action in as_list(statement["Action"])
    }
    statements = json.loads((FOLDER / "rows.permissions.json").read_text())
    actions = {action for statement in statements for action in as_list(statement["Action"])}
    assert granted == {action for action in actions if not action.startswith("kms:")}  # this bucket has no key

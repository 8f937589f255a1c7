"""The retention of log groups."""

import pytest

from stacks.deployment import load
from tests.stacks.policies import resources
from tests.templates import ROOT, synthesize

FILES = sorted(path.stem for path in (ROOT / "deployments").glob("*.toml"))
WITH_EVERY_STACK = ("many-subscribers", "research-messages")


@pytest.mark.parametrize("ephemeral", [False, True])
@pytest.mark.parametrize(
    "file", [file if file in WITH_EVERY_STACK else pytest.param(file, marks=pytest.mark.exhaustive) for file in FILES]
)
def test_every_function_and_build_logs_with_the_files_retention(file: str, ephemeral: bool) -> None:
    """Also CDK's own functions: without a log group, Lambda creates one and retains it for ever."""
    deployment = load(ROOT / "deployments" / f"{file}.toml")
    operations = type(deployment.operations)(log_retention_days=90)
    stacks = synthesize(deployment.model_copy(update={"operations": operations, "ephemeral": ephemeral}))
    for stack in stacks:
        groups = resources(stack.template, "AWS::Logs::LogGroup")
        assert all(group["Properties"]["RetentionInDays"] == 90 for group in groups.values())
        if ephemeral:
            assert {group["DeletionPolicy"] for group in groups.values()} <= {"Delete"}
        names = [group["Properties"].get("LogGroupName") for group in groups.values()]
        for name, function in resources(stack.template, "AWS::Lambda::Function").items():
            group = function["Properties"].get("LoggingConfig", {}).get("LogGroup", {}).get("Ref")
            default_name = {"Fn::Join": ["", ["/aws/lambda/", {"Ref": name}]]}
            assert group in groups or default_name in names, f"{stack.name}/{name}"
        for name, project in resources(stack.template, "AWS::CodeBuild::Project").items():
            logs = project["Properties"]["LogsConfig"]["CloudWatchLogs"]
            assert logs["GroupName"]["Ref"] in groups, f"{stack.name}/{name}"
    assert any(resources(stack.template, "AWS::Lambda::Function") for stack in stacks)

"""The retention of log groups."""

import json
import re
from typing import Any

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


def _references(value: object) -> set[str]:
    """Return the logical ids that a part of a template names."""
    return set(re.findall(r'"(?:Ref": |Fn::GetAtt": \[)"(\w+)"', json.dumps(value)))


def _earlier(template: dict[str, Any], name: str) -> set[str]:
    """Return the resources that CloudFormation creates before one."""
    found, rest = set[str](), [name]
    while rest:
        resource = template[rest.pop()]
        new = (_references(resource) | set(resource.get("DependsOn", ()))) & set(template) - found
        found |= new
        rest += new
    return found


@pytest.mark.parametrize("file", WITH_EVERY_STACK)
def test_custom_resource_waits_for_its_functions_log_groups(file: str) -> None:
    """Lambda makes the group at the first call. If CloudFormation makes it later, the stack fails."""
    checked = 0
    for stack in synthesize(load(ROOT / "deployments" / f"{file}.toml")):
        own = stack.template["Resources"]
        for name in (name for name, resource in own.items() if resource["Type"].startswith("Custom::")):
            earlier = _earlier(own, name)
            for group, resource in resources(stack.template, "AWS::Logs::LogGroup").items():
                if _references(resource["Properties"].get("LogGroupName")) & earlier:
                    checked += 1
                    assert group in earlier, f"{stack.name}: {name} does not wait for {group}"
    assert checked

"""The local world: a cloud assembly deployed by the CDK CLI into emulated accounts and Regions."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.cdk import Cdk, CdkError
from local.emulator import Emulator
from local.world import World
from tests.local.support import FAR, NEAR, PUBLISHER, SUBSCRIBER, eventually, interruptible, root

pytestmark = pytest.mark.system

_TOPIC = f"arn:aws:sns:{NEAR}:{PUBLISHER}:test"
_SUBSCRIBE = {"Effect": "Allow", "Principal": root(SUBSCRIBER), "Action": "sns:Subscribe", "Resource": "*"}
_STACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "near": (
        f"aws://{PUBLISHER}/{NEAR}",
        {
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "test"}},
            "Policy": {
                "Type": "AWS::SNS::TopicPolicy",
                "Properties": {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {"Statement": [_SUBSCRIBE]}},
            },
        },
    ),
    "far": (
        f"aws://{SUBSCRIBER}/{FAR}",
        {
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Subscription": {
                "Type": "AWS::SNS::Subscription",
                "Properties": {
                    "TopicArn": _TOPIC,
                    "Region": NEAR,
                    "Protocol": "sqs",
                    "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                },
            },
        },
    ),
}


def _write_assembly(folder: Path, stacks: dict[str, tuple[str, dict[str, Any]]]) -> Path:
    """Write a cloud assembly of stacks with their environments and resources, and return its folder."""
    artifacts: dict[str, object] = {"Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}}}
    for name, (environment, resources) in stacks.items():
        outputs = {"Resources": {"Value": ", ".join(resources)}}
        template = {"Resources": resources, "Outputs": outputs}
        (folder / f"{name}.template.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": environment,
            "properties": {"templateFile": f"{name}.template.json", "stackName": f"test-{name}"},
        }
    (folder / "manifest.json").write_text(json.dumps({"version": "55.0.0", "artifacts": artifacts}))
    return folder


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str]]:
    return []


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str]]) -> Iterator[World]:
    assembly = _write_assembly(tmp_path_factory.mktemp("assembly"), _STACKS)
    with World.start(assembly, publisher=PUBLISHER, progress=lambda *line: lines.append(line)) as started:
        yield started


def test_stacks_are_deployed_in_their_environments(world: World) -> None:
    environments = {(stack.name, stack.account, stack.region) for stack in world.stacks}
    assert environments == {("test-near", PUBLISHER, NEAR), ("test-far", SUBSCRIBER, FAR)}
    for stack in world.stacks:
        client = world.accounts.client("cloudformation", account=stack.account, region=stack.region)
        assert client.describe_stacks(StackName=stack.name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
        assert world.outputs(stack) == {"Resources": ", ".join(stack.template["Resources"])}


def test_environments_have_cdks_bootstrap_stack(world: World) -> None:
    for stack in world.stacks:
        client = world.accounts.client("cloudformation", account=stack.account, region=stack.region)
        resources = client.describe_stack_resources(StackName="CDKToolkit")["StackResources"]
        assert {"StagingBucket", "DeploymentActionRole", "CloudFormationExecutionRole"} <= {
            resource["LogicalResourceId"] for resource in resources
        }


def test_progress_names_the_account_of_each_line(world: World, lines: list[tuple[str, str]]) -> None:
    for stack in world.stacks:
        printed = [line for account, line in lines if account == stack.account]
        assert any("bootstrapped" in line for line in printed)
        assert any("✅" in line for line in printed)
        assert not any("\x1b" in line for line in printed)


def test_subscribed_account_is_deployed_last(world: World, lines: list[tuple[str, str]]) -> None:
    deployed = [account for account, line in lines if "✅" in line and "bootstrapped" not in line]
    assert deployed == [PUBLISHER, SUBSCRIBER]


def test_publisher_without_stack_is_rejected(tmp_path: Path) -> None:
    assembly = _write_assembly(tmp_path, {"near": _STACKS["near"]})

    with pytest.raises(ValueError, match="publisher='222222222222' has no stack"):
        World.start(assembly, publisher=SUBSCRIBER, progress=lambda *_: None)


def test_failed_deployment_raises_with_cli_output(emulator: Emulator, tmp_path: Path) -> None:
    broken = (f"aws://{PUBLISHER}/{NEAR}", {"Nothing": {"Type": "AWS::Nothing::AtAll"}})
    assembly = _write_assembly(tmp_path, {"broken": broken})
    cli = Cdk(emulator, lambda *_: None)

    with pytest.raises(CdkError, match=r"cdk deploy(.|\n)*account 111111111111(.|\n)*AWS::Nothing::AtAll"):
        cli.deploy(PUBLISHER, NEAR, ["broken"], assembly)


_START = """
import sys
from pathlib import Path
from local.world import World, interrupt_on_signals
with interrupt_on_signals():
    World.start(Path(sys.argv[1]), publisher="111111111111", progress=lambda account, line: print(line, flush=True))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_start_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    assembly = _write_assembly(tmp_path, {"near": _STACKS["near"]})
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(
        [sys.executable, "-c", _START, str(assembly)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
        preexec_fn=interruptible,
    ) as parent:
        assert parent.stdout is not None
        assert "bootstrapped" in parent.stdout.readline()
        assert any("test-near" in line for line in parent.stdout)  # the CLI deploys the stack
        parent.send_signal(number)
        parent.wait(20)

    eventually(lambda: not _processes_in(tmp_path))
    eventually(lambda: not list((tmp_path / "tmp").iterdir()))


def _processes_in(folder: Path) -> list[str]:
    """Return the processes whose working directory is in the folder, such as those of the CLI."""
    found = []
    for working in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if working.readlink().is_relative_to(folder):
                found.append(working.parent.name)
    return found

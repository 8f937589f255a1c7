"""The local world: the app's own assembly, deployed by the real CDK CLI into its accounts and Regions."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import access.assembly
from local.cdk import Cdk, CdkError
from local.emulator import Emulator
from local.world import World
from tests.local.support import eventually, interruptible

PUBLISHER, QUEUE, FUNCTION, SENDER = "111111111111", "222222222222", "333333333333", "444444444444"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return access.assembly.write(ROOT / "deployments" / "example.toml", tmp_path_factory.mktemp("assembly"))


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str]]:
    return []


@pytest.fixture(scope="module")
def world(assembly: Path, lines: list[tuple[str, str]]) -> Iterator[World]:
    with World.start(assembly, publisher=PUBLISHER, progress=lambda *line: lines.append(line)) as started:
        yield started


@pytest.mark.system
def test_every_stack_is_deployed_where_it_belongs(world: World) -> None:
    assert {stack.account for stack in world.stacks} == {PUBLISHER, SENDER, QUEUE, FUNCTION}
    for stack in world.stacks:
        client = world.accounts.client("cloudformation", account=stack.account, region=stack.region)
        assert client.describe_stacks(StackName=stack.name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
        assert isinstance(world.outputs(stack), dict)


@pytest.mark.system
def test_every_environment_is_bootstrapped_by_cdks_own_template(world: World) -> None:
    for account, region in {(stack.account, stack.region) for stack in world.stacks}:
        resources = world.accounts.client("cloudformation", account=account, region=region).describe_stack_resources(
            StackName="CDKToolkit"
        )["StackResources"]
        assert {"StagingBucket", "DeploymentActionRole", "CloudFormationExecutionRole"} <= {
            resource["LogicalResourceId"] for resource in resources
        }


@pytest.mark.system
def test_subscribers_of_both_kinds_are_subscribed(world: World) -> None:
    publisher = next(stack for stack in world.stacks if stack.account == PUBLISHER)
    sns = world.accounts.client("sns", account=PUBLISHER, region=publisher.region)
    (topic,) = (one["TopicArn"] for one in sns.list_topics()["Topics"] if one["TopicArn"].endswith("-messages"))
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=topic)

    assert {(one["Owner"], one["Protocol"]) for one in subscriptions["Subscriptions"]} == {
        (QUEUE, "sqs"),
        (FUNCTION, "lambda"),
    }


@pytest.mark.system
def test_progress_names_the_account_of_every_line(world: World, lines: list[tuple[str, str]]) -> None:
    for account in (PUBLISHER, QUEUE, FUNCTION):
        mine = [line for of, line in lines if of == account]
        assert any("bootstrapped" in line for line in mine)
        assert any("✅" in line for line in mine)
        assert not any("\x1b" in line for line in mine)


# --- assemblies ---


def _assembly(folder: Path, environment: str, resources: dict[str, object]) -> Path:
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": environment,
        "properties": {"templateFile": "Broken.template.json", "stackName": "broken"},
    }
    manifest = {
        "version": "55.0.0",
        "artifacts": {"Broken": stack, "Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "Broken.template.json").write_text(json.dumps({"Resources": resources}))
    return folder


_QUEUE: dict[str, object] = {"Queue": {"Type": "AWS::SQS::Queue"}}


def test_a_publisher_without_a_stack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="publisher='222222222222' has no stack"):
        World.start(
            _assembly(tmp_path, "aws://111111111111/us-east-1", _QUEUE), publisher=QUEUE, progress=lambda *_: None
        )


@pytest.mark.system
def test_a_failed_deployment_says_what_the_cli_said(emulator: Emulator, tmp_path: Path) -> None:
    assembly = _assembly(tmp_path, "aws://111111111111/us-east-1", {"Nothing": {"Type": "AWS::Nothing::AtAll"}})
    cli = Cdk(emulator, lambda *_: None)

    with pytest.raises(CdkError, match=r"cdk deploy(.|\n)*account 111111111111(.|\n)*AWS::Nothing::AtAll"):
        cli.deploy("111111111111", "us-east-1", ["Broken"], assembly)


_INTERRUPTED = """
import sys
from pathlib import Path
from local.world import World
World.start(Path(sys.argv[1]), publisher="111111111111", progress=lambda account, line: print(line, flush=True))
"""


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_interrupted_start_leaves_nothing(tmp_path: Path) -> None:
    assembly = _assembly(tmp_path, "aws://111111111111/us-east-1", _QUEUE)
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, str(assembly)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
        preexec_fn=interruptible,
    ) as parent:
        assert parent.stdout is not None
        assert "bootstrapped" in parent.stdout.readline()
        assert any("Broken" in line for line in parent.stdout)  # the CLI deploys the stack
        parent.send_signal(signal.SIGINT)
        parent.wait(20)

    eventually(lambda: not _processes_in(tmp_path))
    eventually(lambda: not list((tmp_path / "tmp").iterdir()))


def _processes_in(folder: Path) -> list[str]:
    """The processes that run in a folder: the CLI's own is the emulator's, within the temporary one."""
    found = []
    for working in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if working.readlink().is_relative_to(folder):
                found.append(working.parent.name)
    return found

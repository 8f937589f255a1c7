"""Patches of ECS: a task runs the command of its image."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

import local.images
from local.accounts import Accounts
from local.emulator import Emulator
from local.environment import ROOT
from stacks.subscriber.ecs_task import with_library
from tests.local.patches.image_support import build_image, images
from tests.local.support import PUBLISHER, Account, eventually, unique

pytestmark = pytest.mark.system

_DOCKERFILE = """FROM example
ENV GREETING="good morning" \\
    OTHER=1
COPY main.py .
CMD ["python", "main.py"]
"""
_PRINT = """
import boto3, os, sys
print(os.environ["GREETING"], os.environ["NAME"])
print(boto3.client("sts").get_caller_identity()["Arn"])
print(boto3.client("sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"])
sys.exit(int(os.environ["CODE"]))
"""


class Image:
    """A repository with a built image, and a log group for its tasks."""

    def __init__(
        self,
        account: Account,
        main: str,
        *,
        dockerfile: str = _DOCKERFILE,
        requirements: str = "",
        others: Mapping[str, str] | None = None,
    ) -> None:
        self._account = account
        files = {"Dockerfile": dockerfile, "main.py": main, "requirements.txt": requirements, **(others or {})}
        _, repository = build_image(account, files)
        (image,) = images(account, repository)
        registry = f"{account.number}.dkr.ecr.{account.region}.amazonaws.com"
        self.uri = f"{registry}/{repository}@{image['imageDigest']}"
        self.group = unique("logs")
        account.client("logs").create_log_group(logGroupName=self.group)

    def run(
        self, *statements: dict[str, Any], command: list[str] | None = None, seconds: float = 15, **variables: str
    ) -> dict[str, Any]:
        """Run a task whose role has these statements. Return the task when it has stopped."""
        ecs = self._account.client("ecs")
        options = {"awslogs-group": self.group, "awslogs-region": self._account.region, "awslogs-stream-prefix": "task"}
        definition = ecs.register_task_definition(
            family=unique("task"),
            taskRoleArn=self._account.role_arn(self._account.role(*statements)),
            containerDefinitions=[
                {
                    "name": "application",
                    "image": self.uri,
                    "memory": 64,
                    "environment": [{"name": "NAME", "value": "definition"}],
                    "logConfiguration": {"logDriver": "awslogs", "options": options},
                }
            ],
        )["taskDefinition"]["taskDefinitionArn"]
        environment = [{"name": name, "value": value} for name, value in variables.items()]
        override = {"name": "application", "environment": environment, **({"command": command} if command else {})}
        arn = ecs.run_task(cluster="default", taskDefinition=definition, overrides={"containerOverrides": [override]})[
            "tasks"
        ][0]["taskArn"]

        def stopped() -> dict[str, Any] | None:
            (task,) = ecs.describe_tasks(cluster="default", tasks=[arn])["tasks"]
            return task if task["lastStatus"] == "STOPPED" else None

        task = eventually(stopped, seconds)
        assert task
        return task

    def log(self, task: dict[str, Any]) -> list[str]:
        stream = f"task/application/{task['taskArn'].rsplit('/', 1)[1]}"
        events = self._account.client("logs").get_log_events(logGroupName=self.group, logStreamName=stream)["events"]
        return [event["message"] for event in events]


@pytest.fixture(scope="module")
def image(publisher: Account) -> Image:
    return Image(publisher, _PRINT, requirements=(ROOT / "applications/ecs_task/requirements.txt").read_text())


@pytest.mark.patched
def test_task_runs_with_role_and_environment(image: Image) -> None:
    task = image.run({"Action": "sqs:ListQueues", "Resource": "*"}, NAME="override", CODE="0")
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 0)
    greeting, arn, status = image.log(task)
    assert greeting == "good morning override"
    assert ":assumed-role/coatcheck-test-role-" in arn
    assert status == "200"


def test_task_has_only_permissions_of_its_role(image: Image) -> None:
    task = image.run(CODE="0")
    assert task["containers"][0]["exitCode"] == 1
    assert "AccessDenied" in image.log(task)[-1]


def test_task_has_only_packages_of_its_requirements(publisher: Account) -> None:
    image = Image(publisher, "import moto, boto3", requirements="boto3==1.0\n")
    assert "No module named 'moto'" in image.log(image.run())[-1]


@pytest.mark.parametrize(
    ("dockerfile", "command", "printed"),
    [
        ('FROM a\nENTRYPOINT ["printf", "%s"]\nCMD ["x"]\n', None, "x"),
        ('FROM a\nENTRYPOINT ["printf", "%s"]\nCMD ["x"]\n', ["y"], "y"),
        ('FROM a\nCMD ["printf", "a"]\nFROM b\nCMD printf "$NAME"\n', None, "definition"),
    ],
    ids=["entry point", "command of the task", "last stage, shell"],
)
def test_task_runs_the_dockerfiles_command(
    publisher: Account, dockerfile: str, command: list[str] | None, printed: str
) -> None:
    image = Image(publisher, "", dockerfile=dockerfile)
    assert image.log(image.run(command=command)) == [printed]


def test_task_without_its_program_fails_to_start(publisher: Account) -> None:
    task = Image(publisher, "", dockerfile='FROM a\nCMD ["/opt/missing"]\n').run()
    assert task["stopCode"] == "TaskFailedToStart"
    assert "/opt/missing" in task["stoppedReason"]


@pytest.mark.patched
def test_stopped_task_is_an_event(publisher: Account, image: Image) -> None:
    name = unique("rule")
    rule = f"arn:aws:events:{publisher.region}:{publisher.number}:rule/{name}"
    queue, events = publisher.queue_for("events.amazonaws.com", rule), publisher.client("events")
    pattern = {"detail-type": ["ECS Task State Change"], "detail": {"containers": {"exitCode": [3]}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue}])
    task = image.run({"Action": "sqs:ListQueues", "Resource": "*"}, CODE="3")
    (message,) = eventually(lambda: publisher.messages(queue))
    event = json.loads(message["Body"])
    assert (event["source"], event["resources"]) == ("aws.ecs", [task["taskArn"]])
    assert (event["detail"]["lastStatus"], event["detail"]["stopCode"]) == ("STOPPED", "EssentialContainerExited")


@pytest.mark.image
@pytest.mark.skipif(bool(local.images.missing()), reason=local.images.missing() or "")
def test_task_runs_in_a_container_of_its_image() -> None:
    """The image of applications/ecs_task, built from its Dockerfile on a stand-in for its base."""
    if problem := local.images.refused():
        pytest.skip(f"the image is not built: {problem}")
    with Emulator(images=True) as emulator:
        account = Account(Accounts(emulator), PUBLISHER)
        with with_library(ROOT / "applications" / "ecs_task") as context:
            files = {
                str(path.relative_to(context)): path.read_text()
                for path in context.rglob("*")
                if path.is_file() and path.suffix != ".pyc"
            }
        image = Image(account, files["main.py"], dockerfile=files["Dockerfile"], others=files)
        failed = image.run(seconds=400)
        assert (failed["stopCode"], failed["containers"][0]["exitCode"]) == ("EssentialContainerExited", 2)
        # After the task's own lines, buildah reports the exit code.
        assert image.log(failed)[0].startswith("TRUSTED_STORES is not set.")
        assert image.log(image.run(command=["id", "-u"])) == ["1000"]
        bucket = account.bucket()
        account.client("s3").put_object(Bucket=bucket, Key="payloads/a", Body=b"payload")
        store = {"bucket": bucket, "prefix": "payloads/", "owner": PUBLISHER, "region": account.region}
        read = image.run(
            {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"},
            TRUSTED_STORES=json.dumps([store]),
            MESSAGE_ID="a",
            PAYLOAD_BUCKET=bucket,
            PAYLOAD_KEY="payloads/a",
            PAYLOAD_BYTES="7",
        )
        assert '"bytes": 7' in image.log(read)[-1]

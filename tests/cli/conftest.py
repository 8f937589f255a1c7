"""A deployment file, and its account."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import typer.main
from moto import mock_aws

from claim_check import Dereferencer, Message, Store
from cli.main import main
from tests.cli.redrive.fake_aws import ACCOUNT, NORTH, WEST, FakeAws, FakeLambda, FakeStates

typer.main.get_command = cache(typer.main.get_command)  # each run of the command would build it again
DEPLOYMENT = f"""
name = "coatcheck"
[publisher]
account = "{ACCOUNT}"
region = "{NORTH}"
[[subscribers]]
name = "orders"
kind = "sqs"
account = "{ACCOUNT}"
region = "{WEST}"
[[subscribers]]
name = "billing"
kind = "lambda"
account = "{ACCOUNT}"
region = "{NORTH}"
[[subscribers]]
name = "partner"
kind = "https"
account = "{ACCOUNT}"
region = "{NORTH}"
endpoint = "https://partner.example.com/messages"
[[subscribers]]
name = "elsewhere"
kind = "sqs"
account = "222222222222"
region = "{WEST}"
"""
POLLED = f"""
name = "coatcheck"
[publisher]
account = "{ACCOUNT}"
region = "{NORTH}"
outbox.maximum_bytes = 20_000_000
[[senders]]
name = "shop"
account = "{ACCOUNT}"
[[subscribers]]
name = "service"
kind = "sqs"
application = "queue"
account = "{ACCOUNT}"
region = "{NORTH}"
[[subscribers]]
name = "billing"
kind = "lambda"
account = "{ACCOUNT}"
region = "{NORTH}"
"""
Redrive = Callable[..., int]


class Deployed:
    """Bucket, topic and queue of `POLLED` in moto's account."""

    bucket = f"coatcheck-payloads-{ACCOUNT}-{NORTH}"
    store = Store(bucket, "payloads/", ACCOUNT, NORTH)

    def __init__(self, file: Path) -> None:
        self.file = file
        session: Any = boto3.Session(region_name=NORTH)
        self.s3, self.sns, self.sqs = (session.client(name) for name in ("s3", "sns", "sqs"))
        self.s3.create_bucket(Bucket=self.bucket)
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.topic = self.sns.create_topic(Name="coatcheck-messages")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="coatcheck-service")["QueueUrl"]
        arn = f"arn:aws:sqs:{NORTH}:{ACCOUNT}:coatcheck-service"
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})

    def messages(self) -> list[Message]:
        """Return the messages that receivers can see, and leave them there."""
        received = self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
        )
        dereferencer = Dereferencer(stores=[self.store], s3=self.s3)
        return [dereferencer.message(record) for record in received.get("Messages", [])]

    def versions(self, prefix: str) -> list[Any]:
        """Return the versions of the objects with this prefix."""
        return list(self.s3.list_object_versions(Bucket=self.bucket, Prefix=prefix).get("Versions", []))


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr("cli.redrive.sources.WAIT_SECONDS", 0)
    file = tmp_path / "polled.toml"
    file.write_text(POLLED)
    with mock_aws():
        yield Deployed(file)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    for name in ("AWS_CA_BUNDLE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeAws()
    monkeypatch.setattr("boto3.Session", lambda profile_name: fake)
    monkeypatch.setattr("cli.redrive.sources.WAIT_SECONDS", 0)
    with mock_aws():
        yield fake


@pytest.fixture
def lambda_(aws: FakeAws) -> FakeLambda:
    return aws.lambda_


@pytest.fixture
def states(aws: FakeAws) -> FakeStates:
    return aws.states


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "deployment.toml"
    path.write_text(DEPLOYMENT)
    return path


@pytest.fixture
def redrive(aws: FakeAws, file: Path) -> Redrive:
    """The command, without confirmation. Returns the exit code."""
    return _command(file)


@pytest.fixture
def redrive_fifo(aws: FakeAws, tmp_path: Path) -> Redrive:
    """The command for FIFO queues, which only a subscriber of kind sqs can have."""
    path = tmp_path / "fifo.toml"
    publisher, orders = DEPLOYMENT.split("[[subscribers]]")[:2]
    path.write_text(f"{publisher}fifo = true\n[[subscribers]]{orders}")
    return _command(path)


def _command(path: Path) -> Redrive:
    def command(*arguments: str, yes: bool = True) -> int:
        return run("redrive", "--deployment", path, *(["--yes"] if yes else []), *arguments)

    return command


def run(*arguments: object) -> int:
    """Run the command, and return its exit code."""
    with pytest.raises(SystemExit) as exit_:
        main([*map(str, arguments)])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def run_json(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[Any], str]:
    """Run the command with --json. Return its exit code, the value of each line, and the standard error."""
    code, printed = run(*arguments, "--json"), capfd.readouterr()
    return code, [json.loads(line) for line in printed.out.splitlines()], printed.err

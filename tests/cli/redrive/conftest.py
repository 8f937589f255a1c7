"""A deployment file, and its account."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from cli.main import main
from tests.cli.redrive.fake_aws import ACCOUNT, NORTH, WEST, FakeAws, FakeLambda, FakeStates

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
Redrive = Callable[..., int]


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
        with pytest.raises(SystemExit) as exit_:
            main(["redrive", "--deployment", str(path), *(["--yes"] if yes else []), *arguments])
        code = exit_.value.code
        assert isinstance(code, int)
        return code

    return command

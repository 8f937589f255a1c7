"""Functions in their Lambda environment. moto replaces AWS."""

import importlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from claim_check import Replica, Store
from shared.settings import EnvironmentSettings
from tests.lambdas import events

ACCOUNT = "123456789012"  # moto's
STORE = Store("payloads-bucket", "payloads/", ACCOUNT, "us-east-1")
REPLICATED = replace(STORE, replicas=(Replica("replica-bucket", "us-east-1"),))
STAGING = Store("staging-bucket", "inline/", ACCOUNT, "us-east-1")
SECONDS_IN_QUEUE = 2
NAMESPACE = "coatcheck"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS with one account and the buckets of both stores."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)  # a sandbox's certificates
    with mock_aws():
        boto3.setup_default_session()
        session: Any = boto3.DEFAULT_SESSION
        session.events.register("before-call.s3.PutObject", _name_checksum)
        s3 = boto3.client("s3")
        for store in (STORE, STAGING):
            s3.create_bucket(Bucket=store.bucket)
        s3.put_bucket_versioning(Bucket=STORE.bucket, VersioningConfiguration={"Status": "Enabled"})
        yield


def _name_checksum(params: dict[str, Any], **_: object) -> None:
    """Add the header without which moto does not keep a checksum. S3 keeps it in any case."""
    for name in list(params["headers"]):
        if name.lower().startswith("x-amz-checksum-"):
            params["headers"]["x-amz-sdk-checksum-algorithm"] = name.rpartition("-")[2].upper()


@pytest.fixture
def context() -> SimpleNamespace:
    return SimpleNamespace(**vars(events.CONTEXT))


@contextmanager
def imported(name: str) -> Iterator[ModuleType]:
    """Import a module whose clients no test lets reach a service."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(variable, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_CA_BUNDLE", raising=False)
        yield importlib.import_module(name)


class Load(Protocol):
    """Imports the handler whose package has the first settings. `variables`: further variables of the environment."""

    def __call__(self, *settings: EnvironmentSettings, **variables: str) -> ModuleType: ...


@pytest.fixture
def load(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import the handler of a function's settings, as a cold start does."""
    loaded = {"shared.telemetry", "consume.application", "consume.consumer", "consume.own_code", "application"}

    def forget() -> None:
        for name in loaded:
            sys.modules.pop(name, None)

    def load(*settings: EnvironmentSettings, **variables: str) -> ModuleType:
        package = type(settings[0]).__module__.partition(".")[0]
        variables |= {"POWERTOOLS_METRICS_NAMESPACE": NAMESPACE, "POWERTOOLS_SERVICE_NAME": package}
        for part in settings:
            variables |= part.to_environment()
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        loaded.add(f"{package}.handler")
        forget()
        return importlib.import_module(f"{package}.handler")

    yield load
    forget()


class Telemetry:
    """The log and the metrics of a handler."""

    def __init__(self, log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
        self._log, self._capsys = log, capsys

    def lines(self) -> list[dict[str, Any]]:
        """Return the log lines."""
        return [json.loads(line) for line in self._log.getvalue().splitlines()]

    def metrics(self) -> dict[str, list[float]]:
        """Return the values of each metric, as CloudWatch reads them from the log."""
        values: dict[str, list[float]] = {}
        for line in self._capsys.readouterr().out.splitlines():
            embedded = json.loads(line)
            (directive,) = embedded["_aws"]["CloudWatchMetrics"]
            assert directive["Namespace"] == NAMESPACE
            assert directive["Dimensions"] == [["service"]]  # the alarms' only dimension
            for metric in directive["Metrics"]:
                values.setdefault(metric["Name"], []).extend(embedded[metric["Name"]])
        return values


Listen = Callable[[ModuleType], Telemetry]


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Listen:
    def listen(module: ModuleType) -> Telemetry:
        log = io.StringIO()
        monkeypatch.setattr(module.logger.registered_handler, "stream", log)
        capsys.readouterr()
        return Telemetry(log, capsys)

    return listen


def assert_stale_replica_is_counted(telemetry: Telemetry, message_id: str) -> None:
    warning, last = telemetry.lines()
    assert (warning["level"], warning["message"], warning["message_id"]) == ("WARNING", "stale replica", message_id)
    assert "replica-bucket" in warning["problem"]
    assert (last["level"], last["message_id"]) == ("INFO", message_id)
    metrics = telemetry.metrics()
    assert metrics["StaleReplica"] == [1]
    assert "PayloadCorrupt" not in metrics


def store_outdated_replica(message_id: str, size: int) -> None:
    """Put another object of the same size into the replica, as a lagging replication leaves it."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="replica-bucket")
    s3.put_object(Bucket="replica-bucket", Key=f"payloads/{message_id}", Body=b"o" * size, ChecksumAlgorithm="SHA256")


def create_queue(name: str) -> str:
    """Create a queue and return its URL."""
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    return boto3.client("sqs").create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]  # type: ignore[arg-type]


def received(url: str) -> list[dict[str, Any]]:
    """Receive messages, with their attributes."""
    response = boto3.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
    )
    return response.get("Messages", [])  # type: ignore[return-value]


def subscribed_topic(queue_url: str) -> str:
    """Create a topic with raw delivery to the queue, and return its ARN."""
    sns = boto3.client("sns")
    topic = sns.create_topic(Name="messages")["TopicArn"]
    arn = boto3.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"], Attributes={"RawMessageDelivery": "true"})
    return topic


def sqs_record(message: dict[str, Any], *, receives: int = 1, queue: str = "queue") -> dict[str, Any]:
    """Return a received SQS message in the form of Lambda's event."""
    sent = round(time.time() * 1000) - SECONDS_IN_QUEUE * 1000
    attributes = {"ApproximateReceiveCount": str(receives), "MessageGroupId": "group", "SentTimestamp": str(sent)}
    return events.sqs_record(message, attributes=attributes, queue_arn=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}")


@pytest.fixture
def stubbed() -> Callable[[str], tuple[Any, Stubber]]:
    """Create a client that sends nothing, and its stub."""

    def stubbed(service: str) -> tuple[Any, Stubber]:
        session = boto3.Session(region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing")
        client: Any = session.client(service)  # type: ignore[call-overload]
        stub = Stubber(client)
        stub.activate()
        return client, stub

    return stubbed

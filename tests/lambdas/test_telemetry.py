"""What handlers say of themselves: one id in every line of the log, and metrics as the alarms count them."""

import hashlib
import io
import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from claim_check import Publisher, Store, UntrustedStore
from stacks.common.function import METRICS
from tests.lambdas.conftest import SECONDS_IN_QUEUE, STORE, received, sqs_record, subscribed_topic
from tests.lambdas.test_consume_queue import POISON
from tests.lambdas.test_consume_queue import consume as consume_queue
from tests.lambdas.test_consume_queue import dead_letters as dead_letters
from tests.lambdas.test_consume_queue import state_machine as state_machine
from tests.lambdas.test_consume_topic import TASK, pointing, sns_event
from tests.lambdas.test_consume_topic import consume as consume_topic
from tests.lambdas.test_land import BODY, handed
from tests.lambdas.test_land import land as land
from tests.lambdas.test_publish import KEY, bus_event, upload
from tests.lambdas.test_publish import delivered as delivered
from tests.lambdas.test_publish import publish as publish

Lines = list[dict[str, Any]]
__all__ = ["consume_queue", "consume_topic", "dead_letters", "delivered", "land", "publish", "state_machine"]
NEAR = json.dumps([{**STORE, "replicas": [{"bucket": "replica-bucket", "region": "us-east-1"}]}])


class Telemetry:
    """What a handler wrote."""

    def __init__(self, log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
        self._log, self._capsys = log, capsys

    def lines(self) -> Lines:
        return [json.loads(line) for line in self._log.getvalue().splitlines()]

    def metrics(self) -> dict[str, list[float]]:
        """Values by name, of what CloudWatch would take out of the log."""
        found: dict[str, list[float]] = {}
        for line in self._capsys.readouterr().out.splitlines():
            embedded = json.loads(line)
            (directive,) = embedded["_aws"]["CloudWatchMetrics"]
            assert directive["Namespace"] == METRICS
            # As the alarms have it: one dimension, the function.
            assert directive["Dimensions"] == [["service"]]
            for metric in directive["Metrics"]:
                found.setdefault(metric["Name"], []).extend(embedded[metric["Name"]])
        return found


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[ModuleType], Telemetry]:
    def listen(module: ModuleType) -> Telemetry:
        log = io.StringIO()
        monkeypatch.setattr(module.logger.registered_handler, "stream", log)
        capsys.readouterr()
        return Telemetry(log, capsys)

    return listen


Listen = Callable[[ModuleType], Telemetry]


def test_publish_says_the_id_that_the_message_will_have(
    publish: ModuleType, context: SimpleNamespace, listen: Listen
) -> None:
    told = listen(publish)
    event = publish.handler(bus_event({"n": 1}), context)
    uploaded = publish.handler(upload(b"a file"), context)
    lines = told.lines()
    assert [line["message_id"] for line in lines] == [event["message_id"], uploaded["message_id"]]
    metrics = told.metrics()
    assert metrics["PublishedBytes"] == [7, 6]
    assert len(metrics["ProcessingTime"]) == 2
    assert all(value > 0 for value in metrics["ProcessingTime"])


def test_publish_says_it_too_when_it_fails(publish: ModuleType, context: SimpleNamespace, listen: Listen) -> None:
    told = listen(publish)
    boto3.client("sns").delete_topic(TopicArn=publish.publisher.topic_arn)
    with pytest.raises(ClientError) as failure:
        publish.handler(upload(b"stays"), context)
    (line,) = told.lines()
    assert (line["level"], line["message"], line["upload"]) == ("ERROR", "failed", KEY)
    assert len(line["message_id"]) == 32
    assert told.metrics()[type(failure.value).__name__] == [1]


def test_a_queues_function_says_of_each_record_whose_it_is(
    consume_queue: ModuleType, context: SimpleNamespace, listen: Listen, queue: Callable[[str], str]
) -> None:
    url = queue("delivered")
    publisher = Publisher(topic_arn=subscribed_topic(url), store=Store.from_dict(dict(STORE)))
    publisher.publish(b"fine", message_id="fine")
    (message,) = received(url)
    told = listen(consume_queue)
    consume_queue.handler({"Records": [sqs_record(message), sqs_record(POISON)]}, context)
    fine, refused = told.lines()
    assert (fine["message"], fine["message_id"]) == ("handed off", "fine")
    assert fine["execution"].endswith(":fine")  # the same id downstream
    assert (refused["level"], refused["exception_name"]) == ("ERROR", "UntrustedStore")
    assert refused["sqs_message_id"] == "poison"
    metrics = told.metrics()
    assert metrics["UntrustedStore"] == [1]
    assert metrics["ConsumedBytes"] == [4]
    assert SECONDS_IN_QUEUE * 1000 <= metrics["DeliveryLatency"][0] < (SECONDS_IN_QUEUE + 60) * 1000


def test_a_topics_function_says_it_when_it_hands_on_and_when_it_fails(
    consume_topic: ModuleType, context: SimpleNamespace, listen: Listen
) -> None:
    told = listen(consume_topic)
    with Stubber(consume_topic.ecs) as ecs:
        ecs.add_response("run_task", {"tasks": [{"taskArn": TASK}], "failures": []})
        consume_topic.handler(sns_event(b"scan", "scan-1"), context)
        consume_topic.handler(sns_event(b"scan", "scan-1"), context)
        with pytest.raises(UntrustedStore):
            consume_topic.handler(pointing("a-stranger", "payloads/x", 7, {"id": "forged"}), context)
    handed, again, refused = told.lines()
    assert [line["message_id"] for line in (handed, again)] == ["scan-1"] * 2
    assert (refused["level"], refused["exception_name"]) == ("ERROR", "UntrustedStore")
    metrics = told.metrics()
    assert metrics["UntrustedStore"] == [1]
    assert len(metrics["DeliveryLatency"]) == 2
    assert len(metrics["ProcessingTime"]) == 1


@pytest.fixture
def old_copy(aws: None) -> Callable[[str, int], None]:
    """Replication lags: in the replica is what had the id before, of the same size."""
    boto3.client("s3").create_bucket(Bucket="replica-bucket")

    def old_copy(message_id: str, size: int) -> None:
        boto3.client("s3").put_object(Bucket="replica-bucket", Key=f"payloads/{message_id}", Body=b"o" * size)

    return old_copy


def assert_stale(told: Telemetry, message_id: str) -> None:
    stale, done = told.lines()
    assert (stale["level"], stale["message"], stale["message_id"]) == (
        "WARNING",
        "stale replica",
        message_id,
    )
    assert "replica-bucket" in stale["problem"]
    assert (done["level"], done["message_id"]) == ("INFO", message_id)
    metrics = told.metrics()
    assert metrics["StaleReplica"] == [1]
    assert "PayloadCorrupt" not in metrics


@pytest.mark.usefixtures("consume_queue")
def test_a_queues_function_counts_a_replica_with_other_bytes_and_hands_on(
    load: Callable[..., ModuleType],
    context: SimpleNamespace,
    listen: Listen,
    queue: Callable[[str], str],
    old_copy: Callable[[str, int], None],
) -> None:
    url = queue("delivered")
    Publisher(topic_arn=subscribed_topic(url), store=Store.from_dict(dict(STORE))).publish(b"\x00", message_id="new")
    old_copy("new", 1)
    function = load("consume_queue", TRUSTED_STORES=NEAR)
    told = listen(function)
    (message,) = received(url)
    assert function.handler({"Records": [sqs_record(message)]}, context) == {"batchItemFailures": []}
    assert_stale(told, "new")


@pytest.mark.usefixtures("consume_topic")
def test_a_topics_function_counts_a_replica_with_other_bytes_and_hands_on(
    load: Callable[..., ModuleType], context: SimpleNamespace, listen: Listen, old_copy: Callable[[str, int], None]
) -> None:
    handed("new")
    old_copy("new", len(BODY))
    function = load("consume_topic", TRUSTED_STORES=NEAR)
    told = listen(function)
    claim = {"id": "new", "sha256": hashlib.sha256(BODY).hexdigest()}
    with Stubber(function.ecs) as ecs:
        ecs.add_response("run_task", {"tasks": [{"taskArn": TASK}], "failures": []})
        function.handler(pointing(STORE["bucket"], "payloads/new", len(BODY), claim), context)
    assert_stale(told, "new")


@pytest.mark.usefixtures("land")
def test_landing_counts_a_replica_with_other_bytes_and_lands(
    load: Callable[..., ModuleType], context: SimpleNamespace, listen: Listen, old_copy: Callable[[str, int], None]
) -> None:
    event = handed("new")
    old_copy("new", len(BODY))
    function = load("copy_payload", TRUSTED_STORES=NEAR)
    told = listen(function)
    landed = function.handler(event, context)
    assert boto3.client("s3").get_object(Bucket=landed["bucket"], Key=landed["key"])["Body"].read() == BODY
    assert_stale(told, "new")

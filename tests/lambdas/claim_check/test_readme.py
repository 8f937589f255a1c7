"""The README: its snippets are run, its numbers and file names compared."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

import claim_check
from claim_check import Dereferencer, Payload, Publisher, Store
from claim_check.https.endpoint import WINDOW
from claim_check.memory import DEFAULT_MEMORY_BYTES
from claim_check.publishing.offload import PART_BYTES, PUT_BYTES, stream_part_bytes
from claim_check.publishing.publisher import DEFAULT_THRESHOLD_BYTES
from claim_check.receiving.payload import READ_LIMIT_BYTES
from claim_check.service_errors import CODES
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.fake_s3 import FakeS3
from tests.lambdas.claim_check.notifications import CERTIFICATE_URL, NOW, Signer, Web, posted

README = (Path(claim_check.__file__).parent / "README.md").read_text()
_blocks = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = {section.partition("\n")[0]: _blocks.findall(section) for section in README.split("\n## ")[1:]}
SNIPPETS = {title: snippets[0] for title, snippets in SECTIONS.items() if snippets}
ALL_SNIPPETS = _blocks.findall(README)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bucket, topic, queue and file of the snippets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    (tmp_path / "scan.tiff").write_bytes(bytes(range(256)) * 4_000)
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="payloads-one")
        sns = boto3.client("sns", region_name="us-east-1")
        boto3.client("sqs", region_name="us-east-1").create_queue(QueueName="events")
        sns.subscribe(
            TopicArn=sns.create_topic(Name="events")["TopicArn"],
            Protocol="sqs",
            Endpoint="arn:aws:sqs:us-east-1:123456789012:events",
        )
        yield


def executed(title: str, **names: Any) -> dict[str, Any]:
    """Run a snippet and return its names."""
    exec(compile(SNIPPETS[title], title, "exec"), names)
    return names


def received() -> list[Any]:
    sqs = boto3.client("sqs", region_name="us-east-1")
    url = sqs.get_queue_url(QueueName="events")["QueueUrl"]
    return list(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"])


def large() -> dict[str, Any]:
    """The SQS event record of a large message, published by the README's publisher."""
    published = executed("Publish")
    record = received()[-1]
    assert published["published"].pointer
    return {"messageId": record["MessageId"], "body": record["Body"]}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a snippet may leave a file for Python to close
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestSnippets:
    def test_publish(self, aws: None, capsys: pytest.CaptureFixture[str]) -> None:
        assert executed("Publish")["published"].size == 1_024_000
        assert capsys.readouterr().out.startswith("scan-0815 1024000 ")
        assert len(received()) == 2

    def test_publish_batch(self, aws: None, capsys: pytest.CaptureFixture[str]) -> None:
        names = executed("Publish")
        capsys.readouterr()
        exec(next(snippet for snippet in ALL_SNIPPETS if "publish_batch" in snippet), names)
        assert capsys.readouterr().out == ""
        assert names["outcome"].message_id == "row-24"

    def test_publish_with_options(self, aws: None, capsys: pytest.CaptureFixture[str]) -> None:
        names = executed("Publish")
        boto3.client("s3", region_name="us-east-1").delete_object(Bucket="payloads-one", Key="payloads/scan-0815")
        capsys.readouterr()
        exec(next(snippet for snippet in ALL_SNIPPETS if "ObjectOptions" in snippet), names)
        assert capsys.readouterr().out.splitlines()[-1] == "1024000"

    def test_publish_to_a_queue(self, aws: None) -> None:
        sqs = boto3.client("sqs", region_name="us-east-1")
        url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
        store = executed("Publish to a queue")["store"]
        (record,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
        message = Dereferencer(stores=[store]).message(record)
        assert (message.id, message.payload.read()) == ("job-1", b"x" * 2_000_000)

    def test_asyncio(self, publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer) -> None:
        names = executed("Use from asyncio")
        publisher.publish(bytes(3_000_000), message_id="m-2")
        record = DELIVERIES["SNS event"](sns.published[0])
        assert asyncio.run(names["main"](publisher, dereferencer, record)) == [2**20, 2**20, 3_000_000 - 2**21]
        assert sns.published[1]["Message"] == "a payload"

    def test_cancelled_stream_closes_its_connection(
        self, publisher: Publisher, sns: NotedSns, fake_s3: FakeS3, store: Store
    ) -> None:
        publisher.publish(bytes(3_000_000), message_id="m-2")
        bodies: list[Any] = []
        s3 = fake_s3.client()
        s3.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: bodies.append(parsed["Body"]))
        message = Dereferencer(stores=[store], s3=s3).message(DELIVERIES["SNS event"](sns.published[0]))
        names = executed("Use from asyncio")

        async def main() -> None:
            stream = names["chunks"](message.payload)
            await anext(stream)
            await stream.aclose()
            while not bodies[0]._raw_stream.closed:
                await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(main(), 10))

    def test_put_event(self, aws: None) -> None:
        events = boto3.client("events", region_name="us-east-1")
        events.create_event_bus(Name="coatcheck")
        assert len(executed("Send an event")["event_id"]) == 36

    def test_function_after_queue(self, aws: None, capsys: pytest.CaptureFixture[str]) -> None:
        read: dict[str, int] = {}

        def process(name: str, payload: Payload) -> None:
            read[name] = payload.verify_by_reading().size

        names = executed("Receive: a function after a queue", process=process)
        good, bad = large(), {"messageId": "bad", "body": None}
        assert names["handler"]({"Records": [good, bad]}, None) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
        assert read == {"scan-0815": 1_024_000}
        boto3.client("s3", region_name="us-east-1").delete_object(Bucket="payloads-one", Key="payloads/scan-0815")
        capsys.readouterr()
        assert names["handler"]({"Records": [good]}, None) == {"batchItemFailures": []}
        assert "PayloadMissing" in capsys.readouterr().out

    def test_function_after_topic(self, aws: None) -> None:
        names = executed("Receive: a function after the topic")
        notification = json.loads(large()["body"])
        target = Path("/tmp/scan-0815")
        try:
            names["handler"]({"Records": [{"EventSource": "aws:sns", "Sns": notification}]}, None)
            assert target.stat().st_size == 1_024_000
        finally:
            target.unlink(missing_ok=True)

    def test_https_endpoint(self, aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
        signer, read = Signer(), dict[str, bytes]()
        web = Web({CERTIFICATE_URL.replace("eu-west-1", "us-east-1"): signer.pem})
        monkeypatch.setattr("claim_check.https.endpoint._fetch", web.fetch)
        names = executed(
            "Receive: an HTTPS endpoint", process=lambda name, payload: read.update({name: payload.read()})
        )
        names["endpoint"]._now = lambda: NOW
        topic = "arn:aws:sns:us-east-1:123456789012:events"
        envelope = DELIVERIES["SNS envelope"]({"TopicArn": topic, "Message": "hello", "MessageAttributes": {}})
        body = signer.signed(envelope | {"Timestamp": "2026-03-01T12:00:00.000Z"})
        body["SigningCertURL"] = CERTIFICATE_URL.replace("eu-west-1", "us-east-1")
        assert names["post"](posted(body), {}) == 200
        assert list(read.values()) == [b"hello"]
        assert names["post"](posted(body | {"Message": "forged"}), {}) == 403
        assert names["post"](posted(body | {"TopicArn": TOPIC}), {}) == 403
        names["endpoint"]._certificates._known.clear()
        web.pages.clear()
        assert names["post"](posted(body), {}) == 503

    def test_script(self, aws: None, capsys: pytest.CaptureFixture[str]) -> None:
        publisher = executed("Publish")["publisher"]
        received()
        publisher.publish("hello", message_id="m-1")
        capsys.readouterr()
        executed("Receive: a script")
        assert capsys.readouterr().out == "m-1 {} hello\n"

    def test_testing_example(self) -> None:
        executed("Testing your code")["test_a_large_payload_arrives"]()


def test_replicas() -> None:
    (store,) = executed("Replicas")["dereferencer"]._stores
    assert [replica.region for replica in store.replicas] == ["us-west-2"]


def test_all_snippets_are_run_and_short() -> None:
    assert len(ALL_SNIPPETS) == len(SNIPPETS) + 2 == 12
    for title, snippet in SNIPPETS.items():
        lines = [line for line in snippet.splitlines() if line.strip() and not line.startswith(("from ", "import "))]
        assert len(lines) <= 15, title


def test_named_test_files_exist() -> None:
    files = {path.name for path in Path(__file__).parent.rglob("*.py")}
    named = set(re.findall(r"`(\w+\.py)`", README))
    assert named > {"fake_s3.py"}
    assert named <= files


def test_error_codes_match_the_code() -> None:
    refused, retried = README.split("one of these reasons:")[1].split("## ")[0].split("A retry helps")
    codes = re.compile(r"`([A-Z][A-Za-z.]{5,})`")
    assert [code for code in codes.findall(refused) if CODES[code] is None] == []
    assert len(codes.findall(refused)) > 20
    assert [code for code in codes.findall(retried) if CODES.get(code)] == ["AccessDenied"]


def test_numbers_match_the_code() -> None:
    assert DEFAULT_THRESHOLD_BYTES == 262_144
    assert (PART_BYTES, PUT_BYTES, DEFAULT_MEMORY_BYTES) == (5 * 2**20, 8 * 2**20, 40 * 2**20)
    assert 180 < sum(stream_part_bytes(n, DEFAULT_MEMORY_BYTES) for n in range(1, 10_001)) / 10**9 < 195
    assert READ_LIMIT_BYTES == 64 * 2**20
    assert WINDOW.total_seconds() == 65 * 60

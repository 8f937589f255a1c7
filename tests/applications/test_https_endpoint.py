"""The sample HTTPS endpoint as a server process, with signed notifications over TLS, and with undelivered messages."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from moto import mock_aws

from applications.https_endpoint import Received, receive_undelivered
from claim_check import Dereferencer, Publisher, Store
from claim_check.https import Endpoint
from local.environment import ROOT
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, SNS_ID, NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3
from tests.lambdas.claim_check.notifications import CERTIFICATE_URL, NOW, Signer, Web, certificate

STORE = {"bucket": "payloads-one", "prefix": "payloads/", "owner": OWNER, "region": "eu-west-1"}
LARGE = 96 * 2**20


class Sns(ThreadingHTTPServer):
    """The endpoint of SNS that confirms subscriptions."""

    def __init__(self) -> None:
        confirmed = self.confirmed = []  # type: list[str]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                confirmed.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


class Server:
    """The endpoint's process and its folder."""

    def __init__(self, port: int, folder: Path, authority: Path, pid: int) -> None:
        self.port, self.folder, self.pid = port, folder, pid
        self._context = ssl.create_default_context(cafile=authority)

    def post(self, body: bytes, **headers: str) -> int:
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self._context)
        try:
            connection.request("POST", "/coatcheck", body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def received(self) -> dict[str, Any]:
        """Return the receipts by notification id."""
        return {path.stem: json.loads(path.read_text()) for path in self.folder.glob("*.json")}


@pytest.fixture(scope="module")
def signer() -> Signer:
    signer = Signer()
    now = datetime.now(UTC)
    signer.pem = certificate(signer.key, since=now - timedelta(days=1), until=now + timedelta(days=1))
    return signer


@pytest.fixture(scope="module")
def fake_s3() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


@pytest.fixture(scope="module")
def sns() -> Iterator[Sns]:
    with Sns() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, signer: Signer, fake_s3: FakeS3, sns: Sns) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("endpoint")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    (folder / "sns.pem").write_bytes(signer.pem)
    (folder / "received").mkdir()
    arguments = ["--sns", f"http://127.0.0.1:{sns.server_port}", "--signing-certificate", str(folder / "sns.pem")]
    arguments += ["--server-certificate", str(folder / "server.pem")]
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "local.https_endpoint_process", *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'lambdas'}",
            "TOPIC_ARN": TOPIC,
            "TRUSTED_STORES": json.dumps([STORE]),
            "RECEIVED": str(folder / "received"),
            "AWS_ENDPOINT_URL_S3": fake_s3.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    log.close()
    try:
        assert process.stdout
        port = process.stdout.readline().strip()
        assert port, (folder / "log").read_text()
        yield Server(int(port), folder / "received", folder / "authority.pem", process.pid)
    finally:
        process.communicate(timeout=10)  # the server exits at the end of its input


def identity(number: int) -> str:
    return f"22222222-3333-4444-5555-{number:012d}"


def notification(number: int, message: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the unsigned notification of a published message."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {**DELIVERIES["SNS envelope"](message), "Timestamp": now, "MessageId": identity(number), **more}


@pytest.fixture
def publish(fake_s3: FakeS3) -> Callable[..., dict[str, Any]]:
    """Publish with the library, and return the request to SNS."""

    def publish(payload: bytes, message_id: str, **options: Any) -> dict[str, Any]:
        noted = NotedSns()
        store = Store.from_dict(STORE)
        Publisher(topic_arn=TOPIC, store=store, sns=noted.client(), s3=fake_s3.client()).publish(
            payload, message_id=message_id, **options
        )
        return noted.published[0]

    return publish


Publish = Callable[..., dict[str, Any]]


def body(signed: dict[str, Any]) -> bytes:
    return json.dumps(signed).encode()


def test_subscription_is_confirmed(server: Server, signer: Signer, sns: Sns) -> None:
    confirmation = {
        "Type": "SubscriptionConfirmation",
        "MessageId": SNS_ID,
        "Token": "2336412f37fb687f",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe…",
        "SubscribeURL": "https://evil.example/?Token=2336412f37fb687f",
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    assert server.post(body(signer.signed(confirmation, "2"))) == 200
    (confirmed,) = sns.confirmed
    assert confirmed.startswith("/?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3A")


def test_payload_is_stored_before_the_response(server: Server, signer: Signer, publish: Publish) -> None:
    inline, offloaded = publish(b"small", "m-1"), publish(os.urandom(300_000), "m-2")
    for number, message in ((1, inline), (2, offloaded)):
        assert server.post(body(signer.signed(notification(number, message), "2"))) == 200
    receipts = server.received()
    assert receipts[identity(1)] == {
        "message_id": "m-1",
        "bytes": 5,
        "sha256": hashlib.sha256(b"small").hexdigest(),
        "subject": receipts[identity(1)]["subject"],
    }
    assert receipts[identity(2)]["bytes"] == 300_000
    stored = (server.folder / identity(2)).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == receipts[identity(2)]["sha256"]


def test_repeated_notification_is_read_once(server: Server, signer: Signer, publish: Publish, fake_s3: FakeS3) -> None:
    signed = body(signer.signed(notification(3, publish(bytes(300_000), "m-3"))))
    before = len(fake_s3.requests_of("GET"))
    assert [server.post(signed) for _ in range(3)] == [200, 200, 200]
    assert len(fake_s3.requests_of("GET")) == before + 1


def test_large_payload_is_streamed_in_little_memory(server: Server, signer: Signer, publish: Publish) -> None:
    def resident() -> int:
        status = Path(f"/proc/{server.pid}/status")
        if not status.exists():
            pytest.skip("needs /proc")
        return (
            int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) // 1024
        )

    message = publish(bytes(LARGE), "m-4")
    before = resident()
    assert server.post(body(signer.signed(notification(4, message)))) == 200
    assert server.received()[identity(4)]["bytes"] == LARGE
    assert resident() - before < 40  # MiB


def test_forged_notification_is_forbidden(server: Server, signer: Signer, publish: Publish) -> None:
    forged = signer.signed(notification(5, publish(b"x", "m-5"))) | {"Message": "other"}
    assert server.post(body(forged)) == 403
    assert identity(5) not in server.received()


def test_request_over_the_maximum_size_is_not_read(server: Server) -> None:
    assert server.post(bytes(2 * 2**20 + 1)) == 413


def test_invalid_notification_gets_503(server: Server) -> None:
    assert server.post(b"{") == 503


def test_failed_notification_gets_503_until_it_succeeds(
    server: Server, signer: Signer, publish: Publish, fake_s3: FakeS3
) -> None:
    """SNS retries both permanent and transient errors, then writes the message to the undelivered queue."""
    signed = body(signer.signed(notification(7, publish(os.urandom(300_000), "m-7"))))
    stored = fake_s3.objects.pop(("payloads-one", "payloads/m-7"))
    assert server.post(signed) == 503  # PayloadMissing
    fake_s3.put("payloads-one", "payloads/m-7", bytes(300_000))
    assert server.post(signed) == 503  # PayloadCorrupt
    fake_s3.objects["payloads-one", "payloads/m-7"] = stored
    fake_s3.fail("GET", 403, "AccessDenied")
    assert server.post(signed) == 503  # PayloadUnavailable
    assert identity(7) not in server.received()
    assert server.post(signed) == 200
    assert server.received()[identity(7)]["message_id"] == "m-7"
    untrusted = publish(bytes(300_000), "m-8")
    untrusted["Message"] = untrusted["Message"].replace("payloads-one", "payloads-two")
    assert server.post(body(signer.signed(notification(8, untrusted)))) == 503  # UntrustedStore


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-west-1")


def undelivered(number: int) -> dict[str, str]:
    """Return a notification of thirteen days ago, unsigned."""
    return {
        "Type": "Notification",
        "MessageId": identity(number),
        "TopicArn": TOPIC,
        "Message": f"message {number}",
        "Timestamp": (NOW - timedelta(days=13)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }


def test_undelivered_messages_are_verified_and_deleted(sqs: Any, tmp_path: Path) -> None:
    signer = Signer()
    web = Web({CERTIFICATE_URL: signer.pem})
    endpoint = Endpoint(
        topics=[TOPIC],
        dereferencer=Dereferencer(stores=[]),
        window=timedelta(days=15),
        fetch=web.fetch,
        now=lambda: NOW,
    )
    queue = sqs.create_queue(QueueName="undelivered")["QueueUrl"]
    genuine = [signer.signed(undelivered(number)) for number in (1, 2)]
    forged = genuine[0] | {"Message": "forged"}
    for posted in (genuine[0], forged, genuine[1], genuine[0]):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(posted))

    assert receive_undelivered(queue, endpoint=endpoint, received=Received(tmp_path), sqs=sqs) == 3
    stored = {path.name: path.read_text() for path in tmp_path.iterdir() if not path.suffix}
    assert sorted(stored.values()) == ["message 1", "message 2"]
    depth = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert depth["ApproximateNumberOfMessagesNotVisible"] == "1"
    assert depth["ApproximateNumberOfMessages"] == "0"

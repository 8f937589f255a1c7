"""Patches of SNS over HTTPS: signed messages to a server of this machine, retries, and undelivered messages."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from claim_check import Dereferencer
from claim_check.https import Delivery, Endpoint
from local.accounts import Accounts
from local.emulator import Emulator
from tests.local.patches.sns_support import subscription
from tests.local.support import NEAR, SUBSCRIBER, Account, document, eventually, root, unique

pytestmark = pytest.mark.system


class Server(ThreadingHTTPServer):
    """A subscriber's server. It records the posted bodies and responds with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @contextmanager
    def serving(self) -> Iterator[Server]:
        with self:
            thread = threading.Thread(target=self.serve_forever, args=(0.02,))
            thread.start()
            yield self
            self.shutdown()
            thread.join()


@pytest.fixture
def server(emulator: Emulator) -> Iterator[Server]:
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(emulator.server_certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server.serving():
        yield server


@pytest.fixture
def topic(publisher: Account) -> str:
    allow = {"Principal": root(SUBSCRIBER), "Action": "sns:Subscribe", "Resource": "*"}
    return publisher.topic(document(allow), SignatureVersion="2")


@pytest.fixture
def home(accounts: Accounts) -> Account:
    """The subscriber's account in the topic's Region, where undelivered messages are."""
    return Account(accounts, SUBSCRIBER, NEAR)


@pytest.fixture
def endpoint(topic: str, emulator: Emulator) -> Endpoint:
    """The library's endpoint, which checks signatures and confirms subscriptions."""
    web = urllib3.PoolManager(ca_certs=str(emulator.ca_bundle))

    def fetch(url: str) -> bytes:
        if url.endswith(".pem"):
            return emulator.sns_certificate.read_bytes()
        response = web.request("GET", f"{emulator.endpoint}/?{url.partition('?')[2]}")
        assert response.status == 200, response.data
        return response.data

    return Endpoint(topics=[topic], dereferencer=Dereferencer(stores=[]), fetch=fetch)


def _subscribe(home: Account, topic: str, url: str, *, retries: int = 2) -> str:
    """Deploy a subscription, and return the queue for its undelivered messages."""
    undelivered = home.queue_for("sns.amazonaws.com", topic)
    policies = {
        "DeliveryPolicy": {"healthyRetryPolicy": {"numRetries": retries}},
        "RedrivePolicy": {"deadLetterTargetArn": undelivered},
    }
    home.create(subscription(topic, "https", url, **policies))
    return undelivered


def _url(emulator: Emulator, server: Server) -> str:
    host = f"{unique('hooks')}.example"
    emulator.resolve({host: server.server_port})
    return f"https://{host}/in"


def _confirm(server: Server, endpoint: Endpoint) -> Delivery:
    (body,) = eventually(lambda: server.bodies)
    server.bodies.clear()
    return endpoint.receive(body)


def test_server_confirms_and_receives_signed_messages(
    publisher: Account, home: Account, server: Server, topic: str, emulator: Emulator, endpoint: Endpoint
) -> None:
    _subscribe(home, topic, _url(emulator, server))
    assert _confirm(server, endpoint).kind == "SubscriptionConfirmation"
    publisher.client("sns").publish(
        TopicArn=topic, Message="Größe 42", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}}
    )
    (body,) = eventually(lambda: server.bodies)
    message = endpoint.receive(body).message
    assert message
    assert (message.payload.text(), message.attributes["a"].value) == ("Größe 42", "b")


@pytest.mark.patched
def test_rejected_message_is_retried_and_redriven(
    publisher: Account, home: Account, server: Server, topic: str, emulator: Emulator, endpoint: Endpoint
) -> None:
    undelivered = _subscribe(home, topic, _url(emulator, server))
    _confirm(server, endpoint)
    server.status = 503
    publisher.client("sns").publish(TopicArn=topic, Message="again")
    (redriven,) = eventually(lambda: home.messages(undelivered))
    assert len(server.bodies) == 3
    # The queue has the message as it was posted, with its signature.
    message = endpoint.receive(redriven["Body"].encode()).message
    assert message
    assert message.payload.text() == "again"


def test_no_message_is_posted_to_another_machine(home: Account, topic: str, emulator: Emulator) -> None:
    emulator.resolve({})
    _subscribe(home, topic, "https://collector.invalid/", retries=0)
    eventually(lambda: "the host is not served on this machine" in emulator.last_log_lines(200))

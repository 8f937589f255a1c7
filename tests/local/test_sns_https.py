"""SNS over HTTPS in the emulator: to a server of this machine, signed, again when it fails, and redriven in the end."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from claim_check import Dereferencer
from claim_check.https import Delivery, Endpoint
from local.accounts import Accounts
from local.emulator import Emulator
from tests.local.support import NEAR, PUBLISHER, SUBSCRIBER, Account, document, eventually, root, unique


class Server(ThreadingHTTPServer):
    """A subscriber's server: checks what comes with the library, and answers `status`."""

    def __init__(self, emulator: Emulator) -> None:
        self.status = 200
        self.posts = 0
        self.deliveries: list[Delivery] = []
        self.endpoint: Endpoint | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.posts += 1
                body = self.rfile.read(int(self.headers["content-length"]))
                if outer.status == 200:
                    assert outer.endpoint
                    outer.deliveries.append(outer.endpoint.receive(body, dict(self.headers)))
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(emulator.server_certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)


@pytest.fixture
def server(emulator: Emulator) -> Iterator[Server]:
    with Server(emulator) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def topic(publisher: Account) -> str:
    allow = {"Principal": root(SUBSCRIBER), "Action": "sns:Subscribe", "Resource": "*"}
    return publisher.topic(document(allow), SignatureVersion="2")


def expecting(server: Server, topic: str, emulator: Emulator) -> str:
    """Has the server expect the topic's posts at an address of its own, which is the answer."""
    web = urllib3.PoolManager(ca_certs=str(emulator.ca_bundle))

    def fetch(url: str) -> bytes:
        if url.endswith(".pem"):
            return emulator.sns_certificate.read_bytes()
        answer = web.request("GET", f"{emulator.endpoint}/?{url.partition('?')[2]}")
        assert answer.status == 200, answer.data
        return answer.data

    server.endpoint = Endpoint(topics=[topic], dereferencer=Dereferencer(stores=[]), fetch=fetch)
    host = f"{unique('hooks')}.example"
    emulator.resolve({host: server.server_port})
    return f"https://{host}/in"


def subscription(topic: str, endpoint: str, queue: str, retries: int = 2) -> dict[str, Any]:
    properties = {
        "TopicArn": topic,
        "Protocol": "https",
        "Endpoint": endpoint,
        "Region": NEAR,
        "DeliveryPolicy": {"healthyRetryPolicy": {"numRetries": retries}},
        "RedrivePolicy": {"deadLetterTargetArn": queue},
    }
    return {"Subscription": {"Type": "AWS::SNS::Subscription", "Properties": properties}}


def test_a_template_subscribes_a_server_which_confirms_and_gets_signed_messages(
    publisher: Account, subscriber: Account, server: Server, topic: str, emulator: Emulator, accounts: Accounts
) -> None:
    endpoint = expecting(server, topic, emulator)
    queue = Account(accounts, SUBSCRIBER, NEAR).queue_open_to("sns.amazonaws.com", topic)
    assert subscriber.deploy(subscription(topic, endpoint, queue)) == ("CREATE_COMPLETE", "")
    confirmed = eventually(lambda: server.deliveries)
    assert [delivery.kind for delivery in confirmed] == ["SubscriptionConfirmation"]
    publisher.client("sns").publish(
        TopicArn=topic, Message="Größe 42", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}}
    )
    notified = eventually(lambda: server.deliveries[1:])[0]
    assert notified.message
    assert (notified.message.payload.text(), notified.message.attributes["a"].value) == ("Größe 42", "b")


def test_what_a_server_does_not_take_is_posted_again_and_redriven(
    publisher: Account, subscriber: Account, server: Server, topic: str, emulator: Emulator, accounts: Accounts
) -> None:
    endpoint = expecting(server, topic, emulator)
    home = Account(accounts, SUBSCRIBER, NEAR)
    queue = home.queue_open_to("sns.amazonaws.com", topic)
    subscriber.deploy(subscription(topic, endpoint, queue))
    eventually(lambda: server.deliveries)
    server.status, server.posts = 503, 0
    publisher.client("sns").publish(TopicArn=topic, Message="again")
    (kept,) = eventually(lambda: home.messages(queue))
    assert server.posts == 3
    # As it was posted, signature and all.
    assert server.endpoint
    delivery = server.endpoint.receive(kept["Body"].encode())
    assert delivery.message
    assert delivery.message.payload.text() == "again"


def test_nothing_is_posted_to_another_machine(
    publisher: Account, topic: str, emulator: Emulator, accounts: Accounts, subscriber: Account
) -> None:
    emulator.resolve({})
    queue = Account(accounts, SUBSCRIBER, NEAR).queue_open_to("sns.amazonaws.com", topic)
    subscriber.deploy(subscription(topic, "https://collector.invalid/", queue, retries=0))
    eventually(lambda: "the host is not served on this machine" in emulator.last_log_lines(200))


def test_a_wrong_token_confirms_nothing_and_needs_no_credentials(topic: str, emulator: Emulator) -> None:
    web = urllib3.PoolManager(ca_certs=str(emulator.ca_bundle))
    asked = f"{emulator.endpoint}/?Action=ConfirmSubscription&TopicArn={topic}&Token=guessed"
    assert web.request("GET", asked).status == 400


class Noting(ThreadingHTTPServer):
    """Notes what is posted to it, in the clear, and takes none of it."""

    def __init__(self) -> None:
        noted = self.noted = []  # type: list[dict[str, Any]]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                noted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_error(503)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


def test_gap_signatures_retries_and_redrive(bare: Accounts) -> None:
    """The emulator signs nothing, asks once, and drops what is not taken; a template's subscription it asks nobody to
    confirm."""
    mine = Account(bare, PUBLISHER)
    topic, queue = mine.topic(), mine.queue_open_to("sns.amazonaws.com", "*")
    with Noting() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}/"
        mine.deploy(subscription(topic, endpoint.replace("http:", "https:"), queue))
        mine.client("sns").subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint)
        (asked,) = eventually(lambda: server.noted)
        assert asked["Signature"] == "FAKE"
        mine.client("sns").confirm_subscription(TopicArn=topic, Token=asked["Token"])
        mine.client("sns").publish(TopicArn=topic, Message="m")
        eventually(lambda: server.noted[1:])
        server.shutdown()
        thread.join()
    assert [posted["Type"] for posted in server.noted] == ["SubscriptionConfirmation", "Notification"]
    assert mine.messages(queue) == []

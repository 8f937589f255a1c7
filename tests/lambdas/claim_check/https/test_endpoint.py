"""HTTPS endpoint: only recent requests that SNS has signed for an expected topic."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import botocore
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec

from claim_check import (
    Attribute,
    Dereferencer,
    MalformedMessage,
    MessagingUnavailable,
    Publisher,
    UntrustedNotification,
    UntrustedStore,
)
from claim_check.https import endpoint as https_module
from claim_check.https import signature as signature_module
from claim_check.https.endpoint import Delivery, Endpoint
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, SNS_ID, NotedSns, short_id
from tests.lambdas.claim_check.fake_s3 import FakeS3
from tests.lambdas.claim_check.notifications import CERTIFICATE_URL, NOW, Signer, Web, certificate, posted

TIMESTAMP = "2026-03-01T11:59:30.123Z"


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer()


@pytest.fixture
def web(signer: Signer) -> Web:
    return Web({CERTIFICATE_URL: signer.pem, "https://sns.eu-west-1.amazonaws.com/?Action=": b"<ConfirmSubscription/>"})


@pytest.fixture
def endpoint(web: Web, dereferencer: Dereferencer) -> Endpoint:
    return Endpoint(topics=[TOPIC], dereferencer=dereferencer, fetch=web.fetch, now=lambda: NOW)


def notification(**more: Any) -> dict[str, Any]:
    members = {
        "Type": "Notification",
        "MessageId": SNS_ID,
        "TopicArn": TOPIC,
        "Subject": "Größe",
        "Message": "one\ntwo",
        "Timestamp": TIMESTAMP,
        "MessageAttributes": {"kind": {"Type": "String", "Value": "scan"}},
        **more,
    }
    return {name: value for name, value in members.items() if value is not None}


def confirmation(kind: str = "SubscriptionConfirmation", **more: Any) -> dict[str, Any]:
    return {
        "Type": kind,
        "MessageId": SNS_ID,
        "Token": "2336412f37fb687f",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe…",
        "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=2336412f37fb687f",
        "Timestamp": TIMESTAMP,
        **more,
    }


@pytest.fixture
def sha1_endpoint(web: Web, dereferencer: Dereferencer) -> Endpoint:
    return Endpoint(topics=[TOPIC], dereferencer=dereferencer, fetch=web.fetch, now=lambda: NOW, accept_sha1=True)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", ["Größe", None])
def test_signed_notification_is_a_message(
    version: str, subject: str | None, sha1_endpoint: Endpoint, signer: Signer
) -> None:
    delivery = sha1_endpoint.receive(posted(signer.signed(notification(Subject=subject), version)))
    assert (delivery.kind, delivery.id, delivery.topic_arn) == ("Notification", SNS_ID, TOPIC)
    assert delivery.message
    assert delivery.message.payload.read() == b"one\ntwo"
    assert delivery.message.attributes == {"kind": Attribute("String", "scan")}
    assert (delivery.message.id, delivery.message.subject, delivery.message.topic_arn) == (SNS_ID, subject, TOPIC)


def test_sha1_is_rejected_by_default(endpoint: Endpoint, signer: Signer, web: Web) -> None:
    for members in (notification(), confirmation()):
        with pytest.raises(MalformedMessage, match="set the topic's attribute SignatureVersion") as caught:
            endpoint.receive(posted(signer.signed(members, "1")))
        assert caught.value.message_id == SNS_ID
    assert web.asked == []


def test_null_subject_is_none(endpoint: Endpoint, signer: Signer) -> None:
    body = {**signer.signed(notification(Subject=None)), "Subject": None}
    assert endpoint.receive(posted(body)).message


def test_offloaded_payload_is_dereferenced(
    endpoint: Endpoint, signer: Signer, publisher: Publisher, sns: NotedSns
) -> None:
    publisher.publish(b"\x00payload", message_id="m-1")
    envelope = DELIVERIES["SNS envelope"](sns.published[0]) | {"Timestamp": TIMESTAMP}
    delivery = endpoint.receive(posted(signer.signed(envelope)))
    assert delivery.message
    assert (delivery.id, delivery.message.id, delivery.message.payload.read()) == (SNS_ID, "m-1", b"\x00payload")


def test_certificate_is_fetched_once(endpoint: Endpoint, signer: Signer, web: Web) -> None:
    for _ in range(3):
        endpoint.receive(posted(signer.signed(notification())))
    assert web.asked == [CERTIFICATE_URL]


def test_certificate_cache_is_bounded(endpoint: Endpoint, signer: Signer, web: Web) -> None:
    web.pages["https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-"] = signer.pem
    for number in range(40):
        url = f"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{number}.pem"
        endpoint.receive(posted(signer.signed(notification()) | {"SigningCertURL": url}))
    assert list(endpoint._certificates._known)[-1] == url
    assert len(endpoint._certificates._known) == 16


def test_expired_certificate_is_fetched_again(web: Web, dereferencer: Dereferencer, signer: Signer) -> None:
    now = [NOW]
    endpoint = Endpoint(topics=[TOPIC], dereferencer=dereferencer, fetch=web.fetch, now=lambda: now[0])
    endpoint.receive(posted(signer.signed(notification())))
    now[0] = NOW + timedelta(days=1, minutes=1)
    late = posted(signer.signed(notification(Timestamp=now[0].strftime("%Y-%m-%dT%H:%M:%SZ"))))
    with pytest.raises(UntrustedNotification, match="not valid now"):
        endpoint.receive(late)
    web.pages[CERTIFICATE_URL] = certificate(signer.key, until=now[0] + timedelta(days=1))
    assert endpoint.receive(late).message
    assert len(web.asked) == 3


class Barrier:
    """A way to fetch that waits until the test releases it."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self.begun, self.released = threading.Semaphore(0), threading.Event()

    def fetch(self, url: str) -> bytes:
        self.begun.release()
        assert self.released.wait(10)
        return self._web.fetch(url)


@pytest.mark.parametrize("is_available", [True, False])
def test_certificate_is_fetched_once_for_all_threads(
    is_available: bool, web: Web, dereferencer: Dereferencer, signer: Signer
) -> None:
    barrier = Barrier(web)
    endpoint = Endpoint(topics=[TOPIC], dereferencer=dereferencer, fetch=barrier.fetch, now=lambda: NOW)
    body = posted(signer.signed(notification()))
    if not is_available:
        del web.pages[CERTIFICATE_URL]
    with ThreadPoolExecutor(8) as pool:
        received = [pool.submit(endpoint.receive, body) for _ in range(8)]
        assert barrier.begun.acquire(timeout=10)
        while sum(future.running() for future in received) < 8:
            time.sleep(0.001)
        time.sleep(0.05)
        barrier.released.set()
        errors = [type(future.exception()) for future in received]
    assert errors == [type(None) if is_available else MessagingUnavailable] * 8
    assert web.asked == [CERTIFICATE_URL]


def test_forged_requests_fetch_four_certificates_at_a_time(
    web: Web, dereferencer: Dereferencer, signer: Signer
) -> None:
    barrier = Barrier(web)
    endpoint = Endpoint(topics=[TOPIC], dereferencer=dereferencer, fetch=barrier.fetch, now=lambda: NOW)

    def body(number: int) -> bytes:
        url = CERTIFICATE_URL.replace(".pem", f"{number}.pem")
        return posted(signer.signed(notification()) | {"SigningCertURL": url})

    with ThreadPoolExecutor(4) as pool:
        received = [pool.submit(endpoint.receive, body(number)) for number in range(4)]
        for _ in range(4):
            assert barrier.begun.acquire(timeout=10)
        with pytest.raises(MessagingUnavailable, match="4 others are being fetched"):
            endpoint.receive(body(4))
        barrier.released.set()
        assert [type(future.exception()) for future in received] == [MessagingUnavailable] * 4
    assert endpoint.receive(posted(signer.signed(notification()))).message


def test_waiting_for_a_certificate_ends(
    web: Web, dereferencer: Dereferencer, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature_module, "_WAIT_SECONDS", 0.01)
    barrier = Barrier(web)
    endpoint = Endpoint(topics=[TOPIC], dereferencer=dereferencer, fetch=barrier.fetch, now=lambda: NOW)
    body = posted(signer.signed(notification()))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(endpoint.receive, body)
        assert barrier.begun.acquire(timeout=10)
        with pytest.raises(MessagingUnavailable, match="TimeoutError"):
            endpoint.receive(body)
        barrier.released.set()
        assert first.result().message


class TimeLimit(Exception):
    """Raised by a signal handler."""


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, TimeLimit])
def test_interrupted_fetch_is_repeated(
    interrupt: type[BaseException], web: Web, dereferencer: Dereferencer, signer: Signer
) -> None:
    """The exception is raised in the thread that fetched, and in no other."""
    barrier, interrupts = Barrier(web), [interrupt]

    def fetch(url: str) -> bytes:
        page = barrier.fetch(url)
        if interrupts:
            raise interrupts.pop()
        return page

    endpoint = Endpoint(topics=[TOPIC], dereferencer=dereferencer, fetch=fetch, now=lambda: NOW)
    body = posted(signer.signed(notification()))
    with ThreadPoolExecutor(2) as pool:
        received = [pool.submit(endpoint.receive, body) for _ in range(2)]
        assert barrier.begun.acquire(timeout=10)
        time.sleep(0.05)
        barrier.released.set()
        assert {type(future.exception()) for future in received} == {interrupt, MessagingUnavailable}
    assert endpoint.receive(body).message


@pytest.mark.parametrize("field", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn"])
def test_changed_field_is_not_signed(field: str, web: Web, dereferencer: Dereferencer, signer: Signer) -> None:
    other = TOPIC + "-two"
    endpoint = Endpoint(topics=[TOPIC, other], dereferencer=dereferencer, fetch=web.fetch, now=lambda: NOW)
    changed = {"Timestamp": "2026-03-01T11:59:31.123Z", "TopicArn": other}.get(field, "other")
    with pytest.raises(UntrustedNotification, match="did not sign"):
        endpoint.receive(posted(signer.signed(notification()) | {field: changed}))


def test_removed_or_added_subject_is_not_signed(endpoint: Endpoint, signer: Signer) -> None:
    signed = signer.signed(notification())
    with pytest.raises(UntrustedNotification, match="did not sign"):
        endpoint.receive(posted(signed | {"Subject": None}))
    with pytest.raises(UntrustedNotification, match="did not sign"):
        endpoint.receive(posted(signer.signed(notification(Subject=None)) | {"Subject": "x"}))


@pytest.mark.parametrize(
    "moved",
    [
        {"Message": "one", "MessageId": f"two\nMessageId\n{SNS_ID}"},
        {"MessageId": f"{SNS_ID}\nSubject\nGröße", "Subject": None},
    ],
)
def test_signed_text_cannot_be_split_differently(moved: dict[str, Any], endpoint: Endpoint, signer: Signer) -> None:
    signed = signer.signed(notification(Message="one\nMessageId\ntwo"))
    with pytest.raises((MalformedMessage, UntrustedNotification)):
        endpoint.receive(posted(signed | moved))


def test_signature_of_another_key_is_untrusted(endpoint: Endpoint) -> None:
    with pytest.raises(UntrustedNotification, match="did not sign") as caught:
        endpoint.receive(posted(Signer().signed(notification())))
    assert caught.value.permanent
    assert caught.value.message_id == SNS_ID


def test_signature_is_valid_for_its_version_only(sha1_endpoint: Endpoint, signer: Signer) -> None:
    for version, other in (("1", "2"), ("2", "1")):
        with pytest.raises(UntrustedNotification, match="did not sign"):
            sha1_endpoint.receive(posted(signer.signed(notification(), version) | {"SignatureVersion": other}))


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE_URL.replace("https:", "http:"),
        CERTIFICATE_URL.replace("eu-west-1", "us-east-1"),
        CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.evil.example"),
        CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com:444"),
        CERTIFICATE_URL.replace("https://", "https://user@"),
        CERTIFICATE_URL.replace("https://", "https://evil.example/?"),
        CERTIFICATE_URL.replace("https://", "https://evil.example#"),
        CERTIFICATE_URL.replace("sns.", "s3."),
        CERTIFICATE_URL.replace(".com/", ".com//"),
        CERTIFICATE_URL.replace(".com/", ".com/bucket/"),
        CERTIFICATE_URL.replace(".com/", ".com/../"),
        CERTIFICATE_URL.replace(".com/", ".com\\@evil.example/"),
        CERTIFICATE_URL.replace(".pem", ".pem?x=y"),
        CERTIFICATE_URL.replace(".pem", ".pem#x"),
        CERTIFICATE_URL + "\n",
        CERTIFICATE_URL.replace("SimpleNotificationService-", "x"),
        CERTIFICATE_URL.replace("https://", "HTTPS://"),
        "https://s3.amazonaws.com/bucket/SimpleNotificationService-0.pem",
    ],
)
def test_certificate_of_another_host_is_not_fetched(url: str, endpoint: Endpoint, signer: Signer, web: Web) -> None:
    with pytest.raises(UntrustedNotification, match="is not a certificate of SNS"):
        endpoint.receive(posted(signer.signed(notification()) | {"SigningCertURL": url}))
    assert web.asked == []


@pytest.mark.parametrize("url", [None, 7, "https://sns.eu-west-1.amazonaws.com/" + "x" * 2000])
def test_missing_certificate_url_is_malformed(url: object, endpoint: Endpoint, signer: Signer, web: Web) -> None:
    with pytest.raises(MalformedMessage, match="SigningCertURL"):
        endpoint.receive(posted(signer.signed(notification()) | {"SigningCertURL": url}))
    assert web.asked == []


@pytest.mark.parametrize("seconds", [10, -10])
@pytest.mark.parametrize(
    "page", [None, b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_unavailable_certificate_is_transient(
    page: bytes | None, seconds: int, dereferencer: Dereferencer, signer: Signer, web: Web
) -> None:
    """For ten seconds it is not fetched again, unless the clock was set back."""
    now = [NOW]
    endpoint = Endpoint(topics=[TOPIC], dereferencer=dereferencer, fetch=web.fetch, now=lambda: now[0])
    good = web.pages.pop(CERTIFICATE_URL)
    web.pages |= {CERTIFICATE_URL: page} if page is not None else {}
    for _ in range(3):
        with pytest.raises(MessagingUnavailable, match="no certificate") as caught:
            endpoint.receive(posted(signer.signed(notification())))
        assert not caught.value.permanent
        web.pages[CERTIFICATE_URL] = good
    assert web.asked == [CERTIFICATE_URL]
    now[0] += timedelta(seconds=seconds)
    assert endpoint.receive(posted(signer.signed(notification()))).message


def test_failed_certificates_are_bounded(endpoint: Endpoint, signer: Signer) -> None:
    for number in range(110):
        url = f"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{number}.pem"
        with pytest.raises(MessagingUnavailable):
            endpoint.receive(posted(signer.signed(notification()) | {"SigningCertURL": url}))
    assert len(endpoint._certificates._failed) == 100


@pytest.mark.parametrize(
    ("since", "until"), [(timedelta(seconds=1), timedelta(days=1)), (timedelta(days=-1), timedelta(seconds=-1))]
)
def test_certificate_must_be_valid_now(
    since: timedelta, until: timedelta, endpoint: Endpoint, signer: Signer, web: Web
) -> None:
    web.pages[CERTIFICATE_URL] = certificate(signer.key, since=NOW + since, until=NOW + until)
    with pytest.raises(UntrustedNotification, match="not valid now") as caught:
        endpoint.receive(posted(signer.signed(notification())))
    assert caught.value.message_id == SNS_ID


def test_certificate_without_rsa_key_is_untrusted(endpoint: Endpoint, signer: Signer, web: Web) -> None:
    web.pages[CERTIFICATE_URL] = certificate(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(UntrustedNotification, match="no RSA key") as caught:
        endpoint.receive(posted(signer.signed(notification())))
    assert caught.value.message_id == SNS_ID


@pytest.mark.parametrize(
    "topic",
    [TOPIC + "-two", TOPIC.replace("1111", "2222"), TOPIC.replace("eu-west", "eu-east"), "", "x\ny", "t" * 9999],
)
def test_other_topic_is_untrusted(topic: str, endpoint: Endpoint, signer: Signer, web: Web) -> None:
    for members in (notification(TopicArn=topic), confirmation(TopicArn=topic)):
        with pytest.raises((UntrustedNotification, MalformedMessage)) as caught:
            endpoint.receive(posted(signer.signed(members)))
        assert isinstance(caught.value, MalformedMessage) or caught.value.message_id == SNS_ID
        assert len(str(caught.value)) < 600
    assert web.asked == []


@pytest.mark.parametrize(("age", "accepted"), [(-301, False), (-300, True), (0, True), (3900, True), (3901, False)])
def test_old_and_future_notifications_are_untrusted(
    age: int, accepted: bool, endpoint: Endpoint, signer: Signer, web: Web
) -> None:
    time = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    body = posted(signer.signed(notification(Timestamp=time)))
    if accepted:
        assert endpoint.receive(body).message
        return
    with pytest.raises(UntrustedNotification, match="outside the accepted window") as caught:
        endpoint.receive(body)
    assert caught.value.message_id == SNS_ID
    assert web.asked == []


def test_window_is_a_setting(web: Web, dereferencer: Dereferencer, signer: Signer) -> None:
    endpoint = Endpoint(
        topics=[TOPIC], dereferencer=dereferencer, window=timedelta(seconds=29), fetch=web.fetch, now=lambda: NOW
    )
    with pytest.raises(UntrustedNotification, match="window of 0:00:29"):
        endpoint.receive(posted(signer.signed(notification())))


@pytest.mark.parametrize(
    "time", ["", "now", "2026-03-01", "2026-03-01T11:59:30", "2026-13-01T11:59:30.000Z", "9" * 500]
)
def test_invalid_timestamp_is_malformed(time: str, endpoint: Endpoint, signer: Signer) -> None:
    with pytest.raises(MalformedMessage, match="Timestamp") as caught:
        endpoint.receive(posted(signer.signed(notification(Timestamp=time))))
    assert caught.value.message_id == (SNS_ID if time else None)


@pytest.mark.parametrize("name", ["x-amz-sns-rawdelivery", "X-Amz-Sns-RawDelivery"])
def test_raw_delivery_is_untrusted(name: str, endpoint: Endpoint, web: Web) -> None:
    with pytest.raises(UntrustedNotification, match="disable RawMessageDelivery"):
        endpoint.receive(b"payload", {name: "true"})
    assert web.asked == []


def test_other_headers_do_not_matter(endpoint: Endpoint, signer: Signer) -> None:
    headers = {"x-amz-sns-message-type": "Notification", "x-amz-sns-rawdelivery": "false"}
    assert endpoint.receive(posted(signer.signed(notification())), headers).message


def test_unsigned_fields_are_not_used(endpoint: Endpoint, signer: Signer) -> None:
    forged = {"body": "evil", "Body": "evil", "Sns": {"Message": "evil", "MessageId": "x"}, "messageId": "x"}
    delivery = endpoint.receive(posted(signer.signed(notification()) | forged))
    assert delivery.message
    assert (delivery.message.payload.read(), delivery.message.id) == (b"one\ntwo", SNS_ID)


def test_unsigned_attributes_lead_only_to_trusted_stores(endpoint: Endpoint, signer: Signer, fake_s3: FakeS3) -> None:
    body = signer.signed(
        notification(Message='["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"k"}]')
    )
    body["MessageAttributes"] = {"ExtendedPayloadSize": {"Type": "Number", "Value": "3"}}
    with pytest.raises(UntrustedStore):
        endpoint.receive(posted(body))
    assert fake_s3.requests == []


# Subscriptions.


@pytest.mark.parametrize("version", ["1", "2"])
def test_expected_subscription_is_confirmed(version: str, sha1_endpoint: Endpoint, signer: Signer, web: Web) -> None:
    assert sha1_endpoint.receive(posted(signer.signed(confirmation(), version))) == Delivery(
        "SubscriptionConfirmation", SNS_ID, TOPIC, None
    )
    assert web.asked == [
        CERTIFICATE_URL,
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
        "&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A111111111111%3Aevents&Token=2336412f37fb687f",
    ]


def test_confirmation_does_not_use_the_url_in_the_message(endpoint: Endpoint, signer: Signer, web: Web) -> None:
    endpoint.receive(
        posted(signer.signed(confirmation(SubscribeURL="http://169.254.169.254/latest", Token="a&b=c/../")))
    )
    assert web.asked[1].startswith("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&")
    assert web.asked[1].endswith("&Token=a%26b%3Dc%2F..%2F")


def test_forged_confirmation_is_not_confirmed(endpoint: Endpoint, signer: Signer, web: Web) -> None:
    for changed in ("Token", "SubscribeURL", "Message"):
        with pytest.raises(UntrustedNotification):
            endpoint.receive(posted(signer.signed(confirmation()) | {changed: "x"}))
    assert web.asked == [CERTIFICATE_URL]


def test_failed_confirmation_is_transient(endpoint: Endpoint, signer: Signer, web: Web) -> None:
    del web.pages["https://sns.eu-west-1.amazonaws.com/?Action="]
    with pytest.raises(MessagingUnavailable, match=f"did not confirm the subscription to {TOPIC}: OSError") as caught:
        endpoint.receive(posted(signer.signed(confirmation())))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.message_id == SNS_ID


def test_unsubscribe_confirmation_makes_no_request(endpoint: Endpoint, signer: Signer, web: Web) -> None:
    delivery = endpoint.receive(posted(signer.signed(confirmation("UnsubscribeConfirmation"))))
    assert (delivery.kind, delivery.message) == ("UnsubscribeConfirmation", None)
    assert web.asked == [CERTIFICATE_URL]


# Hostile bodies.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"Type":"Notification"}',
        b'{"Type":["Notification"]}',
        b'{"Type":"Other"}',
    ],
    ids=short_id,
)
def test_body_without_notification_is_malformed(body: bytes, endpoint: Endpoint, web: Web) -> None:
    with pytest.raises(MalformedMessage):
        endpoint.receive(body)
    assert web.asked == []


def test_body_has_up_to_2_mib(endpoint: Endpoint, signer: Signer) -> None:
    body = posted(signer.signed(notification())).ljust(2 * 2**20)
    assert endpoint.receive(body).message
    with pytest.raises(MalformedMessage, match="has 2097153 bytes"):
        endpoint.receive(body + b" ")


@pytest.mark.parametrize(
    "name", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Signature", "SignatureVersion"]
)
@pytest.mark.parametrize(
    "value",
    [7, [], {}, "\ud800", "", "3", "é"],
    ids=["number", "list", "object", "surrogate", "empty", "digit", "accent"],
)
def test_field_of_another_type_is_rejected(name: str, value: Any, endpoint: Endpoint, signer: Signer) -> None:
    body = json.dumps(signer.signed(notification()) | {name: value}).encode()
    with pytest.raises((MalformedMessage, UntrustedNotification)) as caught:
        endpoint.receive(body)
    assert caught.value.message_id == (SNS_ID if name in {"Signature", "SignatureVersion"} else caught.value.message_id)


def test_signature_with_other_characters_is_malformed(endpoint: Endpoint, signer: Signer) -> None:
    members = signer.signed(notification())
    with pytest.raises(MalformedMessage, match="the notification's Signature is not base64"):
        endpoint.receive(posted(members | {"Signature": members["Signature"] + "!"}))


@pytest.mark.parametrize("topic", ["", "events", TOPIC + ".fifo", TOPIC.replace("aws", "aws-mars"), TOPIC + "\n"])
def test_topic_must_deliver_over_https(topic: str, dereferencer: Dereferencer) -> None:
    with pytest.raises(ValueError, match="topics: "):
        Endpoint(topics=[topic], dereferencer=dereferencer)


def test_partitions_have_the_domains_of_botocore(dereferencer: Dereferencer) -> None:
    path = Path(botocore.__file__).parent / "data" / "partitions.json"
    partitions = json.loads(path.read_text())["partitions"]
    assert {one["id"]: one["outputs"]["dnsSuffix"] for one in partitions} == https_module._DOMAINS
    china = TOPIC.replace("arn:aws:sns:eu-west-1", "arn:aws-cn:sns:cn-north-1")
    assert Endpoint(topics=[china], dereferencer=dereferencer)._hosts == {china: "sns.cn-north-1.amazonaws.com.cn"}


# The default way to fetch, against a server with TLS.


class _Pages(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []
    pages: ClassVar = {
        "/good": (200, b"content"),
        "/full": (200, b"x" * 65_536),
        "/large": (200, b"x" * 70_000),
        "/elsewhere": (302, b""),
    }
    slow = b"x" * 1000

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/silent":
            self.rfile.read(1)  # until the client hangs up
        if self.path in {"/slow", "/short"}:
            self.send_response(200)
            self.send_header("content-length", str(len(self.slow)))
            self.end_headers()
            with suppress(OSError):
                for octet in self.slow if self.path == "/slow" else self.slow[:10]:
                    self.wfile.write(bytes([octet]))
                    time.sleep(0.02)
        if self.path not in self.pages:
            return
        status, content = self.pages[self.path]
        self.send_response(status)
        self.send_header("location", "/good")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    pem = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(pem)
    server = HTTPServer(("127.0.0.1", 0), _Pages)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not trust us hangs up
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", pem
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetch_trusts_known_authorities_only(tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, pem = tls
    with pytest.raises(OSError, match="cannot get"):
        https_module._fetch(url + "/good")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert https_module._fetch(url + "/good") == b"content"
    with pytest.raises(OSError, match="status 302"):
        https_module._fetch(url + "/elsewhere")
    assert len(https_module._fetch(url + "/full")) == 65_536
    with pytest.raises(OSError, match="65537 bytes"):
        https_module._fetch(url + "/large")
    _Pages.asked.clear()
    with pytest.raises(OSError, match="cannot get"):
        https_module._fetch(url + "/broken")
    assert _Pages.asked == ["/broken"]
    with pytest.raises(OSError, match="status 200, 10 bytes"):
        https_module._fetch(url + "/short")
    monkeypatch.setattr(https_module, "_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(OSError, match="timed out"):
        https_module._fetch(url + "/silent")
    started = time.monotonic()
    with pytest.raises(OSError, match="timed out"):
        https_module._fetch(url + "/slow")
    assert time.monotonic() - started < 10


def test_endpoint_has_a_default_fetch(dereferencer: Dereferencer) -> None:
    assert Endpoint(topics=[TOPIC], dereferencer=dereferencer)._fetch is https_module._fetch

"""An HTTPS endpoint that is subscribed to a topic. It verifies requests from SNS before it uses them.

SNS signs a notification's text, subject, topic, id and time, and **not its attributes**. Marker, size, digest and
message id of this library are attributes, so they are not signed. Another subscriber of the topic has
genuine notifications, and can post one with other attributes within the time window. Such a message leads only into
trusted stores, but it can be corrupt, or have another id. So keep the endpoint's address secret, and detect repeated
notifications by `Delivery.id`, which is signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException, HTTPSConnection
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from claim_check.errors import MalformedMessage, MessagingUnavailable, UntrustedNotification
from claim_check.https.signature import NOTIFICATION, SIGNED, SUBSCRIPTION, Certificates, Signature
from claim_check.s3.client import KIB, MIB
from claim_check.wire.text import is_utf8, parse_json

if TYPE_CHECKING:
    from claim_check.receiving.dereferencer import Dereferencer
    from claim_check.receiving.message import Message

# SNS retries an endpoint for up to an hour, with the same signature. The rest allows for differing clocks.
WINDOW = timedelta(minutes=65)
_CLOCK_DIFFERENCE = timedelta(minutes=5)

_MAXIMUM_BODY_BYTES = 2 * MIB  # SNS posts up to 256 KiB, which JSON's escapes can double, and other fields
_MAXIMUM_RESPONSE_BYTES = 64 * KIB
_MAXIMUM_URL_CHARACTERS = 1_024
_TIMEOUT_SECONDS = 5.0

_topic = re.compile(r"arn:(?P<partition>aws[a-z-]*):sns:(?P<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}")
_time = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_certificate_path = re.compile(r"/SimpleNotificationService-[0-9a-zA-Z]{1,64}\.pem")
# Partitions and the domains of their services, from botocore's partitions.json. A test compares them.
_DOMAINS = {
    "aws": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-us-gov": "amazonaws.com",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
}


@dataclass(frozen=True)
class Delivery:
    """A verified request from SNS.

    `kind` is SNS's Type. A `Notification` has a `message`. A `SubscriptionConfirmation` has been confirmed. An
    `UnsubscribeConfirmation` needs no action. `id` is SNS's. It is signed, and the same in every retry.
    """

    kind: str
    id: str
    topic_arn: str
    message: Message | None


class Endpoint:
    """A receiver of requests from SNS, for `topics` (ARNs) and no other.

    `dereferencer` makes messages from notifications. `window` is the maximum age of a notification. `accept_sha1` also
    accepts SignatureVersion 1, the default of a topic; without it, set the topic's attribute SignatureVersion to 2.
    `fetch` returns the bytes of a URL of SNS (its certificate, a confirmation) or raises OSError. The default verifies
    TLS, follows no redirect, and reads up to 64 KiB within five seconds. `now` returns the time. Threads can share an
    endpoint.

    Raises ValueError if a member of `topics` is not a topic's ARN.
    """

    def __init__(
        self,
        *,
        topics: Iterable[str],
        dereferencer: Dereferencer,
        window: timedelta = WINDOW,
        accept_sha1: bool = False,
        fetch: Callable[[str], bytes] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._hosts = {topic: _host(topic) for topic in topics}
        self._dereferencer = dereferencer
        self._window = window
        self._accept_sha1 = accept_sha1
        self._fetch = fetch or _fetch
        self._certificates = Certificates(self._fetch)
        self._now = now

    def receive(self, body: bytes, headers: Mapping[str, str] | None = None) -> Delivery:
        """Verify one POST and return its delivery. A subscription to an expected topic is confirmed.

        Respond within 15 seconds. Respond 200 after this method has returned and the message is safe. Respond 403 to
        UntrustedNotification, and 503 to every other error, permanent or not. After a 503, SNS retries by its delivery
        policy, and then uses the subscription's dead-letter queue. The SNS guide contradicts itself about 4xx: one
        page counts it as delivered, another sends the message to the dead-letter queue at once.

        `headers` are the request's. A header marks a raw delivery, which is not signed and therefore rejected. Without
        headers, a raw delivery raises MalformedMessage.

        Raises:
            UntrustedNotification: The request is too old, or not signed by SNS for an expected topic.
            MalformedMessage: The request is not SNS's, or its SignatureVersion is 1 without `accept_sha1`.
            MessagingUnavailable: SNS did not return its certificate, or did not confirm the subscription.
            UntrustedStore: The notification's pointer leads outside the trusted stores.
        """
        _reject_raw(headers or {})
        posted = _posted(body)
        signed = _signed(posted)
        kind, topic, identity = signed["Type"], signed["TopicArn"], signed["MessageId"]
        if topic not in self._hosts:
            raise UntrustedNotification(
                f"the topic {topic[:300]!r} is not expected; add its ARN to `topics` to receive from it",
                message_id=identity,
            )
        host = self._hosts[topic]
        self._require_recent(signed)
        signature = Signature.of(posted, identity=identity, accept_sha1=self._accept_sha1)
        now = self._now()
        signature.verify(signed, self._certificates.at(_certificate_url(posted, host), now), now)
        if kind == SUBSCRIPTION:
            self._confirm(signed, host)
        # Of the unsigned fields, only the attributes are used, so that no other field can pass for a message.
        notification = {**signed, "MessageAttributes": posted.get("MessageAttributes")}
        message = self._dereferencer.message(notification) if kind == NOTIFICATION else None
        return Delivery(kind, identity, topic, message)

    def _require_recent(self, signed: Mapping[str, str]) -> None:
        try:
            sent = datetime.fromisoformat(signed["Timestamp"]) if _time.fullmatch(signed["Timestamp"]) else None
        except ValueError:
            sent = None
        if sent is None:
            raise MalformedMessage("the notification's Timestamp is not a time", message_id=signed["MessageId"])
        if not -_CLOCK_DIFFERENCE <= self._now() - sent <= self._window:
            raise UntrustedNotification(
                f"the notification's timestamp {signed['Timestamp']} is outside the accepted window of {self._window}",
                message_id=signed["MessageId"],
            )

    def _confirm(self, signed: Mapping[str, str], host: str) -> None:
        # This URL has only signed fields. The URL in the message is not used.
        query = urlencode({"Action": "ConfirmSubscription", "TopicArn": signed["TopicArn"], "Token": signed["Token"]})
        try:
            self._fetch(f"https://{host}/?{query}")
        except OSError as error:
            raise MessagingUnavailable(
                f"SNS did not confirm the subscription to {signed['TopicArn']}: {type(error).__name__}",
                message_id=signed["MessageId"],
            ) from error


def _host(topic: str) -> str:
    parts = _topic.fullmatch(topic)
    if not parts or parts["partition"] not in _DOMAINS:
        raise ValueError(
            f"topics: {topic!r} must be the ARN of a topic that delivers over HTTPS (a FIFO topic does not)"
        )
    return f"sns.{parts['region']}.{_DOMAINS[parts['partition']]}"


def _reject_raw(headers: Mapping[str, str]) -> None:
    raw = next((value for name, value in headers.items() if name.lower() == "x-amz-sns-rawdelivery"), "")
    if raw.lower() == "true":
        raise UntrustedNotification(
            "a raw delivery over HTTPS is not signed: disable RawMessageDelivery for this subscription"
        )


def _posted(body: bytes) -> Mapping[str, object]:
    if len(body) > _MAXIMUM_BODY_BYTES:
        raise MalformedMessage(f"the notification has {len(body)} bytes, more than {_MAXIMUM_BODY_BYTES}")
    members = parse_json(body, "the notification")
    if not isinstance(members, dict):
        raise MalformedMessage("the notification is not a JSON object")
    return members


def _signed(posted: Mapping[str, object]) -> dict[str, str]:
    """Return the signed fields of a request.

    Each field except the message must be one line of text. Otherwise two fields could have the signature of one.
    """
    kind = posted.get("Type")
    if not isinstance(kind, str) or kind not in SIGNED:
        raise MalformedMessage("the notification's Type is unknown; a raw delivery is not accepted")
    signed = {}
    for name in SIGNED[kind]:
        value = posted.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str) or not is_utf8(value) or (name != "Message" and len(value.splitlines()) != 1):
            raise MalformedMessage(f"the notification's {name} is missing or not one line of text")
        signed[name] = value
    return signed


def _certificate_url(posted: Mapping[str, object], host: str) -> str:
    url = posted.get("SigningCertURL")
    if not isinstance(url, str) or len(url) > _MAXIMUM_URL_CHARACTERS:
        raise MalformedMessage("the notification has no usable SigningCertURL")
    # The URL is compared as text, so that the rules of a URL parser do not matter.
    path = url.removeprefix(f"https://{host}")
    if path == url or not _certificate_path.fullmatch(path):
        raise UntrustedNotification(f"the SigningCertURL {url[:200]!r} is not a certificate of SNS at {host}")
    return url


def _fetch(url: str) -> bytes:
    host, _, path = url.removeprefix("https://").partition("/")
    end = monotonic() + _TIMEOUT_SECONDS  # the connection's timeout limits each wait, not their sum
    content = b""
    try:
        with closing(HTTPSConnection(host, timeout=_TIMEOUT_SECONDS)) as connection:
            connection.request("GET", "/" + path)
            response = connection.getresponse()  # follows no redirect
            while chunk := response.read1(_MAXIMUM_RESPONSE_BYTES + 1 - len(content)):
                content += chunk
                if monotonic() > end:
                    raise TimeoutError("timed out")
    except (OSError, HTTPException) as error:
        raise OSError(f"cannot get {url}: {error}") from error
    if response.status != 200 or len(content) > _MAXIMUM_RESPONSE_BYTES or response.length:
        raise OSError(f"cannot get {url}: status {response.status}, {len(content)} bytes")
    return content

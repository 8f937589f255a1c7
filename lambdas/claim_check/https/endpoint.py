"""An HTTPS endpoint that is subscribed to a topic: what SNS posts to it, checked before anything is believed.

SNS signs a notification's text, subject, topic, id and time, and **not its attributes**: marker, size, digest and our
message id arrive unsigned. Whoever holds one genuine notification (another subscriber of the topic) can post it again,
within the time window, with other attributes. Such a message leads into trusted stores and nowhere else, but it may be
corrupt, or bear another id. So keep the endpoint's address to yourself, and remember `Delivery.id`, which is signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from claim_check.errors import MalformedMessage, SnsUnavailable, UntrustedNotification
from claim_check.https.signature import NOTIFICATION, SIGNED, SUBSCRIPTION, Certificates, verify
from claim_check.s3.client import KIB, MIB
from claim_check.wire.text import is_utf8
from claim_check.wire.untrusted import parsed

if TYPE_CHECKING:
    from claim_check.receiving.dereferencer import Dereferencer
    from claim_check.receiving.message import Message

# SNS tries an endpoint for an hour at most, and does not sign anew; the rest is for clocks that differ.
WINDOW = timedelta(minutes=65)
_skew = timedelta(minutes=5)

_longest_body = 2 * MIB  # the most SNS posts are 256 KiB, which JSON's escapes may double, and the rest around it
_longest_answer = 64 * KIB
_longest_url = 1_024
_timeout = 5.0  # seconds

_topic = re.compile(r"arn:(?P<partition>aws[a-z-]*):sns:(?P<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}")
_time = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_certificate_path = re.compile(r"/SimpleNotificationService-[0-9a-zA-Z]{1,64}\.pem")
# Partitions and the domains of their services, as botocore's partitions.json has them; a test compares.
_domains = {
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
    """What SNS posted, verified. `kind` is SNS's Type: of a `Notification` there is a `message`; a
    `SubscriptionConfirmation` has been confirmed by then; an `UnsubscribeConfirmation` is only told. `id` is SNS's and
    signed; it is the same at every retry."""

    kind: str
    id: str
    topic_arn: str
    message: Message | None


class Endpoint:
    """Receives what SNS posts, from `topics` (their ARNs) and no other.

    `dereferencer` makes messages of notifications. `window` is how old one may be. `fetch` gets the bytes behind a URL
    of SNS's (its certificate, a confirmation) or raises OSError; the default verifies TLS, follows no redirect and
    waits five seconds. `now` tells the time.

    Raises ValueError for something that is not a topic's ARN.
    """

    def __init__(
        self,
        *,
        topics: Iterable[str],
        dereferencer: Dereferencer,
        window: timedelta = WINDOW,
        fetch: Callable[[str], bytes] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._hosts = {topic: _host(topic) for topic in topics}
        self._dereferencer = dereferencer
        self._window = window
        self._fetch = fetch or _fetch
        self._certificates = Certificates(self._fetch)
        self._now = now

    def receive(self, body: bytes, headers: Mapping[str, str] | None = None) -> Delivery:
        """What one POST brought; a subscription to an expected topic is confirmed on the way.

        Answer 200 when this returns and the message is safe, within 15 seconds; 403 to UntrustedNotification; 503 to
        every other error, hopeless or not: SNS posts again for as long as its delivery policy says, and then uses the
        subscription's dead-letter queue. AWS says of a 4xx both that it counts as delivered and that it is
        dead-lettered at once. `headers` are the request's, to tell a raw delivery, which is not
        signed and refused; without them it is MalformedMessage.

        Raises UntrustedNotification, MalformedMessage, SnsUnavailable, and for a notification UntrustedStore.
        """
        _refuse_raw(headers or {})
        posted = _posted(body)
        signed = _signed(posted)
        kind, topic, identity = signed["Type"], signed["TopicArn"], signed["MessageId"]
        if topic not in self._hosts:
            raise UntrustedNotification(
                f"the topic {topic[:300]!r} is not expected here; add its ARN to `topics` to receive from it",
                message_id=identity,
            )
        host = self._hosts[topic]
        self._refuse_unless_recent(signed)
        certificate = self._certificates.at(_certificate_url(posted, host))
        verify(signed, posted, certificate, self._now())
        if kind == SUBSCRIPTION:
            self._confirm(signed, host)
        # Of what is not signed the attributes alone, so that nothing else in the body can pass for a message.
        notification = {**signed, "MessageAttributes": posted.get("MessageAttributes")}
        message = self._dereferencer.message(notification) if kind == NOTIFICATION else None
        return Delivery(kind, identity, topic, message)

    def _refuse_unless_recent(self, signed: Mapping[str, str]) -> None:
        try:
            sent = datetime.fromisoformat(signed["Timestamp"]) if _time.fullmatch(signed["Timestamp"]) else None
        except ValueError:
            sent = None
        if sent is None:
            raise MalformedMessage("the notification's Timestamp is not a time", message_id=signed["MessageId"])
        if not -_skew <= self._now() - sent <= self._window:
            raise UntrustedNotification(
                f"the notification is of {signed['Timestamp']}, and more than {self._window} old or of the future",
                message_id=signed["MessageId"],
            )

    def _confirm(self, signed: Mapping[str, str], host: str) -> None:
        # The URL is written here, from what is signed: the one in the message need not be believed.
        asked = urlencode({"Action": "ConfirmSubscription", "TopicArn": signed["TopicArn"], "Token": signed["Token"]})
        try:
            self._fetch(f"https://{host}/?{asked}")
        except OSError as error:
            raise SnsUnavailable(
                f"SNS did not confirm the subscription to {signed['TopicArn']}: {type(error).__name__}",
                message_id=signed["MessageId"],
            ) from error


def _host(topic: str) -> str:
    found = _topic.fullmatch(topic)
    if not found or found["partition"] not in _domains:
        raise ValueError(f"topics: {topic!r} must be the ARN of a topic that delivers over HTTPS (no FIFO topic does)")
    return f"sns.{found['region']}.{_domains[found['partition']]}"


def _refuse_raw(headers: Mapping[str, str]) -> None:
    raw = next((value for name, value in headers.items() if name.lower() == "x-amz-sns-rawdelivery"), "")
    if raw.lower() == "true":
        raise UntrustedNotification(
            "a raw delivery over HTTPS is not signed: switch RawMessageDelivery off for this subscription"
        )


def _posted(body: bytes) -> Mapping[str, object]:
    if len(body) > _longest_body:
        raise MalformedMessage(f"the notification has {len(body)} bytes, more than {_longest_body}")
    members = parsed(body, "the notification")
    if not isinstance(members, dict):
        raise MalformedMessage("the notification is not a JSON object")
    return members


def _signed(posted: Mapping[str, object]) -> dict[str, str]:
    """The signed fields of what was posted, each one text; all but the message itself on one line, since the signature
    could not tell two fields from one otherwise."""
    kind = posted.get("Type")
    if not isinstance(kind, str) or kind not in SIGNED:
        raise MalformedMessage("the notification's Type is none of SNS's; a raw delivery is not accepted")
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
    if not isinstance(url, str) or len(url) > _longest_url:
        raise MalformedMessage("the notification has no usable SigningCertURL")
    # Compared whole, so that no parser's leniency matters.
    path = url.removeprefix(f"https://{host}")
    if path == url or not _certificate_path.fullmatch(path):
        raise UntrustedNotification(f"the SigningCertURL {url[:200]!r} is not one of SNS's at {host}")
    return url


def _fetch(url: str) -> bytes:
    import urllib3  # late, as in s3.py

    try:
        # Without retries urllib3 follows no redirect either.
        pool = urllib3.PoolManager(cert_reqs="CERT_REQUIRED", timeout=_timeout, retries=False)
        with pool.request("GET", url, preload_content=False) as answer:
            content = answer.read(_longest_answer + 1)
    except urllib3.exceptions.HTTPError as error:
        raise OSError(f"cannot get {url}: {error}") from error
    if answer.status != 200 or len(content) > _longest_answer:
        raise OSError(f"cannot get {url}: status {answer.status}, {len(content)} bytes")
    return content

"""SNS's gaps over HTTPS: what it posts is signed, posted again, and kept when nobody takes it."""

from __future__ import annotations

import base64
import json
import os
import ssl
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from ministack.core.arn import parse_arn
from ministack.services import sns

from local.patches.patch import instead_of, instead_of_handler
from local.patches.policy import scope_of

_DEFAULT_RETRIES = 3
_PAUSE = 0.3  # seconds between tries, whatever the delivery policy says
_TIMEOUT = 15.0
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")


def install() -> None:
    """Fill every gap of this file."""
    a_template_asks_for_confirmation()
    posts_are_signed_and_tried_again()


def a_template_asks_for_confirmation() -> None:
    """AWS: an AWS::SNS::Subscription over HTTPS is made pending, and SNS asks the endpoint to confirm it.

    The emulator: makes it pending for ever.
    """

    @instead_of_handler("AWS::SNS::Subscription", "create")
    def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        physical_id, attributes = original(logical_id, properties, stack)
        if properties.get("Protocol") == "https":
            with scope_of(properties["TopicArn"]):
                made = sns._find_subscription(properties["TopicArn"], physical_id)
            made["token"] = uuid.uuid4().hex
            made["attributes"] |= {"PendingConfirmation": "true", "Endpoint": properties["Endpoint"]}
            # On a thread of its own: the endpoint confirms by a request to this very process.
            threading.Thread(target=_ask, args=(properties["TopicArn"], made), daemon=True).start()
        return physical_id, attributes

    @instead_of(sns, "_send_subscription_confirmation")
    async def ask(_original: Any, topic_arn: str, subscription: dict[str, Any]) -> None:
        threading.Thread(target=_ask, args=(topic_arn, subscription), daemon=True).start()


def _ask(topic_arn: str, subscription: dict[str, Any]) -> None:
    token = subscription["token"]
    asked = {
        "Type": "SubscriptionConfirmation",
        "MessageId": str(uuid.uuid4()),
        "Token": token,
        "TopicArn": topic_arn,
        "Message": f"You have chosen to subscribe to the topic {topic_arn}.",
        "SubscribeURL": f"https://{_host(topic_arn)}/?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={token}",
        "Timestamp": _now(),
    }
    _post(subscription, _signed(asked, topic_arn))


def posts_are_signed_and_tried_again() -> None:
    """AWS: a notification is signed with SNS's key, in the topic's SignatureVersion; an endpoint that does not take it
    is asked again as often as the subscription's DeliveryPolicy says; then its redrive queue gets it.

    The emulator: signs nothing, asks once, and drops what is not taken.
    """

    @instead_of(sns, "_deliver_to_http")
    async def deliver(_original: Any, endpoint: str, envelope: str) -> None:
        notification = json.loads(envelope)
        topic_arn = notification["TopicArn"]
        subscriptions = sns._topic_by_arn_any_scope(topic_arn)["subscriptions"]
        subscription = next(one for one in subscriptions if one["endpoint"] == endpoint)
        signed = _signed({name: value for name, value in notification.items() if name != "Signature"}, topic_arn)
        if not _post(subscription, signed):
            from local.patches.sns import redrive

            with scope_of(topic_arn):
                redrive(topic_arn, subscription["protocol"], endpoint, json.dumps(signed))


# --- posting ----------------------------------------------------------------------------------------------------------


def _post(subscription: dict[str, Any], posted: dict[str, Any]) -> bool:
    """Whether the endpoint took it."""
    policy = json.loads(subscription["attributes"].get("DeliveryPolicy") or "{}")
    retries = int(policy.get("healthyRetryPolicy", {}).get("numRetries", _DEFAULT_RETRIES))
    for attempt in range(retries + 1):
        time.sleep(_PAUSE if attempt else 0)
        try:
            status = _post_once(subscription["endpoint"], posted)
        except OSError as error:
            sns.logger.warning("SNS cannot post to %s: %s", subscription["endpoint"], error)
            continue
        sns.logger.info("SNS posted to %s: %s", subscription["endpoint"], status)
        if status < 300:
            return True
        if 400 <= status < 500:
            return False
    return False


def _post_once(endpoint: str, posted: dict[str, Any]) -> int:
    """To 127.0.0.1 and nowhere else: `endpoints.json` says which port is which host here."""
    url = urlsplit(endpoint)
    ports: dict[str, int] = json.loads(endpoints_file().read_text()) if endpoints_file().exists() else {}
    if url.hostname not in ports:
        raise OSError("nobody on this machine is that host")
    # The server's certificate is for localhost, by this run's authority.
    connection = _Connection("localhost", ports[url.hostname], timeout=_TIMEOUT, context=_trusted())
    headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": posted["Type"]}
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, json.dumps(posted).encode(), headers)
        return connection.getresponse().status
    finally:
        connection.close()


class _Connection(HTTPSConnection):
    """Not over `localhost`'s IPv6 address, where nobody listens."""

    def connect(self) -> None:
        import socket

        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])


def endpoints_file() -> Path:
    return Path(os.environ["AWS_CA_BUNDLE"]).with_name("endpoints.json")


# --- signing ----------------------------------------------------------------------------------------------------------


def _signed(members: dict[str, Any], topic_arn: str) -> dict[str, Any]:
    topic = sns._topic_by_arn_any_scope(topic_arn)
    version = topic["attributes"].get("SignatureVersion", "1")
    names = _NOTIFICATION if members["Type"] == "Notification" else _CONFIRMATION
    text = "".join(f"{name}\n{members[name]}\n" for name in names if members.get(name) is not None)
    signature = _key().sign(text.encode(), padding.PKCS1v15(), SHA256() if version == "2" else SHA1())  # noqa: S303
    return {
        **members,
        "SignatureVersion": version,
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": f"https://{_host(topic_arn)}/SimpleNotificationService-local.pem",
    }


@cache
def _key() -> rsa.RSAPrivateKey:
    """Made at the first post; its certificate is beside the emulator's own, for an endpoint of this machine."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
        .sign(key, SHA256())
    )
    path = Path(os.environ["AWS_CA_BUNDLE"]).with_name("sns.pem")
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return key


def _host(topic_arn: str) -> str:
    return f"sns.{parse_arn(topic_arn).region}.amazonaws.com"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

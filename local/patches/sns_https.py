"""SNS's gaps over HTTPS: what it posts is signed, posted again, and kept when nobody takes it."""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
import uuid
from datetime import UTC, datetime
from functools import cache
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ministack.services import sns

from local.patches.patch import instead_of, instead_of_handler
from local.patches.policy import scope_of
from local.sns_signer import SnsSigner, sns_host

_DEFAULT_RETRIES = 3
_PAUSE = 0.3  # seconds between tries, whatever the delivery policy says
_TIMEOUT = 15.0


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
        "SubscribeURL": f"https://{sns_host(topic_arn)}/?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={token}",
        "Timestamp": _now(),
    }
    _post(subscription, _sign(asked, topic_arn))


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
        signed = _sign({name: value for name, value in notification.items() if name != "Signature"}, topic_arn)
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
    hosts = _run_folder() / "endpoints.json"
    ports: dict[str, int] = json.loads(hosts.read_text()) if hosts.exists() else {}
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


def _sign(message: dict[str, Any], topic_arn: str) -> dict[str, Any]:
    version = sns._topic_by_arn_any_scope(topic_arn)["attributes"].get("SignatureVersion", "1")
    return _signer().sign(message, version=version)


@cache
def _signer() -> SnsSigner:
    return SnsSigner(_run_folder() / "sns-key.pem")


def _run_folder() -> Path:
    """Return `Emulator.folder`: this process is started with the authority's path in an environment variable."""
    return Path(os.environ["AWS_CA_BUNDLE"]).parent


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

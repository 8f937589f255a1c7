"""Patches of SNS over HTTPS: signed messages, retries, and a queue for undelivered messages."""

from __future__ import annotations

import json
import os
import socket
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

from local.patches.patch import patch, replaces, replaces_handler
from local.patches.policy import scope_of
from local.patches.sns_delivery import redrive
from local.sns_signer import SnsSigner, sns_host

_DEFAULT_RETRIES = 3
_PAUSE_SECONDS = 0.3  # between attempts, for every delivery policy
_TIMEOUT_SECONDS = 15.0


@patch
def template_requests_confirmation() -> None:
    """Request the confirmation of a template's HTTPS subscription.

    AWS: AWS::SNS::Subscription over HTTPS is created as pending, and SNS asks the endpoint to confirm it. The emulator:
    it remains pending.
    """

    @replaces_handler("AWS::SNS::Subscription", "create")
    def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        physical_id, attributes = original(logical_id, properties, stack)
        if properties.get("Protocol") == "https":
            with scope_of(properties["TopicArn"]):
                subscription = sns._find_subscription(properties["TopicArn"], physical_id)
            subscription["token"] = uuid.uuid4().hex
            subscription["attributes"] |= {"PendingConfirmation": "true", "Endpoint": properties["Endpoint"]}
            _request_confirmation(properties["TopicArn"], subscription)
        return physical_id, attributes

    @replaces(sns, "_send_subscription_confirmation")
    async def send(_original: Any, topic_arn: str, subscription: dict[str, Any]) -> None:
        _request_confirmation(topic_arn, subscription)


def _request_confirmation(topic_arn: str, subscription: dict[str, Any]) -> None:
    token = subscription["token"]
    message = {
        "Type": "SubscriptionConfirmation",
        "MessageId": str(uuid.uuid4()),
        "Token": token,
        "TopicArn": topic_arn,
        "Message": f"You have chosen to subscribe to the topic {topic_arn}.",
        "SubscribeURL": f"https://{sns_host(topic_arn)}/?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={token}",
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    # In another thread, because the endpoint confirms with a request to this process.
    threading.Thread(target=_post, args=(subscription, _sign(message)), daemon=True).start()


@patch
def messages_are_signed_and_retried() -> None:
    """Sign messages, retry, and send undelivered messages to the queue in the RedrivePolicy.

    AWS: a notification is signed with SNS's key, in the topic's SignatureVersion. SNS retries as the subscription's
    DeliveryPolicy declares; then the queue in the RedrivePolicy receives the notification.

    The emulator: does not sign, sends once, and drops an undelivered notification.
    """

    @replaces(sns, "_deliver_to_http")
    async def deliver(_original: Any, endpoint: str, envelope: str) -> None:
        notification = json.loads(envelope)
        topic_arn = notification["TopicArn"]
        subscriptions = sns._topic_by_arn_any_scope(topic_arn)["subscriptions"]
        subscription = next(each for each in subscriptions if each["endpoint"] == endpoint)
        signed = _sign(notification)
        if not _post(subscription, signed):
            with scope_of(topic_arn):
                redrive(subscription["protocol"], endpoint, json.dumps(signed), topic_arn=topic_arn)


def _post(subscription: dict[str, Any], message: dict[str, Any]) -> bool:
    """Post a message, with retries, and return whether the endpoint accepted it."""
    policy = json.loads(subscription["attributes"].get("DeliveryPolicy") or "{}")
    retries = int(policy.get("healthyRetryPolicy", {}).get("numRetries", _DEFAULT_RETRIES))
    for attempt in range(retries + 1):
        time.sleep(_PAUSE_SECONDS if attempt else 0)
        try:
            status = _post_once(subscription["endpoint"], message)
        except OSError as error:
            sns.logger.warning("SNS cannot post to %s: %s", subscription["endpoint"], error)
            continue
        sns.logger.info("SNS posted to %s: %s", subscription["endpoint"], status)
        if status < 300:
            return True
        if 400 <= status < 500:
            return False
    return False


def _post_once(endpoint: str, message: dict[str, Any]) -> int:
    """Post to a port of 127.0.0.1 that `Emulator.resolve` has set for the endpoint's host, and return the status."""
    url = urlsplit(endpoint)
    hosts = _run_folder() / "endpoints.json"
    ports: dict[str, int] = json.loads(hosts.read_text()) if hosts.exists() else {}
    if url.hostname not in ports:
        raise OSError("the host is not served on this machine")
    connection = _Connection("localhost", ports[url.hostname], timeout=_TIMEOUT_SECONDS, context=_trust())
    headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": message["Type"]}
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, json.dumps(message).encode(), headers)
        return connection.getresponse().status
    finally:
        connection.close()


class _Connection(HTTPSConnection):
    """A connection over IPv4: the servers do not listen at localhost's IPv6 address."""

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])


def _sign(message: dict[str, Any]) -> dict[str, Any]:
    with scope_of(message["TopicArn"]):
        topic = sns._topic_by_arn_any_scope(message["TopicArn"])
    return _signer().sign(message, version=topic["attributes"].get("SignatureVersion", "1"))


@cache
def _signer() -> SnsSigner:
    return SnsSigner(_run_folder() / "sns-key.pem")


def _run_folder() -> Path:
    """Return `Emulator.folder`, which contains the authority of this run."""
    return Path(os.environ["AWS_CA_BUNDLE"]).parent

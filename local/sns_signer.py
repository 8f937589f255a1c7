"""Signatures of the messages that Amazon SNS posts over HTTPS."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# The signed fields, in alphabetical order (SNS developer guide, "Verifying the signatures of Amazon SNS messages").
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def sns_host(topic_arn: str) -> str:
    """Return the host name of SNS in the topic's Region."""
    return f"sns.{topic_arn.split(':')[3]}.amazonaws.com"


class SnsSigner:
    """Signs messages as SNS does, with an RSA key in a PEM file."""

    def __init__(self, key: Path) -> None:
        loaded = load_pem_private_key(key.read_bytes(), password=None)
        assert isinstance(loaded, rsa.RSAPrivateKey)
        self._key = loaded

    def sign(self, message: Mapping[str, Any], *, version: str) -> dict[str, Any]:
        """Return the message with its signature. version: the topic's SignatureVersion, 1 or 2."""
        names = _NOTIFICATION if message["Type"] == "Notification" else _CONFIRMATION
        text = "".join(f"{name}\n{message[name]}\n" for name in names if message.get(name) is not None)
        digest = SHA256() if version == "2" else SHA1()  # noqa: S303 - SNS's version 1 signs a SHA-1 digest
        return {
            **message,
            "SignatureVersion": version,
            "Signature": base64.b64encode(self._key.sign(text.encode(), padding.PKCS1v15(), digest)).decode(),
            "SigningCertURL": f"https://{sns_host(message['TopicArn'])}/SimpleNotificationService-local.pem",
        }

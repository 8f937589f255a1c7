"""Requests of SNS over HTTPS, signed with a test certificate."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
NOTIFICATION_FIELDS = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
CONFIRMATION_FIELDS = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def certificate(
    key: Key, *, since: datetime = NOW - timedelta(days=1), until: datetime = NOW + timedelta(days=1)
) -> bytes:
    """A self-signed certificate in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), since, until)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


class Signer:
    """SNS's key; `signed` adds to a notification what SNS adds."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.pem = certificate(self.key)

    def signed(self, members: dict[str, Any], version: str = "2") -> dict[str, Any]:
        names = NOTIFICATION_FIELDS if members["Type"] == "Notification" else CONFIRMATION_FIELDS
        text = "".join(f"{name}\n{members[name]}\n" for name in names if name in members)
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), SHA1() if version == "1" else SHA256())
        return {
            **members,
            "SignatureVersion": version,
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": CERTIFICATE_URL,
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=x",
        }


class Web:
    """What lies behind URLs, for `fetch`; `asked` lists them."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages
        self.asked: list[str] = []

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        page = next((page for prefix, page in self.pages.items() if url.startswith(prefix)), None)
        if page is None:
            raise OSError("404")
        return page


def posted(members: dict[str, Any]) -> bytes:
    """As the body of SNS's POST."""
    return json.dumps(members, indent=2, ensure_ascii=False).encode()

"""SNS's signature of what it delivers over HTTPS. Needs the package `cryptography`; nothing else here does.

What is signed, and how, is AWS's "Verifying the signatures of Amazon SNS messages": the fields in alphabetical order,
each name and value on a line of its own; SHA-1 for version 1, SHA-256 for version 2, RSA with PKCS #1 v1.5 padding.
**Message attributes are not signed**: see `https.py` for what follows from that.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.x509 import Certificate, load_pem_x509_certificate

from claim_check.errors import MalformedMessage, SnsUnavailable, UntrustedNotification

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

_confirmation = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _confirmation,
    UNSUBSCRIPTION: _confirmation,
}
_hashes: dict[str, Callable[[], HashAlgorithm]] = {"1": SHA1, "2": SHA256}
_most_certificates = 16


class Certificates:
    """SNS's certificates by their URL, fetched once. `fetch` gives the bytes behind a URL, or raises OSError."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._known: dict[str, Certificate] = {}

    def at(self, url: str) -> Certificate:
        """The certificate at a URL that was found trustworthy. Raises SnsUnavailable."""
        if url not in self._known:
            certificate = self._load(url)
            if len(self._known) >= _most_certificates:
                self._known.clear()
            self._known[url] = certificate
        return self._known[url]

    def _load(self, url: str) -> Certificate:
        try:
            return load_pem_x509_certificate(self._fetch(url))
        except (OSError, ValueError) as error:
            raise SnsUnavailable(f"no certificate at {url}: {type(error).__name__}") from error


def verify(signed: Mapping[str, str], posted: Mapping[str, object], certificate: Certificate, now: datetime) -> None:
    """Raises UntrustedNotification unless the owner of the certificate, which is valid `now` (with a time zone), signed
    the fields `signed`, and MalformedMessage when `posted` has no usable signature.

    `signed` holds the fields of its Type in `SIGNED`, in that order; Subject may be missing.
    """
    identity = signed["MessageId"]
    try:
        signature = base64.b64decode(str(posted.get("Signature")), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage("the notification's Signature is not base64", message_id=identity) from None
    version = posted.get("SignatureVersion")
    if not isinstance(version, str) or version not in _hashes:
        raise MalformedMessage("the notification's SignatureVersion is neither 1 nor 2", message_id=identity)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise UntrustedNotification("the certificate behind the signature is not valid now", message_id=identity)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise UntrustedNotification("the certificate behind the signature has no RSA key", message_id=identity)
    text = "".join(f"{name}\n{value}\n" for name, value in signed.items()).encode()
    try:
        key.verify(signature, text, padding.PKCS1v15(), _hashes[version]())
    except InvalidSignature:
        raise UntrustedNotification("SNS did not sign this notification", message_id=identity) from None

"""Signatures of SNS's requests over HTTPS. No other module imports the package `cryptography`.

The source is AWS's "Verifying the signatures of Amazon SNS messages". The signature covers the
fields in alphabetical order, with each name and each value on a separate line. It is RSA with PKCS #1 v1.5 padding, and
SHA-1 for version 1 or SHA-256 for version 2.
**Message attributes are not signed**: see `endpoint.py` for the consequences.
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

from claim_check.errors import MalformedMessage, MessagingUnavailable, UntrustedNotification

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _CONFIRMATION,
    UNSUBSCRIPTION: _CONFIRMATION,
}
_HASHES: dict[str, Callable[[], HashAlgorithm]] = {"1": SHA1, "2": SHA256}
_MAXIMUM_CERTIFICATES = 16


class Certificates:
    """A cache of SNS's certificates by URL. `fetch` returns the bytes of a URL, or raises OSError."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._known: dict[str, Certificate] = {}

    def at(self, url: str) -> Certificate:
        """Return the certificate of a URL that is known to be SNS's. Raises MessagingUnavailable."""
        if url not in self._known:
            certificate = self._load(url)
            if len(self._known) >= _MAXIMUM_CERTIFICATES:
                self._known.clear()
            self._known[url] = certificate
        return self._known[url]

    def _load(self, url: str) -> Certificate:
        try:
            return load_pem_x509_certificate(self._fetch(url))
        except (OSError, ValueError) as error:
            raise MessagingUnavailable(f"no certificate at {url}: {type(error).__name__}") from error


def verify(signed: Mapping[str, str], posted: Mapping[str, object], certificate: Certificate, now: datetime) -> None:
    """Verify that the certificate's owner has signed the fields `signed`. `now` has a time zone.

    `signed` holds the fields that `SIGNED` has for its Type, in that order. Subject is optional.

    Raises:
        UntrustedNotification: The certificate is not valid at `now`, or the signature is not of these fields.
        MalformedMessage: `posted` has no usable signature.
    """
    identity = signed["MessageId"]
    try:
        signature = base64.b64decode(str(posted.get("Signature")), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage("the notification's Signature is not base64", message_id=identity) from None
    version = posted.get("SignatureVersion")
    if not isinstance(version, str) or version not in _HASHES:
        raise MalformedMessage("the notification's SignatureVersion is neither 1 nor 2", message_id=identity)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise UntrustedNotification("the signature's certificate is not valid now", message_id=identity)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise UntrustedNotification("the signature's certificate has no RSA key", message_id=identity)
    text = "".join(f"{name}\n{value}\n" for name, value in signed.items()).encode()
    try:
        key.verify(signature, text, padding.PKCS1v15(), _HASHES[version]())
    except InvalidSignature:
        raise UntrustedNotification("SNS did not sign this notification", message_id=identity) from None

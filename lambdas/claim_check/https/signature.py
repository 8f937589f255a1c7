"""Signatures of SNS's requests over HTTPS. No other module imports the package `cryptography`.

The source is AWS's "Verifying the signatures of Amazon SNS messages". The signature covers the
fields in alphabetical order, with each name and each value on a separate line. It is RSA with PKCS #1 v1.5 padding, and
SHA-1 for version 1 or SHA-256 for version 2. Version 1 is rejected by default: SHA-1 has known collisions.
**Message attributes are not signed**: see `endpoint.py` for the consequences.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.x509 import Certificate, load_pem_x509_certificate

from claim_check.errors import MalformedMessage, MessagingUnavailable, UntrustedNotification
from claim_check.fork import call_after_fork

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
_Value = TypeVar("_Value")
_MAXIMUM_CERTIFICATES = 16
_MAXIMUM_FETCHES = 4
_WAIT_SECONDS = 10.0
_MAXIMUM_FAILURES = 100
_FAILURE = timedelta(seconds=10)


class Certificates:
    """A cache of SNS's certificates by URL, for many threads. `fetch` returns the bytes of a URL, or raises OSError.

    A certificate is fetched once for all threads that need it at the same time. Up to four are fetched at a time, so
    that forged requests cannot occupy all threads of a server. A failure is remembered for ten seconds.
    """

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._known: dict[str, Certificate] = {}
        self._failed: dict[str, datetime] = {}
        self._renew()
        call_after_fork(self._renew)

    def _renew(self) -> None:
        self._pending: dict[str, Future[Certificate]] = {}
        self._lock = Lock()

    def at(self, url: str, now: datetime) -> Certificate:
        """Return the certificate of a URL that is known to be SNS's. It is fetched again after its end of validity.

        Raises MessagingUnavailable.
        """
        with self._lock:
            known = self._known.get(url)
            if known and known.not_valid_after_utc >= now:
                return known
            if url in self._failed and abs(now - self._failed[url]) < _FAILURE:  # a clock can be set back
                raise MessagingUnavailable(f"no certificate at {url}: it could not be fetched a moment ago")
            is_first = url not in self._pending
            if is_first and len(self._pending) >= _MAXIMUM_FETCHES:
                raise MessagingUnavailable(f"no certificate at {url}: {_MAXIMUM_FETCHES} others are being fetched")
            pending = self._pending.setdefault(url, Future())
        if is_first:
            self._load(url, pending, now)
        try:
            return pending.result(_WAIT_SECONDS)
        except (OSError, ValueError) as error:
            raise MessagingUnavailable(f"no certificate at {url}: {type(error).__name__}") from error

    def _load(self, url: str, pending: Future[Certificate], now: datetime) -> None:
        try:
            certificate = load_pem_x509_certificate(self._fetch(url))
            with self._lock:
                _remember(self._known, url, certificate, most=_MAXIMUM_CERTIFICATES)
            pending.set_result(certificate)
        except (OSError, ValueError) as error:
            pending.set_exception(error)
            with self._lock:
                _remember(self._failed, url, now, most=_MAXIMUM_FAILURES)
        except BaseException:  # of a signal handler: it is for this thread alone
            pending.set_exception(OSError("the fetch was interrupted"))
            raise
        finally:
            with self._lock:
                del self._pending[url]


def _remember(cache: dict[str, _Value], url: str, value: _Value, *, most: int) -> None:
    """Add an entry, and remove the oldest if there are more than `most`."""
    cache.pop(url, None)
    cache[url] = value
    if len(cache) > most:
        del cache[next(iter(cache))]


class Signature(NamedTuple):
    """A request's signature, and the hash of its version."""

    octets: bytes
    hash: HashAlgorithm

    @classmethod
    def of(cls, posted: Mapping[str, object], *, identity: str, accept_sha1: bool) -> Signature:
        """Return the signature of a request. `identity` is its message id.

        Raises MalformedMessage if the request has no usable signature, or one of version 1 without `accept_sha1`.
        """
        try:
            octets = base64.b64decode(str(posted.get("Signature")), validate=True)
        except (binascii.Error, ValueError):
            raise MalformedMessage("the notification's Signature is not base64", message_id=identity) from None
        version = posted.get("SignatureVersion")
        if not isinstance(version, str) or version not in _HASHES:
            raise MalformedMessage("the notification's SignatureVersion is neither 1 nor 2", message_id=identity)
        if version == "1" and not accept_sha1:
            # Not UntrustedNotification: after a 403, SNS may drop a genuine message.
            raise MalformedMessage(
                "the notification's SignatureVersion is 1, which uses SHA-1: set the topic's attribute "
                "SignatureVersion to 2, or pass accept_sha1 to the endpoint",
                message_id=identity,
            )
        return cls(octets, _HASHES[version]())

    def verify(self, signed: Mapping[str, str], certificate: Certificate, now: datetime) -> None:
        """Verify that the certificate's owner has signed the fields `signed`. `now` has a time zone.

        `signed` holds the fields that `SIGNED` has for its Type, in that order. Subject is optional.

        Raises UntrustedNotification if the certificate is not valid at `now`, or the signature is not of these fields.
        """
        identity = signed["MessageId"]
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise UntrustedNotification("the signature's certificate is not valid now", message_id=identity)
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise UntrustedNotification("the signature's certificate has no RSA key", message_id=identity)
        text = "".join(f"{name}\n{value}\n" for name, value in signed.items()).encode()
        try:
            key.verify(self.octets, text, padding.PKCS1v15(), self.hash)
        except InvalidSignature:
            raise UntrustedNotification("SNS did not sign this notification", message_id=identity) from None

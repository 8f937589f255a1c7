"""SNS's signature under what it posts over HTTPS: a key of the campaign's own, and the certificate of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from claim_check.https.signature import NOTIFICATION, SIGNED


class Notary:
    """Writes the certificate to a file of `folder`."""

    def __init__(self, folder: Path, *, region: str) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self._url = f"https://sns.{region}.amazonaws.com/SimpleNotificationService-campaign.pem"
        self.certificate = folder / "sns.pem"
        self.certificate.write_bytes(_certificate(self._key))

    def posted(self, notification: Mapping[str, Any]) -> str:
        """A notification as SNS would post it, signed anew."""
        text = "".join(f"{name}\n{notification[name]}\n" for name in SIGNED[NOTIFICATION] if name in notification)
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), SHA256())
        return json.dumps(
            {
                **notification,
                "SignatureVersion": "2",
                "Signature": base64.b64encode(signature).decode(),
                "SigningCertURL": self._url,
            }
        )


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now, day = datetime.now(UTC), timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)

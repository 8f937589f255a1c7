"""The web server of a subscriber over HTTPS, as a function whose events are the requests of SNS.

It is `applications/https_endpoint.py`, with SNS's certificate in a file.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

from applications.https_endpoint import Received, create_app
from claim_check import Dereferencer, Store
from claim_check.https import Endpoint

_certificate = Path(os.environ["SNS_CERTIFICATE"])
received = Received(Path(os.environ["RECEIVED"]))
endpoint = Endpoint(
    topics=[os.environ["TOPIC_ARN"]],
    dereferencer=Dereferencer(stores=map(Store.from_dict, json.loads(os.environ["TRUSTED_STORES"]))),
    window=timedelta(days=1),  # a large run delivers its first notification after its last message was sent
    fetch=lambda _: _certificate.read_bytes(),
)
client = create_app(endpoint, received).test_client()


class NotAcceptedError(Exception):
    """The server responded with a status other than 200."""


def handler(event: dict[str, str], _: object) -> None:
    """Post one request. Raises NotAcceptedError."""
    response = client.post("/coatcheck", data=event["body"].encode(), content_type="text/plain; charset=UTF-8")
    if response.status_code != 200:
        raise NotAcceptedError(f"{response.status_code} {response.get_data(as_text=True)}")

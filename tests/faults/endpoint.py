"""The web server of a subscriber over HTTPS, as a function: it is handed what SNS posts.

It is `applications/https_endpoint.py`; SNS's certificate comes from a file, and confirmations go nowhere.
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
    window=timedelta(days=1),  # of a large lot, the first notification is delivered when the last is sent
    fetch=lambda _: _certificate.read_bytes(),
)
browser = create_app(endpoint, received).test_client()


class NotTakenError(Exception):
    """The server answered, and not with 200."""


def handler(event: dict[str, str], _: object) -> None:
    """One POST. Raises NotTakenError."""
    answer = browser.post("/coatcheck", data=event["body"].encode(), content_type="text/plain; charset=UTF-8")
    if answer.status_code != 200:
        raise NotTakenError(f"{answer.status_code} {answer.get_data(as_text=True)}")

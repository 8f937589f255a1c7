"""The id of a message, where it is on its way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from publish.upload import upload_id


def published_id(event: Mapping[str, Any]) -> str:
    """Of the message that an event of the publish function becomes."""
    if event["source"] != "aws.s3":
        return str(event["id"])
    uploaded = event["detail"]["object"]
    return upload_id(uploaded["key"], uploaded["version-id"])


def delivered_id(attributes: Mapping[str, Any]) -> str:
    """Of a delivered message, in whichever spelling its attributes come."""
    claim = attributes["ClaimCheck"]
    found: str = json.loads(claim.get("StringValue") or claim["Value"])["id"]
    return found


def notified_id(event: Mapping[str, Any]) -> str:
    """Of the message in SNS's event for a function."""
    return delivered_id(event["Records"][0]["Sns"]["MessageAttributes"])


def posted_id(event: Mapping[str, str]) -> str:
    """Of the message in what SNS posted to the endpoint."""
    return delivered_id(json.loads(event["body"])["MessageAttributes"])

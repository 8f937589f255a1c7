"""One call for a sender: an event, or an upload."""

from __future__ import annotations

import json
from email.header import decode_header, make_header
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from claim_check import InvalidMessage, MessagingDenied, PayloadDenied, Sent, send, upload_id
from claim_check.publishing.event import MAXIMUM_ENTRY_BYTES

BUS = "arn:aws:events:eu-west-1:111111111111:event-bus/coatcheck"
OUTBOX = "s3://coatcheck-payloads-111111111111-eu-west-1/outbox/shop/"
LARGE = {"text": "x" * MAXIMUM_ENTRY_BYTES}


class Aws:
    """A client of EventBridge and of S3 that records its requests."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.uploads: list[dict[str, Any]] = []
        self.error: str | None = None

    def put_events(self, **request: Any) -> dict[str, Any]:
        self._fail("PutEvents")
        self.events += request["Entries"]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}

    def get_object(self) -> None: ...

    def put_object(self, **request: Any) -> dict[str, str]:
        self._fail("PutObject")
        self.uploads.append(request)
        return {"VersionId": "v-1", "ETag": "e"}

    def _fail(self, operation: str) -> None:
        if self.error:
            raise ClientError({"Error": {"Code": self.error, "Message": ""}}, operation)


def call(aws: Aws, **options: Any) -> Sent:
    event = {"bus": BUS, "outbox": OUTBOX, "source": "shop", "detail_type": "Order placed"} | options
    return send(**event, events=cast("Any", aws), s3=cast("Any", aws))


def test_small_detail_is_an_event() -> None:
    aws = Aws()
    assert call(aws, detail={"order": 1}, resources=["arn:1"]) == Sent("e-1")
    (event,) = aws.events
    assert (event["Detail"], event["Resources"], aws.uploads) == ('{"order":1}', ["arn:1"], [])


@pytest.mark.parametrize("detail", [LARGE, json.dumps(LARGE)], ids=["object", "text"])
def test_large_detail_is_uploaded_to_the_folder(detail: Any) -> None:
    aws = Aws()
    sent = call(aws, detail=detail, detail_type="Bestellung für Ärzte")
    (upload,) = aws.uploads
    assert sent == Sent(upload_id(upload["Key"], "v-1"), upload["Key"])
    assert upload["Key"].startswith("outbox/shop/")
    assert (upload["Bucket"], upload["ExpectedBucketOwner"]) == (OUTBOX.split("/")[2], "111111111111")
    assert json.loads(upload["Body"]) == LARGE
    assert upload["ContentType"] == "application/json"
    decoded = {name: str(make_header(decode_header(value))) for name, value in upload["Metadata"].items()}
    assert decoded == {"event-source": "shop", "event-detail-type": "Bestellung für Ärzte"}
    assert all(value.isascii() for value in upload["Metadata"].values())


def test_each_upload_has_its_own_key() -> None:
    aws = Aws()
    assert call(aws, detail=LARGE) != call(aws, detail=LARGE)


def test_errors_are_those_of_the_library() -> None:
    aws = Aws()
    aws.error = "AccessDenied"
    with pytest.raises(MessagingDenied):
        call(aws, detail={})
    with pytest.raises(PayloadDenied, match="cannot upload the detail"):
        call(aws, detail=LARGE)
    with pytest.raises(InvalidMessage):
        call(aws, detail="[]")


@pytest.mark.parametrize("outbox", ["outbox/shop/", "s3://bucket", "s3://bucket/outbox/", "s3://bucket/outbox/shop"])
def test_outbox_must_be_the_uri_of_a_folder(outbox: str) -> None:
    with pytest.raises(ValueError, match="outbox = "):
        call(Aws(), outbox=outbox, detail={})

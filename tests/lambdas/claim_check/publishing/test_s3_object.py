"""What an uploaded object says of itself."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from claim_check import InvalidMessage, PayloadUnavailable, Pointer, S3Object
from claim_check.publishing.s3_object import metadata_of

UPLOAD = S3Object("uploads-one", "outbox/a", "111111111111", "eu-west-1", "v-1")
ASKED = {"Bucket": "uploads-one", "Key": "outbox/a", "ExpectedBucketOwner": "111111111111", "VersionId": "v-1"}


@pytest.fixture
def stub() -> Any:
    keys: Any = {"aws_access_key_id": "a", "aws_secret_access_key": "s"}
    with Stubber(boto3.Session(**keys).client("s3", region_name="eu-west-1")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_metadata_are_told_as_s3_gives_them(stub: Any) -> None:
    stub.add_response("head_object", {"Metadata": {"kind": "scan"}}, ASKED)
    assert metadata_of(stub.client, UPLOAD) == {"kind": "scan"}
    stub.add_response("head_object", {"Metadata": {}}, {name: ASKED[name] for name in ASKED if name != "VersionId"})
    assert metadata_of(stub.client, UPLOAD._replace(version_id=None)) == {}


def test_an_upload_that_is_gone_has_none(stub: Any) -> None:
    stub.add_client_error("head_object", "404", http_status_code=404, expected_params=ASKED)
    assert metadata_of(stub.client, UPLOAD) is None


def test_metadata_that_do_not_fit_into_headers_are_refused(stub: Any) -> None:
    stub.add_response("head_object", {"Metadata": {}, "MissingMeta": 2}, ASKED)
    with pytest.raises(InvalidMessage) as caught:
        metadata_of(stub.client, UPLOAD)
    assert str(caught.value) == (
        "2 entries of the object's metadata do not fit into HTTP headers: upload it again without them "
        "(payload 's3://uploads-one/outbox/a')"
    )
    assert caught.value.pointer == Pointer("uploads-one", "outbox/a")


def test_an_upload_that_cannot_be_looked_at_is_worth_a_retry(stub: Any) -> None:
    stub.add_client_error("head_object", "403", http_status_code=403, expected_params=ASKED)
    with pytest.raises(PayloadUnavailable, match=r"^cannot look at the uploaded object: S3 returned 403") as caught:
        metadata_of(stub.client, UPLOAD)
    assert caught.value.pointer == Pointer("uploads-one", "outbox/a")

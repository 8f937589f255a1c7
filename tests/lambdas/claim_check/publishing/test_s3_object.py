"""Objects that are in S3 already: metadata, copies and their messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claim_check import Dereferencer, InvalidMessage, Publisher, S3Object, Store
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3, Zeros

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
import hashlib
from typing import TYPE_CHECKING

import boto3
from botocore.stub import Stubber

from claim_check import (
    PayloadConflict,
    PayloadDenied,
    PayloadMissing,
    PayloadUnavailable,
    Pointer,
)

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


from claim_check.publishing.s3_object import UploadedObject, uploaded_object

UPLOAD = S3Object("uploads-one", "outbox/a", "111111111111", "eu-west-1", "v-1")
HEAD = {"ETag": "e", "ContentLength": 3}
ASKED = {"Bucket": "uploads-one", "Key": "outbox/a", "ExpectedBucketOwner": "111111111111", "VersionId": "v-1"}


@pytest.fixture
def stub() -> Any:
    keys: Any = {"aws_access_key_id": "a", "aws_secret_access_key": "s"}
    with Stubber(boto3.Session(**keys).client("s3", region_name="eu-west-1")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_metadata_are_returned_as_s3_returns_them(stub: Any) -> None:
    stub.add_response("head_object", {**HEAD, "Metadata": {"kind": "scan"}}, ASKED)
    assert uploaded_object(stub.client, UPLOAD) == UploadedObject({"kind": "scan"})
    stub.add_response(
        "head_object", {**HEAD, "Metadata": {}}, {name: ASKED[name] for name in ASKED if name != "VersionId"}
    )
    assert uploaded_object(stub.client, UPLOAD._replace(version_id=None)) == UploadedObject({})


def test_deleted_upload_has_no_metadata(stub: Any) -> None:
    stub.add_client_error("head_object", "404", http_status_code=404, expected_params=ASKED)
    assert uploaded_object(stub.client, UPLOAD) is None


def test_metadata_missing_from_headers_are_rejected(stub: Any) -> None:
    stub.add_response("head_object", {**HEAD, "Metadata": {}, "MissingMeta": 2}, ASKED)
    with pytest.raises(InvalidMessage) as caught:
        uploaded_object(stub.client, UPLOAD)
    assert str(caught.value) == (
        "2 entries of the object's metadata do not fit into HTTP headers: upload it again without them "
        "(payload 's3://uploads-one/outbox/a')"
    )
    assert caught.value.pointer == Pointer("uploads-one", "outbox/a")


def test_failed_head_of_upload_is_transient(stub: Any) -> None:
    stub.add_client_error("head_object", "403", http_status_code=403, expected_params=ASKED)
    with pytest.raises(PayloadUnavailable, match=r"^cannot look at the uploaded object: S3 returned 403") as caught:
        uploaded_object(stub.client, UPLOAD)
    assert caught.value.pointer == Pointer("uploads-one", "outbox/a")


def test_object_is_copied_by_s3_and_its_source_stays(
    publisher: Publisher, fake_s3: FakeS3, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    data = b"uploaded" * 1000
    fake_s3.put("uploads-one", "outbox/my scan+ü.tiff", data)
    published = publisher.publish_object(
        S3Object("uploads-one", "outbox/my scan+ü.tiff", OWNER, "eu-west-1", "v/1+2"), size=len(data), message_id="u-1"
    )
    assert published.sha256 == hashlib.sha256(data).hexdigest()
    assert published.pointer == Pointer("payloads-one", "payloads/u-1")
    assert fake_s3.requests_of("GET") == []
    assert ("uploads-one", "outbox/my scan+ü.tiff") in fake_s3.objects
    headers = fake_s3.headers[0]
    assert headers["x-amz-copy-source"].endswith("?versionId=v/1+2")
    assert headers["x-amz-checksum-algorithm"] == "SHA256"
    assert headers["x-amz-tagging-directive"] == "REPLACE"
    assert headers["x-amz-expected-bucket-owner"] == headers["x-amz-source-expected-bucket-owner"] == OWNER
    message = dereferencer.message(DELIVERIES["SNS event"](sns.published[0]))
    assert (message.id, message.payload.read()) == ("u-1", data)


def test_repeated_copy_returns_the_earlier_copy(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")

    def publish() -> Any:
        return publisher.publish_object(UPLOAD._replace(version_id="v1"), size=3, message_id="u-1")

    first, second = publish(), publish()
    del fake_s3.objects["uploads-one", "outbox/a"]
    assert first == second == publish()


def test_earlier_copy_is_found_when_the_source_is_missing(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    first = publisher.publish_object(UPLOAD, size=3, message_id="u-1")
    fake_s3.fail("PUT", 404, "NoSuchVersion")
    assert publisher.publish_object(UPLOAD, size=3, message_id="u-1") == first


def test_object_is_not_copied_when_fields_are_invalid(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    attributes = {f"a{number}": number for number in range(9)}
    with pytest.raises(InvalidMessage, match="9 are more than 8"):
        publisher.publish_object(UPLOAD, size=3, message_id="u-1", attributes=attributes)
    assert fake_s3.requests == []


def test_other_source_under_the_same_id_is_a_conflict(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    for version, error in {"v1": None, "v2": PayloadConflict}.items():
        source = S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1", version)
        if error is None:
            publisher.publish_object(source, size=3, message_id="u-1")
        else:
            with pytest.raises(error):
                publisher.publish_object(source, size=3, message_id="u-1")


def test_missing_source_without_copy_is_missing(publisher: Publisher) -> None:
    with pytest.raises(PayloadMissing, match="upload it again") as caught:
        publisher.publish_object(UPLOAD, size=3, message_id="u-1")
    assert caught.value.pointer == Pointer("uploads-one", "outbox/a")


def test_copy_into_store_of_another_owner_is_denied(sns: NotedSns, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    store = Store("payloads-one", "payloads/", "999999999999", "eu-west-1")
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=s3)
    with pytest.raises(PayloadUnavailable, match="another owner") as caught:
        publisher.publish_object(UPLOAD, size=3, message_id="u-1")
    assert isinstance(caught.value, PayloadDenied)
    assert sns.published == []


def test_copy_above_5_gib_is_in_parts_with_crc64nvme(
    publisher: Publisher, fake_s3: FakeS3, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    size = 6 * 2**30 + 5
    fake_s3.put("uploads-one", "outbox/big", Zeros(size))
    published = publisher.publish_object(
        S3Object("uploads-one", "outbox/big", OWNER, "eu-west-1", "v1"), size=size, message_id="u-1"
    )
    assert len(fake_s3.objects["payloads-one", "payloads/u-1"].data) == size
    assert published.sha256 is None
    checksum = fake_s3.objects["payloads-one", "payloads/u-1"].crc64nvme
    claim = sns.published[0]["MessageAttributes"]["ClaimCheck"]["StringValue"]
    assert claim == f'{{"id":"u-1","crc64nvme":"{checksum}"}}'
    again = publisher.publish_object(
        S3Object("uploads-one", "outbox/big", OWNER, "eu-west-1", "v1"), size=size, message_id="u-1"
    )
    assert again == published
    assert sns.published[0] == sns.published[1]
    assert fake_s3.uploads == {}
    message = dereferencer.message(DELIVERIES["SNS event"](sns.published[0]))
    assert (message.size, message.sha256) == (size, None)
    landed = message.payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=fake_s3.client())
    assert landed.crc64nvme == checksum


def test_failed_copy_in_parts_leaves_no_upload(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/big", Zeros(6 * 2**30))
    fake_s3.fail("PUT", 403, "AccessDenied", on="partNumber=7")
    with pytest.raises(PayloadUnavailable):
        publisher.publish_object(
            S3Object("uploads-one", "outbox/big", OWNER, "eu-west-1"), size=6 * 2**30, message_id="u-1"
        )
    assert fake_s3.uploads == {}
    assert ("payloads-one", "payloads/u-1") not in fake_s3.objects


def test_earlier_copy_is_searched_in_the_owners_bucket(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", b"abc")
    for _ in range(2):
        published = publisher.publish_object(S3Object("uploads-one", "a", OWNER, "eu-west-1"), size=3, message_id="u-1")
    assert published.size == 3
    looked = fake_s3.headers[fake_s3.requests.index("HEAD /payloads-one/payloads/u-1")]
    assert looked["x-amz-expected-bucket-owner"] == OWNER


def test_object_is_published_with_all_fields(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    sns = NotedSns()
    publisher = Publisher(topic_arn=f"{TOPIC}.fifo", store=store, sns=sns.client(), s3=s3)
    fake_s3.put("uploads-one", "a", b"abc")
    publisher.publish_object(
        S3Object("uploads-one", "a", OWNER, "eu-west-1"),
        size=3,
        message_id="u-1",
        attributes={"kind": "scan"},
        subject="a scan",
        group_id="g",
        deduplication_id="d",
    )
    (published,) = sns.published
    assert (published["Subject"], published["MessageGroupId"], published["MessageDeduplicationId"]) == (
        "a scan",
        "g",
        "d",
    )
    assert published["MessageAttributes"]["kind"] == {"DataType": "String", "StringValue": "scan"}
    assert "crc64nvme" not in published["MessageAttributes"]["ClaimCheck"]["StringValue"]

"""Patches of S3: permissions for the KMS key of an encrypted object."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.support import NEAR, Account, document, root

pytestmark = pytest.mark.system

_S3 = {"Action": "s3:*", "Resource": "*"}
_DECRYPT = {"Action": "kms:Decrypt", "Resource": "*"}


class _Store:
    """An object that a KMS key encrypts. The bucket policy allows another account to read it.

    shared: statements of the key's policy for the other account.
    """

    def __init__(
        self, publisher: Account, subscriber: Account, *shared: dict[str, Any], bucket_key: bool = True
    ) -> None:
        self.publisher, self.subscriber = publisher, Account(subscriber.accounts, subscriber.number)
        owner = {"Principal": root(publisher.number), "Action": "kms:*", "Resource": "*"}
        other = [{"Principal": root(subscriber.number), **statement} for statement in shared]
        key = self.publisher.client("kms").create_key(Policy=document(owner, *other))["KeyMetadata"]
        self.key = key["Arn"]
        read = {
            "Principal": root(subscriber.number),
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": "{bucket}/*",
        }
        self.bucket = self.publisher.bucket(document(read))
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}
        rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": bucket_key}
        s3 = self.publisher.client("s3")
        s3.put_bucket_encryption(Bucket=self.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        self.version = s3.put_object(Bucket=self.bucket, Key="payloads/1", Body=b"payload")["VersionId"]

    def read(self, *statements: dict[str, Any], **version: str) -> bytes:
        """Read the object as a role of the other account with these statements."""
        role = self.subscriber.role(_S3, *statements)
        got = self.subscriber.client("s3", role).get_object(Bucket=self.bucket, Key="payloads/1", **version)
        body: bytes = got["Body"].read()
        return body


def _with_context(statement: dict[str, Any], arn: str) -> dict[str, Any]:
    """Return a statement for uses of the key by S3, with an encryption context."""
    keys = {"kms:ViaService": f"s3.{NEAR}.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": arn}
    return {**statement, "Condition": {"StringLike": keys}}


@pytest.mark.patched
@pytest.mark.aws
def test_reading_needs_the_key_on_both_sides(publisher: Account, subscriber: Account) -> None:
    shared, private = _Store(publisher, subscriber, _DECRYPT), _Store(publisher, subscriber)

    assert shared.read(_DECRYPT) == b"payload"
    assert shared.read(_DECRYPT, VersionId=shared.version) == b"payload"
    for store, statements in ((shared, []), (private, [_DECRYPT])):
        with pytest.raises(ClientError, match="not authorized to perform: kms:Decrypt"):
            store.read(*statements)
    with pytest.raises(ClientError, match="not authorized to perform: kms:Decrypt"):
        shared.read(VersionId=shared.version)


@pytest.mark.aws
def test_encryption_context_is_the_bucket(publisher: Account, subscriber: Account) -> None:
    store = _Store(publisher, subscriber, _with_context(_DECRYPT, "arn:aws:s3:::coatcheck-test-bucket-*"))

    assert store.read(_with_context(_DECRYPT, f"arn:aws:s3:::{store.bucket}")) == b"payload"
    with pytest.raises(ClientError, match="kms:Decrypt"):
        store.read(_with_context(_DECRYPT, "arn:aws:s3:::another"))
    with pytest.raises(ClientError, match="kms:Decrypt"):
        _Store(publisher, subscriber, _with_context(_DECRYPT, "arn:aws:s3:::another")).read(_DECRYPT)


@pytest.mark.aws
def test_encryption_context_is_the_object_without_bucket_key(publisher: Account, subscriber: Account) -> None:
    store = _Store(publisher, subscriber, _DECRYPT, bucket_key=False)

    assert store.read(_with_context(_DECRYPT, f"arn:aws:s3:::{store.bucket}/payloads/1")) == b"payload"
    with pytest.raises(ClientError, match="kms:Decrypt"):
        store.read(_with_context(_DECRYPT, f"arn:aws:s3:::{store.bucket}"))


@pytest.mark.aws
def test_writing_needs_a_data_key(publisher: Account, subscriber: Account) -> None:
    store = _Store(publisher, subscriber)
    generate = {"Action": "kms:GenerateDataKey", "Resource": store.key}
    roles = [
        store.publisher.role(_S3),
        store.publisher.role(_S3, generate),
        store.publisher.role(_S3, generate, _DECRYPT),
    ]
    without_key, writer, copier = (store.publisher.client("s3", role) for role in roles)
    source, target = {"Bucket": store.bucket, "Key": "payloads/1"}, {"Bucket": store.bucket, "Key": "new"}

    writer.put_object(**target, Body=b"x")
    copier.copy_object(**target, CopySource=source)
    upload = copier.create_multipart_upload(**target)["UploadId"]
    part = copier.upload_part(**target, UploadId=upload, PartNumber=1, Body=b"x")
    with pytest.raises(ClientError, match="kms:Decrypt"):
        writer.upload_part(**target, UploadId=upload, PartNumber=2, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    copier.complete_multipart_upload(**target, UploadId=upload, MultipartUpload=parts)

    calls: list[Callable[[], Any]] = [
        lambda: without_key.put_object(**target, Body=b"x"),
        lambda: without_key.create_multipart_upload(**target),
        lambda: without_key.copy_object(**target, CopySource=source),
    ]
    for call in calls:
        with pytest.raises(ClientError, match="kms:"):
            call()
    with pytest.raises(ClientError, match="kms:Decrypt"):
        writer.copy_object(**target, CopySource=source)


@pytest.mark.aws
def test_requests_without_content_need_no_key(publisher: Account, subscriber: Account) -> None:
    store = _Store(publisher, subscriber)
    s3 = store.publisher.client("s3", store.publisher.role(_S3))

    s3.head_object(Bucket=store.bucket, Key="payloads/1")
    s3.list_objects_v2(Bucket=store.bucket)
    s3.delete_object(Bucket=store.bucket, Key="payloads/1")

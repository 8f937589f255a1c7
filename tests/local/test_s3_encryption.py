"""S3's gap of encryption: whoever reads or writes an object under a KMS key needs that key too."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ministack.core.responses import request_scope
from ministack.services import kms

from local.accounts import Accounts
from tests.local.support import NEAR, PUBLISHER, SUBSCRIBER, Account, document, root

pytestmark = pytest.mark.system

_S3 = {"Action": "s3:*", "Resource": "*"}


class _Store:
    """A bucket under a key, and a role of another account that the bucket's policy lets read."""

    def __init__(self, accounts: Accounts, *, key_policy: list[dict[str, Any]], bucket_key: bool = True) -> None:
        self.publisher, self.subscriber = Account(accounts, PUBLISHER), Account(accounts, SUBSCRIBER)
        owner = {"Principal": root(PUBLISHER), "Action": "kms:*", "Resource": "*"}
        key = self.publisher.client("kms").create_key(Policy=document(owner, *key_policy))["KeyMetadata"]
        self.key = key["Arn"]
        read = {
            "Principal": root(SUBSCRIBER),
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
        role = self.subscriber.role(_S3, *statements)
        got = self.subscriber.client("s3", role).get_object(Bucket=self.bucket, Key="payloads/1", **version)
        body: bytes = got["Body"].read()
        return body


_DECRYPT = {"Action": "kms:Decrypt", "Resource": "*"}
_OPEN = {"Principal": root(SUBSCRIBER), **_DECRYPT}


def _through_s3(arn: str) -> dict[str, Any]:
    keys = {"kms:ViaService": f"s3.{NEAR}.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": arn}
    return {"StringLike": keys}


def test_reading_needs_the_key_on_both_sides(accounts: Accounts) -> None:
    open_store, shut_store = _Store(accounts, key_policy=[_OPEN]), _Store(accounts, key_policy=[])

    assert open_store.read(_DECRYPT) == b"payload"
    assert open_store.read(_DECRYPT, VersionId=open_store.version) == b"payload"
    for store, statements in ((open_store, []), (shut_store, [_DECRYPT])):
        with pytest.raises(ClientError, match="not authorized to perform: kms:Decrypt"):
            store.read(*statements)
    with pytest.raises(ClientError, match="not authorized to perform: kms:Decrypt"):
        open_store.read(VersionId=open_store.version)


def test_a_key_may_be_let_through_s3_for_one_bucket_alone(accounts: Accounts) -> None:
    anywhere, nowhere = _through_s3("arn:aws:s3:::bucket-*"), _through_s3("arn:aws:s3:::another")
    store = _Store(accounts, key_policy=[{**_OPEN, "Condition": anywhere}])

    assert store.read({**_DECRYPT, "Condition": _through_s3(f"arn:aws:s3:::{store.bucket}")}) == b"payload"
    with pytest.raises(ClientError, match="kms:Decrypt"):
        store.read({**_DECRYPT, "Condition": nowhere})
    with pytest.raises(ClientError, match="kms:Decrypt"):
        _Store(accounts, key_policy=[{**_OPEN, "Condition": nowhere}]).read(_DECRYPT)


def test_without_a_bucket_key_the_context_is_the_object(accounts: Accounts) -> None:
    store = _Store(accounts, key_policy=[_OPEN], bucket_key=False)
    this, other = f"arn:aws:s3:::{store.bucket}/payloads/1", f"arn:aws:s3:::{store.bucket}"

    assert store.read({**_DECRYPT, "Condition": _through_s3(this)}) == b"payload"
    with pytest.raises(ClientError, match="kms:Decrypt"):
        store.read({**_DECRYPT, "Condition": _through_s3(other)})


def test_writing_needs_a_data_key(accounts: Accounts) -> None:
    store = _Store(accounts, key_policy=[])
    generate = {"Action": "kms:GenerateDataKey", "Resource": store.key}
    roles = [
        store.publisher.role(_S3),
        store.publisher.role(_S3, generate),
        store.publisher.role(_S3, generate, _DECRYPT),
    ]
    none, may_write, may_copy = (store.publisher.client("s3", role) for role in roles)
    source, target = {"Bucket": store.bucket, "Key": "payloads/1"}, {"Bucket": store.bucket, "Key": "new"}

    may_write.put_object(**target, Body=b"x")
    may_copy.copy_object(**target, CopySource=source)
    upload = may_copy.create_multipart_upload(**target)["UploadId"]
    part = may_copy.upload_part(**target, UploadId=upload, PartNumber=1, Body=b"x")
    with pytest.raises(ClientError, match="kms:Decrypt"):
        may_write.upload_part(**target, UploadId=upload, PartNumber=2, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    may_copy.complete_multipart_upload(**target, UploadId=upload, MultipartUpload=parts)

    refused: list[Callable[[], Any]] = [
        lambda: none.put_object(**target, Body=b"x"),
        lambda: none.create_multipart_upload(**target),
        lambda: none.copy_object(**target, CopySource=source),
    ]
    for call in refused:
        with pytest.raises(ClientError, match="kms:"):
            call()
    with pytest.raises(ClientError, match="kms:Decrypt"):
        may_write.copy_object(**target, CopySource=source)


def test_what_reads_no_content_needs_no_key(accounts: Accounts) -> None:
    store = _Store(accounts, key_policy=[])
    s3 = store.publisher.client("s3", store.publisher.role(_S3))

    s3.head_object(Bucket=store.bucket, Key="payloads/1")
    s3.list_objects_v2(Bucket=store.bucket)
    s3.delete_object(Bucket=store.bucket, Key="payloads/1")


def test_gap_key_of_an_object(bare: Accounts) -> None:
    store = _Store(bare, key_policy=[])
    s3 = store.publisher.client("s3", store.publisher.role(_S3))

    assert s3.get_object(Bucket=store.bucket, Key="payloads/1")["Body"].read() == b"payload"


def test_gap_policy_of_a_key_of_another_account() -> None:
    """In this process, which fills no gap."""
    owner = {"Principal": root(PUBLISHER), "Action": "kms:*", "Resource": "*"}
    with request_scope(PUBLISHER, NEAR):
        created = kms._create_key({"Policy": document(owner)})
        arn = json.loads(created[2])["KeyMetadata"]["Arn"]
        assert kms.key_policy_for_arn(arn)
    with request_scope(SUBSCRIBER, NEAR):
        assert not kms.key_policy_for_arn(arn)

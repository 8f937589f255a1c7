"""Patches of S3: owners, callers of other accounts, checksums of copies, events, and properties in templates."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import NEAR, OTHER, PUBLISHER, SUBSCRIBER, Account, document, eventually, root, unique

pytestmark = pytest.mark.system


@pytest.mark.patched
@pytest.mark.aws
def test_expected_owner_is_checked(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    s3.put_object(Bucket=bucket, Key="key", Body=b"payload", ExpectedBucketOwner=publisher.number)
    source = {"Bucket": bucket, "Key": "key"}
    calls: list[Callable[[str], Any]] = [
        lambda owner: s3.put_object(Bucket=bucket, Key="key", Body=b"x", ExpectedBucketOwner=owner),
        lambda owner: s3.get_object(Bucket=bucket, Key="key", ExpectedBucketOwner=owner),
        lambda owner: s3.head_object(Bucket=bucket, Key="key", ExpectedBucketOwner=owner),
        lambda owner: s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ExpectedBucketOwner=owner),
        lambda owner: s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ExpectedSourceBucketOwner=owner),
        lambda owner: s3.create_multipart_upload(Bucket=bucket, Key="key", ExpectedBucketOwner=owner),
        lambda owner: s3.delete_object(Bucket=bucket, Key="key", ExpectedBucketOwner=owner),
    ]

    for call in calls:
        with pytest.raises(ClientError) as denied:
            call(OTHER)
        assert denied.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    for call in calls:
        call(publisher.number)


def _error_for_missing_object(account: Account, *actions: str) -> str:
    """Get a missing object as a role with these actions, and return the error code."""
    bucket = account.bucket()
    role = account.role({"Action": list(actions), "Resource": "*"})
    with pytest.raises(ClientError) as error:
        account.client("s3", role).get_object(Bucket=bucket, Key="expired")
    code: str = error.value.response["Error"]["Code"]
    return code


@pytest.mark.patched
@pytest.mark.aws
def test_missing_object_needs_list_permission(publisher: Account) -> None:
    assert _error_for_missing_object(publisher, "s3:GetObject", "s3:ListBucket") == "NoSuchKey"
    assert _error_for_missing_object(publisher, "s3:GetObject") == "AccessDenied"


@pytest.mark.aws
def test_missing_object_is_denied_across_accounts(publisher: Account, subscriber: Account) -> None:
    """A reader role, which may get but not list, reads a payload that has expired."""
    role = subscriber.role({"Action": "s3:GetObject", "Resource": "*"})
    condition = {"ArnEquals": {"aws:PrincipalArn": subscriber.role_arn(role)}}
    principal = root(subscriber.number)
    allow = {"Principal": principal, "Action": "s3:GetObject", "Resource": "{bucket}/*", "Condition": condition}
    bucket = publisher.bucket(document(allow))
    with pytest.raises(ClientError) as error:
        subscriber.client("s3", role).get_object(Bucket=bucket, Key="expired", ExpectedBucketOwner=publisher.number)
    assert error.value.response["Error"]["Code"] == "AccessDenied"


def _read_across_accounts(publisher: Account, subscriber: Account, *, allowed: bool) -> bytes:
    """Read an object as a role of another account. The bucket policy allows that role, or another."""
    role = subscriber.role({"Action": "s3:GetObject", "Resource": "*"})
    condition = {"ArnEquals": {"aws:PrincipalArn": subscriber.role_arn(role if allowed else unique("another"))}}
    statement = {"Principal": root(subscriber.number), "Action": "s3:GetObject", "Resource": "{bucket}/payloads/*"}
    bucket = publisher.bucket(document({**statement, "Condition": condition}))
    publisher.client("s3").put_object(Bucket=bucket, Key="payloads/1", Body=b"payload")
    s3 = subscriber.client("s3", role)
    got = s3.get_object(Bucket=bucket, Key="payloads/1", ExpectedBucketOwner=publisher.number)
    body: bytes = got["Body"].read()
    return body


@pytest.mark.patched
@pytest.mark.aws
def test_bucket_policy_sees_calling_role(publisher: Account, subscriber: Account) -> None:
    assert _read_across_accounts(publisher, subscriber, allowed=True) == b"payload"

    with pytest.raises(ClientError, match="AccessDenied"):
        _read_across_accounts(publisher, subscriber, allowed=False)


def _copy_across_accounts(
    publisher: Account, subscriber: Account, *, allowed: bool = True, reads: bool = True
) -> list[bytes]:
    """Copy an object and a part as a role of the target's account, and return the copies.

    allowed: the source's bucket policy allows the role. reads: the role's own policy allows reading.
    """
    target = subscriber.bucket()
    actions = ["s3:PutObject", *(["s3:GetObject"] if reads else [])]
    own = {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{target}/*"}
    role = subscriber.role({"Action": actions, "Resource": "*"}, own)
    condition = {"ArnEquals": {"aws:PrincipalArn": subscriber.role_arn(role if allowed else unique("another"))}}
    statement = {"Principal": root(subscriber.number), "Action": "s3:GetObject", "Resource": "{bucket}/payloads/*"}
    bucket = publisher.bucket(document({**statement, "Condition": condition}))
    publisher.client("s3").put_object(Bucket=bucket, Key="payloads/1", Body=b"payload")

    s3, source = subscriber.client("s3", role), {"CopySource": {"Bucket": bucket, "Key": "payloads/1"}}
    s3.copy_object(Bucket=target, Key="whole", ExpectedSourceBucketOwner=publisher.number, **source)
    part = {
        "Bucket": target,
        "Key": "part",
        "UploadId": s3.create_multipart_upload(Bucket=target, Key="part")["UploadId"],
    }
    etag = s3.upload_part_copy(**part, PartNumber=1, CopySourceRange="bytes=0-2", **source)["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    return [s3.get_object(Bucket=target, Key=key)["Body"].read() for key in ("whole", "part")]


@pytest.mark.patched
@pytest.mark.aws
def test_copy_source_may_be_in_another_account(publisher: Account, subscriber: Account) -> None:
    assert _copy_across_accounts(publisher, subscriber) == [b"payload", b"pay"]

    with pytest.raises(ClientError, match="AccessDenied"):
        _copy_across_accounts(publisher, subscriber, allowed=False)
    with pytest.raises(ClientError, match=r"AccessDenied.*s3:GetObject"):
        _copy_across_accounts(publisher, subscriber, reads=False)


@pytest.mark.aws
@pytest.mark.parametrize("secure", ["false", "true"])
def test_secure_transport_is_true(publisher: Account, secure: str) -> None:
    """A deny without TLS has no effect; a deny with TLS shows that the condition key exists."""
    condition = {"Bool": {"aws:SecureTransport": secure}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "{bucket}/*", "Condition": condition}
    bucket = publisher.bucket(document(deny))

    if secure == "false":
        publisher.client("s3").put_object(Bucket=bucket, Key="key", Body=b"payload")
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            publisher.client("s3").put_object(Bucket=bucket, Key="key", Body=b"payload")


@pytest.mark.aws
def test_conditional_write_does_not_replace_an_object(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    s3.put_object(Bucket=bucket, Key="key", Body=b"first", IfNoneMatch="*")

    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="key", Body=b"second", IfNoneMatch="*")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    etag = s3.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=b"second")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.complete_multipart_upload(
            Bucket=bucket,
            Key="key",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]},
            IfNoneMatch="*",
        )
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"first"


@pytest.mark.patched
@pytest.mark.parametrize("condition", [{}, {"IfMatch": "*"}], ids=["none", "other"])
def test_policy_denies_unconditional_writes(condition: dict[str, str], publisher: Account) -> None:
    null = {"Null": {"s3:if-none-match": "true"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "{bucket}/*", "Condition": null}
    s3, bucket = publisher.client("s3"), publisher.bucket(document(deny))
    s3.put_object(Bucket=bucket, Key="key", Body=b"first", IfNoneMatch="*")

    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=bucket, Key="key", Body=b"second", **condition)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.copy_object(Bucket=bucket, Key="key", CopySource={"Bucket": bucket, "Key": "key"})
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.create_multipart_upload(Bucket=bucket, Key="key")


@pytest.mark.patched
def test_event_has_version_and_requester(publisher: Account, accounts: Accounts) -> None:
    """Of a PUT by another account, and of a multipart upload by the owner."""
    allow = {"Principal": root(SUBSCRIBER), "Action": "s3:PutObject", "Resource": "{bucket}/*"}
    bucket, rule = publisher.bucket(document(allow)), unique("rule")
    queue = publisher.queue_for("events.amazonaws.com", "arn:aws:events:*")
    s3, events = publisher.client("s3"), publisher.client("events")
    notify: dict[str, Any] = {"EventBridgeConfiguration": {}}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=notify)
    detail = {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "outbox/"}]}}
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue}])

    s3.put_object(Bucket=bucket, Key="elsewhere/0", Body=b"payload")
    put = Account(accounts, SUBSCRIBER).client("s3").put_object(Bucket=bucket, Key="outbox/1", Body=b"payload")
    target = {"Bucket": bucket, "Key": "outbox/2"}
    upload = s3.create_multipart_upload(**target)["UploadId"]
    part = s3.upload_part(**target, UploadId=upload, PartNumber=1, Body=b"payload 2")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    completed = s3.complete_multipart_upload(**target, UploadId=upload, MultipartUpload=parts)

    received: dict[str, dict[str, Any]] = {}

    def both() -> bool:
        for event in (json.loads(message["Body"]) for message in publisher.messages(queue)):
            received[event["detail"]["object"]["key"]] = event
        return len(received) == 2

    eventually(both)
    for key, response, size, requester in (("outbox/1", put, 7, SUBSCRIBER), ("outbox/2", completed, 9, PUBLISHER)):
        event, created = received[key], received[key]["detail"]["object"]
        assert (event["account"], event["region"], event["detail"]["requester"]) == (PUBLISHER, NEAR, requester)
        assert (created["version-id"], created["size"]) == (response["VersionId"], size)
        assert created["etag"] == response["ETag"].strip('"')
        assert int(created["sequencer"], 16) > 0


def _bucket_of_template(account: Account, **lifecycle: Any) -> tuple[str, str]:
    """Deploy a bucket. Return its name and the reasons of a failure."""
    name = unique("bucket")
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": f"arn:aws:kms:{NEAR}:{PUBLISHER}:key/1234"}
    rules = [
        {"Id": "Expire", "Status": "Enabled", "Prefix": "payloads/", "ExpirationInDays": 30},
        {"Id": "Old", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Id": "Markers", "Status": "Enabled", "ExpiredObjectDeleteMarker": True},
        {"Id": "Abort", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}, **lifecycle},
    ]
    encryption = [{"ServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
    properties = {
        "BucketName": name,
        "BucketEncryption": {"ServerSideEncryptionConfiguration": encryption},
        "LifecycleConfiguration": {"Rules": rules},
        "Tags": [{"Key": "team", "Value": "payloads"}],
    }
    _, reasons = account.deploy({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}})
    return name, reasons


@pytest.mark.patched
def test_template_sets_bucket_properties(publisher: Account) -> None:
    s3 = publisher.client("s3")
    name, reasons = _bucket_of_template(publisher)
    assert not reasons

    (encryption,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]}

    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert encryption["BucketKeyEnabled"] is True
    assert (rules["Expire"]["Filter"]["Prefix"], rules["Expire"]["Expiration"]["Days"]) == ("payloads/", 30)
    assert rules["Old"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 1
    assert rules["Markers"]["Expiration"]["ExpiredObjectDeleteMarker"] is True
    assert rules["Abort"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 2
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "team", "Value": "payloads"}]


def test_unknown_lifecycle_member_fails_the_stack(publisher: Account) -> None:
    _, reasons = _bucket_of_template(publisher, ObjectSizeLessThan=5)

    assert "ObjectSizeLessThan of a lifecycle rule. Add it there" in reasons

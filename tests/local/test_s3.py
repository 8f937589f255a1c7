"""S3's gaps: owners, callers of other accounts, digests of copies, events, and properties of templates."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import FAR, NEAR, PUBLISHER, SUBSCRIBER, Account, document, eventually, root, unique

pytestmark = pytest.mark.system


# --- owners ---


def test_the_expected_owner_is_checked(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    s3.put_object(Bucket=bucket, Key="key", Body=b"payload", ExpectedBucketOwner=PUBLISHER)
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
        with pytest.raises(ClientError) as refused:
            call(SUBSCRIBER)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    for call in calls:
        call(PUBLISHER)


def test_gap_expected_owner(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    bucket = account.bucket()

    account.client("s3").put_object(Bucket=bucket, Key="key", Body=b"payload", ExpectedBucketOwner=SUBSCRIBER)


# --- missing objects ---


def _missing(account: Account, *actions: str) -> str:
    """What a role with these actions is told of an object that is not there."""
    bucket = account.bucket()
    role = account.role({"Action": list(actions), "Resource": "*"})
    with pytest.raises(ClientError) as refused:
        account.client("s3", role).get_object(Bucket=bucket, Key="expired")
    code: str = refused.value.response["Error"]["Code"]
    return code


def test_a_missing_object_is_told_to_who_may_list(publisher: Account) -> None:
    assert _missing(publisher, "s3:GetObject", "s3:ListBucket") == "NoSuchKey"
    assert _missing(publisher, "s3:GetObject") == "AccessDenied"


def test_a_missing_object_is_not_told_across_accounts(publisher: Account, subscriber: Account) -> None:
    """What a subscriber's reader role meets when a payload has expired: it may get, and not list."""
    role = subscriber.role({"Action": "s3:GetObject", "Resource": "*"})
    pin = {"ArnEquals": {"aws:PrincipalArn": subscriber.role_arn(role)}}
    allow = {"Principal": root(SUBSCRIBER), "Action": "s3:GetObject", "Resource": "{bucket}/*", "Condition": pin}
    bucket = publisher.bucket(document(allow))
    with pytest.raises(ClientError) as refused:
        subscriber.client("s3", role).get_object(Bucket=bucket, Key="expired", ExpectedBucketOwner=PUBLISHER)
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_gap_missing_object(bare: Accounts) -> None:
    assert _missing(Account(bare, PUBLISHER), "s3:GetObject") == "NoSuchKey"


# --- callers of other accounts ---


def _read_across_accounts(accounts: Accounts, *, pinned: bool) -> bytes:
    """Read an object as a role of another account, whose bucket policy pins that role, or another."""
    publisher, subscriber = Account(accounts, PUBLISHER), Account(accounts, SUBSCRIBER)
    role = subscriber.role({"Action": "s3:GetObject", "Resource": "*"})
    pin = subscriber.role_arn(role if pinned else unique("another"))
    condition = {"ArnEquals": {"aws:PrincipalArn": pin}}
    statement = {"Principal": root(SUBSCRIBER), "Action": "s3:GetObject", "Resource": "{bucket}/payloads/*"}
    bucket = publisher.bucket(document({**statement, "Condition": condition}))
    publisher.client("s3").put_object(Bucket=bucket, Key="payloads/1", Body=b"payload")
    got = subscriber.client("s3", role).get_object(Bucket=bucket, Key="payloads/1", ExpectedBucketOwner=PUBLISHER)
    body: bytes = got["Body"].read()
    return body


def test_a_bucket_policy_pins_a_role_of_another_account(accounts: Accounts) -> None:
    assert _read_across_accounts(accounts, pinned=True) == b"payload"

    with pytest.raises(ClientError, match="AccessDenied"):
        _read_across_accounts(accounts, pinned=False)


def _copied_across_accounts(accounts: Accounts, *, pinned: bool = True, reads: bool = True) -> list[bytes]:
    """Copies, whole and as a part, by a role of the target's account. pinned: the source's policy names that role (or
    another); reads: the role's own policy lets it read."""
    publisher, subscriber = Account(accounts, PUBLISHER), Account(accounts, SUBSCRIBER, FAR)
    target = subscriber.bucket()
    actions = ["s3:PutObject", *(["s3:GetObject"] if reads else [])]
    own = {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{target}/*"}
    role = subscriber.role({"Action": actions, "Resource": "*"}, own)
    pin = subscriber.role_arn(role if pinned else unique("another"))
    statement = {"Principal": root(SUBSCRIBER), "Action": "s3:GetObject", "Resource": "{bucket}/payloads/*"}
    source = publisher.bucket(document({**statement, "Condition": {"ArnEquals": {"aws:PrincipalArn": pin}}}))
    publisher.client("s3").put_object(Bucket=source, Key="payloads/1", Body=b"payload")

    s3, from_it = subscriber.client("s3", role), {"CopySource": {"Bucket": source, "Key": "payloads/1"}}
    s3.copy_object(Bucket=target, Key="whole", ExpectedSourceBucketOwner=PUBLISHER, **from_it)
    part = {
        "Bucket": target,
        "Key": "part",
        "UploadId": s3.create_multipart_upload(Bucket=target, Key="part")["UploadId"],
    }
    etag = s3.upload_part_copy(**part, PartNumber=1, CopySourceRange="bytes=0-2", **from_it)["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    return [s3.get_object(Bucket=target, Key=key)["Body"].read() for key in ("whole", "part")]


def test_a_payload_is_copied_across_accounts_and_regions(accounts: Accounts) -> None:
    assert _copied_across_accounts(accounts) == [b"payload", b"pay"]

    with pytest.raises(ClientError, match="AccessDenied"):
        _copied_across_accounts(accounts, pinned=False)
    with pytest.raises(ClientError, match=r"AccessDenied.*s3:GetObject"):
        _copied_across_accounts(accounts, reads=False)


def test_gap_copy_across_accounts(bare: Accounts) -> None:
    source = Account(bare, PUBLISHER).bucket(
        document({"Principal": root(SUBSCRIBER), "Action": "s3:GetObject", "Resource": "{bucket}/*"})
    )
    Account(bare, PUBLISHER).client("s3").put_object(Bucket=source, Key="key", Body=b"payload")
    subscriber = Account(bare, SUBSCRIBER)

    with pytest.raises(ClientError, match="NoSuchBucket"):
        subscriber.client("s3").copy_object(
            Bucket=subscriber.bucket(), Key="copy", CopySource={"Bucket": source, "Key": "key"}
        )


def test_gap_bucket_policy_pins_a_role(bare: Accounts) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        _read_across_accounts(bare, pinned=True)


def test_a_deny_without_tls_does_not_fire_over_tls(publisher: Account) -> None:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "{bucket}/*", "Condition": condition}
    bucket = publisher.bucket(document(deny))

    publisher.client("s3").put_object(Bucket=bucket, Key="key", Body=b"payload")

    deny["Condition"] = {"Bool": {"aws:SecureTransport": "true"}}  # what does fire, to see that the key is there
    bucket = publisher.bucket(document(deny))
    with pytest.raises(ClientError, match="AccessDenied"):
        publisher.client("s3").put_object(Bucket=bucket, Key="key", Body=b"payload")


# --- digests ---


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_a_copy_is_digested_as_a_whole(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    parts = [b"a" * (5 << 20), b"b" * 1000]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="outbox/1", ChecksumAlgorithm="SHA256")
    done = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(
            Bucket=bucket,
            Key="outbox/1",
            UploadId=upload["UploadId"],
            PartNumber=number,
            Body=part,
            ChecksumAlgorithm="SHA256",
        )
        done.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]})
    s3.complete_multipart_upload(
        Bucket=bucket, Key="outbox/1", UploadId=upload["UploadId"], MultipartUpload={"Parts": done}
    )

    copied = s3.copy_object(
        Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "outbox/1"}, ChecksumAlgorithm="SHA256"
    )

    expected = _sha256(b"".join(parts))
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == expected
    for version in ({}, {"VersionId": copied["VersionId"]}):
        head = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED", **version)
        assert head["ChecksumSHA256"] == expected
        assert "ChecksumCRC32" not in head
    assert s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")["Body"].read() == b"".join(parts)


def test_the_version_asked_for_is_copied(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    first = s3.put_object(Bucket=bucket, Key="outbox/1", Body=b"first")["VersionId"]
    s3.put_object(Bucket=bucket, Key="outbox/1", Body=b"second")
    source = {"Bucket": bucket, "Key": "outbox/1", "VersionId": first}

    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm="SHA256")

    assert copied["CopyObjectResult"]["ChecksumSHA256"] == _sha256(b"first")
    assert copied["CopySourceVersionId"] == first
    s3.delete_object(Bucket=bucket, Key="outbox/1", VersionId=first)
    assert s3.get_object(Bucket=bucket, Key="outbox/1")["Body"].read() == b"second"
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"first"


def test_gap_digest_of_a_copy(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    s3, bucket = account.client("s3"), account.bucket()
    s3.put_object(Bucket=bucket, Key="key", Body=b"payload")

    copied = s3.copy_object(
        Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "key"}, ChecksumAlgorithm="SHA256"
    )

    assert "ChecksumSHA256" not in copied["CopyObjectResult"]


def test_nothing_is_written_over_where_that_is_asked(publisher: Account) -> None:
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


# --- events ---


def _upload_and_watch(account: Account) -> list[dict[str, Any]]:
    """The events on the default bus of a PUT and of an upload in parts, each with the version it made."""
    s3, events = account.client("s3"), account.client("events")
    bucket, queue, rule = unique("bucket"), account.queue(), unique("rule")
    properties = {
        "BucketName": bucket,
        "VersioningConfiguration": {"Status": "Enabled"},
        "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
    }
    status, reasons = account.deploy({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}})
    assert status == "CREATE_COMPLETE", reasons
    detail = {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "outbox/"}]}}
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue}])

    s3.put_object(Bucket=bucket, Key="elsewhere/0", Body=b"payload")
    put = s3.put_object(Bucket=bucket, Key="outbox/1", Body=b"payload")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="outbox/2")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="outbox/2", UploadId=upload, PartNumber=1, Body=b"payload 2")["ETag"]
    complete = s3.complete_multipart_upload(
        Bucket=bucket, Key="outbox/2", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
    )

    found: list[dict[str, Any]] = []

    def both() -> bool:
        found.extend(json.loads(one["Body"]) for one in account.messages(queue))
        return len(found) == 2

    eventually(both)
    found.sort(key=lambda event: str(event["detail"]["object"]["key"]))
    for event, answer in zip(found, (put, complete), strict=True):
        event["expected"] = {"version": answer["VersionId"], "etag": answer["ETag"].strip('"')}
    return found


def test_an_upload_is_an_event_with_its_version(publisher: Account) -> None:
    events = _upload_and_watch(publisher)

    sizes = {"outbox/1": 7, "outbox/2": 9}
    assert [event["detail"]["object"]["key"] for event in events] == list(sizes)
    for event in events:
        made = event["detail"]["object"]
        assert made["version-id"] == event["expected"]["version"]
        assert made["etag"] == event["expected"]["etag"]
        assert made["size"] == sizes[made["key"]]
        assert int(made["sequencer"], 16) > 0
        assert (event["account"], event["region"]) == (PUBLISHER, NEAR)


def _upload_from_elsewhere(accounts: Accounts) -> dict[str, Any]:
    """The event on the owner's default bus of an upload by another account."""
    owner, uploader = Account(accounts, PUBLISHER), Account(accounts, SUBSCRIBER)
    let = {"Principal": root(SUBSCRIBER), "Action": "s3:PutObject", "Resource": "{bucket}/*"}
    bucket, queue, rule = owner.bucket(document(let)), owner.queue(), unique("rule")
    owner.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    events = owner.client("events")
    events.put_rule(
        Name=rule, EventPattern=json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}})
    )
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue}])
    uploader.client("s3").put_object(Bucket=bucket, Key="key", Body=b"payload")
    (message,) = eventually(lambda: owner.messages(queue))
    event: dict[str, Any] = json.loads(message["Body"])
    assert event["account"] == PUBLISHER
    return event


def test_an_upload_is_an_event_with_the_account_that_made_it(accounts: Accounts) -> None:
    assert _upload_from_elsewhere(accounts)["detail"]["requester"] == SUBSCRIBER


def test_gap_requester_of_an_event(bare: Accounts) -> None:
    assert _upload_from_elsewhere(bare)["detail"]["requester"] == PUBLISHER


def test_gap_version_of_an_event(bare: Accounts) -> None:
    assert all("version-id" not in event["detail"]["object"] for event in _upload_and_watch(Account(bare, PUBLISHER)))


# --- templates ---


def _bucket_of_template(account: Account, **lifecycle: Any) -> tuple[str, str]:
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
    status, reasons = account.deploy({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}})
    assert status in ("CREATE_COMPLETE", "ROLLBACK_COMPLETE")
    return name, reasons


def test_bucket_properties_by_cloudformation(publisher: Account) -> None:
    s3 = publisher.client("s3")
    name, _ = _bucket_of_template(publisher)

    (encryption,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]}

    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert encryption["BucketKeyEnabled"] is True
    assert (rules["Expire"]["Filter"]["Prefix"], rules["Expire"]["Expiration"]["Days"]) == ("payloads/", 30)
    assert rules["Old"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 1
    assert rules["Markers"]["Expiration"]["ExpiredObjectDeleteMarker"] is True
    assert rules["Abort"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 2
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "team", "Value": "payloads"}]


def test_a_lifecycle_member_nobody_knows_fails_the_stack(publisher: Account) -> None:
    _, reasons = _bucket_of_template(publisher, ObjectSizeLessThan=5)

    assert "ObjectSizeLessThan of a lifecycle rule. Add it there" in reasons


def test_gap_bucket_properties(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    name, _ = _bucket_of_template(account)

    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        account.client("s3").get_bucket_lifecycle_configuration(Bucket=name)
    with pytest.raises(ClientError, match="NoSuchTagSet"):
        account.client("s3").get_bucket_tagging(Bucket=name)

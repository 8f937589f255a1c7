"""Patch of S3: replication with the permissions of the rule's role and the replica's key."""

from __future__ import annotations

from typing import Any

import pytest

from local.accounts import Accounts
from tests.local.support import FAR, NEAR, PUBLISHER, Account, unique

pytestmark = pytest.mark.system


def _encrypted(key: str) -> dict[str, Any]:
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    return {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": True}]
    }


class Pair:
    """A deployed bucket and its replica in another Region, each with a key."""

    def __init__(self, accounts: Accounts, *denied: str) -> None:
        self.near, self.far = Account(accounts, PUBLISHER, NEAR), Account(accounts, PUBLISHER, FAR)
        self.origin, self.replica = unique("origin"), unique("replica")
        self.keys = [account.client("kms").create_key()["KeyMetadata"]["Arn"] for account in (self.near, self.far)]
        alias = f"alias/{unique('replica')}"
        self.far.client("kms").create_alias(AliasName=alias, TargetKeyId=self.keys[1])
        versioned = {"VersioningConfiguration": {"Status": "Enabled"}}
        replica = {"BucketName": self.replica, "BucketEncryption": _encrypted(self.keys[1]), **versioned}
        self.far.create({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": replica}})
        origin = {
            "BucketName": self.origin,
            "BucketEncryption": _encrypted(self.keys[0]),
            **versioned,
            "ReplicationConfiguration": {
                "Role": self.near.role_arn(self._role(set(denied))),
                "Rules": [
                    {
                        "Id": "one",
                        "Status": "Enabled",
                        "Priority": 1,
                        "Filter": {"Prefix": "payloads/"},
                        "DeleteMarkerReplication": {"Status": "Disabled"},
                        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
                        "Destination": {
                            "Bucket": f"arn:aws:s3:::{self.replica}",
                            "EncryptionConfiguration": {"ReplicaKmsKeyID": f"arn:aws:kms:{FAR}:{PUBLISHER}:{alias}"},
                        },
                    }
                ],
            },
        }
        self.near.create({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": origin}})

    def _role(self, denied: set[str]) -> str:
        """Create the role of the rule, without the denied actions, and return its name."""
        resources = {
            "s3:GetObjectVersionForReplication": f"arn:aws:s3:::{self.origin}/payloads/*",
            "s3:ReplicateObject": f"arn:aws:s3:::{self.replica}/payloads/*",
            "kms:Decrypt": self.keys[0],
            "kms:Encrypt": self.keys[1],
        }
        context = {"kms:Decrypt": (NEAR, self.origin), "kms:Encrypt": (FAR, self.replica)}
        statements: list[dict[str, Any]] = []
        for action, resource in resources.items():
            statement: dict[str, Any] = {"Action": action, "Resource": resource}
            if action in context:
                region, bucket = context[action]
                statement["Condition"] = {
                    "StringEquals": {
                        "kms:ViaService": f"s3.{region}.amazonaws.com",
                        "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}",
                    }
                }
            if action not in denied:
                statements.append(statement)
        return self.near.role(*statements)

    def put(self, key: str) -> str | None:
        """Put an object and return its replication status."""
        s3 = self.near.client("s3")
        s3.put_object(Bucket=self.origin, Key=key, Body=b"payload")
        status: str | None = s3.head_object(Bucket=self.origin, Key=key).get("ReplicationStatus")
        return status

    def replicas(self) -> list[str]:
        listed = self.far.client("s3").list_objects_v2(Bucket=self.replica).get("Contents", [])
        return [item["Key"] for item in listed]


@pytest.mark.patched
def test_objects_are_replicated_with_the_replicas_key(accounts: Accounts) -> None:
    pair = Pair(accounts)
    assert pair.put("payloads/one") == "COMPLETED"
    assert pair.put("outbox/one") is None
    assert pair.replicas() == ["payloads/one"]
    got = pair.far.client("s3").get_object(Bucket=pair.replica, Key="payloads/one")
    assert (got["Body"].read(), got["SSEKMSKeyId"]) == (b"payload", pair.keys[1])
    assert pair.near.client("s3").head_object(Bucket=pair.origin, Key="payloads/one")["SSEKMSKeyId"] == pair.keys[0]


def test_copies_and_uploads_are_replicated_but_no_deletion(accounts: Accounts) -> None:
    pair, part = Pair(accounts), bytes(5 * 2**20)
    s3 = pair.near.client("s3")
    s3.put_object(Bucket=pair.origin, Key="outbox/one", Body=b"upload")
    s3.copy_object(Bucket=pair.origin, Key="payloads/copy", CopySource={"Bucket": pair.origin, "Key": "outbox/one"})
    upload = s3.create_multipart_upload(Bucket=pair.origin, Key="payloads/parts")["UploadId"]
    target = {"Bucket": pair.origin, "Key": "payloads/parts", "UploadId": upload}
    etag = s3.upload_part(**target, PartNumber=1, Body=part)["ETag"]
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert pair.replicas() == ["payloads/copy", "payloads/parts"]
    assert pair.far.client("s3").get_object(Bucket=pair.replica, Key="payloads/parts")["Body"].read() == part
    s3.delete_object(Bucket=pair.origin, Key="payloads/copy")
    assert "payloads/copy" in pair.replicas()


@pytest.mark.parametrize(
    "denied", ["s3:GetObjectVersionForReplication", "s3:ReplicateObject", "kms:Decrypt", "kms:Encrypt"]
)
def test_role_without_permission_replicates_nothing(accounts: Accounts, denied: str) -> None:
    pair = Pair(accounts, denied)
    assert pair.put("payloads/one") == "FAILED"
    assert pair.replicas() == []

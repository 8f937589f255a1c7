"""S3's replication in the emulator: as the rule's role may, and under the replica's own key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.accounts import Accounts
from tests.local.support import FAR, NEAR, PUBLISHER, Account, unique


def _encrypted(key: str) -> dict[str, Any]:
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    return {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": True}]
    }


class Pair:
    """A bucket and its replica in another Region, each with a key, made by templates."""

    def __init__(self, accounts: Accounts, *denied: str) -> None:
        self.near, self.far = Account(accounts, PUBLISHER, NEAR), Account(accounts, PUBLISHER, FAR)
        self.origin, self.replica = unique("origin"), unique("replica")
        self.keys = [each.client("kms").create_key()["KeyMetadata"]["Arn"] for each in (self.near, self.far)]
        alias = f"alias/{unique('replica')}"
        self.far.client("kms").create_alias(AliasName=alias, TargetKeyId=self.keys[1])
        versioned = {"VersioningConfiguration": {"Status": "Enabled"}}
        there = {"BucketName": self.replica, "BucketEncryption": _encrypted(self.keys[1]), **versioned}
        assert self.far.deploy({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": there}})[0] == "CREATE_COMPLETE"
        here = {
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
        assert self.near.deploy({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": here}})[0] == "CREATE_COMPLETE"

    def _role(self, denied: set[str]) -> str:
        wanted = {
            "s3:GetObjectVersionForReplication": f"arn:aws:s3:::{self.origin}/payloads/*",
            "s3:ReplicateObject": f"arn:aws:s3:::{self.replica}/payloads/*",
            "kms:Decrypt": self.keys[0],
            "kms:Encrypt": self.keys[1],
        }
        context = {"kms:Decrypt": (NEAR, self.origin), "kms:Encrypt": (FAR, self.replica)}
        statements: list[dict[str, Any]] = []
        for action, resource in wanted.items():
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
        """How replication went."""
        s3 = self.near.client("s3")
        s3.put_object(Bucket=self.origin, Key=key, Body=b"payload")
        status: str | None = s3.head_object(Bucket=self.origin, Key=key).get("ReplicationStatus")
        return status

    def replicas(self) -> list[str]:
        listed = self.far.client("s3").list_objects_v2(Bucket=self.replica).get("Contents", [])
        return [each["Key"] for each in listed]


def test_what_a_rule_names_is_replicated_under_the_replicas_key(accounts: Accounts) -> None:
    pair = Pair(accounts)
    assert pair.put("payloads/one") == "COMPLETED"
    assert pair.put("outbox/one") is None
    assert pair.replicas() == ["payloads/one"]
    got = pair.far.client("s3").get_object(Bucket=pair.replica, Key="payloads/one")
    assert (got["Body"].read(), got["SSEKMSKeyId"]) == (b"payload", pair.keys[1])
    assert pair.near.client("s3").head_object(Bucket=pair.origin, Key="payloads/one")["SSEKMSKeyId"] == pair.keys[0]


def test_a_copy_and_an_upload_in_parts_are_replicated_and_a_deletion_is_not(accounts: Accounts) -> None:
    pair, part = Pair(accounts), bytes(5 * 2**20)
    s3 = pair.near.client("s3")
    s3.put_object(Bucket=pair.origin, Key="outbox/one", Body=b"upload")
    s3.copy_object(Bucket=pair.origin, Key="payloads/copy", CopySource={"Bucket": pair.origin, "Key": "outbox/one"})
    upload = s3.create_multipart_upload(Bucket=pair.origin, Key="payloads/parts")["UploadId"]
    where = {"Bucket": pair.origin, "Key": "payloads/parts", "UploadId": upload}
    etag = s3.upload_part(**where, PartNumber=1, Body=part)["ETag"]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert pair.replicas() == ["payloads/copy", "payloads/parts"]
    assert pair.far.client("s3").get_object(Bucket=pair.replica, Key="payloads/parts")["Body"].read() == part
    s3.delete_object(Bucket=pair.origin, Key="payloads/copy")
    assert "payloads/copy" in pair.replicas()


@pytest.mark.parametrize(
    "denied", ["s3:GetObjectVersionForReplication", "s3:ReplicateObject", "kms:Decrypt", "kms:Encrypt"]
)
def test_a_role_that_may_not_replicates_nothing(accounts: Accounts, denied: str) -> None:
    pair = Pair(accounts, denied)
    assert pair.put("payloads/one") == "FAILED"
    assert pair.replicas() == []


def test_gap_replication(bare: Accounts) -> None:
    """The emulator drops a template's ReplicationConfiguration; by the API, it asks no role."""
    home, there = Account(bare, PUBLISHER, NEAR), Account(bare, PUBLISHER, FAR)
    origin, replica, s3 = home.bucket(), there.bucket(), home.client("s3")
    role = home.role_arn(home.role())
    rule = {
        "ID": "one",
        "Status": "Enabled",
        "Priority": 1,
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{replica}"},
    }
    templated = unique("templated")
    properties = {
        "BucketName": templated,
        "VersioningConfiguration": {"Status": "Enabled"},
        "ReplicationConfiguration": json.loads(json.dumps({"Role": role, "Rules": [{**rule, "Id": "one"}]})),
    }
    home.deploy({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}})
    with pytest.raises(s3.exceptions.ClientError, match="ReplicationConfigurationNotFound"):
        s3.get_bucket_replication(Bucket=templated)
    s3.put_bucket_replication(Bucket=origin, ReplicationConfiguration={"Role": role, "Rules": [rule]})
    s3.put_object(Bucket=origin, Key="k", Body=b"x")
    assert s3.head_object(Bucket=origin, Key="k")["ReplicationStatus"] == "COMPLETED"

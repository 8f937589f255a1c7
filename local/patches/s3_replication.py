"""Patch of S3: replication by every rule, with the role's permissions and the replica's key.

`s3.py` applies the ReplicationConfiguration of a template.
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import request_scope
from ministack.services import kms, s3

from local.patches.patch import patch, replaces
from local.patches.policy import scope_of

_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


@patch
def every_rule_replicates_with_its_role() -> None:
    """Replicate by every rule, with the role's permissions.

    AWS: S3 replicates an object to the destination of every rule within minutes. The role needs permissions to read the
    object, to write the replica and to use both keys. The replica is encrypted with the rule's key.

    The emulator: applies only the first rule, checks no permission, and encrypts the replica with the original's key.
    It replicates at once, with or without the patch.
    """

    @replaces(s3, "_maybe_replicate")
    def replicate(original: Any, bucket: str, key: str, stored: dict[str, Any], *rest: Any) -> None:
        configuration = s3._bucket_replication.get(bucket)
        for rule in configuration["Rules"] if configuration else ():
            if not key.startswith(s3._replication_rule_prefix(rule)):
                continue
            if not _is_allowed(configuration["Role"], bucket, key, stored, rule):
                stored["replication_status"] = "FAILED"
                continue
            s3._bucket_replication[bucket] = {**configuration, "Rules": [rule]}
            try:
                original(bucket, key, stored, *rest)
            finally:
                s3._bucket_replication[bucket] = configuration
            _encrypt_replica(_replica_key(rule), rule, key)


def _is_allowed(role: str, bucket: str, key: str, stored: dict[str, Any], rule: dict[str, Any]) -> bool:
    target = rule["Destination"]["Bucket"]
    return (
        _allows(role, "s3:GetObjectVersionForReplication", f"arn:aws:s3:::{bucket}/{key}")
        and _allows(role, "s3:ReplicateObject", f"{target}/{key}")
        and _allows_key(role, "kms:Decrypt", stored.get("preserved_headers", {}).get(_KEY), f"arn:aws:s3:::{bucket}")
        and _allows_key(role, "kms:Encrypt", _replica_key(rule), target)
    )


def _allows_key(role: str, action: str, key_arn: str | None, bucket_arn: str) -> bool:
    """Return whether the role may use a customer managed key, with a bucket key as all buckets of the project have."""
    if not key_arn or ":key/" not in key_arn:
        return True
    via = f"s3.{parse_arn(key_arn).region}.amazonaws.com"
    return _allows(role, action, key_arn, {"kms:viaservice": via, "kms:encryptioncontext:aws:s3:arn": bucket_arn})


def _allows(role: str, action: str, resource: str, context: dict[str, str] | None = None) -> bool:
    account, name = role.split(":")[4], role.rpartition("/")[2]
    with request_scope(account, "us-east-1"):
        policies = iam_evaluator._gather_role_policies(name, account)
    request = iam_evaluator.EvalContext(
        principal_arn=role,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region="us-east-1",
        secure_transport=True,
        service_context=context or {},
    )
    return bool(iam_evaluator.evaluate(request, policies).decision == "Allow")


def _replica_key(rule: dict[str, Any]) -> str | None:
    """Return the ARN of the rule's key, which the rule names by ARN or alias."""
    named = rule["Destination"].get("EncryptionConfiguration", {}).get("ReplicaKmsKeyID")
    if not named:
        return None
    with scope_of(named):
        key = kms._resolve_key(named)
    return str(key["Arn"]) if key else None


def _encrypt_replica(key_arn: str | None, rule: dict[str, Any], key: str) -> None:
    bucket = rule["Destination"]["Bucket"].rpartition(":")[2]
    owner = s3._bucket_owner_account(bucket)
    if key_arn is None or owner is None:
        return
    with request_scope(owner, s3.bucket_region(bucket)):
        records = [s3._buckets[bucket]["objects"].get(key), *s3._object_versions.get((bucket, key), [])]
    for record in records:
        if record and record.get("preserved_headers", {}).get(_KEY):
            record["preserved_headers"] = {**record["preserved_headers"], _KEY: key_arn}

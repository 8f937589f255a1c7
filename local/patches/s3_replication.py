"""S3's gap of replication: by every rule, as the role that it names, and under the replica's own key."""

from __future__ import annotations

from typing import Any

from ministack.core import iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import request_scope
from ministack.services import kms, s3

from local.patches.patch import instead_of
from local.patches.policy import scope_of

_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


def install() -> None:
    """Fill every gap of this file. The template's property is applied with the bucket's others, in `s3.py`."""
    every_rule_replicates_as_its_role()


def every_rule_replicates_as_its_role() -> None:
    """AWS: an object goes to the destination of every rule, if the role may read it there, write it here, and use both
    keys; it is then under the rule's key, and comes within minutes.

    The emulator: follows the first rule alone, asks no role, leaves the replica under the original's key; at once.
    """

    @instead_of(s3, "_maybe_replicate")
    def replicate(original: Any, bucket: str, key: str, stored: dict[str, Any], *rest: Any) -> None:
        configuration = s3._bucket_replication.get(bucket)
        for rule in configuration["Rules"] if configuration else ():
            if not key.startswith(s3._replication_rule_prefix(rule)):
                continue
            if not _may(configuration["Role"], bucket, key, stored, rule):
                stored["replication_status"] = "FAILED"
                continue
            s3._bucket_replication[bucket] = {**configuration, "Rules": [rule]}
            try:
                original(bucket, key, stored, *rest)
            finally:
                s3._bucket_replication[bucket] = configuration
            _keep_under(_replica_key(rule), rule, key)


def _may(role: str, bucket: str, key: str, stored: dict[str, Any], rule: dict[str, Any]) -> bool:
    target = rule["Destination"]["Bucket"]
    return (
        _allows(role, "s3:GetObjectVersionForReplication", f"arn:aws:s3:::{bucket}/{key}")
        and _allows(role, "s3:ReplicateObject", f"{target}/{key}")
        and _allows_key(role, "kms:Decrypt", stored.get("preserved_headers", {}).get(_KEY), f"arn:aws:s3:::{bucket}")
        and _allows_key(role, "kms:Encrypt", _replica_key(rule), target)
    )


def _allows_key(role: str, action: str, key_arn: str | None, bucket_arn: str) -> bool:
    """With a bucket key, as all our buckets have; without a key of the account's own nothing is asked."""
    if not key_arn or ":key/" not in key_arn:
        return True
    via = f"s3.{parse_arn(key_arn).region}.amazonaws.com"
    return _allows(role, action, key_arn, {"kms:viaservice": via, "kms:encryptioncontext:aws:s3:arn": bucket_arn})


def _allows(role: str, action: str, resource: str, context: dict[str, str] | None = None) -> bool:
    account, name = role.split(":")[4], role.rpartition("/")[2]
    with request_scope(account, "us-east-1"):
        policies = iam_evaluator._gather_role_policies(name, account)
    asked = iam_evaluator.EvalContext(
        principal_arn=role,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region="us-east-1",
        secure_transport=True,
        service_context=context or {},
    )
    return bool(iam_evaluator.evaluate(asked, policies).decision == "Allow")


def _replica_key(rule: dict[str, Any]) -> str | None:
    """The ARN of the key that the rule names, perhaps by its alias."""
    named = rule["Destination"].get("EncryptionConfiguration", {}).get("ReplicaKmsKeyID")
    if not named:
        return None
    with scope_of(named):
        found = kms._resolve_key(named)
    return str(found["Arn"]) if found else None


def _keep_under(key_arn: str | None, rule: dict[str, Any], key: str) -> None:
    bucket = rule["Destination"]["Bucket"].rpartition(":")[2]
    owner = s3._bucket_owner_account(bucket)
    if key_arn is None or owner is None:
        return
    with request_scope(owner, s3.bucket_region(bucket)):
        records = [s3._buckets[bucket]["objects"].get(key), *s3._object_versions.get((bucket, key), [])]
    for record in records:
        if record and record.get("preserved_headers", {}).get(_KEY):
            record["preserved_headers"] = {**record["preserved_headers"], _KEY: key_arn}

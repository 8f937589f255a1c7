"""Patches of S3: permissions for the KMS key of an encrypted object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from ministack.core import iam_evaluator
from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.core.router import extract_access_key_id
from ministack.services import kms, s3

from local.patches.patch import patch, replaces
from local.patches.policy import scope_of

_ALGORITHM = "x-amz-server-side-encryption"
_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


@patch
def key_policy_applies_across_accounts() -> None:
    """Apply a key's policy to callers of other accounts and Regions.

    AWS: the key's policy applies to all callers. The emulator: only to callers of the key's account and Region.
    """

    @replaces(kms, "key_policy_for_arn")
    def key_policy_for_arn(original: Any, arn: str) -> Any:
        try:
            scope = scope_of(arn)
        except ArnParseError:
            return original(arn)
        with scope:
            return original(arn)


@patch
def objects_need_their_key() -> None:
    """Check permissions for the KMS key of an object.

    AWS: reading an encrypted object needs kms:Decrypt, and writing it needs kms:GenerateDataKey (parts of an upload
    also kms:Decrypt). S3 uses the key with the object as encryption context or, with a bucket key, the bucket.

    The emulator: checks no permission for the key.
    """

    @replaces(s3, "handle_request")
    async def handle(
        original: Any, method: str, path: str, headers: dict[str, str], body: Any, query: Any, *rest: Any, **named: Any
    ) -> Any:
        access_key = extract_access_key_id(headers, query)
        if not access_key or named.get("internal"):
            return await original(method, path, headers, body, query, *rest, **named)
        caller, region = get_account_id(), get_region()
        bucket, key = s3._parse_bucket_key(path, headers)
        # S3 checks its own permissions before those for the key. Only a read has no effect and can be made first.
        response = await original(method, path, headers, body, query, *rest, **named) if method == "GET" else None
        if response and response[0] >= 300:
            return response
        with request_scope(caller, region):
            for action, used_bucket, used_key, version in _uses(method, bucket, key, headers, query):
                denied = _denied(access_key, action, used_bucket, used_key, version, headers)
                if denied:
                    return s3._error("AccessDenied", denied, 403, f"/{used_bucket}/{used_key}")
        return response or await original(method, path, headers, body, query, *rest, **named)


def _uses(
    method: str, bucket: str, key: str, headers: dict[str, str], query: Any
) -> Iterator[tuple[str, str, str, str]]:
    """Yield a request's uses of KMS keys: (action, bucket, object key, version or "")."""
    subresources = set(query) - {"x-id", "versionId", "partNumber", "uploadId"}
    if not key or (subresources and subresources != {"uploads"}):
        return
    source = headers.get("x-amz-copy-source", "")
    if method == "GET" and "uploadId" not in query:
        yield "kms:Decrypt", bucket, key, s3._qp(query, "versionId", "")
    if method == "PUT" and source:
        path, _, version = source.lstrip("/").partition("?versionId=")
        source_bucket, _, source_key = unquote(path).partition("/")
        yield "kms:Decrypt", source_bucket, source_key, version
    if (method == "PUT" and "uploadId" not in query) or "uploads" in query:
        yield "kms:GenerateDataKey", bucket, key, _NEW
    elif method in ("PUT", "POST") and "uploadId" in query:
        yield "kms:Decrypt", bucket, key, _NEW


_NEW = "new"  # stands for the version that the request creates, with the key of the request or the bucket


def _denied(access_key: str, action: str, bucket: str, key: str, version: str, headers: dict[str, str]) -> str:
    """Return why the caller may not use the object's key, or "" if it may, or if there is no key."""
    owner = s3._bucket_owner_account(bucket)
    if owner is None:
        return ""
    caller = get_account_id()
    with request_scope(owner, s3.bucket_region(bucket)):
        region = s3.bucket_region(bucket)
        encryption = _requested(bucket, headers) if version == _NEW else _stored(bucket, key, version)
        by_bucket_key = _has_bucket_key(bucket)
    key_arn = encryption.get(_KEY, "")
    if encryption.get(_ALGORITHM) != "aws:kms" or ":key/" not in key_arn:
        return ""  # AWS managed keys allow all callers of the bucket's account
    denied = iam_evaluator.enforce(
        access_key,
        action,
        "kms",
        parse_arn(key_arn).region,
        resource_arn=key_arn,
        service_context={
            "kms:ViaService": f"s3.{region}.amazonaws.com",
            "kms:CallerAccount": caller,
            "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}" + ("" if by_bucket_key else f"/{key}"),
        },
    )
    if denied is None:
        return ""
    if isinstance(denied, iam_evaluator.AuthError):
        return str(denied.message)
    return (
        f"User: {denied.principal_arn} is not authorized to perform: {action} on the resource associated with this "
        "ciphertext because no resource-based or identity-based policy allows it, or one denies it"
    )


def _stored(bucket: str, key: str, version: str) -> dict[str, str]:
    if version:
        versions = s3._object_versions.get((bucket, key), [])
        record: dict[str, Any] = next((each for each in versions if each["version_id"] == version), {})
    else:
        record = (s3._buckets.get(bucket) or {"objects": {}})["objects"].get(key, {})
    stored: dict[str, str] = record.get("preserved_headers", {})
    return stored


def _requested(bucket: str, headers: dict[str, str]) -> dict[str, str]:
    if _ALGORITHM in headers:
        return headers
    default: dict[str, str] = s3._bucket_default_sse_headers(bucket)
    return default


def _has_bucket_key(bucket: str) -> bool:
    configured = s3._bucket_encryption.get(bucket)
    if not configured:
        return False
    root = ElementTree.fromstring(configured)  # noqa: S314 - the emulator validated it
    return any(element.tag.endswith("BucketKeyEnabled") and element.text == "true" for element in root.iter())

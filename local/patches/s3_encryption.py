"""S3's gap of encryption: whoever reads or writes an object under a KMS key needs that key too."""

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

from local.patches.patch import instead_of
from local.patches.policy import scope_of

_ALGORITHM = "x-amz-server-side-encryption"
_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


def install() -> None:
    """Fill every gap of this file."""
    key_policy_is_found_in_its_account()
    objects_need_their_key()


def key_policy_is_found_in_its_account() -> None:
    """AWS: a key's policy is asked whoever calls. The emulator: not for a caller of another account or Region."""

    @instead_of(kms, "key_policy_for_arn")
    def key_policy_for_arn(original: Any, arn: str) -> Any:
        try:
            scope = scope_of(arn)
        except ArnParseError:
            return original(arn)
        with scope:
            return original(arn)


def objects_need_their_key() -> None:
    """AWS: reading an object under a KMS key needs kms:Decrypt, writing one kms:GenerateDataKey (and Decrypt for the
    parts of an upload), through S3 and for that object or, with a bucket key, for that bucket.

    The emulator: asks nobody for the key.
    """

    @instead_of(s3, "handle_request")
    async def handle(
        original: Any, method: str, path: str, headers: dict[str, str], body: Any, query: Any, *rest: Any, **named: Any
    ) -> Any:
        access_key = extract_access_key_id(headers, query)
        if not access_key or named.get("internal"):
            return await original(method, path, headers, body, query, *rest, **named)
        caller, region = get_account_id(), get_region()
        bucket, key = s3._parse_bucket_key(path, headers)
        # S3 decides first, and turns to the key for what it lets. A read is harmless to try; a write is not.
        answer = await original(method, path, headers, body, query, *rest, **named) if method == "GET" else None
        if answer and answer[0] >= 300:
            return answer
        with request_scope(caller, region):
            for action, used_bucket, used_key, version in _uses(method, bucket, key, headers, query):
                denied = _denied(access_key, action, used_bucket, used_key, version, headers)
                if denied:
                    return s3._error("AccessDenied", denied, 403, f"/{used_bucket}/{used_key}")
        return answer or await original(method, path, headers, body, query, *rest, **named)


def _uses(
    method: str, bucket: str, key: str, headers: dict[str, str], query: Any
) -> Iterator[tuple[str, str, str, str]]:
    """What a request does with keys: (action, bucket, key of the object, its version or "")."""
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


_NEW = "new"  # not a version yet: under the key that the request or the bucket names


def _denied(access_key: str, action: str, bucket: str, key: str, version: str, headers: dict[str, str]) -> str:
    """Why the caller may not use the key an object is under; "" when it may, or when there is no key."""
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
        return ""  # AWS's own keys let every caller of the bucket's account
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
        record: dict[str, Any] = next((one for one in versions if one["version_id"] == version), {})
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
    root = ElementTree.fromstring(configured)  # noqa: S314 - what the emulator itself accepted and keeps
    return any(one.tag.endswith("BucketKeyEnabled") and one.text == "true" for one in root.iter())

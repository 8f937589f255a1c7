"""Patches of S3: owners, callers of other accounts, events, and properties of buckets in templates."""

from __future__ import annotations

import contextvars
from typing import Any

import botocore.serialize
import botocore.session
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.core.router import extract_access_key_id
from ministack.services import s3

from local.patches.patch import after_deployment, during, patch, replaces, rewrite


@patch
def expected_owner_is_checked() -> None:
    """Check ExpectedBucketOwner and ExpectedSourceBucketOwner.

    AWS: responds 403 if the bucket, or the source bucket of a copy, has another owner. The emulator: ignores both.
    """

    @replaces(s3, "handle_request")
    async def handle(original: Any, method: str, path: str, headers: dict[str, str], *rest: Any, **named: Any) -> Any:
        bucket, _ = s3._parse_bucket_key(path, headers)
        source = headers.get("x-amz-copy-source", "").lstrip("/").partition("/")[0]
        for name, header in (
            (bucket, "x-amz-expected-bucket-owner"),
            (source, "x-amz-source-expected-bucket-owner"),
        ):
            expected, owner = headers.get(header), s3._bucket_owner_account(name)
            if expected and owner and expected != owner:
                return s3._error("AccessDenied", "Access Denied", 403, f"/{name}")
        return await original(method, path, headers, *rest, **named)


@patch
def missing_object_needs_list_permission() -> None:
    """Respond 403 for a missing object unless the caller may list the bucket.

    AWS: a request for a missing object gets 404 if the caller has s3:ListBucket, otherwise 403. The emulator: 404 for
    all callers.
    """

    @replaces(s3, "handle_request")
    async def handle(
        original: Any, method: str, path: str, headers: dict[str, str], body: Any, query: Any, *rest: Any, **named: Any
    ) -> Any:
        caller, region = get_account_id(), get_region()
        response = await original(method, path, headers, body, query, *rest, **named)
        bucket, key = s3._parse_bucket_key(path, headers)
        access_key = extract_access_key_id(headers, query)
        missing = response[0] == 404 and method in ("GET", "HEAD") and key and s3._bucket_owner_account(bucket)
        if not missing or not access_key:
            return response
        with request_scope(caller, region):
            denied = iam_evaluator.enforce(
                access_key, "s3:ListBucket", "s3", region, resource_arn=f"arn:aws:s3:::{bucket}"
            )
        return response if denied is None else s3._error("AccessDenied", "Access Denied", 403, f"/{bucket}/{key}")


@patch
def bucket_policy_sees_calling_role() -> None:
    """Evaluate a bucket's policy for the role that calls from another account.

    AWS: the principal is the role. The emulator: evaluates the policy twice, the second time with the account's root as
    principal, so that a condition on a role denies all callers.
    """
    s3._caller_arn = iam_evaluator.caller_arn
    rewrite(
        s3,
        "_foreign_bucket_allows",
        (
            'principal_arn=f"arn:aws:iam::{caller}:root" if caller else "*"',
            'principal_arn=_caller_arn() if caller else "*"',
        ),
    )


@patch
def policy_sees_conditional_writes() -> None:
    """Set `s3:if-none-match` and `s3:if-match` when a write has these headers.

    AWS: the keys have the headers' values. The emulator: has neither key, so that a policy which requires one denies
    all writes.
    """

    @replaces(iam_actions, "s3_service_context")
    def context(original: Any, action: str, query: Any, path: str = "", headers: Any = None) -> Any:
        names = ("if-none-match", "if-match") if action == "s3:PutObject" else ()
        own = {f"s3:{name}": headers[name] for name in names if name in (headers or {})}
        return {**original(action, query, path, headers), **own}


@patch
def copy_source_may_be_in_another_account() -> None:
    """Copy from buckets of other accounts.

    AWS: CopyObject and UploadPartCopy read from any bucket if its policy and the caller's policies allow it. The
    emulator: checks the policies, but then finds only source buckets of the target's account.
    """

    def bucket_of_any_account(name: str) -> Any:
        owner = s3._bucket_owner_account(name)
        return owner and s3._buckets.get_scoped(owner, "", name)

    s3._bucket_of_any_account = bucket_of_any_account
    for function in ("_copy_object", "_upload_part_copy"):
        rewrite(
            s3,
            function,
            ("src_bucket = _ensure_bucket(src_bucket_name)", "src_bucket = _bucket_of_any_account(src_bucket_name)"),
        )


@patch
def event_has_version_and_requester() -> None:
    """Add the version and the requester to events about objects.

    AWS: the event has the object's `version-id` in a versioned bucket; `requester` is the caller's account. The
    emulator: an event for EventBridge has no version, and `requester` is always the bucket's owner.
    """
    s3._requester = lambda: _requester.get(get_account_id())
    rewrite(
        s3,
        "_fire_s3_event",
        (
            '"sequencer": sequencer or "0"}',
            '"sequencer": sequencer or "0", **({"version-id": version_id} if version_id else {})}',
        ),
        ('"requester": get_account_id()', '"requester": _requester()'),
    )

    @replaces(s3, "handle_request")
    async def handle(original: Any, *args: Any, **named: Any) -> Any:
        with during(_requester, get_account_id()):
            return await original(*args, **named)


_requester: contextvars.ContextVar[str] = contextvars.ContextVar("requester")


@patch
def template_sets_bucket_properties() -> None:
    """Apply encryption, tags, replication and lifecycle of a template's bucket.

    AWS: the properties are applied to the bucket. The emulator: ignores these four. (It never expires an object.
    The patch does not change that.)
    """

    @after_deployment("AWS::S3::Bucket")
    def apply(bucket: str, properties: dict[str, Any]) -> None:
        if properties.get("Tags"):
            s3._bucket_tags[bucket] = {tag["Key"]: str(tag["Value"]) for tag in properties["Tags"]}
        if "BucketEncryption" in properties:
            rules = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            configuration = {"Rules": [_encryption_rule(rule) for rule in rules]}
            body = _request_body("PutBucketEncryption", Bucket=bucket, ServerSideEncryptionConfiguration=configuration)
            _check(s3._put_bucket_encryption(bucket, body))
        if "LifecycleConfiguration" in properties:
            configuration = {"Rules": [_lifecycle_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]}
            body = _request_body("PutBucketLifecycleConfiguration", Bucket=bucket, LifecycleConfiguration=configuration)
            _check(s3._put_bucket_lifecycle(bucket, body))
        if "ReplicationConfiguration" in properties:
            configuration = _replication(properties["ReplicationConfiguration"])
            body = _request_body("PutBucketReplication", Bucket=bucket, ReplicationConfiguration=configuration)
            _check(s3._put_bucket_replication(bucket, body))


def _encryption_rule(rule: dict[str, Any]) -> dict[str, Any]:
    default = dict(rule["ServerSideEncryptionByDefault"])
    if default["SSEAlgorithm"] == "aws:kms":  # without a key, AWS uses aws/s3; the emulator requires a key
        default.setdefault("KMSMasterKeyID", f"arn:aws:kms:{get_region()}:{get_account_id()}:alias/aws/s3")
    return {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": _true(rule.get("BucketKeyEnabled"))}


def _replication(configuration: dict[str, Any]) -> dict[str, Any]:
    """Convert CloudFormation's configuration to the API's."""
    rules = [
        {"ID" if name == "Id" else name: int(value) if name == "Priority" else value for name, value in rule.items()}
        for rule in configuration["Rules"]
    ]
    return {"Role": configuration["Role"], "Rules": rules}


_LIFECYCLE_MEMBERS = {
    "Id",
    "Status",
    "Prefix",
    "ExpirationInDays",
    "ExpiredObjectDeleteMarker",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
}


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Convert CloudFormation's rule to the API's. Raises ValueError for a member that is not supported here."""
    unknown = sorted(set(rule) - _LIFECYCLE_MEMBERS)
    if unknown:
        raise ValueError(
            f"local/patches/s3.py does not support {', '.join(unknown)} of a lifecycle rule. Add it there."
        )
    converted: dict[str, Any] = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "Id" in rule:
        converted["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        converted["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    if "ExpiredObjectDeleteMarker" in rule:
        converted["Expiration"] = {"ExpiredObjectDeleteMarker": _true(rule["ExpiredObjectDeleteMarker"])}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            converted[name] = {member: int(value) for member, value in rule[name].items()}
    return converted


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def _request_body(operation: str, **parameters: Any) -> bytes:
    """Return the XML that boto3 sends.

    An HTTP request would block: CloudFormation's handlers run in the thread that serves requests.
    """
    model = botocore.session.get_session().get_service_model("s3").operation_model(operation)
    serializer = botocore.serialize.create_serializer("rest-xml", False)
    body: bytes = serializer.serialize_to_request(parameters, model)["body"]
    return body


def _check(response: Any) -> None:
    if response[0] >= 400:
        raise ValueError(f"S3 rejected a bucket property: {response[2]!r}")

"""S3's gaps: owners, copies' digests, events, and the bucket properties a template sets."""

from __future__ import annotations

import contextvars
from typing import Any
from xml.etree import ElementTree

import botocore.serialize
import botocore.session
from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.core.router import extract_access_key_id
from ministack.services import s3

from local.patches import s3_encryption, s3_replication
from local.patches import s3_large_objects as s3_bodies
from local.patches.patch import instead_of, on_each_deployment, rewrite


def install() -> None:
    """Fill every gap of S3, those of its other files included."""
    expected_owner_is_checked()
    missing_object_is_told_to_who_may_list()
    bucket_policy_sees_the_caller()
    copy_finds_a_source_of_another_account()
    copy_has_the_digest_asked_for()
    event_names_version_and_requester()
    bucket_properties_by_cloudformation()
    s3_bodies.install()
    s3_encryption.install()
    s3_replication.install()


def expected_owner_is_checked() -> None:
    """AWS: a call that expects another owner of its bucket, or of a copy's source bucket, is refused with 403.

    The emulator: does not look at ExpectedBucketOwner and ExpectedSourceBucketOwner.
    """

    @instead_of(s3, "handle_request")
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


def missing_object_is_told_to_who_may_list() -> None:
    """AWS: getting what is not there is answered with 404 to a caller with s3:ListBucket, to any other with 403.

    The emulator: tells everybody.
    """

    @instead_of(s3, "handle_request")
    async def handle(
        original: Any, method: str, path: str, headers: dict[str, str], body: Any, query: Any, *rest: Any, **named: Any
    ) -> Any:
        caller, region = get_account_id(), get_region()
        answer = await original(method, path, headers, body, query, *rest, **named)
        bucket, key = s3._parse_bucket_key(path, headers)
        access_key = extract_access_key_id(headers, query)
        missing = answer[0] == 404 and method in ("GET", "HEAD") and key and s3._bucket_owner_account(bucket)
        if not missing or not access_key:
            return answer
        with request_scope(caller, region):
            denied = iam_evaluator.enforce(
                access_key, "s3:ListBucket", "s3", region, resource_arn=f"arn:aws:s3:::{bucket}"
            )
        return answer if denied is None else s3._error("AccessDenied", "Access Denied", 403, f"/{bucket}/{key}")


def bucket_policy_sees_the_caller() -> None:
    """AWS: a bucket's policy decides about the very role that calls from another account.

    The emulator: does so once, then again as if the account's root had called, so a pin to a role refuses everybody.
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


def copy_finds_a_source_of_another_account() -> None:
    """AWS: CopyObject and UploadPartCopy read from any bucket whose policy, and the caller's own, allow it.

    The emulator: asks those policies, then looks for the source among the buckets of the target's account alone.
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


def copy_has_the_digest_asked_for() -> None:
    """AWS: CopyObject with ChecksumAlgorithm digests the whole object, stores that as its one checksum, and answers
    with it.

    The emulator: takes no notice; the copy keeps its source's checksums, a multipart upload's composite one included.
    """

    @instead_of(s3, "_copy_object")
    def copy(original: Any, bucket: str, key: str, headers: dict[str, str]) -> Any:
        algorithm = headers.get("x-amz-checksum-algorithm", "").upper()
        if not algorithm:
            return original(bucket, key, headers)
        answer = original(bucket, key, {**headers, "x-amz-sdk-checksum-algorithm": algorithm})
        if answer[0] != 200:
            return answer
        status, response_headers, body = answer
        made = s3._buckets[bucket]["objects"][key]
        only = {algorithm: made["checksums"][algorithm]}
        made["checksums"] = only
        for version in s3._object_versions.get((bucket, key), []):
            if version["version_id"] == made.get("version_id"):
                version["checksums"] = only
        return status, response_headers, _with_checksum(body, algorithm, only[algorithm])


def _with_checksum(body: bytes, algorithm: str, value: str) -> bytes:
    ElementTree.register_namespace("", s3.S3_NS)
    root = ElementTree.fromstring(body)  # noqa: S314 - the emulator's own answer
    ElementTree.SubElement(root, f"{{{s3.S3_NS}}}Checksum{algorithm}").text = value
    ElementTree.SubElement(root, f"{{{s3.S3_NS}}}ChecksumType").text = "FULL_OBJECT"
    answer: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return answer


def event_names_version_and_requester() -> None:
    """AWS: an event about an object of a versioned bucket has its `version-id`, and as `requester` the account that
    made the request.

    The emulator: no version for EventBridge; and always the bucket's owner as requester.
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

    @instead_of(s3, "handle_request")
    async def handle(original: Any, *args: Any, **named: Any) -> Any:
        token = _requester.set(get_account_id())
        try:
            return await original(*args, **named)
        finally:
            _requester.reset(token)


_requester: contextvars.ContextVar[str] = contextvars.ContextVar("requester")


def bucket_properties_by_cloudformation() -> None:
    """AWS: a template's bucket is encrypted, tagged, replicated and emptied by lifecycle as its properties say.

    The emulator: drops these four properties. (It never expires an object, either way.)
    """

    @on_each_deployment("AWS::S3::Bucket")
    def apply(bucket: str, properties: dict[str, Any]) -> None:
        if properties.get("Tags"):
            s3._bucket_tags[bucket] = {tag["Key"]: str(tag["Value"]) for tag in properties["Tags"]}
        if "BucketEncryption" in properties:
            rules = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            configuration = {"Rules": [_encryption_rule(rule) for rule in rules]}
            body = _request_body("PutBucketEncryption", Bucket=bucket, ServerSideEncryptionConfiguration=configuration)
            _accepted(s3._put_bucket_encryption(bucket, body))
        if "LifecycleConfiguration" in properties:
            configuration = {"Rules": [_lifecycle_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]}
            body = _request_body("PutBucketLifecycleConfiguration", Bucket=bucket, LifecycleConfiguration=configuration)
            _accepted(s3._put_bucket_lifecycle(bucket, body))
        if "ReplicationConfiguration" in properties:
            configuration = _replication(properties["ReplicationConfiguration"])
            body = _request_body("PutBucketReplication", Bucket=bucket, ReplicationConfiguration=configuration)
            _accepted(s3._put_bucket_replication(bucket, body))


def _encryption_rule(rule: dict[str, Any]) -> dict[str, Any]:
    default = dict(rule["ServerSideEncryptionByDefault"])
    if default["SSEAlgorithm"] == "aws:kms":  # the emulator refuses it without a key; AWS takes the account's own
        default.setdefault("KMSMasterKeyID", f"arn:aws:kms:{get_region()}:{get_account_id()}:alias/aws/s3")
    return {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": _true(rule.get("BucketKeyEnabled"))}


def _replication(configuration: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's rules in the API's words."""
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
    """CloudFormation's rule in the API's words. Raises ValueError for a member nothing here uses yet."""
    unknown = sorted(set(rule) - _LIFECYCLE_MEMBERS)
    if unknown:
        raise ValueError(f"local/patches/s3.py does not know the lifecycle rule's {', '.join(unknown)}: add it there.")
    made: dict[str, Any] = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "Id" in rule:
        made["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        made["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    if "ExpiredObjectDeleteMarker" in rule:
        made["Expiration"] = {"ExpiredObjectDeleteMarker": _true(rule["ExpiredObjectDeleteMarker"])}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            made[name] = {member: int(value) for member, value in rule[name].items()}
    return made


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def _request_body(operation: str, **parameters: Any) -> bytes:
    """The XML that boto3 sends. Not through HTTP: CloudFormation's handlers run on the thread that answers requests."""
    model = botocore.session.get_session().get_service_model("s3").operation_model(operation)
    serializer = botocore.serialize.create_serializer("rest-xml", False)
    body: bytes = serializer.serialize_to_request(parameters, model)["body"]
    return body


def _accepted(answer: Any) -> None:
    if answer[0] >= 400:
        raise ValueError(f"S3 refused a bucket property: {answer[2]!r}")

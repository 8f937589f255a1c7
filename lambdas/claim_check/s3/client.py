"""The S3 client, and boto's errors as errors of this library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from claim_check.errors import PayloadDenied, PayloadMissing, PayloadUnavailable
from claim_check.service_errors import code as code
from claim_check.service_errors import is_service_error, refusal

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_DENIED = frozenset({"AccessDenied", "403"})


def s3_client(region: str, *, patient: bool = True) -> S3Client:
    """Return an S3 client for one Region, which does not compute a payload's digest a second time.

    A client that is not `patient` stops retrying within seconds. It is for a replica: the store is read next.

    Callers can configure their clients in the same way. botocore does not check responses ("when_required"), because
    this library compares the SHA-256 of the message. Bodies are not signed: each request has a checksum that S3
    verifies, over TLS. Without this setting, botocore omits the signature only if it has computed the checksum.
    """
    # Imported late: a process that receives no pointer, or passes its client, starts without boto3.
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5 if patient else 2},
        connect_timeout=60 if patient else 3,  # seconds; boto3's default is 60
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": False},
    )
    return boto3.client("s3", region_name=region, config=config)


@contextmanager
def s3_errors(action: str, *, pointer: tuple[str, str], message_id: str | None) -> Iterator[None]:
    """Translate boto's errors in the `with` block.

    PayloadMissing is for a missing object, PayloadDenied for a refusal that stays, and PayloadUnavailable for others.
    `action` is the verb phrase of the error's text.
    """
    try:
        yield
    except Exception as error:
        if not is_service_error(error):
            raise
        raise _translated(error, action, pointer=pointer, message_id=message_id) from error


def _translated(
    error: Exception, action: str, *, pointer: tuple[str, str], message_id: str | None
) -> PayloadMissing | PayloadUnavailable:
    name = code(error) if isinstance(error, ClientError) else None
    if name in MISSING:
        return PayloadMissing(
            f"cannot {action}: the object does not exist; its lifetime in the store may have expired, so ask the "
            "publisher to publish it again",
            message_id=message_id,
            pointer=pointer,
        )
    problem = f"cannot {action}: " + (f"S3 returned {name}" if name is not None else type(error).__name__)
    reason = refusal(error)
    if reason is None:
        return PayloadUnavailable(problem, message_id=message_id, pointer=pointer)
    # S3 also returns AccessDenied for an expired key, if the caller must not list the bucket.
    hint = (
        ", or the bucket has another owner than the store, or the object is missing and the caller must not list the "
        "bucket"
        if name in _DENIED
        else ""
    )
    return PayloadDenied(f"{problem}; {reason}{hint}", message_id=message_id, pointer=pointer)

"""The S3 client, and boto's errors as errors of this library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from claim_check.errors import PayloadMissing, PayloadUnavailable

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


def code(error: ClientError) -> str:
    """Return S3's error code, such as `NoSuchKey`. For a HEAD request, which has no body, it is the HTTP status."""
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def s3_errors(action: str, *, pointer: tuple[str, str], message_id: str | None) -> Iterator[None]:
    """Translate boto's errors in the `with` block to PayloadMissing for a missing object, otherwise PayloadUnavailable.

    `action` is the verb phrase of the error's text.
    """
    try:
        yield
    except ClientError as error:
        if code(error) in MISSING:
            raise PayloadMissing(
                f"cannot {action}: the object does not exist; its lifetime in the store may have expired, so ask the "
                "publisher to publish it again",
                message_id=message_id,
                pointer=pointer,
            ) from error
        # S3 also returns AccessDenied for an expired key, if the caller must not list the bucket.
        hint = (
            "; the caller lacks permission, or the bucket has another owner than the store, or the object is missing "
            "and the caller must not list the bucket"
            if code(error) in _DENIED
            else ""
        )
        raise PayloadUnavailable(
            f"cannot {action}: S3 returned {code(error)}{hint}", message_id=message_id, pointer=pointer
        ) from error
    except Exception as error:
        if not _is_connection_error(error):
            raise
        raise PayloadUnavailable(
            f"cannot {action}: {type(error).__name__}", message_id=message_id, pointer=pointer
        ) from error


def _is_connection_error(error: Exception) -> bool:
    # Imported late, as in s3_client. botocore does not translate urllib3's errors while it reads an error response of
    # GetObject.
    from urllib3.exceptions import HTTPError

    return isinstance(error, BotoCoreError | HTTPError)

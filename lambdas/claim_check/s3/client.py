"""How this library talks to S3: the client it makes when none is handed in, and boto's errors in its own words."""

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
_denied = frozenset({"AccessDenied", "403"})


def s3_client(region: str, *, patient: bool = True) -> S3Client:
    """An S3 client for one Region, with two settings that spare digesting gigabytes twice. One that is not `patient`
    gives up within seconds: for a replica, which has the store itself behind it.

    Whoever hands in a client may configure it alike. Responses are not checked by botocore as well ("when_required"):
    the SHA-256 a message declares is checked here as the bytes go by. Bodies are not signed: each request carries a
    checksum that S3 verifies, over TLS; and botocore, which takes that for enough where it has computed the checksum
    itself, signs a SHA-256 of the body where the caller has.
    """
    # Here and not above: a function that never meets a pointer, or is handed its client, starts without it.
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5 if patient else 2},
        connect_timeout=60 if patient else 3,  # seconds; boto3's own is 60
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": False},
    )
    return boto3.client("s3", region_name=region, config=config)


def code(error: ClientError) -> str:
    """S3's own word for the error, such as `NoSuchKey`; for a HEAD request, which has no body, the HTTP status."""
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def s3_errors(action: str, *, pointer: tuple[str, str], message_id: str | None) -> Iterator[None]:
    """Translates what boto raises while we `action`: PayloadMissing when there is no such object, else
    PayloadUnavailable."""
    try:
        yield
    except ClientError as error:
        if code(error) in MISSING:
            raise PayloadMissing(
                f"cannot {action}: there is no such object; its lifetime in the store may have expired, so ask the "
                "publisher to publish it again",
                message_id=message_id,
                pointer=pointer,
            ) from error
        # S3 answers AccessDenied for an expired key, too, to whoever may not list the bucket.
        hint = (
            "; the caller lacks permission, or the bucket has another owner than the store says, or the object is gone "
            "and the caller may not list the bucket"
            if code(error) in _denied
            else ""
        )
        raise PayloadUnavailable(
            f"cannot {action}: S3 answered {code(error)}{hint}", message_id=message_id, pointer=pointer
        ) from error
    except Exception as error:
        if not _is_connection(error):
            raise
        raise PayloadUnavailable(
            f"cannot {action}: {type(error).__name__}", message_id=message_id, pointer=pointer
        ) from error


def _is_connection(error: Exception) -> bool:
    # Late, as in `s3_client`. botocore lets through what urllib3 raises while it reads the body of GetObject's refusal.
    from urllib3.exceptions import HTTPError

    return isinstance(error, BotoCoreError | HTTPError)

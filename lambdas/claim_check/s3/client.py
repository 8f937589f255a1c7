"""The S3 client, and boto's errors as errors of this library."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from claim_check.errors import PayloadDenied, PayloadMissing, PayloadUnavailable
from claim_check.memory import MAXIMUM_CONNECTIONS
from claim_check.s3.response import is_foreign
from claim_check.service_errors import code as code
from claim_check.service_errors import is_service_error, refusal

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_DENIED = frozenset({"AccessDenied", "403"})

_PATIENT_SECONDS = 10  # until a connection, or the next byte; boto3's default is 60
_IMPATIENT_SECONDS = 3
_POOL = 2 * MAXIMUM_CONNECTIONS  # a connection that has no place in the pool is closed after its request

_making_client = RLock()


def _renew_lock() -> None:
    """Make a new lock in a forked process: another thread of the parent can have held the old one."""
    global _making_client
    _making_client = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def s3_client(region: str, *, patient: bool = True) -> S3Client:
    """Return an S3 client for one Region, which does not compute a payload's digest a second time.

    A client that is not `patient` stops retrying within seconds. It is for a replica: the store is read next.

    Callers can configure their clients in the same way. botocore does not check responses ("when_required"), because
    this library compares the SHA-256 of the message. Bodies are not signed: each request has a checksum that S3
    verifies, over TLS. Without this setting, botocore omits the signature only if it has computed the checksum.
    """
    # Imported late: a process that receives no pointer, or passes its client, starts without boto3.
    from botocore.config import Config

    seconds = _PATIENT_SECONDS if patient else _IMPATIENT_SECONDS
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5 if patient else 2},
        connect_timeout=seconds,
        read_timeout=seconds,
        max_pool_connections=_POOL,
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": False},
    )
    client: S3Client = boto_client("s3", region, config=config)
    return client


def boto_client(service: str, region: str | None, **options: Any) -> Any:
    """Return a client of boto's default session, which threads must not use at the same time."""
    import boto3

    with _making_client:
        return boto3.client(service, region_name=region, **options)  # type: ignore[call-overload]


class S3Clients:
    """One S3 client for each Region, made on first use. Threads share it.

    A client belongs to its process: in a forked process two of them would read on one connection. So another process
    gets other clients, also after this object was pickled. If `given` is not None, it is the client of all Regions.
    """

    def __init__(self, given: S3Client | None = None) -> None:
        self._given = given
        self._made: dict[tuple[int, str, bool], S3Client] = {}

    def client(self, region: str, *, patient: bool = True) -> S3Client:
        """Return the client of a Region."""
        if self._given is not None:
            return self._given
        key = (os.getpid(), region, patient)
        if key not in self._made:
            with _making_client:
                self._made[key] = self._made.get(key) or s3_client(region, patient=patient)
        return self._made[key]

    def __reduce__(self) -> tuple[type[S3Clients], tuple[()]]:
        if self._given is not None:
            raise TypeError(
                "cannot send this to another process: a client of S3, as was passed in s3=, belongs to its process; "
                "pass none, or dereference the record in the other process"
            )
        return (S3Clients, ())


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
    problem = f"cannot {action}: {_problem(error)}"
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


def _problem(error: Exception) -> str:
    if isinstance(error, ClientError):
        return f"S3 returned {code(error)}"
    if is_foreign(error):
        return "the response is not S3's: check the endpoint and the proxies"
    return type(error).__name__

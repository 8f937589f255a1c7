"""The S3 client, and boto's errors as errors of this library."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union, cast
from weakref import WeakKeyDictionary

from botocore.exceptions import ClientError, ConnectionClosedError, SSLError

from claim_check.errors import PayloadDenied, PayloadMissing, PayloadUnavailable
from claim_check.memory import MAXIMUM_CONNECTIONS
from claim_check.service_errors import code as code
from claim_check.service_errors import is_service_error, problem, refusal

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_s3.client import S3Client

S3Source: TypeAlias = Union["S3Client", "Session", "Callable[[str], S3Client]"]
"""A client of S3, a session of boto3, or a function that returns the client of a Region."""

K = TypeVar("K")
T = TypeVar("T")

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_DENIED = frozenset({"AccessDenied", "403"})

_CONNECT_SECONDS = 10
_READ_SECONDS = 60  # without a byte, as boto3's default: S3 can take long to begin its response to a copy
_IMPATIENT_SECONDS = 3
_POOL = 2 * MAXIMUM_CONNECTIONS  # a connection that has no place in the pool is closed after its request

_RETRIES_AT_ONCE = 2

_making_client = RLock()
_process_of: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # that uses a caller's client


def _renew_lock() -> None:
    """Make a new lock in a forked process: another thread of the parent can have held the old one."""
    global _making_client
    _making_client = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def s3_client(region: str, *, patient: bool = True, session: Session | None = None) -> S3Client:
    """Return an S3 client for one Region, which does not compute a payload's digest a second time.

    `session` has the credentials, or boto3's default session if it is None. A client that is not `patient` stops
    retrying within seconds. It is for a replica: the store is read next.

    Callers can configure their clients in the same way. botocore does not check responses ("when_required"), because
    this library compares the SHA-256 of the message. Bodies are not signed: each request has a checksum that S3
    verifies, over TLS. Without this setting, botocore omits the signature only if it has computed the checksum.
    """
    # Imported late: a process that receives no pointer, or passes its client, starts without boto3.
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5 if patient else 2},
        connect_timeout=_CONNECT_SECONDS if patient else _IMPATIENT_SECONDS,
        read_timeout=_READ_SECONDS if patient else _IMPATIENT_SECONDS,
        max_pool_connections=_POOL,
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": False},
    )
    client: S3Client = boto_client("s3", region, session=session, config=config)
    for operation in ("GetObject", "PutObject", "UploadPart"):
        retry_at_once(client, operation)
    return client


def retry_at_once(s3: S3Client, operation: str) -> None:
    """Have a client send a request again at once, up to twice, if its connection was closed or reset.

    botocore waits for up to seconds. That is for a busy service: one lost connection says nothing about the others.
    """
    s3.meta.events.register(f"needs-retry.s3.{operation}", cast("Any", _pause), unique_id=f"claim-check-{operation}")


def _pause(attempts: int, caught_exception: Exception | None, **_: object) -> int | None:
    is_lost = isinstance(caught_exception, ConnectionClosedError | SSLError)  # a reset within TLS is the latter
    return 0 if is_lost and attempts <= _RETRIES_AT_ONCE else None  # None: as botocore decides


def _following_once(s3: S3Client) -> S3Client:
    """Have botocore look up the Region of a bucket at most once for a redirect.

    It does so by HeadBucket. A proxy can redirect that as well, and botocore would look up again, without an end.
    """
    with suppress(AttributeError):  # a client of a test can have no events
        s3.meta.events.register("before-call.s3.HeadBucket", _redirected, unique_id="claim-check-redirect")
    return s3


def _redirected(context: Any, **_: object) -> None:
    context.setdefault("s3_redirect", {})["redirected"] = True


def boto_client(service: str, region: str | None, *, session: Session | None = None, **options: Any) -> Any:
    """Return a client of a session, boto3's default one if None. Threads must not use a session at the same time."""
    import boto3

    with _making_client:
        return (session or boto3).client(service, region_name=region, **options)  # type: ignore[call-overload]


def made_once(made: dict[K, T], key: K, make: Callable[[], T]) -> T:
    """Return the client with this key, after making it if no thread has made it."""
    if key not in made:
        with _making_client:
            made[key] = made.get(key) or make()
    return made[key]


def of_this_process(client: T) -> T:
    """Return a caller's client.

    In a forked process its connections are the parent's: two processes would receive each other's responses. So this
    process closes its copies of them, once, and the client opens others.
    """
    process = os.getpid()
    with suppress(TypeError, AttributeError):  # a client of a test can have no weak reference, or no method `close`
        if _process_of.get(client) != process:
            with _making_client:
                if _process_of.setdefault(client, process) != process:
                    client.close()  # type: ignore[attr-defined]
                    _process_of[client] = process
    return client


class S3Clients:
    """One S3 client for each Region, made on first use. Threads share it.

    A client belongs to its process: in a forked process two of them would read on one connection. So another process
    gets other clients, also after this object was pickled. `given` is the client of all Regions, or a session of boto3
    that makes them, or a function that returns the client of a Region. If it is None, boto3's default session makes
    them. A given client opens other connections in a forked process.
    """

    def __init__(self, given: S3Source | None = None) -> None:
        is_client = hasattr(given, "get_object") or not (given is None or hasattr(given, "client") or callable(given))
        self._given: Any = given
        self._client = _following_once(of_this_process(cast("S3Client", given))) if is_client else None
        self._made: dict[tuple[int, str, bool], S3Client] = {}

    def client(self, region: str, *, patient: bool = True) -> S3Client:
        """Return the client of a Region."""
        if self._client is not None:
            return of_this_process(self._client)
        key = (os.getpid(), region, patient)
        return made_once(self._made, key, lambda: self._make(region, patient=patient))

    def _make(self, region: str, *, patient: bool) -> S3Client:
        with s3_errors(f"make a client of S3 in {region}"):
            client: S3Client = (
                self._given(region)
                if callable(self._given)
                else s3_client(region, patient=patient, session=self._given)
            )
        return _following_once(client)

    def __reduce__(self) -> tuple[type[S3Clients], tuple[Callable[[str], S3Client] | None]]:
        if self._given is None or (self._client is None and callable(self._given)):
            return (S3Clients, (self._given,))
        raise TypeError(
            "cannot send this to another process: a client or a session, as was passed in s3=, belongs to its process; "
            "pass none or a function, or dereference the record in the other process"
        )


@contextmanager
def s3_errors(action: str, *, pointer: tuple[str, str] | None = None, message_id: str | None = None) -> Iterator[None]:
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
    error: Exception, action: str, *, pointer: tuple[str, str] | None, message_id: str | None
) -> PayloadMissing | PayloadUnavailable:
    name = code(error) if isinstance(error, ClientError) else None
    if name in MISSING:
        return PayloadMissing(
            f"cannot {action}: the object does not exist; its lifetime in the store may have expired, so ask the "
            "publisher to publish it again",
            message_id=message_id,
            pointer=pointer,
        )
    text = f"cannot {action}: {problem(error, 'S3')}"
    reason = refusal(error)
    if reason is None:
        return PayloadUnavailable(text, message_id=message_id, pointer=pointer)
    # S3 also returns AccessDenied for an expired key, if the caller must not list the bucket.
    hint = (
        ", or the bucket has another owner than the store, or the object is missing and the caller must not list the "
        "bucket"
        if name in _DENIED
        else ""
    )
    return PayloadDenied(f"{text}; {reason}{hint}", message_id=message_id, pointer=pointer)

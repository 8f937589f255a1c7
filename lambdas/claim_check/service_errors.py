"""Errors of AWS services and of boto: which are worth a retry, and which stay until their cause is repaired.

`CODES` is the only list. A code that it does not have is decided by its HTTP status.
"""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    InvalidRegionError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from claim_check.errors import MessagingDenied, MessagingUnavailable
from claim_check.s3.response import is_foreign

_PERMISSION = "the caller lacks permission"
_CREDENTIALS = "the caller's credentials are not valid"
_PLACE = "the bucket, topic or queue does not exist, or is in another Region"
_KEY = "the encryption key is disabled or deleted, or does not allow the caller"
_STATE = "the object is archived or deleted, so restore it first"
_OTHER = "the same request is rejected again"
_CONFIGURATION = "the client's configuration is not valid"

_BY_REMEDY: Mapping[str, tuple[str, ...]] = {
    _PERMISSION: (
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AccountProblem",
        "AllAccessDisabled",
        "AuthorizationError",
        "NotAuthorizedForDetailTypeException",
        "NotAuthorizedForSourceException",
        "NotSignedUp",
        "OptInRequired",
        "UnauthorizedAccess",
    ),
    _CREDENTIALS: (
        "401",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    ),
    _PLACE: (
        "301",
        "AWS.SimpleQueueService.NonExistentQueue",
        "AuthorizationHeaderMalformed",
        "InvalidAddress",
        "InvalidBucketName",
        "NoSuchBucket",
        "NotFound",
        "PermanentRedirect",
        "QueueDoesNotExist",
    ),
    _KEY: (
        "KMS.DisabledException",
        "KMS.InvalidKeyUsageException",
        "KMS.InvalidStateException",
        "KMS.KMSInvalidStateException",
        "KMS.NotFoundException",
        "KMSAccessDenied",
        "KMSDisabled",
        "KMSInvalidState",
        "KMSNotFound",
        "KMSOptInRequired",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsInvalidKeyUsage",
        "KmsInvalidState",
        "KmsNotFound",
        "KmsOptInRequired",
    ),
    _STATE: ("405", "InvalidObjectState", "MethodNotAllowed", "ObjectNotInActiveTierError"),
}
_RETRIED = (
    # A HEAD response has no body, so its code is the status. 400 can be an expired token.
    "400",
    # Other sessions, clocks and connections succeed.
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "RequestTimeoutException",
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
    # Another request at the same time.
    "ConditionalRequestConflict",
    "OperationAborted",
    "PriorRequestNotComplete",
    "NoSuchUpload",  # another request has aborted or completed it; the next attempt begins a new one
    # Throttling. So is each code with "Throttl" in it.
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "TooManyRequestsException",
)
CODES: Mapping[str, str | None] = {
    **{code: remedy for remedy, codes in _BY_REMEDY.items() for code in codes},
    **dict.fromkeys(_RETRIED),
}
"""Error codes of S3, SNS and SQS, with the problem. None means that a retry can succeed."""

_RETRIED_STATUSES = frozenset({408, 409, 412, 425, 429})
_CONFIGURATION_ERRORS = (
    InvalidRegionError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)


def code(error: ClientError) -> str:
    """Return the service's error code, such as `NoSuchKey`. For a HEAD request, which has no body, it is the status."""
    return error.response.get("Error", {}).get("Code", "")


def refusal(error: Exception) -> str | None:
    """Return the problem if the same request fails again until its cause is repaired.

    Returns None for a transient error: throttling, a failure of the service, or a failed connection.
    """
    if not isinstance(error, ClientError):
        return _CONFIGURATION if isinstance(error, _CONFIGURATION_ERRORS) else None
    name = code(error)
    if name in CODES:
        return CODES[name]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    is_retried = status in _RETRIED_STATUSES or "Throttl" in name
    return _OTHER if 400 <= status < 500 and not is_retried else None


def problem(error: Exception, service: str) -> str:
    """Return the text of an error of boto, without texts of the service: they can have data of the caller."""
    if isinstance(error, ClientError):
        return f"{service} returned {code(error)}"
    if is_foreign(error):
        return f"the response is not {service}'s: check the endpoint and the proxies"
    return type(error).__name__


def messaging_error(
    error: Exception,
    action: str,
    *,
    service: str,
    message_id: str | None = None,
    pointer: tuple[str, str] | None = None,
) -> MessagingUnavailable:
    """Return MessagingDenied for a refusal that stays, otherwise MessagingUnavailable. Its cause is `error`.

    `action` is the verb phrase of the error's text.
    """
    reason = refusal(error)
    kind, hint = (MessagingDenied, f"; {reason}") if reason else (MessagingUnavailable, "")
    result = kind(f"cannot {action}: {problem(error, service)}{hint}", message_id=message_id, pointer=pointer)
    result.__cause__ = error
    return result


def is_service_error(error: Exception) -> bool:
    """Return whether boto raised the error for a service or its connection."""
    # Imported late: a process that receives no pointer starts without urllib3. botocore does not translate its errors
    # while it reads an error response of GetObject.
    from urllib3.exceptions import HTTPError

    return isinstance(error, ClientError | BotoCoreError | HTTPError) or is_foreign(error)

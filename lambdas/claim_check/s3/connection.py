"""The connection of a response's body, and the ways in which it fails."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

if TYPE_CHECKING:
    from botocore.response import StreamingBody

_SOME_BYTES = 16 * 1024


def read_into(body: StreamingBody, space: memoryview) -> int:
    """Read into the space, and return the number of bytes. Raises an error of the connection at the body's end."""
    size = body.readinto(cast("Any", space))
    if not size:
        raise ResponseStreamingError(error="the body ended early")
    return size


def read_fully(body: StreamingBody, size: int) -> bytes:
    """Return `size` bytes, or fewer at the body's end."""
    return body.read(size)


def read_some(body: StreamingBody, size: int) -> bytes:
    """Return up to `size` bytes as soon as some have arrived, and none at the body's end."""
    stream = _stream(body)
    data: bytes = stream.read1(size) if hasattr(stream, "read1") else stream.read(min(size, _SOME_BYTES))
    return data


def require_end(offset: int, size: int) -> None:
    """Raise an error of the connection if a body ended before `size`."""
    if offset < size:
        raise ResponseStreamingError(error="the body ended early")


def wake(body: StreamingBody) -> None:
    """End a read of this body in another thread. A body without a socket, of a test's client, has none that waits."""
    with suppress(Exception):
        _stream(body).shutdown()


def is_drop(error: Exception) -> bool:
    """Return whether the connection failed while a body was read."""
    # Imported late, as in s3_client. botocore translates most errors of urllib3 while a body is read, but not TLS
    # errors.
    from urllib3.exceptions import HTTPError

    return isinstance(error, IncompleteReadError | ReadTimeoutError | ResponseStreamingError | HTTPError)


def is_stall(error: Exception) -> bool:
    """Return whether the connection was silent until its time-out."""
    from urllib3.exceptions import ReadTimeoutError as UntranslatedError

    return isinstance(error, ReadTimeoutError | UntranslatedError)


def _stream(body: StreamingBody) -> Any:
    return body._raw_stream  # type: ignore[attr-defined]

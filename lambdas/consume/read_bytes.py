"""Payload bytes that pass through a function, counted in its responses of S3."""

import threading
from collections.abc import Mapping
from typing import Any

import boto3


class ReadBytes:
    """Bytes of the objects that clients of boto3's default session begin to read. Make it before the first client."""

    def __init__(self) -> None:
        self._lock, self._bytes = threading.Lock(), 0  # the library reads on several threads
        if boto3.DEFAULT_SESSION is None:
            boto3.setup_default_session()
        session: Any = boto3.DEFAULT_SESSION
        session.events.register("after-call.s3.GetObject", self._count)

    def take(self) -> int:
        """Return the bytes since the last call."""
        with self._lock:
            taken, self._bytes = self._bytes, 0
        return taken

    def _count(self, parsed: Mapping[str, Any], **_: object) -> None:
        with self._lock:
            self._bytes += parsed.get("ContentLength", 0)

"""S3's objects, and the answers of SNS and SQS, without a network.

Nothing large is stored: an object is a part of the pattern (`pattern.py`) or has up to 2 MiB, and other bodies are
rejected. The object `…/pattern-N` always exists with the first N bytes. Of S3's checks of a request, those of ranges,
of SHA-256 and CRC32, and of the size of parts are made. The bytes of all parts must be the pattern in its order.

A queue's name is `N-COUNT`. It never empties: each ReceiveMessage returns up to COUNT pointers to `pattern-N`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from bench import pattern

BUCKET = "bench-payloads"
PREFIX = "payloads/"
SMALL = 2 * 1024 * 1024
HEAD = 64  # bytes that identify a position in the pattern
MINIMUM_PART = 5 * 1024 * 1024
CHECKSUM = "x-amz-checksum-"


class Content(NamedTuple):
    """`size` bytes of the pattern from `start` on, or `data`."""

    size: int
    start: int = 0
    data: bytes | None = None

    def cut(self, first: int, size: int) -> Content:
        """Return a range of the bytes."""
        data = self.data
        return Content(size, self.start + first, data if data is None else data[first : first + size])

    def take(self, first: int, size: int) -> memoryview:
        """Return up to `pattern.PERIOD` bytes from `first` on."""
        return pattern.view(self.start + first, size) if self.data is None else memoryview(self.data)[first:][:size]


class Refusal(Exception):
    """An error response of S3."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message)
        self.response = Response(status, xml("Error", Code=code, Message=message), {"Content-Type": "application/xml"})


class Response(NamedTuple):
    """A response. `content` replaces the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    content: Content | None = None


class Crc32:
    """CRC32 with the interface of hashlib."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        """Add bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Return the four bytes that S3 compares."""
        return self._value.to_bytes(4, "big")


DIGESTS: dict[str, Callable[[], Any]] = {"crc32": Crc32, "sha256": hashlib.sha256}


class Body:
    """The body of a request, received piece by piece. `checksums` are those declared in headers and trailers."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.checksums = _checksums(headers)
        names = {*self.checksums, headers.get("x-amz-trailer", "").removeprefix(CHECKSUM)}
        self._digests = {name: DIGESTS[name]() for name in names & DIGESTS.keys()}
        self._start: int | None = None
        self.data = b""
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Add the next bytes. Raises Refusal if they are large and not the pattern."""
        for digest in self._digests.values():
            digest.update(piece)
        if not self.size and len(piece) >= HEAD:
            self._start = pattern.find(piece[:HEAD])
        if self._start is None:
            self.data += piece
        elif pattern.view(self._start + self.size, len(piece)).tobytes() != piece:
            raise Refusal(501, "NotImplemented", f"the body differs from the pattern after {self.size} bytes")
        self.size += len(piece)
        if len(self.data) > SMALL:
            raise Refusal(501, "NotImplemented", "only the pattern, and other bodies of up to 2 MiB, are stored")

    def end(self, trailers: Mapping[str, str]) -> None:
        """Compare the checksums."""
        self.checksums |= _checksums(trailers)
        for name, digest in self._digests.items():
            if self.checksums.get(name) != b64encode(digest.digest()).decode():
                raise Refusal(400, "BadDigest", f"the {name} of the body is another")

    @property
    def content(self) -> Content:
        """The bytes of an object."""
        return Content(self.size, self._start or 0, self.data if self._start is None else None)


@dataclass(frozen=True)
class Request:
    """A request whose body was received. Names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=lambda: Body({}))


class Stored(NamedTuple):
    """An object or a part."""

    content: Content
    etag: str
    checksums: Mapping[str, str]

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a response."""
        return {"ETag": self.etag, **{CHECKSUM + name: value for name, value in self.checksums.items()}}


class Services:
    """The state of the server. `calls` counts requests, and `written` has the sizes of new objects."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, dict[int, Stored]] = {}
        self.calls: Counter[str] = Counter()
        self.written: list[int] = []
        self._lock = threading.Lock()
        self._serial = count(1)

    def respond(self, request: Request) -> Response:
        """Return the response to a request."""
        with self._lock:
            try:
                return self._message(request) if request.path == "/" else self._object(request)
            except Refusal as refusal:
                return refusal.response

    def _object(self, request: Request) -> Response:
        key, query, method = request.path, request.query, request.method
        match method:
            case "PUT" if "partNumber" in query:
                self.calls["UploadPart"] += 1
                part = self._stored(request.body)
                self._upload(query)[int(query["partNumber"])] = part
                return Response(headers=part.headers)
            case "PUT" if "x-amz-copy-source" in request.headers:
                self.calls["CopyObject"] += 1
                source = unquote(request.headers["x-amz-copy-source"]).partition("?versionId=")[0]
                copy = self._write(request, self._existing(f"/{source}"))
                return Response(body=xml("CopyObjectResult", ETag=copy.etag))
            case "PUT":
                self.calls["PutObject"] += 1
                return Response(headers=self._write(request, self._stored(request.body)).headers)
            case "POST" if "uploads" in query:
                self.calls["CreateMultipartUpload"] += 1
                upload = f"upload-{next(self._serial)}"
                self.uploads[upload] = {}
                return Response(body=xml("InitiateMultipartUploadResult", UploadId=upload))
            case "POST":
                self.calls["CompleteMultipartUpload"] += 1
                etag = self._write(request, self._joined(request)).etag
                del self.uploads[query["uploadId"]]
                return Response(body=xml("CompleteMultipartUploadResult", ETag=etag))
            case "DELETE" if "uploadId" in query:
                self.calls["AbortMultipartUpload"] += 1
                self._upload(query)
                del self.uploads[query["uploadId"]]
                return Response(204)
            case "DELETE":
                self.calls["DeleteObject"] += 1
                self.objects.pop(key, None)
                return Response(204)
            case _:
                self.calls["HeadObject" if method == "HEAD" else "GetObject"] += 1
                return _read(self._existing(key), request.headers)

    def _stored(self, body: Body) -> Stored:
        return Stored(body.content, f'"{next(self._serial):032x}"', body.checksums)

    def _existing(self, key: str) -> Stored:
        if (stored := self.objects.get(key)) is not None:
            return stored
        if found := re.search(r"/pattern-(\d+)$", key):
            return Stored(Content(int(found[1])), f'"{found[1]:0>32}"', {})
        raise Refusal(404, "NoSuchKey")

    def _upload(self, query: Mapping[str, str]) -> dict[int, Stored]:
        if (upload := self.uploads.get(query["uploadId"])) is None:
            raise Refusal(404, "NoSuchUpload")
        return upload

    def _write(self, request: Request, stored: Stored) -> Stored:
        self.objects[request.path] = stored
        self.written.append(stored.content.size)
        return stored

    def _joined(self, request: Request) -> Stored:
        """Return the object of a complete upload: its parts in the order of their numbers."""
        parts = [part.content for _, part in sorted(self._upload(request.query).items())]
        if any(part.size < MINIMUM_PART for part in parts[:-1]):
            raise Refusal(400, "EntityTooSmall")
        if not _contiguous(parts):
            raise Refusal(501, "NotImplemented", "the parts are not the pattern in its order")
        size = sum(part.size for part in parts)
        return Stored(parts[0]._replace(size=size), f'"{next(self._serial):032x}-{len(parts)}"', {})

    def _message(self, request: Request) -> Response:
        if action := request.headers.get("x-amz-target", "").rpartition(".")[2]:
            self.calls[action] += 1
            return Response(body=json.dumps(_json(action, json.loads(request.body.data))).encode())
        form = {name: values[0] for name, values in parse_qs(request.body.data.decode()).items()}
        action = form["Action"]
        self.calls[action] += 1
        ids = [value for name, value in form.items() if re.fullmatch(r".*Entries\.member\.\d+\.Id", name)]
        members = "".join(f"<member><Id>{name}</Id><MessageId>m-1</MessageId></member>" for name in ids)
        result = f"<Successful>{members}</Successful>" if ids else "<MessageId>m-1</MessageId>"
        return Response(body=f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>".encode())


def _json(action: str, request: Mapping[str, Any]) -> dict[str, Any]:
    if action == "StartExecution":
        return {"executionArn": f"{request['stateMachineArn']}:{request['name']}", "startDate": 0}
    if action != "ReceiveMessage":
        return {}
    size, count = request["QueueUrl"].rpartition("/")[2].split("-")
    message = {
        "MessageId": "m-1",
        "ReceiptHandle": "handle",
        "Body": json.dumps(
            ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": BUCKET, "s3Key": key_of(int(size))}]
        ),
        "MessageAttributes": {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": size}},
    }
    return {"Messages": [message] * min(int(count), request.get("MaxNumberOfMessages", 1))}


def _read(stored: Stored, headers: Mapping[str, str]) -> Response:
    content = stored.content
    more = {"ETag": stored.etag, "Accept-Ranges": "bytes", "Last-Modified": "Sat, 28 Nov 2026 00:00:00 GMT"}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", ""))
    if not asked or asked[0] == "bytes=-":
        return Response(headers=stored.headers | more, content=content)
    if asked[1]:
        first, last = int(asked[1]), min(int(asked[2] or content.size), content.size - 1)
    else:
        first, last = max(0, content.size - int(asked[2])), content.size - 1
    if first > last:
        raise Refusal(416, "InvalidRange")
    more["Content-Range"] = f"bytes {first}-{last}/{content.size}"
    return Response(206, headers=more, content=content.cut(first, last + 1 - first))


def _contiguous(parts: list[Content]) -> bool:
    """Return whether the parts follow one another in the pattern."""
    at = parts[0].start + parts[0].size
    for part in parts[1:]:
        if part.take(0, HEAD) != pattern.view(at, min(HEAD, part.size)):
            return False
        at += part.size
    return True


def _checksums(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(CHECKSUM): value
        for name, value in headers.items()
        if name.startswith(CHECKSUM) and name.removeprefix(CHECKSUM) not in ("type", "algorithm", "mode")
    }


def key_of(size: int) -> str:
    """Return the key of the object with the first `size` bytes of the pattern."""
    return f"{PREFIX}pattern-{size}"


def xml(name: str, **members: str) -> bytes:
    """Return an XML element with simple members."""
    inner = "".join(f"<{member}>{escape(value)}</{member}>" for member, value in members.items())
    return f"<{name}>{inner}</{name}>".encode()

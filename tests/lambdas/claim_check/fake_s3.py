"""A fake S3 on 127.0.0.1 with checks that moto lacks, and failures on demand.

It checks ExpectedBucketOwner and ExpectedSourceBucketOwner, If-None-Match of writes, If-Match of reads and copies,
SHA-256 of requests, MpuObjectSize, order and checksums of parts, and ranges. On demand a request fails (`fail`), a
connection drops within a body (`drop`), or a response is lost after the request was executed (`lose_response`).
`before_get` is called with the number of each GET, from 1, in the thread that responds.

Objects that contain only zeros are stored as their length, so that gigabytes need no memory. The CRC64NVME is invented:
clients do not compute it, because botocore cannot.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    import trustme
    from mypy_boto3_s3.client import S3Client

OWNER = "111111111111"
PIECE = 1024 * 1024


@dataclass
class Zeros:
    """`size` zero bytes."""

    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, where: slice) -> Zeros:
        return Zeros(len(range(*where.indices(self.size))))


Blob = bytes | Zeros


def blob(data: bytes) -> Blob:
    return Zeros(len(data)) if len(data) > 1024 and data.count(0) == len(data) else data


def pieces(data: Blob) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        piece = data[start : start + PIECE]
        yield bytes(len(piece)) if isinstance(piece, Zeros) else piece


def joined(parts: list[Blob]) -> Blob:
    if all(isinstance(part, Zeros) for part in parts):
        return Zeros(sum(map(len, parts)))
    return b"".join(piece for part in parts for piece in pieces(part))


@dataclass
class Stored:
    data: Blob
    etag: str
    sha256: str | None = None
    crc64nvme: str | None = None
    crc32: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Upload:
    key: tuple[str, str]
    headers: dict[str, str]
    parts: dict[int, tuple[Blob, str, str]] = field(default_factory=dict)


@dataclass
class Failure:
    method: str
    status: int
    code: str
    times: int
    on: str


class Rejected(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class FakeS3:
    """A context manager. `client()` returns its client. `requests` lists "METHOD /bucket/key?query".

    `hook` is called with each request before its body is read. It may wait. With `authority` it serves TLS.
    """

    def __init__(self, authority: trustme.CA | None = None) -> None:
        self.objects: dict[tuple[str, str], Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.failures: list[Failure] = []
        self.drops: list[int] = []
        self.pauses: list[tuple[int, threading.Event]] = []
        self.lost: list[str] = []
        self.before_get: Callable[[int], object] | None = None
        self.hook: Callable[[str], object] = lambda _: None
        self._serial = 0
        self._lock = threading.Lock()
        fake = self

        class Handler(_Handler):
            s3 = fake

        self._server = _Server(("127.0.0.1", 0), Handler)
        if authority:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http{'s' if authority else ''}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeS3:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self._server.errors:
            raise ExceptionGroup("the fake S3 failed", self._server.errors)

    def client(self, *, verify: str | None = None, **config: Any) -> S3Client:
        settings = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2, "mode": "standard"})
        return boto3.client(
            "s3",
            region_name="eu-west-1",
            endpoint_url=self.url,
            verify=verify,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=settings.merge(Config(**config)),
        )

    def put(self, bucket: str, key: str, data: bytes | Zeros) -> None:
        self.objects[bucket, key] = self.stored(blob(data) if isinstance(data, bytes) else data)

    def stored(self, data: Blob, **more: Any) -> Stored:
        return Stored(data, f'"{self.serial()}"', **more)

    def serial(self) -> int:
        with self._lock:
            self._serial += 1
            return self._serial

    def fail(self, method: str, status: int, code: str, *, times: int = 1, on: str = "") -> None:
        """Fail the next `times` requests with this method and `on` in their path and query."""
        self.failures.append(Failure(method, status, code, times, on))

    def pause(self, after: int, until: threading.Event) -> None:
        """Send no more of the body of the next GET after a number of bytes, until an event is set."""
        self.pauses.append((after, until))

    def drop(self, *after: int) -> None:
        """Drop the connections of the next GETs after these numbers of bytes of the body."""
        self.drops += after

    def answer(self, method: str, body: bytes, *, on: str = "") -> None:
        """Answer the next request of this method, with `on` in its path and query, with status 200 and this body."""
        self.failures.append(Failure(method, 200, body.decode(), 1, on))

    def lose_response(self, method: str) -> None:
        """Execute the next request of this method, and close its connection without a response."""
        self.lost.append(method)

    def requests_of(self, method: str) -> list[str]:
        return [request for request in self.requests if request.startswith(method + " ")]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # more connections at a time than that of socketserver, 5: the next one waits for a second

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.errors: list[Exception] = []

    def handle_error(self, *_: object) -> None:
        error = sys.exception()
        if isinstance(error, Exception):
            self.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    s3: FakeS3

    def handle(self) -> None:
        with suppress(ConnectionError, ssl.SSLError):  # tests close connections at any point
            super().handle()

    def do_GET(self) -> None:
        self._respond(self._get)

    def do_HEAD(self) -> None:
        self._respond(self._get)

    def do_PUT(self) -> None:
        self._respond(self._put)

    def do_POST(self) -> None:
        self._respond(self._post)

    def do_DELETE(self) -> None:
        self._respond(self._delete)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _respond(self, action: Any) -> None:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).removeprefix("/").partition("/")
        self.target = (bucket, key)
        self.query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.s3.hook(f"{self.command} {self.path}")
        trailer = b""
        if "aws-chunked" in self.headers.get("content-encoding", ""):
            self.body, trailer = _decoded(b"".join(_http_chunks(self.rfile)))
        else:
            self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.s3.requests.append(f"{self.command} {self.path}")
        for line in trailer.decode().splitlines():
            self.headers.add_header(*line.split(":", 1))
        self.s3.headers.append({name.lower(): value for name, value in self.headers.items()})
        try:
            self._check_request()
            action()
        except Rejected as rejected:
            body = f"<Error><Code>{rejected.code}</Code><Message>rejected</Message></Error>".encode()
            body = rejected.code.encode() if rejected.status == 200 else body
            self._reply(rejected.status, b"" if self.command == "HEAD" else body)

    def _check_request(self) -> None:
        for failure in self.s3.failures:
            if failure.times and failure.method == self.command and failure.on in self.path:
                failure.times -= 1
                raise Rejected(failure.status, failure.code)
        for header in ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"):
            if self.headers.get(header, OWNER) != OWNER:
                raise Rejected(403, "AccessDenied")

    def _get(self) -> None:
        if self.s3.before_get and self.command == "GET":
            self.s3.before_get(len(self.s3.requests_of("GET")))
        found = self.s3.objects.get(self.target)
        if found is None:
            raise Rejected(404, "NoSuchKey")
        if self.headers.get("if-match", found.etag) != found.etag:
            raise Rejected(412, "PreconditionFailed")
        size = len(found.data)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        first, last = (int(asked[1]), int(asked[2] or size)) if asked else (0, size)
        if asked and first >= size:
            raise Rejected(416, "InvalidRange")
        data = found.data[first : last + 1]
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("content-range", f"bytes {first}-{first + len(data) - 1}/{size}")
        if found.etag:
            self.send_header("etag", found.etag)
        self.send_header("content-length", str(len(data)))
        for name, value in found.metadata.items():
            self.send_header(f"x-amz-meta-{name}", value)
        if self.headers.get("x-amz-checksum-mode") == "ENABLED":
            for name, checksum in {
                "sha256": found.sha256,
                "crc64nvme": found.crc64nvme,
                "crc32": found.crc32,
            }.items():
                if checksum and not asked:
                    self.send_header(f"x-amz-checksum-{name}", checksum)
        self.end_headers()
        if self.command == "GET":
            self._send_body(data)

    def _send_body(self, data: Blob) -> None:
        if self.s3.pauses:
            after, until = self.s3.pauses.pop()
            for piece in pieces(data[:after]):
                self.wfile.write(piece)
            until.wait(30)
            data = data[after:]
        allowed = self.s3.drops.pop(0) if self.s3.drops else None
        for piece in pieces(data):
            if allowed is not None and len(piece) > allowed:
                self.wfile.write(piece[:allowed])
                self.close_connection = True
                return
            self.wfile.write(piece)
            allowed = None if allowed is None else allowed - len(piece)

    def _put(self) -> None:
        if "uploadId" in self.query:
            self._put_part()
            return
        self._require_new()
        if "x-amz-copy-source" in self.headers:
            self._copy()
            return
        declared = self.headers.get("x-amz-checksum-sha256")
        if declared and declared != _sha256(self.body):
            raise Rejected(400, "BadDigest")
        stored = self.s3.stored(blob(self.body), sha256=declared, metadata=self._metadata())
        self.s3.objects[self.target] = stored
        self._reply(200, b"", etag=stored.etag)

    def _copy(self) -> None:
        data = self._copy_source().data
        digest = hashlib.sha256()
        for piece in pieces(data):
            digest.update(piece)
        sha256 = base64.b64encode(digest.digest()).decode()
        stored = self.s3.stored(data, sha256=sha256, metadata=self._metadata())
        self.s3.objects[self.target] = stored
        body = f"<ETag>{escape(stored.etag)}</ETag><ChecksumSHA256>{sha256}</ChecksumSHA256>"
        self._reply(200, f"<CopyObjectResult>{body}</CopyObjectResult>".encode())

    def _put_part(self) -> None:
        upload = self._upload()
        number = int(self.query["partNumber"])
        etag = f'"{self.s3.serial()}"'
        if "x-amz-copy-source" in self.headers:
            first, last = map(int, self.headers["x-amz-copy-source-range"].removeprefix("bytes=").split("-"))
            source = self._copy_source().data
            if last >= len(source):
                raise Rejected(400, "InvalidRange")
            data: Blob = source[first : last + 1]
            crc = _invented_crc(len(data))
            upload.parts[number] = (data, etag, crc)
            body = f"<ETag>{escape(etag)}</ETag><ChecksumCRC64NVME>{crc}</ChecksumCRC64NVME>"
            self._reply(200, f"<CopyPartResult>{body}</CopyPartResult>".encode())
            return
        crc = _crc32(self.body)
        if self.headers.get("x-amz-checksum-crc32") != crc:
            raise Rejected(400, "BadDigest")
        upload.parts[number] = (blob(self.body), etag, crc)
        self._reply(200, b"", etag=etag, **{"x-amz-checksum-crc32": crc})

    def _post(self) -> None:
        if "uploads" in self.query:
            name = f"upload-{self.s3.serial()}"
            headers = {header.lower(): value for header, value in self.headers.items()}
            self.s3.uploads[name] = Upload(self.target, headers)
            body = f"<UploadId>{name}</UploadId>"
            self._reply(200, f"<InitiateMultipartUploadResult>{body}</InitiateMultipartUploadResult>".encode())
            return
        upload = self._upload()
        self._require_new()
        listed = _parts_of(self.body)
        if listed != [(number, etag, crc) for number, (_, etag, crc) in sorted(upload.parts.items())]:
            raise Rejected(400, "InvalidPart")
        data = joined([part for part, _, _ in (upload.parts[number] for number, _, _ in listed)])
        if int(self.headers.get("x-amz-mp-object-size", len(data))) != len(data):
            raise Rejected(400, "InvalidRequest")
        algorithm = upload.headers["x-amz-checksum-algorithm"].lower()
        whole: dict[str, Any] = {}
        if upload.headers.get("x-amz-checksum-type") == "FULL_OBJECT":
            whole[algorithm] = _crc32(data) if algorithm == "crc32" else _invented_crc(len(data))
        metadata = {name[11:]: value for name, value in upload.headers.items() if name.startswith("x-amz-meta-")}
        stored = self.s3.stored(data, metadata=metadata, **whole)
        self.s3.objects[self.target] = stored
        del self.s3.uploads[self.query["uploadId"]]
        checksums = "".join(
            f"<Checksum{name.upper()}>{value}</Checksum{name.upper()}>" for name, value in whole.items()
        )
        body = f"<Key>x</Key><ETag>{escape(stored.etag)}</ETag>{checksums}"
        self._reply(200, f"<CompleteMultipartUploadResult>{body}</CompleteMultipartUploadResult>".encode())

    def _delete(self) -> None:
        if "uploadId" in self.query:
            self._upload()
            del self.s3.uploads[self.query["uploadId"]]
        else:
            self.s3.objects.pop(self.target, None)
        self._reply(204, b"")

    def _require_new(self) -> None:
        if self.headers.get("if-none-match") == "*" and self.target in self.s3.objects:
            raise Rejected(412, "PreconditionFailed")

    def _copy_source(self) -> Stored:
        bucket, _, key = unquote(self.headers["x-amz-copy-source"]).partition("?")[0].partition("/")
        found = self.s3.objects.get((bucket, key))
        if found is None:
            raise Rejected(404, "NoSuchKey")
        if self.headers.get("x-amz-copy-source-if-match", found.etag) != found.etag:
            raise Rejected(412, "PreconditionFailed")
        return found

    def _upload(self) -> Upload:
        upload = self.s3.uploads.get(self.query["uploadId"])
        if upload is None or upload.key != self.target:
            raise Rejected(404, "NoSuchUpload")
        return upload

    def _metadata(self) -> dict[str, str]:
        return {
            name[11:].lower(): value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")
        }

    def _reply(self, status: int, body: bytes, **headers: str) -> None:
        if status < 300 and self.command in self.s3.lost:
            self.s3.lost.remove(self.command)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _http_chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    while line := stream.readline():
        yield stream.read(int(line, 16))
        stream.readline()
        if not int(line, 16):
            return
    raise ConnectionError("the client closed the connection")


def _decoded(encoded: bytes) -> tuple[bytes, bytes]:
    """Return the body and the trailer of a body in the encoding aws-chunked."""
    body: list[bytes] = []
    position = 0
    while True:
        line = encoded.index(b"\r\n", position)
        size = int(encoded[position:line], 16)
        if not size:
            return b"".join(body), encoded[line + 2 :].strip()
        body.append(encoded[line + 2 : line + 2 + size])
        position = line + size + 4


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _crc32(data: Blob) -> str:
    crc = 0
    for piece in pieces(data):
        crc = zlib.crc32(piece, crc)
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def _parts_of(request: bytes) -> list[tuple[int, str, str]]:
    """Return number, ETag and checksum of each part of a CompleteMultipartUpload."""
    parts = []
    for part in ElementTree.fromstring(request):
        texts = {child.tag.rpartition("}")[2]: child.text or "" for child in part}
        checksum = next(text for tag, text in texts.items() if tag.startswith("Checksum"))
        parts.append((int(texts["PartNumber"]), texts["ETag"], checksum))
    return parts


def _invented_crc(size: int) -> str:
    return base64.b64encode(hashlib.sha256(str(size).encode()).digest()[:8]).decode()

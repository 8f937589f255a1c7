"""A fast server on 127.0.0.1 with the parts of S3, SNS and SQS that a transfer needs.

The server uses TLS, because boto3 signs a digest of every body over plain HTTP. Each connection has a thread. Bodies
are copied between socket and files in pieces, and are not held, hashed or compared. The last message is returned by
the next `ReceiveMessage`. Not for tests: the server rejects nothing.

    python -m bench.server FOLDER [BYTES_PER_SECOND]

Objects and the certificate are stored in FOLDER. The server prints its URL, and ends when its stdin is closed. With
BYTES_PER_SECOND, all connections share a link of this speed.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import trustme

PIECE = 1024 * 1024
BUFFERED = 8 * PIECE
CERTIFICATE = "certificate.pem"


class Link:
    """A link of `rate` bytes a second, shared by all connections. With 0 its speed is not limited."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0

    def carry(self, size: int) -> None:
        """Wait for the time that `size` bytes need."""
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            # Unused time is carried over, up to the size of network buffers.
            self._free_at = max(self._free_at, now - BUFFERED / self._rate) + size / self._rate
            wait = self._free_at - now
        time.sleep(max(wait, 0))


class FakeServices:
    """The state of the server: objects (each a list of files), parts of uploads, and messages."""

    def __init__(self, folder: Path, link: Link) -> None:
        self._folder = folder
        self.link = link
        self._lock = threading.Lock()
        self._serial = 0
        self.objects: dict[str, list[Path]] = {}
        self.uploads: dict[str, dict[int, Path]] = {}
        self.messages: deque[dict[str, Any]] = deque(maxlen=1)

    def file(self) -> Path:
        """Return a new path for incoming bytes."""
        with self._lock:
            self._serial += 1
            return self._folder / f"{self._serial}.bytes"

    def put(self, key: str, files: list[Path]) -> None:
        """Store the object, replacing an object with the same key."""
        self.delete(key)
        self.objects[key] = files

    def delete(self, key: str) -> None:
        """Delete the object and its files."""
        for file in self.objects.pop(key, []):
            file.unlink()


class Connection:
    """The connection of one client."""

    def __init__(self, connection: ssl.SSLSocket, services: FakeServices) -> None:
        self._socket = connection
        self._services = services
        self._view = memoryview(bytearray(PIECE))
        self._held = b""

    def serve(self) -> None:
        """Respond to requests until the client closes the connection."""
        while head := self._until(b"\r\n\r\n"):
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ", 2)
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if headers.get("expect", "").lower() == "100-continue":
                self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            path, _, query = target.partition("?")
            asked = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
            if path == "/":
                self._message(headers)
            else:
                self._object(method, unquote(path), asked, headers)

    def _object(self, method: str, key: str, asked: dict[str, str], headers: dict[str, str]) -> None:
        services = self._services
        match method:
            case "PUT" if "partNumber" in asked:
                services.uploads[asked["uploadId"]][int(asked["partNumber"])] = self._saved(headers)
                self._reply(b"", ETag='"part"')
            case "PUT":
                services.put(key, [self._saved(headers)])
                self._reply(b"", ETag='"whole"')
            case "POST" if "uploads" in asked:
                self._body(headers)
                upload = services.file().stem
                services.uploads[upload] = {}
                self._reply(_xml("InitiateMultipartUploadResult", UploadId=upload))
            case "POST":
                self._body(headers)
                parts = services.uploads.pop(asked["uploadId"])
                services.put(key, [parts[number] for number in sorted(parts)])
                self._reply(_xml("CompleteMultipartUploadResult", ETag='"whole"'))
            case "DELETE":
                services.delete(key)
                self._reply(b"", status="204 No Content")
            case _ if key not in services.objects:
                self._reply(_xml("Error", Code="NoSuchKey"), status="404 Not Found")
            case _:
                self._send(services.objects[key], headers, head_only=method == "HEAD")

    def _send(self, files: list[Path], headers: dict[str, str], *, head_only: bool) -> None:
        size = sum(file.stat().st_size for file in files)
        first, last, status = 0, size - 1, "200 OK"
        more = {"ETag": '"whole"', "Accept-Ranges": "bytes"}
        if "range" in headers:
            begin, _, end = headers["range"].removeprefix("bytes=").partition("-")
            first, last, status = int(begin), min(int(end or last), last), "206 Partial Content"
            more["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._send_head(status, last + 1 - first, more)
        if not head_only:
            for piece in _pieces(files, first, last + 1 - first, self._view):
                self._services.link.carry(len(piece))
                self._socket.sendall(piece)

    def _message(self, headers: dict[str, str]) -> None:
        body, messages = self._body(headers), self._services.messages
        target = headers.get("x-amz-target", "").rpartition(".")[2]
        if target == "ReceiveMessage":
            self._reply(json.dumps({"Messages": [messages.popleft()] if messages else []}).encode())
        elif target == "SendMessage":
            sent = json.loads(body)
            messages.append(_queued(sent["MessageBody"], sent.get("MessageAttributes", {})))
            self._reply(json.dumps({"MessageId": "m-1", "MD5OfMessageBody": ""}).encode())
        elif target:
            self._reply(b"{}")
        else:
            form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
            messages.append(_queued(form["Message"], _attributes(form)))
            self._reply(b"<PublishResponse><PublishResult><MessageId>s-1</MessageId></PublishResult></PublishResponse>")

    def _saved(self, headers: dict[str, str]) -> Path:
        file = self._services.file()
        with file.open("wb", buffering=0) as out:
            if "chunked" not in headers.get("transfer-encoding", ""):
                self._copy(int(headers.get("content-length", 0)), out.fileno())
            elif "aws-chunked" in headers.get("content-encoding", ""):
                self._unframe(out.fileno())
            else:
                raise ValueError("only boto3's chunks are supported")
        return file

    def _unframe(self, out: int) -> None:
        """Decode a streamed body of boto3: S3's chunks of 1 MiB, and a checksum, within HTTP's chunks of 16 KiB."""
        left, size_of_chunk, line = 0, 0, b""
        while size := int(self._until(b"\r\n"), 16):
            piece = memoryview(self._exactly(size))
            self._until(b"\r\n")
            while piece:
                if left:
                    data = piece[:left]
                    os.write(out, data)
                    left -= len(data)
                    if not left:
                        self._services.link.carry(size_of_chunk)
                    piece = piece[len(data) :]
                    continue
                line += bytes(piece[:1])
                piece = piece[1:]
                if line.endswith(b"\r\n") and line != b"\r\n" and b":" not in line:
                    left, line = int(line, 16), b""
                    size_of_chunk = left
                elif line.endswith(b"\r\n"):
                    line = b""
        self._until(b"\r\n")

    def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            got = self._socket.recv(16384)
            if not got:
                raise ConnectionError("the client closed the connection")
            self._held += got
        piece, self._held = self._held[:size], self._held[size:]
        return piece

    def _body(self, headers: dict[str, str]) -> bytes:
        return self._exactly(int(headers.get("content-length", 0)))

    def _until(self, end: bytes) -> bytes:
        while end not in self._held:
            got = self._socket.recv(16384)
            if not got:
                return b""
            self._held += got
        line, _, self._held = self._held.partition(end)
        return line

    def _copy(self, size: int, out: int) -> None:
        held, self._held = self._held[:size], self._held[size:]
        if held:
            os.write(out, held)
        left = size - len(held)
        while left:
            filled, wanted = 0, min(left, PIECE)
            while filled < wanted:
                got = self._socket.recv_into(self._view[filled:wanted])
                if not got:
                    raise ConnectionError("the client closed the connection")
                filled += got
            os.write(out, self._view[:wanted])
            self._services.link.carry(wanted)
            left -= wanted

    def _reply(self, body: bytes, *, status: str = "200 OK", **headers: str) -> None:
        self._send_head(status, len(body), headers)
        if body:
            self._socket.sendall(body)

    def _send_head(self, status: str, size: int, headers: dict[str, str]) -> None:
        lines = [
            f"HTTP/1.1 {status}",
            f"Content-Length: {size}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())


def _pieces(files: list[Path], first: int, size: int, view: memoryview) -> Iterator[memoryview]:
    for file in files:
        length = file.stat().st_size
        if first >= length:
            first -= length
            continue
        with file.open("rb", buffering=0) as source:
            source.seek(first)
            first = 0
            while size and (got := source.readinto(view[: min(size, PIECE)])):
                yield view[:got]
                size -= got


def _queued(body: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"MessageId": "m-1", "ReceiptHandle": "handle", "Body": body, "MessageAttributes": attributes}


def _attributes(form: dict[str, str]) -> dict[str, Any]:
    attributes, number = {}, 1
    while (name := form.get(f"MessageAttributes.entry.{number}.Name")) is not None:
        value = f"MessageAttributes.entry.{number}.Value"
        attributes[name] = {"DataType": form[f"{value}.DataType"], "StringValue": form[f"{value}.StringValue"]}
        number += 1
    return attributes


def _xml(name: str, **members: str) -> bytes:
    inner = "".join(f"<{member}>{escape(value)}</{member}>" for member, value in members.items())
    return f"<{name}>{inner}</{name}>".encode()


def write_certificates(folder: Path, context: ssl.SSLContext) -> None:
    """Load a certificate for 127.0.0.1 into the context, and write its authority for the clients."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(folder / CERTIFICATE)


def _serve(connection: socket.socket, context: ssl.SSLContext, services: FakeServices) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with context.wrap_socket(connection, server_side=True) as secure:
            Connection(secure, services).serve()
    except (OSError, ValueError):
        connection.close()  # the client closed the connection, or its request is invalid


def main(folder: Path, rate: int) -> None:
    """Serve until stdin is closed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    write_certificates(folder, context)
    services = FakeServices(folder, Link(rate))
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        print(f"https://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_serve, args=(connection, context, services), daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(next(iter(sys.argv[2:]), 0)))

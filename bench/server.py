"""S3, SNS and SQS on 127.0.0.1: as little of each as a transfer needs, and fast, so that the client is what counts.

Speaks TLS, since boto3 takes other paths without it (over plain HTTP it signs a digest of every body). One thread a
connection; bodies go between socket and files in pieces, and are neither held nor hashed nor checked. The last
message waits for a `ReceiveMessage`. Not for tests: it refuses nothing.

    python -m bench.server FOLDER [BYTES_PER_SECOND]

keeps objects and its certificate in FOLDER, prints its URL, and ends with its stdin. With a number, all connections
together carry no more than that: a link, in the place of the machine's memory.
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
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PIECE = 1024 * 1024
BUFFERED = 8 * PIECE
CERTIFICATE = "certificate.pem"


class Link:
    """Lets so many bytes a second pass, of all connections together; with 0 all there are."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0

    def carry(self, size: int) -> None:
        """Takes the time that `size` bytes take."""
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            # What was not used lately may be caught up with, as buffers on the way would allow.
            self._free_at = max(self._free_at, now - BUFFERED / self._rate) + size / self._rate
            wait = self._free_at - now
        time.sleep(max(wait, 0))


class World:
    """All state: objects (each a list of files), parts of uploads, and messages."""

    def __init__(self, folder: Path, link: Link) -> None:
        self._folder = folder
        self.link = link
        self._lock = threading.Lock()
        self._serial = 0
        self.objects: dict[str, list[Path]] = {}
        self.uploads: dict[str, dict[int, Path]] = {}
        self.messages: deque[dict[str, Any]] = deque(maxlen=1)

    def file(self) -> Path:
        """A place for bytes that are about to arrive."""
        with self._lock:
            self._serial += 1
            return self._folder / f"{self._serial}.bytes"

    def put(self, key: str, files: list[Path]) -> None:
        """Makes the object, in the place of one of the same key."""
        self.delete(key)
        self.objects[key] = files

    def delete(self, key: str) -> None:
        for file in self.objects.pop(key, []):
            file.unlink()


class Connection:
    """One client's connection: its requests, one after another."""

    def __init__(self, connection: ssl.SSLSocket, world: World) -> None:
        self._socket = connection
        self._world = world
        self._view = memoryview(bytearray(PIECE))
        self._held = b""

    def serve(self) -> None:
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
        world = self._world
        match method:
            case "PUT" if "partNumber" in asked:
                world.uploads[asked["uploadId"]][int(asked["partNumber"])] = self._saved(headers)
                self._reply(b"", ETag='"part"')
            case "PUT":
                world.put(key, [self._saved(headers)])
                self._reply(b"", ETag='"whole"')
            case "POST" if "uploads" in asked:
                self._body(headers)
                upload = world.file().stem
                world.uploads[upload] = {}
                self._reply(_xml("InitiateMultipartUploadResult", UploadId=upload))
            case "POST":
                self._body(headers)
                parts = world.uploads.pop(asked["uploadId"])
                world.put(key, [parts[number] for number in sorted(parts)])
                self._reply(_xml("CompleteMultipartUploadResult", ETag='"whole"'))
            case "DELETE":
                world.delete(key)
                self._reply(b"", status="204 No Content")
            case _ if key not in world.objects:
                self._reply(_xml("Error", Code="NoSuchKey"), status="404 Not Found")
            case _:
                self._send(world.objects[key], headers, head_only=method == "HEAD")

    def _send(self, files: list[Path], headers: dict[str, str], *, head_only: bool) -> None:
        size = sum(file.stat().st_size for file in files)
        first, last, status = 0, size - 1, "200 OK"
        more = {"ETag": '"whole"', "Accept-Ranges": "bytes"}
        if "range" in headers:
            begin, _, end = headers["range"].removeprefix("bytes=").partition("-")
            first, last, status = int(begin), min(int(end or last), last), "206 Partial Content"
            more["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._head_of_answer(status, last + 1 - first, more)
        if not head_only:
            for piece in _pieces(files, first, last + 1 - first, self._view):
                self._world.link.carry(len(piece))
                self._socket.sendall(piece)

    def _message(self, headers: dict[str, str]) -> None:
        body, messages = self._body(headers), self._world.messages
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
        file = self._world.file()
        with file.open("wb", buffering=0) as out:
            if "chunked" not in headers.get("transfer-encoding", ""):
                self._copy(int(headers.get("content-length", 0)), out.fileno())
            elif "aws-chunked" in headers.get("content-encoding", ""):
                self._unframe(out.fileno())
            else:
                raise ValueError("only boto3's own chunks are understood")
        return file

    def _unframe(self, out: int) -> None:
        """boto3 frames a streamed body twice: S3's chunks of 1 MiB, whose last is followed by a checksum, within HTTP's
        of 16 KiB."""
        left, size_of_chunk, line = 0, 0, b""
        while size := int(self._until(b"\r\n"), 16):
            piece = memoryview(self._exactly(size))
            self._until(b"\r\n")
            while piece:
                if left:
                    taken = piece[:left]
                    os.write(out, taken)
                    left -= len(taken)
                    if not left:
                        self._world.link.carry(size_of_chunk)
                    piece = piece[len(taken) :]
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
                raise ConnectionError("the client hung up")
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
            filled, room = 0, min(left, PIECE)
            while filled < room:
                got = self._socket.recv_into(self._view[filled:room])
                if not got:
                    raise ConnectionError("the client hung up")
                filled += got
            os.write(out, self._view[:room])
            self._world.link.carry(room)
            left -= room

    def _reply(self, body: bytes, *, status: str = "200 OK", **headers: str) -> None:
        self._head_of_answer(status, len(body), headers)
        if body:
            self._socket.sendall(body)

    def _head_of_answer(self, status: str, size: int, headers: dict[str, str]) -> None:
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


def write_certificate(path: Path) -> None:
    """A certificate of our own for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))


def _serve(connection: socket.socket, context: ssl.SSLContext, world: World) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with context.wrap_socket(connection, server_side=True) as secure:
            Connection(secure, world).serve()
    except (OSError, ValueError):
        connection.close()  # the client hung up, or is none


def main(folder: Path, rate: int) -> None:
    write_certificate(folder / CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / CERTIFICATE)
    world = World(folder, Link(rate))
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        print(f"https://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_serve, args=(connection, context, world), daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(next(iter(sys.argv[2:]), 0)))

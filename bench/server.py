"""S3, SNS and SQS on 127.0.0.1, over TLS, as slow as a profile of `network.py`.

    python -m bench.server CERTIFICATE PROFILE [SEED]

The server writes the certificate of its authority to the file CERTIFICATE and prints its URL. When its stdin is closed,
it prints its calls, connections and the sizes of new objects as JSON, and ends.
"""

from __future__ import annotations

import io
import json
import os
import socket
import ssl
import struct
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import trustme

from bench.network import PROFILES, Network
from bench.services import Body, Content, Refusal, Request, Response, Services

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"

    def __init__(self, services: Services, network: Network, context: ssl.SSLContext, *arguments: Any) -> None:
        self._services = services
        self._network = network
        self._context = context
        super().__init__(*arguments)

    def setup(self) -> None:
        """Begin TLS, in this connection's thread."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = self._context.wrap_socket(self.request, server_side=True)
        self._services.calls["connection"] += 1
        self._line = self._network.connect()
        super().setup()

    def handle(self) -> None:
        """Respond to requests until the client closes the connection, or the profile resets it."""
        try:
            super().handle()
        except OSError:
            # With this option, closing sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def finish(self) -> None:
        """Close the connection."""
        super().finish()
        self.connection.close()

    def handle_expect_100(self) -> bool:
        """Wait for the round trip that `Expect: 100-continue` costs."""
        self._line.round_trip()
        return super().handle_expect_100()

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""

    def _respond(self) -> None:
        self._line.round_trip()
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = Body(headers)
        try:
            self._line.begin_body()
            body.end(self._receive(headers, body))
        except Refusal as refusal:
            self.close_connection = True
            response = refusal.response
        else:
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            response = self._services.respond(Request(self.command, unquote(parts.path), query, headers, body))
        self._line.first_byte()
        self._send(response)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _respond  # noqa: N815 - http.server's names

    def _receive(self, headers: dict[str, str], body: Body) -> dict[str, str]:
        """Receive the body, and return the trailers."""
        chunked = "chunked" in headers.get("transfer-encoding", "")
        source = io.BufferedReader(HttpChunks(self.rfile)) if chunked else self.rfile
        if "aws-chunked" not in headers.get("content-encoding", ""):
            self._copy(source, inf if chunked else int(headers.get("content-length", 0)), body)
            return {}
        while size := int(source.readline().split(b";")[0], 16):
            self._copy(source, size, body)
            source.readline()
        lines = iter(lambda: source.readline().strip().decode(), "")
        trailers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if chunked:
            source.read()
        return trailers

    def _copy(self, source: io.BufferedIOBase, size: float, body: Body) -> None:
        while size and (piece := source.read(int(min(size, self._line.step())))):
            body.add(piece)
            self._line.carry(len(piece))
            size -= len(piece)
        if 0 < size < inf:
            raise ConnectionError("the client closed the connection")

    def _send(self, response: Response) -> None:
        content = response.content or Content(len(response.body), data=response.body)
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", str(content.size))
        self.end_headers()
        if self.command == "HEAD":
            return
        self._line.begin_body()
        sent = 0
        while sent < content.size:
            piece = content.take(sent, min(self._line.step(), content.size - sent))
            self._line.carry(len(piece))
            self.connection.sendall(piece)
            sent += len(piece)


class HttpChunks(io.RawIOBase):
    """The bytes within HTTP's chunks."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        self._source = source
        self._left = 0
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to the end of a chunk, or nothing after the last chunk."""
        if not self._left and not self._ended:
            self._left = int(self._source.readline().split(b";")[0], 16)
            if not self._left:
                self._ended = True
                self._source.readline()
        if self._ended:
            return 0
        size = self._source.readinto(memoryview(buffer)[: self._left])
        self._left -= size
        if not self._left:
            self._source.readline()
        return size


class Server(ThreadingHTTPServer):
    """A server on a free port. It writes the certificate of its authority to a file."""

    request_queue_size = 128  # connections that begin at the same time
    buffer_size = 256 * 1024  # bytes; in larger buffers, bytes would wait that have passed the network already

    def __init__(self, certificate: Path, network: Network) -> None:
        self.services = Services()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(certificate)
        super().__init__(("127.0.0.1", 0), partial(Handler, self.services, network, context))
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # connections inherit it
            self.socket.setsockopt(socket.SOL_SOCKET, buffer, self.buffer_size)
        self.url = f"https://127.0.0.1:{self.server_port}"


def main(certificate: Path, profile: str, seed: int = 0) -> None:
    """Serve until stdin is closed."""
    with Server(certificate, Network(PROFILES[profile], seed=seed)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.url, flush=True)
        sys.stdin.read()
        print(json.dumps({"calls": server.services.calls, "written": server.services.written}), flush=True)
        os._exit(0)  # without waiting for connections


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))

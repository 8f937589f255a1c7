"""The proxy that injects faults: a process between the functions and the emulator, which forwards requests unchanged.

    python -m tests.faults.proxy --socket <fd> --upstream <port> --folder <folder> --seed <n>

`Proxy` starts it. It uses TLS on both sides, with the emulator's certificate, and does not change the Host header, so
that signatures are valid and policies see TLS. It ends when its standard input closes.

`PUT /_faults` with `{"rate": 0.2, "faults": [names]}` sets the faults; `GET /_faults` returns the injected numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from local.emulator import Emulator
from tests.faults.faults import FAULTS, Effect, Fault, FaultPicker

_HOST = "127.0.0.1"
_PIECE_BYTES = 1 << 16
_MAXIMUM_HEAD_BYTES = 1 << 17
_SILENCE_SECONDS = 4.0
_REPOSITORY = Path(__file__).resolve().parents[2]
_SCOPE = re.compile(rb"Credential=[^/]+/[0-9]{8}/[^/]*/([^/]+)/aws4_request")


class Proxy:
    """The proxy's process. Its port is known before the process starts. A context manager."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind((_HOST, 0))
        self.endpoint = f"https://{_HOST}:{self._listener.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._opener = urllib.request.OpenerDirector()

    def start(self, emulator: Emulator) -> Self:
        """Start to forward requests to `emulator`, without faults."""
        command = [sys.executable, "-m", "tests.faults.proxy", "--socket", str(self._listener.fileno())]
        command += ["--upstream", str(emulator.port), "--folder", str(emulator.folder), "--seed", str(self._seed)]
        self._listener.listen(512)  # early connections wait until the process accepts them
        self._process = subprocess.Popen(
            command, cwd=_REPOSITORY, stdin=subprocess.PIPE, pass_fds=[self._listener.fileno()], start_new_session=True
        )
        context = ssl.create_default_context(cafile=str(emulator.ca_bundle))
        self._opener = urllib.request.build_opener(  # without the user's proxy settings
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        return self

    def inject(self, faults: Iterable[Fault], rate: float) -> None:
        """Set the faults, and the share of the requests that fail."""
        self._control("PUT", {"rate": rate, "faults": [fault.name for fault in faults]})

    def injected(self) -> dict[str, int]:
        """Return the number of injections of each fault since the last `inject`."""
        numbers: dict[str, int] = self._control("GET")
        return numbers

    def stop(self) -> None:
        """Stop the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _control(self, method: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_faults", data=data, method=method)
        with self._opener.open(request, timeout=30) as response:
            return json.load(response)


@dataclass(frozen=True)
class RequestHead:
    """The first line and the headers of an HTTP request or response, as bytes and parsed."""

    raw: bytes
    line: bytes
    headers: dict[bytes, bytes]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> RequestHead:
        """Read a head."""
        raw = await reader.readuntil(b"\r\n\r\n")
        line, *fields = raw[:-4].split(b"\r\n")
        pairs = (field.partition(b":") for field in fields)
        return cls(raw, line, {name.strip().lower(): value.strip() for name, _, value in pairs})

    async def body(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """Yield the body that follows, with its framing."""
        if b"chunked" in self.headers.get(b"transfer-encoding", b""):
            size = -1
            while size:
                line = await reader.readuntil(b"\r\n")
                size = int(line.split(b";")[0], 16)
                yield line + (await reader.readexactly(size + 2) if size else b"")
            while True:  # trailers, until an empty line
                line = await reader.readuntil(b"\r\n")
                yield line
                if line == b"\r\n":
                    return
        left = self.length
        while left:
            piece = await reader.read(min(_PIECE_BYTES, left))
            if not piece:
                raise ConnectionError("the connection was closed within a body")
            left -= len(piece)
            yield piece

    @property
    def length(self) -> int:
        """The length of the body in bytes; 0 if it is chunked."""
        return int(self.headers.get(b"content-length", b"0"))

    @property
    def service(self) -> str:
        """The service in the request's signature."""
        match = _SCOPE.search(self.headers.get(b"authorization", b""))
        return match[1].decode() if match else ""


class _Server:
    def __init__(self, *, upstream: int, authority: Path, seed: int) -> None:
        self._upstream, self._seed = upstream, seed
        self._trust = ssl.create_default_context(cafile=str(authority))
        self._picker = FaultPicker(seed=seed, rate=0, faults=())
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client connection in a task. The event loop has only weak references to tasks."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client connection over its own connection to the emulator."""
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head = await RequestHead.read(reader)
                if head.line.split(b" ")[1] == b"/_faults":
                    await self._control(head, reader, writer)
                    continue
                if upstream is None or upstream[0].at_eof():
                    upstream = await asyncio.open_connection(
                        _HOST, self._upstream, ssl=self._trust, limit=_MAXIMUM_HEAD_BYTES
                    )
                await self._exchange(head, reader, writer, *upstream)
        except (OSError, asyncio.IncompleteReadError, _Cut):
            pass  # one of the two connections is closed; close the other
        finally:
            _reset(writer)
            if upstream:
                _reset(upstream[1])

    async def _exchange(
        self,
        head: RequestHead,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_upstream: asyncio.StreamReader,
        to_upstream: asyncio.StreamWriter,
    ) -> None:
        expects = b"expect" in head.headers  # 100-continue; the signature does not cover this header
        if expects:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, content = head.body(reader), head.line
        if head.service != "s3":  # S3's requests differ in the first line, others only in the body
            whole = b"".join([piece async for piece in body])
            body, content = _once(whole), head.line + head.headers.get(b"x-amz-target", b"") + whole
        fault = self._picker.pick(head.service, content)
        effect = fault.effect if fault else None
        if fault and effect is Effect.REJECTED:
            async for _ in body:
                pass
            await self._reject(fault, head, writer)
            return
        if effect is Effect.RESET:
            raise _Cut
        if effect is Effect.SILENCE:
            await asyncio.sleep(_SILENCE_SECONDS)
            raise _Cut

        to_upstream.write(_without_expect(head.raw) if expects else head.raw)
        sent = 0
        async for piece in body:
            sent += len(piece)
            if effect is Effect.CUT_REQUEST and 2 * sent > head.length:
                to_upstream.write(piece[: len(piece) // 2])
                await to_upstream.drain()
                raise _Cut
            to_upstream.write(piece)
            await to_upstream.drain()
        if effect is Effect.CUT_REQUEST:
            raise _Cut

        response = await RequestHead.read(from_upstream)
        has_no_body = head.line.startswith(b"HEAD ") or not response.length
        if effect is Effect.LOST_RESPONSE or (effect is Effect.CUT_RESPONSE and has_no_body):
            raise _Cut
        writer.write(response.raw)
        if head.line.startswith(b"HEAD "):
            await writer.drain()
            return
        received = 0
        async for piece in response.body(from_upstream):
            received += len(piece)
            if effect is Effect.CUT_RESPONSE and 2 * received > response.length:
                writer.write(piece[: len(piece) // 2])
                await writer.drain()
                raise _Cut
            writer.write(piece)
            await writer.drain()

    async def _reject(self, fault: Fault, head: RequestHead, writer: asyncio.StreamWriter) -> None:
        kind, body = fault.response(head.service)
        sent = b"" if head.line.startswith(b"HEAD ") else body
        writer.write(
            f"HTTP/1.1 {fault.status} Injected\r\nContent-Type: {kind}\r\nContent-Length: {len(sent)}\r\n"
            "x-amzn-RequestId: injected\r\n\r\n".encode()
            + sent
        )
        await writer.drain()

    async def _control(self, head: RequestHead, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b"".join([piece async for piece in head.body(reader)])
        if body:
            settings = json.loads(body)
            faults = [fault for fault in FAULTS if fault.name in settings["faults"]]
            self._picker = FaultPicker(seed=self._seed, rate=settings["rate"], faults=faults)
        injected = json.dumps(self._picker.injected).encode()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(injected)}\r\n\r\n".encode() + injected)
        await writer.drain()


class _Cut(Exception):
    """The client's connection must be reset."""


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


def _without_expect(raw: bytes) -> bytes:
    return re.sub(rb"(?im)^expect:[^\r]*\r\n", b"", raw)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # a reset instead of an orderly end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _run(arguments: argparse.Namespace) -> None:
    folder: Path = arguments.folder
    server = _Server(upstream=arguments.upstream, authority=folder / "authority.pem", seed=arguments.seed)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    listener = socket.socket(fileno=arguments.socket)
    parent = asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    async with await asyncio.start_server(
        server.accept, sock=listener, ssl=context, limit=_MAXIMUM_HEAD_BYTES, backlog=512
    ):
        await parent


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()

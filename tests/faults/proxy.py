"""Injects the faults: a process between functions and the emulator, which hands on every request byte for byte.

`python -m tests.faults.proxy --socket <fd> --upstream <port> --folder <folder> --seed <n>`; `Proxy` starts it.
It speaks TLS on both sides, with the emulator's certificate, and leaves the host a request was signed for
as it is, so that signatures hold and policies see TLS. It ends when its standard input closes.

`PUT /_faults` with `{"rate": 0.2, "faults": [names]}` sets what is injected from now on; `GET /_faults` answers with
how often each was.
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
from types import TracebackType
from typing import Any, Self

from local.emulator import Emulator
from tests.faults.faults import FAULTS, Dice, Effect, Fault

_HOST = "127.0.0.1"
_PIECE = 1 << 16
_LONGEST_HEAD = 1 << 17
_SILENCE_SECONDS = 4.0
_REPOSITORY = Path(__file__).resolve().parents[2]
_SCOPE = re.compile(rb"Credential=[^/]+/[0-9]{8}/[^/]*/([^/]+)/aws4_request")


class Proxy:
    """The process, and the port it listens on, which is known before it is started: an emulator can be told it."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind((_HOST, 0))
        self.endpoint = f"https://{_HOST}:{self._listener.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._opener = urllib.request.OpenerDirector()

    def start(self, emulator: Emulator) -> Self:
        """Hand on to `emulator` from now on, without a fault."""
        command = [sys.executable, "-m", "tests.faults.proxy", "--socket", str(self._listener.fileno())]
        command += ["--upstream", str(emulator.port), "--folder", str(emulator.folder), "--seed", str(self._seed)]
        self._listener.listen(512)  # who connects before the process is up waits
        self._process = subprocess.Popen(
            command, cwd=_REPOSITORY, stdin=subprocess.PIPE, pass_fds=[self._listener.fileno()], start_new_session=True
        )
        context = ssl.create_default_context(cafile=str(emulator.ca_bundle))
        self._opener = urllib.request.build_opener(  # without the user's own proxy
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        return self

    def inject(self, faults: Iterable[Fault], rate: float) -> None:
        """Let `rate` of the requests that these faults can happen to fail, from now on."""
        self._ask("PUT", {"rate": rate, "faults": [fault.name for fault in faults]})

    def injected(self) -> dict[str, int]:
        """How often each fault was injected, since it was last said which are."""
        found: dict[str, int] = self._ask("GET")
        return found

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, method: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_faults", data=data, method=method)
        with self._opener.open(request, timeout=30) as answer:
            return json.load(answer)


@dataclass(frozen=True)
class Head:
    """The first line and the headers of a message, as they came, and parsed."""

    raw: bytes
    line: bytes
    headers: dict[bytes, bytes]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Head:
        raw = await reader.readuntil(b"\r\n\r\n")
        line, *fields = raw[:-4].split(b"\r\n")
        pairs = (field.partition(b":") for field in fields)
        return cls(raw, line, {name.strip().lower(): value.strip() for name, _, value in pairs})

    async def body(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """The body that follows, as it is framed."""
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
            piece = await reader.read(min(_PIECE, left))
            if not piece:
                raise ConnectionError("the connection ended within a body")
            left -= len(piece)
            yield piece

    @property
    def length(self) -> int:
        """Bytes of the body; 0 where it is chunked."""
        return int(self.headers.get(b"content-length", b"0"))

    @property
    def service(self) -> str:
        """Whom the request was signed for."""
        found = _SCOPE.search(self.headers.get(b"authorization", b""))
        return found[1].decode() if found else ""


class _Server:
    def __init__(self, *, upstream: int, authority: Path, seed: int) -> None:
        self._upstream, self._seed = upstream, seed
        self._trust = ssl.create_default_context(cafile=str(authority))
        self._dice = Dice(seed=seed, rate=0, faults=())
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client. The event loop by itself does not hold on to who waits for the emulator."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, which has one to the emulator for itself."""
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head = await Head.read(reader)
                if head.line.split(b" ")[1] == b"/_faults":
                    await self._control(head, reader, writer)
                    continue
                if upstream is None or upstream[0].at_eof():
                    upstream = await asyncio.open_connection(
                        _HOST, self._upstream, ssl=self._trust, limit=_LONGEST_HEAD
                    )
                await self._exchange(head, reader, writer, *upstream)
        except (OSError, asyncio.IncompleteReadError, _Cut):
            pass  # one of the two has gone, or has been made to: so does the other
        finally:
            _reset(writer)
            if upstream:
                _reset(upstream[1])

    async def _exchange(
        self,
        head: Head,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_upstream: asyncio.StreamReader,
        to_upstream: asyncio.StreamWriter,
    ) -> None:
        expects = b"expect" in head.headers  # 100-continue, which is no part of what is signed
        if expects:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, content = head.body(reader), head.line
        if head.service != "s3":  # S3 names the object in the first line; all others, what they want in the body
            held = b"".join([piece async for piece in body])
            body, content = _once(held), head.line + head.headers.get(b"x-amz-target", b"") + held
        fault = self._dice.throw(head.service, content)
        effect = fault.effect if fault else None
        if fault and effect is Effect.REFUSED:
            async for _ in body:
                pass
            await self._refuse(fault, head, writer)
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

        answer = await Head.read(from_upstream)
        bodyless = head.line.startswith(b"HEAD ") or not answer.length
        if effect is Effect.LOST_ANSWER or (effect is Effect.CUT_ANSWER and bodyless):
            raise _Cut
        writer.write(answer.raw)
        if head.line.startswith(b"HEAD "):
            await writer.drain()
            return
        received = 0
        async for piece in answer.body(from_upstream):
            received += len(piece)
            if effect is Effect.CUT_ANSWER and 2 * received > answer.length:
                writer.write(piece[: len(piece) // 2])
                await writer.drain()
                raise _Cut
            writer.write(piece)
            await writer.drain()

    async def _refuse(self, fault: Fault, head: Head, writer: asyncio.StreamWriter) -> None:
        kind, body = fault.answer(head.service)
        sent = b"" if head.line.startswith(b"HEAD ") else body
        writer.write(
            f"HTTP/1.1 {fault.status} Injected\r\nContent-Type: {kind}\r\nContent-Length: {len(sent)}\r\n"
            "x-amzn-RequestId: injected\r\n\r\n".encode()
            + sent
        )
        await writer.drain()

    async def _control(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b"".join([piece async for piece in head.body(reader)])
        if body:
            wanted = json.loads(body)
            faults = [fault for fault in FAULTS if fault.name in wanted["faults"]]
            self._dice = Dice(seed=self._seed, rate=wanted["rate"], faults=faults)
        answer = json.dumps(self._dice.injected).encode()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()


class _Cut(Exception):
    """The client's connection is to be reset."""


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


def _without_expect(raw: bytes) -> bytes:
    return re.sub(rb"(?im)^expect:[^\r]*\r\n", b"", raw)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # not a goodbye but a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _run(arguments: argparse.Namespace) -> None:
    folder: Path = arguments.folder
    server = _Server(upstream=arguments.upstream, authority=folder / "authority.pem", seed=arguments.seed)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(folder / "server.pem")
    listener = socket.socket(fileno=arguments.socket)
    parent = asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    async with await asyncio.start_server(server.accept, sock=listener, ssl=own, limit=_LONGEST_HEAD, backlog=512):
        await parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()

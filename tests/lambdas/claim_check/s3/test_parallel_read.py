"""Reading in ranges: complete or an error, within the memory limit, and no thread is left."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import signal
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claim_check import (
    Dereferencer,
    Digest,
    Payload,
    PayloadCorrupt,
    PayloadMissing,
    PayloadUnavailable,
    Pointer,
    Store,
)
from claim_check.memory import MIB, PIECE_BYTES, RESERVE_BYTES
from claim_check.receiving.target import FileTarget
from claim_check.s3 import object_reader, pace, parallel_read
from claim_check.s3.crc32 import base64_crc32
from tests.lambdas.claim_check.deliveries import queued
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3, Zeros

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DATA = random.Random(1).randbytes(11 * MIB + 1)
SHA256 = hashlib.sha256(DATA).hexdigest()
KEY = ("payloads-one", "payloads/m-1")
STORE = Store("payloads-one", "payloads/", OWNER, "eu-west-1")

Read = Callable[[Payload, Path], bytes]


def download(payload: Payload, folder: Path) -> bytes:
    assert payload.download_to(folder / "file") == Digest(len(DATA), SHA256)
    return (folder / "file").read_bytes()


def stream(payload: Payload, _: Path) -> bytes:
    with payload.open() as file:
        return file.read()


READS: dict[str, Read] = {
    "read": lambda payload, _: payload.read(),
    "iter_chunks": lambda payload, _: b"".join(payload.iter_chunks()),
    "open": stream,
    "download_to": download,
}


@pytest.fixture(params=READS)
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Payload], bytes]:
    return lambda payload: READS[request.param](payload, tmp_path)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_reader, "_PAUSE_SECONDS", 0)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    for thread in threads():
        thread.join(10)
    assert [thread for thread in threading.enumerate() if isinstance(thread, threading._DummyThread)] == []
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("claim-check")]


@pytest.fixture
def payload(fake_s3: FakeS3, s3: S3Client) -> Payload:
    fake_s3.put(*KEY, DATA)
    return payload_of(s3)


def payload_of(s3: S3Client | None, memory: int = 40 * MIB, **members: Any) -> Payload:
    return handed_off(Dereferencer(stores=[STORE], s3=s3, memory=memory), **members)


def handed_off(
    dereferencer: Dereferencer, *, size: int = len(DATA), sha256: str | None = SHA256, **members: Any
) -> Payload:
    return dereferencer.payload(Pointer(*KEY), size=size, message_id="m-1", sha256=sha256, **members)


def ranges(fake_s3: FakeS3) -> list[tuple[int, int]]:
    """Return first and last byte of each request."""
    return [(int(first), int(last)) for first, last in (h["range"][6:].split("-") for h in fake_s3.headers)]


@pytest.mark.parametrize("memory", [MIB, 5 * MIB, 40 * MIB])
def test_bytes_are_joined_in_order(
    memory: int, read: Callable[[Payload], bytes], payload: Payload, s3: S3Client, fake_s3: FakeS3
) -> None:
    assert read(payload_of(s3, memory)) == DATA
    assert sum(last + 1 - first for first, last in ranges(fake_s3)) == len(DATA)
    assert fake_s3.requests_of("HEAD") == []
    assert {headers["x-amz-expected-bucket-owner"] for headers in fake_s3.headers} == {OWNER}


def test_requests_require_the_etag_once_it_is_known(payload: Payload, s3: S3Client, fake_s3: FakeS3) -> None:
    list(payload_of(s3, MIB).iter_chunks())
    etags = [headers.get("if-match") for headers in fake_s3.headers]
    assert etags == [None] + [fake_s3.objects[KEY].etag] * (len(etags) - 1)
    assert len(etags) == 6


def test_small_payload_needs_no_thread_and_one_request(fake_s3: FakeS3, s3: S3Client) -> None:
    data = DATA[: 8 * MIB - 1]
    fake_s3.put(*KEY, data)
    found: list[int] = []
    fake_s3.before_get = lambda _: found.append(len(threads()))
    assert payload_of(s3, size=len(data), sha256=hashlib.sha256(data).hexdigest()).read() == data
    assert found == [0]


def test_download_without_pwrite_writes_in_order(
    payload: Payload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has no pwrite."""
    monkeypatch.delattr(os, "pwrite")
    assert download(payload, tmp_path) == DATA


def test_read_needs_no_second_copy(fake_s3: FakeS3, s3: S3Client) -> None:
    size = 64 * MIB
    fake_s3.put(*KEY, Zeros(size))
    payload = payload_of(s3, size=size, sha256=hashlib.sha256(bytes(size)).hexdigest())
    tracemalloc.start()
    try:
        assert len(payload.read()) == size
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size + 16 * MIB, "connections, and the server in this process"


def test_dropped_range_resumes_at_its_offset(
    read: Callable[[Payload], bytes], payload: Payload, fake_s3: FakeS3
) -> None:
    fake_s3.drop(300_000, 1, 0, 700_000, 100_000)
    assert read(payload) == DATA
    assert fake_s3.drops == []
    assert len({last for _, last in ranges(fake_s3)}) < len(fake_s3.requests)


def test_drops_without_a_byte_end_the_read(
    read: Callable[[Payload], bytes], payload: Payload, fake_s3: FakeS3, tmp_path: Path
) -> None:
    fake_s3.drop(*[0] * 999)
    with pytest.raises(PayloadUnavailable, match=r"dropped 6 times in a row, and was silent 0 times; 0 of"):
        read(payload)
    assert list(tmp_path.iterdir()) == []


def test_changed_bytes_are_corrupt(
    read: Callable[[Payload], bytes], payload: Payload, fake_s3: FakeS3, tmp_path: Path
) -> None:
    fake_s3.put(*KEY, DATA[:-1] + b"x" if DATA[-1:] != b"x" else DATA[:-1] + b"y")
    with pytest.raises(PayloadCorrupt, match="the message declares"):
        read(payload)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, MIB, len(DATA) - 1, len(DATA) + 1])
def test_object_of_another_size_is_corrupt(size: int, payload: Payload, fake_s3: FakeS3) -> None:
    fake_s3.put(*KEY, (DATA + b"x")[:size])
    with pytest.raises(PayloadCorrupt, match="the message declares"):
        payload.read()


def test_missing_object_is_missing(read: Callable[[Payload], bytes], payload: Payload, fake_s3: FakeS3) -> None:
    del fake_s3.objects[KEY]
    with pytest.raises(PayloadMissing):
        read(payload)


@pytest.mark.parametrize("number", [2, 5])
def test_object_replaced_between_requests_is_unavailable(number: int, payload: Payload, fake_s3: FakeS3) -> None:
    """Also among the first requests, before an ETag is known."""

    def replace(current: int) -> None:
        if current == number:
            fake_s3.put(*KEY, DATA)

    fake_s3.before_get = replace
    with pytest.raises(PayloadUnavailable, match="read it again"):
        payload.read()


def test_error_of_one_request_ends_the_read(payload: Payload, fake_s3: FakeS3) -> None:
    def expire(number: int) -> None:
        if number == 4:
            fake_s3.fail("GET", 403, "AccessDenied", times=99)

    fake_s3.before_get = expire
    with pytest.raises(PayloadUnavailable, match="AccessDenied"):
        list(payload.iter_chunks())


@pytest.mark.parametrize("header", ["content-range", "content-length"])
def test_response_with_another_range_is_unavailable(header: str, payload: Payload, fake_s3: FakeS3) -> None:
    """A proxy can ignore the range."""
    s3 = fake_s3.client()

    def change(parsed: dict[str, Any], **_: Any) -> None:
        if header == "content-range":
            parsed["ContentRange"] = f"bytes 0-{len(DATA) - 1}/{len(DATA)}"
        else:
            parsed["ContentLength"] -= 1

    s3.meta.events.register("after-call.s3.GetObject", change)
    with pytest.raises(PayloadUnavailable, match="is not the requested range"):
        payload_of(s3).read()


def test_whole_object_instead_of_a_range_is_unavailable(payload: Payload, fake_s3: FakeS3) -> None:
    s3 = fake_s3.client()
    s3.meta.events.register("request-created.s3.GetObject", lambda request, **_: request.headers.__delitem__("Range"))
    with pytest.raises(PayloadUnavailable, match="is not the requested range"):
        payload_of(s3).read()


@pytest.mark.parametrize("limit", [MIB, 3 * MIB])
def test_memory_stays_within_its_limit(limit: int, payload: Payload, s3: S3Client) -> None:
    dereferencer = Dereferencer(stores=[STORE], s3=s3, memory=limit)
    found = handed_off(dereferencer)
    held = [dereferencer._memory.held for _ in found.iter_chunks(100_000)]
    assert 0 < max(held) <= limit + RESERVE_BYTES
    assert dereferencer._memory.held == 0


def test_pieces_are_held_until_the_caller_uses_them(payload: Payload, s3: S3Client) -> None:
    dereferencer = Dereferencer(stores=[STORE], s3=s3)
    with closing(handed_off(dereferencer).iter_chunks()) as chunks:
        next(chunks)
        assert all(thread.daemon for thread in threads()), "no thread keeps a process alive"
        for thread in threads():
            thread.join(10 if thread.name == "claim-check-read" else 0.2)
        assert len(DATA) - 2 * MIB <= dereferencer._memory.held <= len(DATA) + PIECE_BYTES
    assert dereferencer._memory.held == 0


def test_open_stream_has_no_thread_after_its_last_byte(payload: Payload) -> None:
    with payload.open() as stream:
        assert stream.read(len(DATA)) == DATA
        for thread in threads():
            thread.join(10)
        assert threads() == []


def test_idle_stream_does_not_stop_another(payload: Payload, s3: S3Client) -> None:
    dereferencer = Dereferencer(stores=[STORE], s3=s3, memory=MIB)
    streams = [handed_off(dereferencer).iter_chunks() for _ in range(3)]
    begun = [next(chunks) for chunks in streams]
    for first, chunks in reversed(list(zip(begun, streams, strict=True))):
        assert first + b"".join(chunks) == DATA


def test_closed_stream_leaves_no_connection(payload: Payload, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_read, "_END_SECONDS", 30)
    bodies: list[Any] = []
    s3 = fake_s3.client()
    s3.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: bodies.append(parsed["Body"]))
    dereferencer = Dereferencer(stores=[STORE], s3=s3)
    found = handed_off(dereferencer)
    with closing(found.iter_chunks()) as chunks:
        next(chunks)
    assert threads() == []
    assert all(body._raw_stream.closed for body in bodies)
    assert dereferencer._memory.held == 0


class TimeLimit(Exception):
    """Raised by a signal handler."""


@pytest.fixture
def silent(fake_s3: FakeS3) -> Iterator[Callable[[int], None]]:
    """A hook that signals the main thread at the first GET. No GET is responded to until the test has ended."""
    ended = threading.Event()

    def expired(*_: object) -> None:
        raise TimeLimit

    def be_silent(number: int) -> None:
        if number == 1:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        ended.wait(10)

    earlier = signal.signal(signal.SIGUSR1, expired)
    try:
        yield be_silent
    finally:
        ended.set()
        signal.signal(signal.SIGUSR1, earlier)


def test_signal_ends_a_read_while_s3_is_silent(
    read: Callable[[Payload], bytes],
    payload: Payload,
    fake_s3: FakeS3,
    silent: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel_read, "_END_SECONDS", 0)
    fake_s3.before_get = silent
    with pytest.raises(TimeLimit):
        read(payload)


def test_error_of_the_file_ends_the_read(payload: Payload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        payload.download_to(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_read_continues_with_fewer_threads(
    read: Callable[[Payload], bytes], payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name == "claim-check-read" and any(each.name == thread.name for each in threads()):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    assert read(payload) == DATA


@pytest.mark.parametrize("name", ["claim-check-join", "claim-check-read"])
def test_read_without_threads_fails(
    name: str, read: Callable[[Payload], bytes], payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="start new thread"):
        read(payload)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[FileTarget]:
    """Targets that have been closed."""
    closed: list[FileTarget] = []
    close = FileTarget.close

    def note(target: FileTarget) -> None:
        closed.append(target)
        close(target)

    monkeypatch.setattr(FileTarget, "close", note)
    return closed


MEMBERS: list[dict[str, Any]] = [{"sha256": SHA256}, {"crc32": "AAAAAQ==", "sha256": None}, {"sha256": None}]


@pytest.mark.parametrize("members", MEMBERS, ids=["SHA-256", "CRC32", "none"])
@pytest.mark.parametrize("size", [MIB, len(DATA)])
def test_failed_download_closes_its_file_once(
    members: Any, size: int, s3: S3Client, closed: list[FileTarget], tmp_path: Path
) -> None:
    with pytest.raises(PayloadMissing):
        payload_of(s3, size=size, **members).download_to(tmp_path / "file")
    assert len(closed) == 1


@pytest.mark.parametrize("members", MEMBERS, ids=["SHA-256", "CRC32", "none"])
def test_download_without_a_client_closes_its_file_once(members: Any, closed: list[FileTarget], tmp_path: Path) -> None:
    def fail(region: str) -> S3Client:
        raise LookupError(region)

    payload = handed_off(Dereferencer(stores=[STORE], s3=fail), **members)
    with pytest.raises(LookupError):
        payload.download_to(tmp_path / "file")
    assert len(closed) == 1


def test_download_without_a_thread_closes_its_file_once(
    payload: Payload, closed: list[FileTarget], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(parallel_read, "start_new_thread", fail)
    with pytest.raises(RuntimeError, match="start new thread"):
        payload.download_to(tmp_path / "file")
    assert len(closed) == 1


def test_download_of_a_changed_message_closes_its_file_once(
    dereferencer: Dereferencer, closed: list[FileTarget], tmp_path: Path
) -> None:
    claim = json.dumps({"id": "m-1", "sha256": "0" * 64})
    message = dereferencer.message(queued("text", {"ClaimCheck": claim}, "String"))
    with pytest.raises(PayloadCorrupt):
        message.payload.download_to(tmp_path / "file")
    assert len(closed) == 1


def test_rest_of_a_slow_part_is_requested_again(
    payload: Payload, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = [True]
    monkeypatch.setattr(pace.Pace, "is_given_up", lambda *_, **__: bool(slow and slow.pop()))
    assert payload.read() == DATA
    assert sum(last + 1 - first for first, last in ranges(fake_s3)) > len(DATA)
    assert len({last for _, last in ranges(fake_s3)}) == len(fake_s3.requests) - 1


def test_silent_connection_is_replaced(
    read: Callable[[Payload], bytes], payload: Payload, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While other connections receive, a read does not wait for the time-out of 10 seconds."""
    monkeypatch.setattr(parallel_read, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(pace, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(pace, "_STALLED_PIECES", 0)
    ended = threading.Event()
    fake_s3.pause(1, ended)
    try:
        assert read(payload) == DATA
    finally:
        ended.set()
    assert len({last for _, last in ranges(fake_s3)}) < len(fake_s3.requests)


def test_forked_process_does_not_wait_for_its_parents_threads(payload: Payload) -> None:
    with closing(payload.iter_chunks(1000)) as chunks:
        next(chunks)
        child = os.fork()
        if not child:
            try:
                list(chunks)
            except PayloadUnavailable:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_pickled_payload_is_read_in_another_process(
    payload: Payload, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", fake_s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    found = pickle.loads(pickle.dumps(payload_of(None)))
    assert found.read() == DATA
    with pytest.raises(TypeError, match="belongs to its process"):
        pickle.dumps(payload)


@pytest.mark.parametrize("checksum", ["crc64nvme", "crc32"])
def test_payload_without_sha256_is_pinned_to_a_proved_object(
    checksum: str, payload: Payload, s3: S3Client, fake_s3: FakeS3
) -> None:
    value = {"crc64nvme": "AAAAAAAAAAE=", "crc32": "AAAAAQ=="}[checksum]
    members: Any = {checksum: value}
    found = payload_of(s3, sha256=None, **members)
    setattr(fake_s3.objects[KEY], checksum, value)
    assert found.read() == DATA
    assert len(fake_s3.requests_of("HEAD")) == 1
    etag = fake_s3.objects[KEY].etag
    assert {headers.get("if-match") for headers in fake_s3.headers[1:]} == {etag}
    setattr(fake_s3.objects[KEY], checksum, value.replace("A", "B", 1))
    with pytest.raises(PayloadCorrupt, match=f"S3's {checksum.upper()} of the payload differs"):
        found.read()


@pytest.mark.parametrize("members", [{}, {"crc32": base64_crc32(zlib.crc32(DATA))}], ids=["none", "CRC32"])
def test_payload_without_common_checksum_is_one_request(
    members: Any, read: Callable[[Payload], bytes], payload: Payload, s3: S3Client, fake_s3: FakeS3
) -> None:
    """botocore compares S3's checksum of a whole response."""
    found = payload_of(s3, sha256=None, **members)
    assert read(found) == DATA
    (headers,) = [headers for headers in fake_s3.headers if "range" not in headers][len(members) :]
    assert headers["x-amz-checksum-mode"] == "ENABLED"
    fake_s3.drop(5 * MIB)
    assert read(found) == DATA

"""Payloads: inline and stored, across network failures, complete or an error."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import time
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.response import StreamingBody
from urllib3.exceptions import ProtocolError, SSLError

from claim_check import (
    Dereferencer,
    Digest,
    MalformedMessage,
    Message,
    Payload,
    PayloadCorrupt,
    PayloadDenied,
    PayloadMissing,
    PayloadTooLarge,
    PayloadUnavailable,
    Pointer,
    Publisher,
    S3Object,
    Store,
)
from claim_check.receiving.payload import InlineReader
from claim_check.s3 import object_reader as stored_module
from claim_check.s3.client import MIB
from claim_check.s3.crc32 import base64_crc32
from claim_check.wire.claim import Claim
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3, Zeros

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DATA = json.dumps({"rows": list(range(300_000))}).encode()  # 2.3 MB
KEY = ("payloads-one", "payloads/m-1")


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_module, "_PAUSE_SECONDS", 0)


def received(data: bytes, s3: S3Client, store: Store) -> Message:
    sns = NotedSns()
    Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=s3).publish(data, message_id="m-1")
    return Dereferencer(stores=[store], s3=s3).message(DELIVERIES["SQS event, raw"](sns.published[0]))


@pytest.fixture
def stored(s3: S3Client, store: Store, fake_s3: FakeS3) -> Message:
    message = received(DATA, s3, store)
    assert message.pointer
    fake_s3.requests.clear()
    fake_s3.headers.clear()
    return message


@pytest.fixture
def inline(s3: S3Client, store: Store) -> Message:
    message = received(b'{"rows":[1]}', s3, store)
    assert message.pointer is None
    return message


@pytest.fixture(params=["stored", "inline"])
def either(request: pytest.FixtureRequest) -> tuple[Message, bytes]:
    message: Message = request.getfixturevalue(request.param)
    return message, DATA if request.param == "stored" else b'{"rows":[1]}'


def test_all_methods_return_the_same_bytes(either: tuple[Message, bytes], tmp_path: Path, fake_s3: FakeS3) -> None:
    message, data = either
    payload = message.payload
    digest = Digest(len(data), hashlib.sha256(data).hexdigest())
    assert payload.size == len(data)
    assert payload.read() == data
    assert payload.text() == data.decode()
    assert payload.json() == json.loads(data)
    assert b"".join(payload.iter_chunks()) == data
    assert all(len(chunk) <= 1000 for chunk in payload.iter_chunks(chunk_size=1000))
    assert payload.verify_by_reading() == digest
    assert payload.download_to(tmp_path / "file") == digest
    assert (tmp_path / "file").read_bytes() == data
    with payload.open() as stream:
        assert stream.read(5) + stream.read() == data
    with payload.open() as stream:
        assert json.load(stream) == json.loads(data)
    assert fake_s3.requests_of("DELETE") == []


def test_limit_is_checked_before_reading(either: tuple[Message, bytes], fake_s3: FakeS3) -> None:
    message, data = either
    fake_s3.requests.clear()
    for read in (message.payload.read, message.payload.text, message.payload.json):
        with pytest.raises(PayloadTooLarge, match="stream it") as caught:
            read(limit=len(data) - 1)
        assert caught.value.message_id == "m-1"
    assert fake_s3.requests == []
    assert message.payload.read(limit=len(data)) == data


def test_invalid_text_is_malformed_and_not_quoted(s3: S3Client, store: Store) -> None:
    secret = b"secret \xff"
    payload = received(secret, s3, store).payload
    for read, reason in {payload.text: "at byte 7", payload.json: "UnicodeDecodeError"}.items():
        with pytest.raises(MalformedMessage, match=reason) as caught:
            read()
        assert "secret" not in repr(caught.value)
        assert caught.value.message_id == "m-1"
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("data", "reason"), [(b"{", "at character 1"), (b"[" * 100_000, "nested too deeply"), (b"9" * 5000 + b"x", "")]
)
def test_invalid_json_is_malformed(data: bytes, reason: str, s3: S3Client, store: Store) -> None:
    with pytest.raises(MalformedMessage, match=f"the payload is not JSON: .*{reason}"):
        received(data, s3, store).payload.json()


def test_reads_expect_the_bucket_owner(stored: Message, fake_s3: FakeS3, s3: S3Client) -> None:
    stored.payload.verify_by_reading()
    stored.payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)
    assert len(fake_s3.headers) == 3
    assert all(headers["x-amz-expected-bucket-owner"] == OWNER for headers in fake_s3.headers)


def test_bucket_of_another_owner_is_not_read(stored: Message, s3: S3Client) -> None:
    store = Store("payloads-one", "payloads/", "999999999999", "eu-west-1")
    message = received_from(store, stored, s3)
    with pytest.raises(PayloadDenied, match="another owner") as caught:
        message.payload.read()
    assert caught.value.permanent
    with pytest.raises(PayloadUnavailable, match="another owner"):
        message.payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)


def received_from(store: Store, message: Message, s3: S3Client, **options: Any) -> Message:
    assert message.pointer
    marker = {"DataType": "Number", "StringValue": str(message.size)}
    record = {"MessageId": "m-1", "Body": message.pointer.body(), "MessageAttributes": {"ExtendedPayloadSize": marker}}
    return Dereferencer(stores=[store], s3=s3, **options).message(record)


def test_expired_payload_is_missing(stored: Message, fake_s3: FakeS3, s3: S3Client) -> None:
    del fake_s3.objects[KEY]
    with pytest.raises(PayloadMissing, match="lifetime") as caught:
        stored.payload.verify_by_reading()
    assert caught.value.permanent
    assert (caught.value.message_id, caught.value.pointer) == ("m-1", stored.pointer)
    with pytest.raises(PayloadMissing, match="lifetime"):
        stored.payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)


def test_unreachable_s3_is_transient(store: Store, stored: Message) -> None:
    with FakeS3() as server:
        client = server.client(connect_timeout=1)
    with pytest.raises(PayloadUnavailable, match="EndpointConnectionError"):
        received_from(store, stored, client).payload.read()


def corrupted(data: bytes, how: str) -> bytes:
    return {"shorter": data[:-1], "longer": data + b"x", "flipped": data[:-1] + bytes([data[-1] ^ 1])}[how]


@pytest.mark.parametrize("how", ["shorter", "longer", "flipped"])
def test_changed_object_is_corrupt(how: str, stored: Message, fake_s3: FakeS3, tmp_path: Path) -> None:
    fake_s3.put(*KEY, corrupted(DATA, how))
    payload = stored.payload
    ways: list[Any] = [
        payload.read,
        payload.verify_by_reading,
        lambda: list(payload.iter_chunks()),
        lambda: payload.open().read(),
    ]
    for way in [*ways, lambda: payload.download_to(tmp_path / "file")]:
        with pytest.raises(PayloadCorrupt) as caught:
            way()
        assert caught.value.permanent
    assert list(tmp_path.iterdir()) == []


def test_changed_inline_payload_is_corrupt(publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer) -> None:
    publisher.publish("hello", message_id="m-1")
    record = DELIVERIES["SNS event"](sns.published[0])
    record["Sns"]["Message"] = "hullo"
    with pytest.raises(PayloadCorrupt, match="the message declares"):
        dereferencer.message(record).payload.read()


def test_checksum_of_s3_is_used_without_declared_digest(stored: Message, store: Store, fake_s3: FakeS3) -> None:
    found = fake_s3.objects[KEY]
    small = dataclasses.replace(found, data=b"abc", sha256="ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")
    fake_s3.objects[KEY] = small
    s3 = fake_s3.client(response_checksum_validation="when_required")
    foreign = received_from(store, stored._replace(size=3), s3)
    assert foreign.payload.read() == b"abc"
    fake_s3.objects[KEY] = dataclasses.replace(small, data=b"abd")
    with pytest.raises(PayloadCorrupt, match=r"^the payload: the received bytes differ from S3's checksum") as caught:
        foreign.payload.read()
    assert caught.value.pointer == foreign.pointer


def test_object_with_other_crc64nvme_is_corrupt(stored: Message, store: Store, fake_s3: FakeS3, s3: S3Client) -> None:
    assert stored.pointer
    fake_s3.objects[KEY].crc64nvme = "AAAAAAAAAAE="
    record = {
        "MessageId": "m-1",
        "Body": stored.pointer.body(),
        "MessageAttributes": {
            "ExtendedPayloadSize": {"DataType": "Number", "StringValue": str(stored.size)},
            "ClaimCheck": {"DataType": "String", "StringValue": '{"id":"m-1","crc64nvme":"AAAAAAAAAAA="}'},
        },
    }
    payload = Dereferencer(stores=[store], s3=s3).message(record).payload
    sentence = "^S3's CRC64NVME of the payload differs from the message .message 'm-1', payload 's3://pay"
    with pytest.raises(PayloadCorrupt, match=sentence):
        payload.verify_by_reading()
    with pytest.raises(PayloadCorrupt, match="CRC64NVME"):
        payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)
    fake_s3.objects[KEY].crc64nvme = "AAAAAAAAAAA="
    assert payload.verify_by_reading().size == len(DATA)


@pytest.mark.parametrize("after", [0, 1, 1_000_000, len(DATA) - 1])
def test_dropped_connection_is_resumed_at_its_offset(after: int, stored: Message, fake_s3: FakeS3) -> None:
    fake_s3.drop(after)
    assert stored.payload.read() == DATA
    again = fake_s3.headers[1]
    assert again.get("range", f"bytes={after}-") == f"bytes={after}-"
    assert again.get("if-match", fake_s3.objects[KEY].etag) == fake_s3.objects[KEY].etag
    assert ("range" in again) is (after > 0)


def test_part_instead_of_the_object_is_completed(stored: Message, fake_s3: FakeS3, store: Store) -> None:
    """A proxy can send the part that it has."""
    s3 = fake_s3.client()

    def shorten(request: Any, **_: Any) -> None:
        if "Range" not in request.headers:
            request.headers["Range"] = "bytes=0-99999"

    s3.meta.events.register("request-created.s3.GetObject", shorten)
    assert received_from(store, stored, s3).payload.read() == DATA
    assert fake_s3.headers[1]["range"] == "bytes=100000-"


def test_any_number_of_drops_is_resumed_if_bytes_came(stored: Message, fake_s3: FakeS3) -> None:
    fake_s3.drop(*[1] * 5, *[100_000] * 20)
    assert stored.payload.read() == DATA
    assert len(fake_s3.requests) == 26


def test_five_drops_in_a_row_are_resumed_and_six_are_not(
    stored: Message, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_s3.drop(1000, *[0] * 4)
    assert stored.payload.verify_by_reading().size == len(DATA)
    fake_s3.drop(1000, *[0] * 6)
    pauses: list[float] = []
    monkeypatch.setattr(stored_module, "_PAUSE_SECONDS", 1)
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(PayloadUnavailable, match=r"dropped 6 times in a row, .*; 1000 of \d+ bytes") as caught:
        stored.payload.verify_by_reading()
    assert pauses == [0, 0, 1, 2, 4, 8]
    assert (caught.value.message_id, caught.value.pointer) == (stored.id, stored.pointer)


@pytest.mark.parametrize("condition", ["If-Match", "ignored"])
def test_object_replaced_during_read_is_unavailable(
    condition: str, stored: Message, store: Store, fake_s3: FakeS3
) -> None:
    def replace(number: int) -> None:
        if number == 2:
            fake_s3.put(*KEY, DATA)

    def ignore(request: Any, **_: Any) -> None:
        request.headers.pop("If-Match", None)

    s3 = fake_s3.client()
    if condition == "ignored":
        s3.meta.events.register("before-send.s3.GetObject", ignore)
    fake_s3.before_get = replace
    fake_s3.drop(1_500_000)
    with pytest.raises(PayloadUnavailable, match="read it again"):
        received_from(store, stored, s3).payload.read()


def test_checksum_of_the_object_is_compared_with_no_range(stored: Message, store: Store, fake_s3: FakeS3) -> None:
    """Some servers return it with a range, too."""
    s3 = fake_s3.client(response_checksum_validation="when_required")

    def add(parsed: dict[str, Any], **_: Any) -> None:
        parsed["ChecksumCRC64NVME"] = "AAAAAAAAAAE=" if "ContentRange" in parsed else "AAAAAAAAAAA="

    s3.meta.events.register("after-call.s3.GetObject", add)
    payload = Dereferencer(stores=[store], s3=s3).payload(
        Pointer(*KEY), size=len(DATA), message_id="m-1", crc64nvme="AAAAAAAAAAA="
    )
    fake_s3.drop(1000)
    assert payload.read() == DATA
    assert [headers.get("x-amz-checksum-mode") for headers in fake_s3.headers] == ["ENABLED", None]


@pytest.mark.parametrize("memory", [MIB, 40 * MIB])
@pytest.mark.parametrize("data", [b"", b"abc", DATA], ids=len)
def test_declared_crc32_is_compared_if_s3_reports_none(
    data: bytes, memory: int, store: Store, fake_s3: FakeS3, s3: S3Client
) -> None:
    dereferencer = Dereferencer(stores=[store], s3=s3, memory=memory)

    def payload(crc32: int) -> Payload:
        return dereferencer.payload(Pointer(*KEY), size=len(data), message_id="m-1", crc32=base64_crc32(crc32))

    fake_s3.put(*KEY, data)
    assert payload(zlib.crc32(data)).read() == data
    with pytest.raises(PayloadCorrupt, match=r"^the CRC32 of the payload differs from the message") as caught:
        payload(zlib.crc32(data) ^ 1).read()
    assert caught.value.pointer == KEY


@pytest.mark.parametrize("memory", [MIB, 40 * MIB])
@pytest.mark.parametrize(
    "read",
    [
        lambda payload, size: payload.open().read(size),
        lambda payload, size: payload.open().readinto(bytearray(size)),
        lambda payload, _: pickle.load(payload.open()),
        lambda payload, _: deque(islice(payload.iter_chunks(100), 200_000), 1),
    ],
    ids=["read", "readinto", "pickle", "iter_chunks"],
)
def test_last_byte_is_held_back_from_corrupt_payload(
    read: Callable[[Payload, int], object], memory: int, s3: S3Client, fake_s3: FakeS3
) -> None:
    data = pickle.dumps("amount=100;" * 200_000)
    fake_s3.put(*KEY, data.replace(b"100", b"900", 1))
    dereferencer = Dereferencer(stores=[Store("payloads-one", "payloads/", OWNER, "eu-west-1")], s3=s3, memory=memory)
    payload = dereferencer.payload(
        Pointer(*KEY), size=len(data), message_id="m-1", sha256=hashlib.sha256(data).hexdigest()
    )
    with pytest.raises(PayloadCorrupt):
        read(payload, len(data))


def test_stream_has_no_end_after_an_error(s3: S3Client, fake_s3: FakeS3, dereferencer: Dereferencer) -> None:
    fake_s3.put(*KEY, bytes(9 * MIB))
    payload = dereferencer.payload(Pointer(*KEY), size=9 * MIB, message_id="m-1", sha256="0" * 64)
    with payload.open() as stream:
        for _ in range(2):
            with pytest.raises(PayloadCorrupt):
                stream.read()


def test_tls_error_during_read_is_a_dropped_connection(
    stored: Message, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failures = StreamingBody.read, [SSLError("bad record mac")]

    def failing(body: StreamingBody, amt: int | None = None) -> bytes:
        if len(fake_s3.requests) == 1 and failures:
            raise failures.pop()
        return read(body, amt)

    monkeypatch.setattr(StreamingBody, "read", failing)
    assert stored.payload.read() == DATA
    assert len(fake_s3.requests) == 2


def test_broken_error_response_is_transient(stored: Message, store: Store, fake_s3: FakeS3) -> None:
    """botocore does not translate urllib3's errors while it reads an error response."""
    s3, broken = fake_s3.client(), ProtocolError("Connection broken: IncompleteRead(144 bytes read, 145 more expected)")
    s3.meta.events.register("before-call.s3.GetObject", lambda **_: _raise(broken))
    with pytest.raises(PayloadUnavailable, match="ProtocolError") as caught:
        received_from(store, stored, s3).payload.read()
    assert not caught.value.permanent
    assert caught.value.__cause__ is broken


def _raise(error: Exception) -> None:
    raise error


def test_early_stop_closes_the_connection(stored: Message, store: Store, fake_s3: FakeS3) -> None:
    bodies: list[Any] = []
    s3 = fake_s3.client()
    s3.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: bodies.append(parsed["Body"]))
    payload = received_from(store, stored, s3).payload
    chunks = payload.iter_chunks(chunk_size=10)
    next(chunks)
    chunks.close()
    with payload.open() as stream:
        stream.read(10)
    assert [body._raw_stream.closed for body in bodies] == [True, True]
    assert payload.verify_by_reading().size == len(DATA)


def test_short_inline_payload_is_corrupt() -> None:
    payload = Payload(InlineReader(b"abc", message_id="m-1"), size=4, claim=Claim("m-1"))
    with pytest.raises(PayloadCorrupt, match="read 3 bytes"):
        payload.verify_by_reading()


def test_download_replaces_a_file_completely_or_not(stored: Message, fake_s3: FakeS3, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    fake_s3.drop(*[0] * 6)
    with pytest.raises(PayloadUnavailable):
        stored.payload.download_to(target)
    assert target.read_bytes() == b"old"
    stored.payload.download_to(os.fspath(target))
    assert target.read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [target]


def test_download_is_written_to_a_pipe(stored: Message, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        written = pool.submit(pipe.read_bytes)
        digest = stored.payload.download_to(pipe)
        assert written.result() == DATA
    assert digest == Digest(len(DATA), hashlib.sha256(DATA).hexdigest())
    assert pipe.is_fifo()


def test_folder_is_refused_before_reading(stored: Message, fake_s3: FakeS3, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        stored.payload.download_to(tmp_path)
    assert fake_s3.requests == []


@pytest.mark.parametrize("size", [0, -1])
def test_chunk_size_below_one_is_rejected(size: int, stored: Message) -> None:
    with pytest.raises(ValueError, match=r"^chunk_size = .*: must be at least 1$"):
        stored.payload.iter_chunks(size)


@pytest.mark.parametrize("memory", [MIB, 40 * MIB])
def test_chunks_have_the_requested_size(memory: int, stored: Message, store: Store, s3: S3Client) -> None:
    payload = received_from(store, stored, s3, memory=memory).payload
    for size in (300_000, 1_000_000, 2**30):
        sizes = [len(chunk) for chunk in payload.iter_chunks(size)]
        assert sizes[:-1] == [size] * (len(DATA) // size)
        assert sum(sizes) == len(DATA)


def test_copy_is_made_by_s3_and_compared(either: tuple[Message, bytes], s3: S3Client, fake_s3: FakeS3) -> None:
    message, data = either
    fake_s3.requests.clear()
    copied = message.payload.copy_to(S3Object("landed-one", "in/x", OWNER, "eu-west-1"), s3=s3)
    assert fake_s3.objects["landed-one", "in/x"].data == data
    assert (copied.size, copied.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert fake_s3.requests_of("GET") == []


def test_copy_of_changed_object_is_corrupt(stored: Message, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put(*KEY, corrupted(DATA, "flipped"))
    with pytest.raises(PayloadCorrupt):
        stored.payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)
    fake_s3.put(*KEY, corrupted(DATA, "longer"))
    with pytest.raises(PayloadCorrupt):
        stored.payload.copy_to(S3Object("landed-one", "y", OWNER, "eu-west-1"), s3=s3)
    assert ("landed-one", "y") not in fake_s3.objects


def test_copy_requires_the_compared_etag(stored: Message, s3: S3Client, fake_s3: FakeS3) -> None:
    stored.payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)
    assert fake_s3.headers[-1]["x-amz-copy-source-if-match"] == fake_s3.objects[KEY].etag


def test_copy_in_parts_with_other_crc64nvme_is_corrupt(
    stored: Message, store: Store, s3: S3Client, fake_s3: FakeS3
) -> None:
    size = 6 * 2**30
    fake_s3.objects[KEY] = fake_s3.stored(Zeros(size), crc64nvme="AAAAAAAAAAE=")
    foreign = received_from(store, stored._replace(size=size), s3)
    with pytest.raises(PayloadCorrupt, match="CRC64NVME of the copy"):
        foreign.payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)


def test_copy_to_bucket_of_another_owner_is_denied(
    either: tuple[Message, bytes], s3: S3Client, fake_s3: FakeS3
) -> None:
    message, _ = either
    with pytest.raises(PayloadUnavailable, match="another owner"):
        message.payload.copy_to(S3Object("landed-one", "x", "999999999999", "eu-west-1"), s3=s3)
    assert ("landed-one", "x") not in fake_s3.objects


def test_failed_copy_of_inline_payload_names_the_target(inline: Message, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.fail("PUT", 403, "AccessDenied")
    with pytest.raises(PayloadUnavailable) as caught:
        inline.payload.copy_to(S3Object("landed-one", "in/x", OWNER, "eu-west-1"), s3=s3)
    assert str(caught.value).startswith("cannot write the payload to s3://landed-one/in/x: S3 returned AccessDenied")
    assert (caught.value.message_id, caught.value.pointer) == ("m-1", Pointer("landed-one", "in/x"))


def test_copy_makes_a_client_of_the_targets_region(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer, s3: S3Client, fake_s3: FakeS3, monkeypatch: Any
) -> None:
    made: list[str] = []

    def make(region: str, **_: object) -> S3Client:
        made.append(region)
        return s3

    publisher.publish(b"\x00", message_id="m-1")
    payload = dereferencer.message(DELIVERIES["SNS event"](sns.published[0])).payload
    monkeypatch.setattr("claim_check.s3.client.s3_client", make)
    payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"))
    assert made == ["eu-west-1"]
    assert fake_s3.objects["landed-one", "x"].data == b"\x00"

"""S3's checks, without a network."""

import hashlib
import json
import zlib
from base64 import b64encode
from collections.abc import Mapping

import pytest

from bench import pattern
from bench.services import MINIMUM_PART, Body, Refusal, Request, Response, Services, key_of

KEY = "/bench-payloads/payloads/new"
PART = MINIMUM_PART


def body(data: bytes, headers: Mapping[str, str] = {}, trailers: Mapping[str, str] = {}) -> Body:
    made = Body(headers)
    for start in range(0, len(data), 1 << 20):
        made.add(data[start : start + (1 << 20)])
    made.end(trailers)
    return made


def payload(size: int, start: int = 0) -> bytes:
    return b"".join(pattern.pieces(start + size))[start:]


def put(services: Services, data: bytes, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return services.respond(Request("PUT", KEY, {}, named, body(data, named)))


def get(services: Services, key: str = KEY, **headers: str) -> Response:
    return services.respond(Request("GET", key, {}, {name.replace("_", "-"): value for name, value in headers.items()}))


def data_of(response: Response) -> bytes:
    assert response.content
    return b"".join(
        response.content.take(start, min(1 << 20, response.content.size - start)).tobytes()
        for start in range(0, response.content.size, 1 << 20)
    )


def code(response: Response) -> str:
    return response.body.decode().partition("<Code>")[2].partition("</Code>")[0]


class Upload:
    def __init__(self, services: Services) -> None:
        self._services = services
        created = services.respond(Request("POST", KEY, {"uploads": ""}))
        self.id = created.body.decode().partition("<UploadId>")[2].partition("<")[0]

    def part(self, number: int, data: bytes) -> Response:
        query = {"partNumber": str(number), "uploadId": self.id}
        return self._services.respond(Request("PUT", KEY, query, {}, body(data)))

    def complete(self) -> Response:
        return self._services.respond(Request("POST", KEY, {"uploadId": self.id}))


@pytest.mark.parametrize("data", [b"", b"payload", payload(5 * PART), payload(PART, start=4321)])
def test_object_is_read_as_it_was_written(data: bytes) -> None:
    services = Services()
    put(services, data)
    assert data_of(get(services)) == data
    assert services.written == [len(data)]


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=7-", 7, 100),
        ("bytes=-7", 93, 100),
        ("bytes=90-1000", 90, 100),
        ("bytes=-700", 0, 100),
    ],
)
def test_range_is_cut(asked: str, first: int, stop: int) -> None:
    response = get(Services(), "/b/pattern-100", range=asked)
    assert (response.status, data_of(response)) == (206, payload(100)[first:stop])
    assert response.headers["Content-Range"] == f"bytes {first}-{stop - 1}/100"


def test_range_after_the_end_is_refused() -> None:
    response = get(Services(), "/b/pattern-100", range="bytes=100-")
    assert (response.status, code(response)) == (416, "InvalidRange")


def test_copy_has_the_bytes_of_its_source() -> None:
    services, source = Services(), key_of(100)
    put(services, b"", x_amz_copy_source=f"bench-payloads/{source.replace('/', '%2F')}?versionId=v1")
    assert data_of(get(services)) == payload(100)
    assert code(put(services, b"", x_amz_copy_source="bench-payloads/missing")) == "NoSuchKey"


def test_deleted_object_is_missing() -> None:
    services = Services()
    put(services, b"one")
    assert services.respond(Request("DELETE", KEY)).status == 204
    assert get(services).status == 404


CHECKSUMS = {"crc32": zlib.crc32(b"payload").to_bytes(4, "big"), "sha256": hashlib.sha256(b"payload").digest()}


@pytest.mark.parametrize("name", CHECKSUMS)
@pytest.mark.parametrize("trailing", [False, True])
def test_checksum_of_a_body_is_compared(name: str, trailing: bool) -> None:
    declared = {f"x-amz-checksum-{name}": b64encode(CHECKSUMS[name]).decode()}
    headers, trailers = ({"x-amz-trailer": f"x-amz-checksum-{name}"}, declared) if trailing else (declared, {})
    assert body(b"payload", headers, trailers).checksums == {name: declared[f"x-amz-checksum-{name}"]}
    with pytest.raises(Refusal, match="another"):
        body(b"PAYLOAD", headers, trailers)


def test_missing_trailer_is_refused() -> None:
    with pytest.raises(Refusal):
        body(b"payload", {"x-amz-trailer": "x-amz-checksum-sha256"})


def test_stored_checksum_is_returned() -> None:
    services = Services()
    declared = b64encode(CHECKSUMS["sha256"]).decode()
    put(services, b"payload", x_amz_checksum_sha256=declared)
    assert get(services).headers["x-amz-checksum-sha256"] == declared


def test_body_with_a_wrong_byte_is_refused() -> None:
    data = bytearray(payload(PART))
    data[-1] ^= 1
    with pytest.raises(Refusal, match="differs"):
        body(bytes(data))


def test_large_body_of_other_bytes_is_refused() -> None:
    with pytest.raises(Refusal, match="only the pattern"):
        body(bytes(PART))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(payload(PART - 1), payload(1), "EntityTooSmall"), (payload(PART), payload(PART), "NotImplemented")],
    ids=["small", "other bytes"],
)
def test_wrong_parts_are_refused(first: bytes, second: bytes, expected: str) -> None:
    upload = Upload(Services())
    upload.part(1, first)
    upload.part(2, second)
    assert code(upload.complete()) == expected


@pytest.mark.parametrize("end", ["abort", "complete"])
def test_ended_upload_accepts_no_part(end: str) -> None:
    services = Services()
    upload = Upload(services)
    upload.part(1, b"one")
    services.respond(Request("DELETE", KEY, {"uploadId": upload.id})) if end == "abort" else upload.complete()
    assert code(upload.part(2, b"two")) == "NoSuchUpload"


def test_queue_returns_pointers_to_a_pattern_object() -> None:
    asked = json.dumps({"QueueUrl": "https://sqs/111111111111/100-3", "MaxNumberOfMessages": 10}).encode()
    request = Request("POST", "/", {}, {"x-amz-target": "AmazonSQS.ReceiveMessage"}, body(asked))
    messages = json.loads(Services().respond(request).body)["Messages"]
    assert len(messages) == 3
    assert json.loads(messages[0]["Body"])[1]["s3Key"] == key_of(100)

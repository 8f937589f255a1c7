"""Offloading with less than half a processor: a file or bytes in one request, over TLS, read once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from claim_check import InvalidMessage, ObjectOptions, Offloaded, PayloadConflict, PayloadUnavailable, Store, offload
from claim_check.memory import Memory
from claim_check.publishing import offload as offload_module
from claim_check.publishing.offload import ObjectWriter
from claim_check.publishing.source import SourceReader
from tests.lambdas.claim_check.fake_s3 import FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

LARGE = bytes(range(256)) * 40_000  # 10.24 MB
SHA256 = hashlib.sha256(LARGE).hexdigest()
KEY = ("payloads-one", "payloads/m-1")
PUT = "PUT /payloads-one/payloads/m-1"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[FakeS3]:
    with FakeS3(authority) as server:
        yield server


@pytest.fixture(scope="module")
def s3_of_session(server: FakeS3, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> S3Client:
    pem = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(pem)
    return server.client(s3={"addressing_style": "path", "payload_signing_enabled": False}, verify=str(pem))


@pytest.fixture(autouse=True)
def small_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload_module, "share_here", lambda: 512 / 1769)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "payload"
    path.write_bytes(LARGE)
    return path


def stored(payload: Any, s3: S3Client, store: Store, **options: Any) -> Offloaded:
    return offload(payload, store=store, message_id="m-1", s3=s3, **options)


@pytest.mark.parametrize("kind", ["path", "bytes", "buffer"])
def test_payload_is_one_request_with_a_trailer(
    kind: str, path: Path, s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    seen: list[int] = []
    payload = {"path": path, "bytes": LARGE, "buffer": bytearray(LARGE)}[kind]
    options = ObjectOptions(tags={"team": "one"})
    found = stored(payload, s3, store, progress=seen.append, options=options)
    assert (found.size, found.sha256, found.crc32, found.created) == (len(LARGE), SHA256, None, True)
    assert fake_s3.objects[KEY].data == LARGE
    assert fake_s3.objects[KEY].sha256
    assert fake_s3.requests_of("PUT") == [PUT]
    headers = fake_s3.headers[-1]
    assert headers["x-amz-trailer"] == "x-amz-checksum-sha256"
    assert headers["x-amz-decoded-content-length"] == str(len(LARGE))
    assert (headers["if-none-match"], headers["x-amz-expected-bucket-owner"]) == ("*", store.owner)
    assert headers["x-amz-tagging"] == "team=one"
    assert "expect" not in headers
    assert seen[-1] == len(LARGE)


def test_checksum_is_a_header_without_tls(path: Path, store: Store) -> None:
    with FakeS3() as fake_s3:
        assert stored(path, fake_s3.client(), store).sha256 == SHA256
        assert fake_s3.requests_of("PUT") == [PUT]
        assert fake_s3.objects[KEY].sha256


@pytest.mark.parametrize(
    "change",
    [
        {"share_here": lambda: 0.5},
        {"is_own_region": lambda _: False},
        {"_SMALL_SHARE_PUT_BYTES": len(LARGE) - 1},
    ],
    ids=["half a processor", "another Region", "too large"],
)
def test_other_payloads_are_sent_in_parts(
    change: dict[str, Any], s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in change.items():
        monkeypatch.setattr(offload_module, name, value)
    assert stored(LARGE, s3, store).crc32
    assert len(fake_s3.requests_of("PUT")) > 1


def test_stream_is_sent_in_parts(s3: S3Client, store: Store) -> None:
    assert stored(iter([LARGE]), s3, store).crc32


def test_same_payload_is_not_sent_again(path: Path, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    stored(path, s3, store)
    again = stored(path, s3, store)
    assert (again.created, again.sha256, again.size) == (False, SHA256, len(LARGE))
    assert fake_s3.requests_of("PUT") == [PUT]


def test_other_payload_under_the_same_id_is_a_conflict(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    stored(LARGE, s3, store)
    with pytest.raises(PayloadConflict):
        stored(b"x" + LARGE[1:], s3, store)
    assert fake_s3.objects[KEY].data == LARGE


@pytest.mark.parametrize(("other", "is_same"), [(LARGE, True), (b"other", False)])
def test_object_stored_meanwhile_is_compared(
    other: bytes, is_same: bool, s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    fake_s3.hook = lambda request: fake_s3.put(*KEY, other) if request == PUT else None
    if is_same:
        assert not stored(LARGE, s3, store).created
    else:
        with pytest.raises(PayloadConflict):
            stored(LARGE, s3, store)
    assert fake_s3.objects[KEY].data == other


def test_temporary_writer_of_the_key_is_unavailable(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    fake_s3.fail("PUT", 409, "ConditionalRequestConflict")
    with pytest.raises(PayloadUnavailable, match="another writer"):
        stored(LARGE, s3, store)


def test_lost_response_is_no_failure(path: Path, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    fake_s3.lose_response("PUT")
    assert stored(path, s3, store).sha256 == SHA256
    assert fake_s3.requests_of("PUT") == [PUT, PUT]


def test_busy_service_gets_all_bytes_again(path: Path, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    fake_s3.fail("PUT", 503, "SlowDown")
    found = stored(path, s3, store)
    assert (found.created, found.sha256, fake_s3.objects[KEY].data) == (True, SHA256, LARGE)


def test_response_before_the_last_byte_is_unavailable(s3: S3Client, store: Store) -> None:
    def respond(**_: Any) -> Any:
        return AWSResponse("", 200, HTTPHeaders.from_dict({"ETag": '"x"'}), HTTPResponse(BytesIO()))

    s3.meta.events.register_last("before-send.s3.PutObject", respond, unique_id="early")
    try:
        with pytest.raises(PayloadUnavailable, match="the response is not S3's"):
            stored(LARGE, s3, store)
    finally:
        s3.meta.events.unregister("before-send.s3.PutObject", unique_id="early")


@pytest.mark.parametrize("change", ["shorter", "longer"])
def test_file_of_another_length_is_not_stored(
    change: str, path: Path, s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    fake_s3.hook = lambda request: os.truncate(path, len(LARGE) + (1 if change == "longer" else -1))
    with pytest.raises(InvalidMessage, match="changed while it was sent"):
        stored(path, s3, store)
    assert fake_s3.objects == {}


def test_error_of_progress_ends_the_request(path: Path, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    released = threading.Event()
    fake_s3.hook = lambda request: released.wait(10) if request == PUT else None

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored(path, s3, store, progress=interrupted)
    released.set()
    while any(thread.name == "claim-check" for thread in threading.enumerate()):
        threading.Event().wait(0.01)
    assert fake_s3.objects == {}


def test_threads_with_one_client_have_their_own_digests(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    payloads = [bytes([number]) + LARGE for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda data: offload(data, store=store, message_id=f"m-{data[0]}", s3=s3), payloads))
    assert [each.sha256 for each in found] == [hashlib.sha256(data).hexdigest() for data in payloads]


def test_generated_id_is_not_looked_for(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    writer = ObjectWriter(s3, target=store.object_of("m-1"), message_id="m-1", memory=Memory())
    with SourceReader(LARGE) as source:
        writer.write(source, may_exist=False)
    assert fake_s3.requests == [PUT]

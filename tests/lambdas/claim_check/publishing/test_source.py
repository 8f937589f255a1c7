"""Sources: the types of payload that a caller may pass."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, cast

import pytest

from claim_check import InvalidMessage, Publisher
from claim_check.publishing.source import SourceReader
from tests.lambdas.claim_check.fake_s3 import FakeS3

if TYPE_CHECKING:
    pass
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


class Chatter(io.RawIOBase):
    """A file that cannot seek and returns 1,000 bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._chunks = iter([data[start : start + 1000] for start in range(0, len(data), 1000)])

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return next(self._chunks, b"")


def test_all_types_give_the_same_payload(publisher: Publisher, tmp_path: Path) -> None:
    text = "größer\n" * 100_000
    data = text.encode()
    path = tmp_path / "payload"
    path.write_bytes(data)
    seeked = io.BytesIO(b"skipped" + data)
    seeked.seek(len(b"skipped"))
    payloads: list[Any] = [data, bytearray(data), memoryview(data), text, path, seeked, Chatter(data)]
    payloads += [
        [data[:5], b"", memoryview(data)[5:]],
        (bytearray(data[i : i + 9999]) for i in range(0, len(data), 9999)),
    ]
    for payload in payloads:
        assert publisher.publish(payload).sha256 == hashlib.sha256(data).hexdigest(), type(payload)


def test_buffered_reader_publishes_what_it_returns(publisher: Publisher, tmp_path: Path) -> None:
    """It can have no file, or a file with other bytes."""

    class Raw(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            size = source.readinto(buffer)
            assert size is not None
            return size

    data = b"payload" * 100_000
    path = tmp_path / "payload.gz"
    path.write_bytes(gzip.compress(data))
    source = io.BytesIO(data)
    with gzip.open(path) as unzipped:
        # GzipFile has the number of its compressed file.
        for reader in (io.BufferedReader(Raw()), io.BufferedReader(cast(Any, unzipped))):
            assert publisher.publish(reader).sha256 == hashlib.sha256(data).hexdigest()


def filled(source: SourceReader, size: int) -> bytes:
    """Return all bytes of a stream, read into buffers of `size` bytes."""
    buffer, whole = memoryview(bytearray(size)), b""
    while count := source.fill(buffer):
        whole += buffer[:count]
    return whole


class TextFile:
    def read(self, size: int) -> str:
        return "text"


@pytest.mark.parametrize(
    ("payload", "advice"),
    [
        (7, "a payload cannot be a int"),
        (None, "a payload cannot be a NoneType"),
        ({"a": 1}, "json.dumps"),
        (["text"], "must yield bytes, not str"),
        ([1, 2], "must yield bytes, not int"),
        (io.StringIO("text"), "binary mode"),
        (TextFile(), r"binary mode: open"),
        ("\ud800", "pass bytes"),
        (memoryview(b"abcdef")[::2], "tobytes"),
    ],
)
def test_other_types_are_rejected(payload: Any, advice: str, publisher: Publisher, fake_s3: FakeS3) -> None:
    with pytest.raises(InvalidMessage, match=advice):
        publisher.publish(payload)
    assert fake_s3.objects == {}


def test_missing_file_raises_the_callers_error(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        publisher.publish(tmp_path / "missing")


def test_file_is_read_in_chunks_of_1_mib(publisher: Publisher) -> None:
    asked: list[int] = []

    class File:
        def read(self, size: int) -> bytes:
            asked.append(size)
            return b"x" * 1000 if len(asked) < 3 else b""

    assert publisher.publish(File()).size == 2000
    assert asked == [2**20] * 3


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        ("abc", b"abc"),
        (b"abc", b"abc"),
        ("äb", b"\xc3\xa4b"),
        (bytearray(b"abc"), b"abc"),
        ([b"ab", b"", b"c"], b"abc"),
        (bytearray(), b""),
    ],
    ids=["text", "bytes", "umlaut", "buffer", "chunks", "empty"],
)
def test_whole_payload_is_read_up_to_the_limit(payload: Any, data: bytes) -> None:
    for limit, expected in ((len(data), data), (len(data) - 1, None)):
        with SourceReader(payload) as source:
            assert source.whole(limit) == expected
            if expected is None and source.blob is None:
                assert filled(source, 2) == data


def test_stream_is_read_only_as_far_as_needed() -> None:
    stream = iter([b"x" * 60] * 9)
    with SourceReader(stream) as source:
        assert source.whole(100) is None
        assert len(list(stream)) == 7
        assert filled(source, 50) == b"x" * 120


def test_reader_closes_its_file_only(tmp_path: Path) -> None:
    path = tmp_path / "payload"
    path.write_bytes(b"x" * 6_000_000)
    with SourceReader(path) as source:
        assert source.whole(1) is None
    with path.open("rb") as file:
        with SourceReader(file) as source:
            assert source.whole(1) is None
        assert not file.closed

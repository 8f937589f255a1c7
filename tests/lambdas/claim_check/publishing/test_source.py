"""Sources: the types of payload that a caller may pass."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, cast

import pytest

from claim_check import InvalidMessage, Publisher
from claim_check.publishing.source import BytesBlob, FileBlob, SourceReader
from tests.lambdas.claim_check.fake_s3 import FakeS3

if TYPE_CHECKING:
    pass
import hashlib
import io
import os
import tracemalloc
from array import array
from collections.abc import Iterator
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


def test_buffered_reader_publishes_the_bytes_it_returns(publisher: Publisher, tmp_path: Path) -> None:
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


def test_bytes_in_memory_are_not_copied() -> None:
    data = b"x" * 1_000
    with SourceReader(data) as source:
        assert source.whole(999) is None
        assert source.whole(1_000) is data
        assert source.blob
        assert source.blob.size == 1_000
        assert memoryview(source.blob.read(10, 5)).obj is data


@pytest.mark.parametrize(
    ("payload", "can_change"),
    [(b"ab", False), (memoryview(b"ab"), False), (bytearray(b"ab"), True), (memoryview(bytearray(b"ab")), True)],
)
def test_bytes_in_memory_are_a_blob(payload: Any, can_change: bool) -> None:
    blob = BytesBlob(payload)
    assert (blob.size, bytes(blob.read(1, 1)), blob.can_change) == (2, b"b", can_change)


def test_size_of_a_memoryview_is_in_bytes() -> None:
    view = memoryview(array("I", [1, 2, 3]))
    assert BytesBlob(view).size == view.nbytes == 12


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "payload"
        path.write_bytes(bytes(range(100)))
        return path

    def blob(self, payload: Any) -> Any:
        with SourceReader(payload) as source:
            source.whole(1)
            return source.blob

    @pytest.mark.skipif(not hasattr(os, "pread"), reason="Windows has no pread: files are streams there")
    def test_regular_files_are_blobs(self, path: Path) -> None:
        assert self.blob(path).size == 100
        for mode, buffering in (("rb", 0), ("rb", -1), ("r+b", -1)):
            with path.open(mode, buffering=buffering) as file:
                file.seek(40)
                assert self.blob(file).size == 60
                assert self.blob(file).read(10, 5) == bytes(range(50, 55))
                assert file.tell() == 40

    def test_other_file_objects_are_streams(self, path: Path) -> None:
        packed = path.with_suffix(".gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))

        class Doubled(io.FileIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(size) * 2

        read, write = os.pipe()
        os.write(write, b"piped")
        os.close(write)
        with gzip.open(packed) as unpacked, Doubled(path) as doubled, open(read, "rb") as pipe:  # noqa: PTH123
            for file, size in ((unpacked, 100), (doubled, 200), (pipe, 5), (io.BytesIO(b"abc"), 3)):
                with SourceReader(file) as source:
                    assert len(source.whole(1_000) or b"") == size
                    assert source.blob is None

    def test_file_without_a_size_is_a_stream(self) -> None:
        version = Path("/proc/version")
        if not version.exists():
            pytest.skip("Linux has files of size 0 with bytes")
        with SourceReader(version) as source:
            assert source.whole(10_000) == version.read_bytes()

    def test_position_behind_the_end_is_an_empty_payload(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(500)
            with SourceReader(file) as source:
                assert source.whole(10) == b""

    def test_file_not_opened_for_reading_is_the_callers_error(self, path: Path) -> None:
        with path.open("wb") as file, SourceReader(file) as source, pytest.raises(OSError, match="read") as caught:
            source.whole(10)
        assert source.error is caught.value

    def test_small_file_is_read_to_its_present_end(self, path: Path) -> None:
        with path.open("rb") as file, SourceReader(file) as source:
            assert source.whole(1) is None
            with path.open("ab") as longer:
                longer.write(b"more")
            assert source.whole(1_000) == bytes(range(100)) + b"more"

    def test_changed_length_is_an_error(self, path: Path) -> None:
        with path.open("rb") as file:
            blob = FileBlob(file)
            blob.require_end()
            os.truncate(path, 101)
            with pytest.raises(InvalidMessage, match="changed while it was sent"):
                blob.require_end()
            os.truncate(path, 50)
            assert blob.read(0, 0) == b""
            with pytest.raises(InvalidMessage, match="changed while it was sent"):
                blob.read(60, 10)


def test_error_of_the_payload_is_noted() -> None:
    failure = OSError("disk")

    def failing() -> Iterator[bytes]:
        yield b"x" * 10
        raise failure

    with SourceReader(failing()) as source:
        assert (source.whole(5), source.error) == (None, None)
        with pytest.raises(OSError, match="disk"):
            source.fill(memoryview(bytearray(20)))
        assert source.error is failure


def chunks(count: int) -> list[Any]:
    return [memoryview(b"x")] * count


@pytest.mark.parametrize("payload", [chunks(20_000), [bytearray(b"x")] * 20_000, [b"", b"x"] * 20_000])
def test_tiny_chunks_need_little_memory(payload: Any) -> None:
    tracemalloc.start()
    try:
        with SourceReader(payload) as source:
            assert source.whole(15_000) is None
            assert len(source.whole(20_000) or b"") == 20_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 20_000


def test_stream_of_tiny_chunks_is_read_into_buffers() -> None:
    with SourceReader(chunks(30_000)) as source:
        assert source.whole(10_000) is None
        assert filled(source, 1_000) == b"x" * 30_000

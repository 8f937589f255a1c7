"""S3's gap of memory: large payloads are files, and nobody notices but the memory."""

import hashlib
import io
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from hypothesis import given
from hypothesis import strategies as st

from local.accounts import Accounts
from local.emulator import Emulator
from tests.local.support import PUBLISHER, Account

MIB = 1 << 20
_SIZE = 24 * MIB + 12_345


class _Generated(io.RawIOBase):
    """A seekable file of `size` bytes that are nowhere."""

    def __init__(self, size: int) -> None:
        self._size, self._at = size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        count = min(count if count >= 0 else self._size, self._size - self._at)
        start, self._at = self._at, self._at + count
        return bytes(_pattern(start, count))

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at


_CYCLE = bytes(number % 251 for number in range(251 * 4200)) * 2  # no power of two: a shifted piece is another piece


def _pattern(start: int, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        first = (start + len(found)) % 251
        found += _CYCLE[first : first + min(count - len(found), MIB)]
    return bytes(found)


def _digest_of(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


_EXPECTED = hashlib.sha256(_pattern(0, _SIZE)).hexdigest()


@pytest.mark.system
@pytest.mark.parametrize("upload", ["put", "put whole", "parts"])
def test_a_large_payload_comes_back_as_it_went(publisher: Account, upload: str) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    if upload == "put":
        s3.put_object(Bucket=bucket, Key="key", Body=_Generated(_SIZE), Metadata={"kind": "large"})
    elif upload == "put whole":
        s3.put_object(Bucket=bucket, Key="key", Body=_pattern(0, _SIZE), Metadata={"kind": "large"})
    else:
        config, extra = TransferConfig(multipart_chunksize=8 * MIB), {"Metadata": {"kind": "large"}}
        s3.upload_fileobj(_Generated(_SIZE), bucket, "key", Config=config, ExtraArgs=extra)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "key"}, ChecksumAlgorithm="SHA256")

    for key in ("key", "copy"):
        got = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert (got["ContentLength"], got["Metadata"]) == (_SIZE, {"kind": "large"})
        assert got.get("ContentEncoding", "") == ""
        assert _digest_of(got["Body"].iter_chunks(MIB)) == _EXPECTED
    for start, end in ((0, 9), (5 * MIB, 20 * MIB), (_SIZE - 10, _SIZE + 1000)):
        got = s3.get_object(Bucket=bucket, Key="copy", Range=f"bytes={start}-{end}")
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["Body"].read() == _pattern(start, min(end + 1, _SIZE) - start)


@pytest.mark.system
def test_versions_keep_their_own_content(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    first = s3.put_object(Bucket=bucket, Key="key", Body=_Generated(_SIZE))["VersionId"]
    s3.put_object(Bucket=bucket, Key="key", Body=b"small")

    body = s3.get_object(Bucket=bucket, Key="key", VersionId=first)["Body"]

    assert _digest_of(body.iter_chunks(MIB)) == _EXPECTED
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"small"


@pytest.mark.system
def test_a_part_may_be_copied_from_a_large_object(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    s3.put_object(Bucket=bucket, Key="key", Body=_Generated(_SIZE))
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    parts = []
    for number, (start, end) in enumerate(((0, 12 * MIB - 1), (12 * MIB, _SIZE - 1)), 1):
        copied = s3.upload_part_copy(
            Bucket=bucket,
            Key="copy",
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "key"},
            CopySourceRange=f"bytes={start}-{end}",
        )
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="copy", UploadId=upload, MultipartUpload={"Parts": parts})

    assert _digest_of(s3.get_object(Bucket=bucket, Key="copy")["Body"].iter_chunks(MIB)) == _EXPECTED


@pytest.mark.system
def test_a_wrong_checksum_is_refused(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()

    with pytest.raises(s3.exceptions.ClientError, match="BadDigest"):
        s3.put_object(Bucket=bucket, Key="key", Body=_Generated(_SIZE), ChecksumSHA256="A" * 43 + "=")
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="key")


def _peak_mebibytes(emulator: Emulator) -> int:
    status = Path(f"/proc/{emulator.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024


def _growth(emulator: Emulator, account: Account, size: int) -> int:
    """MiB by which the emulator's peak grew while a payload was uploaded, copied, read."""
    s3, bucket = account.client("s3"), account.bucket()
    before = _peak_mebibytes(emulator)
    s3.put_object(Bucket=bucket, Key="key", Body=_Generated(size))
    s3.upload_fileobj(_Generated(size), bucket, "parts", Config=TransferConfig(max_concurrency=2))
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "parts"}, ChecksumAlgorithm="SHA256")
    for _ in s3.get_object(Bucket=bucket, Key="copy")["Body"].iter_chunks(MIB):
        pass
    return _peak_mebibytes(emulator) - before


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat(emulator: Emulator, publisher: Account) -> None:
    assert _growth(emulator, publisher, 96 * MIB) < 64


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_gap_memory(bare_emulator: Emulator, bare: Accounts) -> None:
    assert _growth(bare_emulator, Account(bare, PUBLISHER), 48 * MIB) > 2 * 48


# --- the coding of uploads, piece by piece ---


def _coded(chunks: list[bytes], trailer: bytes) -> bytes:
    framed = b"".join(b"%x;chunk-signature=0\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return framed + b"0\r\n" + trailer + b"\r\n"


@given(
    chunks=st.lists(st.binary(max_size=40), max_size=6),
    cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=12),
    trailer=st.sampled_from([b"", b"x-amz-checksum-crc32:AAAAAA==\r\n"]),
)
def test_chunks_are_decoded_however_they_arrive(chunks: list[bytes], cuts: list[int], trailer: bytes) -> None:
    from local.patches.s3_large_objects import _Chunks

    coded, file = _coded(chunks, trailer), io.BytesIO()
    decoder: Any = _Chunks(file)
    edges = sorted({0, len(coded), *(cut for cut in cuts if cut < len(coded))})
    for start, end in itertools.pairwise(edges):
        decoder.feed(coded[start:end])

    assert decoder.finish() == ({"x-amz-checksum-crc32": "AAAAAA=="} if trailer else {})
    assert file.getvalue() == b"".join(chunks)


def test_a_truncated_upload_is_incomplete() -> None:
    from ministack import app

    from local.patches.s3_large_objects import _Chunks

    decoder: Any = _Chunks(io.BytesIO())
    decoder.feed(_coded([b"payload"], b"")[:-5])

    with pytest.raises(app._IncompleteRequestBody):
        decoder.finish()

"""Patches of S3: large objects in constant memory."""

import io
import sys
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import pattern
from local.emulator import Emulator
from tests.local.support import Account

MIB = 1 << 20
CONTENT = b"".join(pattern.pieces(24 * MIB + 12_345))


@pytest.mark.system
@pytest.mark.parametrize("upload", ["stream", "bytes", "parts"])
def test_large_object_is_intact(publisher: Account, upload: str) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    metadata = {"Metadata": {"kind": "large"}}
    if upload == "parts":
        config = TransferConfig(multipart_chunksize=8 * MIB)
        s3.upload_fileobj(io.BytesIO(CONTENT), bucket, "key", Config=config, ExtraArgs=metadata)
    else:
        body = io.BytesIO(CONTENT) if upload == "stream" else CONTENT
        s3.put_object(Bucket=bucket, Key="key", Body=body, **metadata)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "key"}, ChecksumAlgorithm="SHA256")

    for key in ("key", "copy"):
        got = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert (got["ContentLength"], got["Metadata"]) == (len(CONTENT), {"kind": "large"})
        assert got.get("ContentEncoding", "") == ""
        assert got["Body"].read() == CONTENT
    for start, end in ((0, 9), (5 * MIB, 20 * MIB), (len(CONTENT) - 10, len(CONTENT) + 1000)):
        got = s3.get_object(Bucket=bucket, Key="copy", Range=f"bytes={start}-{end}")
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["Body"].read() == CONTENT[start : end + 1]


@pytest.mark.system
def test_wrong_checksum_is_rejected(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()

    with pytest.raises(s3.exceptions.ClientError, match="BadDigest"):
        s3.put_object(Bucket=bucket, Key="key", Body=CONTENT, ChecksumSHA256="A" * 43 + "=")
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="key")


def _peak_mebibytes(emulator: Emulator) -> int:
    """Return the peak of the emulator's memory."""
    status = Path(f"/proc/{emulator.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024


@pytest.mark.system
@pytest.mark.patched
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_constant(emulator: Emulator, publisher: Account) -> None:
    """While an object of 96 MiB is uploaded, copied and read."""
    s3, bucket, content = publisher.client("s3"), publisher.bucket(), b"".join(pattern.pieces(96 * MIB))
    Path(f"/proc/{emulator.pid}/clear_refs").write_text("5")  # sets the peak to the current memory
    before = _peak_mebibytes(emulator)
    s3.put_object(Bucket=bucket, Key="key", Body=io.BytesIO(content))
    s3.upload_fileobj(io.BytesIO(content), bucket, "parts", Config=TransferConfig(max_concurrency=2))
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "parts"}, ChecksumAlgorithm="SHA256")
    for _ in s3.get_object(Bucket=bucket, Key="copy")["Body"].iter_chunks(MIB):
        pass
    assert _peak_mebibytes(emulator) - before < 64


def _encode(chunks: list[bytes], trailer: bytes) -> bytes:
    framed = b"".join(b"%x;chunk-signature=0\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return framed + b"0\r\n" + trailer + b"\r\n"


@settings(deadline=None)  # the first example imports the patch
@given(
    chunks=st.lists(st.binary(max_size=40), max_size=6),
    trailer=st.sampled_from([b"", b"x-amz-checksum-crc32:AAAAAA==\r\n"]),
)
def test_chunks_are_decoded(chunks: list[bytes], trailer: bytes) -> None:
    from local.patches.s3_large_objects import _decode

    file = io.BytesIO()
    trailers = _decode(io.BytesIO(_encode(chunks, trailer)), file)

    assert trailers == ({"x-amz-checksum-crc32": "AAAAAA=="} if trailer else {})
    assert file.getvalue() == b"".join(chunks)


@pytest.mark.parametrize("missing", [5, 7])
def test_truncated_upload_is_incomplete(missing: int) -> None:
    from ministack import app

    from local.patches.s3_large_objects import _decode

    with pytest.raises(app._IncompleteRequestBody):
        _decode(io.BytesIO(_encode([b"payload"], b"")[:-missing]), io.BytesIO())

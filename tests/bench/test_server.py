"""The server, over TLS, with boto3 as its client."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from bench import pattern
from bench.network import Profile
from bench.services import BUCKET, Services, key_of
from tests.bench.conftest import Serve

MIB = 1024 * 1024

Start = Callable[..., tuple[Any, Services]]


@pytest.fixture
def start(serve: Serve) -> Iterator[Start]:
    """Start a server, and return a client of it and its state."""
    with ExitStack() as stack:

        def started(*profiles: Profile) -> tuple[Any, Services]:
            server = serve(*profiles)
            client = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))
            stack.callback(client.close)
            return client, server.services

        yield started


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_file_in_parts_arrives(start: Start, algorithm: str) -> None:
    s3, services = start()
    data = b"".join(pattern.pieces(17 * MIB))
    s3.upload_fileobj(io.BytesIO(data), BUCKET, "new", ExtraArgs={"ChecksumAlgorithm": algorithm})
    assert services.calls["UploadPart"] == 3
    assert s3.get_object(Bucket=BUCKET, Key="new")["Body"].read() == data


def test_ranges_are_read_by_ten_connections(start: Start, tmp_path: Path) -> None:
    s3, services = start()
    config = TransferConfig(multipart_threshold=MIB, multipart_chunksize=MIB, preferred_transfer_client="classic")
    s3.download_file(BUCKET, key_of(10 * MIB + 1), str(tmp_path / "got"), Config=config)
    assert (tmp_path / "got").read_bytes() == b"".join(pattern.pieces(10 * MIB + 1))
    assert services.calls["GetObject"] == 11


def test_error_has_its_code(start: Start) -> None:
    s3, _ = start()
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=BUCKET, Key="missing")
    assert error.value.response["Error"]["Code"] == "NoSuchKey"


def test_connection_is_reset_as_the_profile_asks(start: Start) -> None:
    s3, _ = start(Profile(title="test", drop=1))
    body = s3.get_object(Bucket=BUCKET, Key=key_of(9 * MIB))["Body"]
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        body.read()

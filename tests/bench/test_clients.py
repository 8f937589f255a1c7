"""The clients of this environment, in each way that they support."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from bench.__main__ import PUBLISH, WAYS
from bench.clients import BATCH, CLIENTS, supports
from bench.transfer import prepared
from tests.bench.conftest import Serve

SIZE = 9 * 1024 * 1024
SMALL = 300 * 1024
CLIENTS_HERE = ("claim_check", "boto3", "s3transfer")  # the extended clients change boto3 for the whole process
CASES = [(client, way) for client in CLIENTS_HERE for way in WAYS if supports(client, way)]


@pytest.fixture(autouse=True)
def session() -> Iterator[None]:
    """Forget boto3's session, which has the address of a server that ends."""
    yield
    boto3.DEFAULT_SESSION = None


@pytest.mark.parametrize(("client", "way"), CASES)
def test_client_transfers_the_payload(client: str, way: str, serve: Serve, tmp_path: Path) -> None:
    server = serve()
    size = SMALL if "batch" in way else 1024 if "small" in way else SIZE
    received = prepared(CLIENTS[client](), way, size, tmp_path)()
    if way.startswith("receive"):
        assert received == (BATCH * size if "batch" in way else size)
    elif way in PUBLISH:
        assert server.services.written == [size]
    else:
        assert server.services.calls["PublishBatch" if "batch" in way else "Publish"]

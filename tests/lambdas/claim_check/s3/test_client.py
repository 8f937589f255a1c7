"""S3 clients of the library."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ConnectTimeoutError, ProfileNotFound, SSLError

from claim_check import PayloadDenied, Publisher, Store, put_event, s3_client
from claim_check.s3 import client as client_module
from claim_check.s3.client import S3Clients, boto_client
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.fake_s3 import FakeS3

BUS = "arn:aws:events:eu-west-1:111111111111:event-bus/coatcheck"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Regions and patience of the clients that were made. A client is a list of its own here."""
    made: list[tuple[str, bool]] = []

    def make(region: str, *, patient: bool, session: object = None) -> list[object]:
        made.append((region, patient))
        return [region, session]

    monkeypatch.setattr(client_module, "s3_client", make)
    return made


def test_client_computes_digests_once_and_retries() -> None:
    config: Any = s3_client("eu-west-1").meta.config
    assert config.region_name == "eu-west-1"
    assert config.retries["mode"] == "standard"
    assert config.response_checksum_validation == "when_required"
    assert config.s3["payload_signing_enabled"] is False
    assert config.max_pool_connections == 32


@pytest.mark.parametrize(("patient", "attempts", "connect", "read"), [(True, 5, 10, 60), (False, 2, 3, 3)])
def test_silent_replica_is_left_within_seconds(patient: bool, attempts: int, connect: int, read: int) -> None:
    """The store's own client waits longer: S3 can take long to begin its response to a copy."""
    config: Any = s3_client("us-west-2", patient=patient).meta.config
    assert config.retries["total_max_attempts"] == attempts
    assert (config.connect_timeout, config.read_timeout) == (connect, read)


def test_client_is_made_once_for_each_region_and_patience(made: list[tuple[str, bool]]) -> None:
    clients = S3Clients()
    assert made == []
    first = clients.client("eu-west-1")
    assert clients.client("eu-west-1") is first
    for region, patient in (("us-east-1", True), ("eu-west-1", False)):
        assert clients.client(region, patient=patient) is not first
    assert made == [("eu-west-1", True), ("us-east-1", True), ("eu-west-1", False)]


def test_threads_make_one_client(made: list[tuple[str, bool]]) -> None:
    clients, together = S3Clients(), Barrier(8)

    def client(_: int) -> Any:
        together.wait()
        return clients.client("eu-west-1")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(client, range(8)))
    assert len(made) == 1
    assert all(each is found[0] for each in found)


def test_clients_of_boto_are_made_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3's default session is not safe for threads."""

    class Lock:
        held = False

        def __enter__(self) -> None:
            self.held = True

        def __exit__(self, *_: object) -> None:
            self.held = False

    lock = Lock()
    monkeypatch.setattr(client_module, "_making_client", lock)
    monkeypatch.setattr("boto3.client", lambda *_, **__: lock.held)
    assert boto_client("s3", "eu-west-1") is True
    assert not lock.held


def test_another_process_has_clients_of_its_own(made: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch) -> None:
    clients = S3Clients()
    before = clients.client("eu-west-1")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert clients.client("eu-west-1") is not before
    assert pickle.loads(pickle.dumps(clients)).client("eu-west-1") is not before
    assert len(made) == 3


def test_forked_process_closes_connections_of_a_given_client(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    given = MagicMock()
    given.put_events.return_value = {"Entries": [{"EventId": "e-1"}]}
    clients: list[Callable[[], Any]] = [
        lambda: S3Clients(given).client("eu-west-1"),
        partial(S3Clients(given).client, "eu-west-1"),
        lambda: Publisher(topic_arn=TOPIC, store=store, sns=given)._destination.client,
        lambda: put_event(bus=BUS, source="a", detail_type="b", detail={}, events=given) == "e-1" and given,
    ]
    assert [client() for client in clients] == [given] * 4
    given.close.assert_not_called()
    for process in (-1, -2):
        monkeypatch.setattr(os, "getpid", lambda number=process: number)
        assert [client() for client in clients] == [given] * 4
        given.close.assert_called_once_with()
        given.close.reset_mock()


def test_given_client_is_used_for_all_regions_and_not_pickled() -> None:
    given: Any = object()
    clients = S3Clients(given)
    assert clients.client("eu-west-1") is clients.client("us-east-1", patient=False) is given
    with pytest.raises(TypeError, match="belongs to its process; pass none"):
        pickle.dumps(clients)


def test_session_makes_the_clients_of_all_regions() -> None:
    session = boto3.Session(aws_access_key_id="sessions", aws_secret_access_key="test")
    clients: Any = S3Clients(session)
    client = clients.client("eu-west-1", patient=False)
    assert clients.client("eu-west-1", patient=False) is client
    assert client._request_signer._credentials.access_key == "sessions"
    assert (client.meta.region_name, client.meta.config.connect_timeout) == ("eu-west-1", 3)
    with pytest.raises(TypeError, match="belongs to its process; pass none"):
        pickle.dumps(clients)


def client_of(region: str) -> Any:
    return [region]


def test_function_makes_the_client_of_a_region() -> None:
    clients: Any = S3Clients(client_of)
    client = clients.client("eu-west-1")
    assert client == ["eu-west-1"]
    assert clients.client("eu-west-1") is client
    assert clients.client("us-east-1") == ["us-east-1"]
    assert pickle.loads(pickle.dumps(clients)).client("eu-west-1") == ["eu-west-1"]


def test_client_without_configuration_is_denied() -> None:
    def fail(_: str) -> Any:
        raise ProfileNotFound(profile="missing")

    with pytest.raises(PayloadDenied, match="cannot make a client of S3 in eu-west-1: ProfileNotFound; the client's"):
        S3Clients(fail).client("eu-west-1")


def test_client_with_other_attributes_is_a_client() -> None:
    """A double of a test can be callable, and have an attribute `client`."""
    given = MagicMock()
    assert S3Clients(given).client("eu-west-1") is given


def test_lock_of_the_parent_is_not_used_after_a_fork() -> None:
    before = client_module._making_client
    with before:
        child = os.fork()
        if not child:
            os._exit(int(client_module._making_client is before))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def pauses(fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds between the attempts of a request to the fake S3."""
    pauses: list[float] = []
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", fake_s3.url)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
    return pauses


@pytest.mark.parametrize("operation", ["get_object", "put_object", "upload_part"])
def test_lost_connection_is_replaced_at_once(operation: str, fake_s3: FakeS3, pauses: list[float]) -> None:
    """Twice. Then botocore waits before it tries again."""

    def reset(_: object) -> None:
        raise ConnectionResetError

    fake_s3.hook = reset
    members = {"upload_part": {"UploadId": "u", "PartNumber": 1}}.get(operation, {})
    with pytest.raises(ConnectionClosedError):
        getattr(s3_client("eu-west-1"), operation)(Bucket="payloads-one", Key="k", **members)
    assert pauses[:2] == [0, 0]
    assert len(pauses) == 4
    assert min(pauses[2:]) > 0


@pytest.mark.parametrize("is_lost", [True, False])
def test_only_a_lost_connection_is_replaced_at_once(is_lost: bool, pauses: list[float]) -> None:
    """Within TLS, a reset is an SSLError."""
    s3: Any = s3_client("eu-west-1")
    error = SSLError if is_lost else ConnectTimeoutError

    def fail(**_: object) -> None:
        raise error(endpoint_url="https://s3", error=OSError("EOF"))

    s3.meta.events.register("before-send.s3", fail)
    with pytest.raises(error):
        s3.get_object(Bucket="payloads-one", Key="k")
    assert [pause == 0 for pause in pauses] == [is_lost, is_lost, False, False]


def test_busy_service_is_not_asked_at_once(fake_s3: FakeS3, pauses: list[float]) -> None:
    fake_s3.fail("GET", 503, "SlowDown", times=99)
    with pytest.raises(ClientError, match="SlowDown"):
        s3_client("eu-west-1").get_object(Bucket="payloads-one", Key="k")
    assert len(pauses) == 4
    assert min(pauses) > 0

"""One store, one topic, and the fake S3."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from claim_check import Dereferencer, Publisher, Store
from claim_check.s3.workers import Workers
from tests.lambdas.claim_check.deliveries import NotedSns
from tests.lambdas.claim_check.error_form import checked_errors
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

settings.register_profile("house", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("house")

TOPIC = f"arn:aws:sns:eu-west-1:{OWNER}:events"


@pytest.fixture(scope="module", autouse=True)
def error_form() -> Iterator[None]:
    """Check the form of every error that a test provokes."""
    with checked_errors():
        yield


@pytest.fixture(scope="session", autouse=True)
def short_pauses() -> Iterator[None]:
    """Make botocore's pauses between two attempts short: they are up to seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 50)))
        yield


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the caller's thread look at its workers more often than twice a second."""
    monkeypatch.setattr(Workers.wait, "__defaults__", (0.02,))


@pytest.fixture(scope="session")
def server() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


@pytest.fixture(scope="session")
def s3_of_session(server: FakeS3) -> S3Client:
    return server.client()


@pytest.fixture
def fake_s3(server: FakeS3) -> FakeS3:
    """The fake S3, empty and without failures."""
    for state in (server.objects, server.uploads):
        state.clear()
    for plan in (server.requests, server.headers, server.failures, server.drops, server.pauses, server.lost):
        plan.clear()
    server.before_get = None
    server.hook = lambda _: None
    return server


@pytest.fixture
def s3(fake_s3: FakeS3, s3_of_session: S3Client) -> S3Client:
    return s3_of_session


@pytest.fixture
def store() -> Store:
    return Store("payloads-one", "payloads/", OWNER, "eu-west-1")


@pytest.fixture
def sns() -> NotedSns:
    return NotedSns()


@pytest.fixture
def publisher(sns: NotedSns, s3: S3Client, store: Store) -> Publisher:
    return Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=s3)


@pytest.fixture
def dereferencer(s3: S3Client, store: Store) -> Dereferencer:
    return Dereferencer(stores=[store], s3=s3)

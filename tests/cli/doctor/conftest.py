"""Clients that respond as a test says."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from cli.doctor.requests import Requests

ACCOUNT, REGION = "222222222222", "eu-south-1"


class FakeClients:
    """Clients that respond as a test says, and check requests with botocore's models."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._stubs: dict[str, Stubber] = {}

    def client(self, service: str, *, account: str, region: str) -> Any:
        assert account == ACCOUNT
        if service not in self._clients:
            keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
            self._clients[service] = boto3.client(service, region_name=region, **keys)  # type: ignore[call-overload]
            self._stubs[service] = Stubber(self._clients[service])
            self._stubs[service].activate()
        return self._clients[service]

    def stub(self, service: str) -> Stubber:
        self.client(service, account=ACCOUNT, region=REGION)
        return self._stubs[service]


@pytest.fixture
def clients() -> FakeClients:
    return FakeClients()


@pytest.fixture
def requests(clients: FakeClients) -> Requests:
    return Requests(clients, ACCOUNT)  # type: ignore[arg-type]

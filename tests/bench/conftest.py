from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.network import PROFILES, Network, Profile
from bench.server import Server

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server, and have boto3's clients use it."""
    with ExitStack() as stack:

        def started(profile: Profile = PROFILES["memory"]) -> Server:
            certificate = tmp_path / "certificate.pem"
            server = stack.enter_context(Server(certificate, Network(profile)))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.shutdown)
            environment = {
                "AWS_ENDPOINT_URL": server.url,
                "AWS_CA_BUNDLE": str(certificate),
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "eu-west-1",
            }
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            return server

        yield started

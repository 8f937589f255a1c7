from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.__main__ import variables
from bench.network import PROFILES, Network, Profile
from bench.server import Server

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server, and have boto3's clients use it."""
    with ExitStack() as stack:

        def started(profile: Profile = PROFILES["memory"]) -> Server:
            server = stack.enter_context(Server(tmp_path / "certificate.pem", Network(profile)))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.shutdown)
            for name, value in variables(server.url, tmp_path).items():
                monkeypatch.setenv(name, value)
            return server

        yield started

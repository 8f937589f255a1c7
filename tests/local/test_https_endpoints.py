"""The web servers of HTTPS subscribers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from local.https_endpoints import Endpoints
from stacks.deployment import Names, load_messaging

DEPLOYMENT = """
name = "coatcheck"
[publisher]
account = "111111111111"
region = "us-east-1"
[[subscribers]]
name = "partner"
kind = "https"
account = "222222222222"
region = "us-east-1"
endpoint = "https://partner.example.com/messages"
subscribed = false
"""


def test_no_confirmation_is_awaited_without_subscription(tmp_path: Path) -> None:
    (tmp_path / "file.toml").write_text(DEPLOYMENT)
    deployment = load_messaging(tmp_path / "file.toml")
    no_request: Any = SimpleNamespace(client=lambda *_, **__: None)
    Endpoints(deployment.subscribers, Names(deployment)).wait_until_confirmed(no_request)

"""What every test of redrive has: an account of moto's, and a deployment file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from cli.redrive import pile
from tests.redrive.support import DEPLOYMENT


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_CA_BUNDLE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pile, "WAITED_SECONDS", 0)
    with mock_aws():
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "deployment.toml"
    path.write_text(DEPLOYMENT)
    return path

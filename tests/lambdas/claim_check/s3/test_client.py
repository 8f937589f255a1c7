"""S3 clients of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claim_check import (
    s3_client,
)

if TYPE_CHECKING:
    pass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def test_client_computes_digests_once_and_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    config: Any = s3_client("eu-west-1").meta.config
    assert config.region_name == "eu-west-1"
    assert config.retries["mode"] == "standard"
    assert config.retries["total_max_attempts"] == 5
    assert config.response_checksum_validation == "when_required"
    assert config.s3["payload_signing_enabled"] is False


def test_impatient_client_stops_retrying_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    quick: Any = s3_client("us-west-2", patient=False).meta.config
    patient: Any = s3_client("us-west-2").meta.config
    assert (quick.retries["total_max_attempts"], quick.connect_timeout) == (2, 3)
    assert (patient.retries["total_max_attempts"], patient.connect_timeout) == (5, 60)

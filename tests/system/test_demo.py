"""`coatcheck demo`: payloads through the functions in emulated accounts."""

import json
from typing import Any

import pytest

from cli.demo import EXAMPLE, run
from cli.scenario.payloads import installed_file

MEMORY_MB = 160

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("demo") / "report.json"
    assert run(EXAMPLE, report=path) == 0
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_every_route_reaches_every_subscriber_intact(report: dict[str, Any]) -> None:
    file = installed_file()
    assert file.bytes > 10 * 2**20
    event, library, outbox = report["payloads"]
    assert event["route"].startswith("PutEvents")
    for payload in (library, outbox):
        assert (payload["bytes"], payload["sha256"]) == (file.bytes, file.sha256)
    for payload in report["payloads"]:
        orders, billing = payload["subscribers"]
        assert (orders["account"], orders["region"]) == ("222222222222", "us-west-2")
        assert (billing["account"], billing["region"]) == ("333333333333", "us-east-1")
        assert orders["sha256"] == billing["sha256"] == payload["sha256"]
        assert orders["bytes"] == billing["bytes"] == payload["bytes"]
        execution, task = orders["application"], billing["application"]
        assert (execution["kind"], execution["status"]) == ("Step Functions execution", "SUCCEEDED")
        assert execution["arn"].endswith(payload["message_id"])
        assert task["kind"] == "ECS task"


def test_every_attempt_is_denied(report: dict[str, Any]) -> None:
    attempts = report["attempts"]
    assert len(attempts) == 15
    assert all(attempt["denied"] for attempt in attempts)
    pointers = [attempt for attempt in attempts if "pointer" in attempt["attempt"]]
    assert all(attempt["response"].startswith("UntrustedStore: ") for attempt in pointers)
    assert len(pointers) == 2


def test_memory_of_functions_is_measured(report: dict[str, Any]) -> None:
    peaks = {function["function"]: function["peak_memory_mb"] for function in report["functions"]}
    assert set(peaks) == {"coatcheck-publish", "coatcheck-orders-consume", "coatcheck-billing-consume"}
    # Python and boto3 alone need about 40 MB: with less, something else was measured.
    assert all(30 < peak < MEMORY_MB for peak in peaks.values()), peaks


def test_report_lists_limitations_of_the_emulator(report: dict[str, Any]) -> None:
    assert "ECS tasks" in {limit["name"] for limit in report["not_enforced"]}

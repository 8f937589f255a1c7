"""`make demo`, as a newcomer types it: real payloads through the real functions in emulated accounts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.scenario.payloads import installed_file

ROOT = Path(__file__).parents[2]
MEMORY_MB = 160


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("demo") / "report.json"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'lambdas'}"}
    demo = subprocess.run(
        [sys.executable, "-m", "cli.demo", "--report", str(path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout[-6000:] + demo.stderr[-3000:]
    found: dict[str, Any] = json.loads(path.read_text())
    return found


pytestmark = pytest.mark.system


def test_every_route_reaches_every_subscriber_byte_for_byte(report: dict[str, Any]) -> None:
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
        assert (orders["downstream"]["kind"], orders["downstream"]["status"]) == (
            "Step Functions execution",
            "SUCCEEDED",
        )
        assert orders["downstream"]["arn"].endswith(payload["message_id"])
        assert billing["downstream"]["kind"] == "ECS task"


def test_what_must_be_refused_is(report: dict[str, Any]) -> None:
    tried = [refusal["tried"] for refusal in report["refusals"]]
    assert len(tried) == 15
    assert all(refusal["held"] for refusal in report["refusals"])
    forged = [refusal for refusal in report["refusals"] if "pointer" in refusal["tried"]]
    assert all(refusal["answer"].startswith("UntrustedStore: ") for refusal in forged)
    assert len(forged) == 2


def test_functions_stay_small(report: dict[str, Any]) -> None:
    peaks = {function["function"]: function["peak_memory_mb"] for function in report["functions"]}
    assert set(peaks) == {"coatcheck-publish", "coatcheck-orders-consume", "coatcheck-billing-consume"}
    # Python and boto3 take some 40 MB by themselves: less would say that something else was measured.
    assert all(30 < peak < MEMORY_MB for peak in peaks.values()), peaks


def test_the_report_says_what_the_emulator_does_not_enforce(report: dict[str, Any]) -> None:
    assert "ECS tasks" in {limit["name"] for limit in report["not_enforced"]}

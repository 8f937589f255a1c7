"""The result of the scenario: ok only if everything holds."""

import dataclasses
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from cli.scenario.arrivals import ScenarioArrival
from cli.scenario.deliveries import ReceivedPayload
from cli.scenario.memory import FunctionMemory
from cli.scenario.promises import outcomes
from cli.scenario.refusals import RefusedAttempt
from cli.scenario.report import Report
from cli.scenario.routes import Submission
from cli.scenario.world import Unseen
from local.limitations import Limitation
from stacks.deployment import load_messaging

START = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = hashlib.sha256(b"payload").hexdigest()
DENIED = RefusedAttempt("read a payload", "another account", "the bucket's policy", "AccessDenied: no", denied=True)
ARRIVAL = ScenarioArrival(
    message_id="m",
    bytes=7,
    sha256=DIGEST,
    digest_by="the ECS task",
    kind="ECS task",
    arn="arn",
    status="exit code 0",
    succeeded=True,
    at=START + timedelta(seconds=2),
    ended_at=START + timedelta(seconds=3),
)
DEPLOYMENT = load_messaging(Path(__file__).parents[3] / "deployments" / "example.toml")


def report(*, orders: ScenarioArrival | None = ARRIVAL, attempts: tuple[RefusedAttempt, ...] = (DENIED,)) -> Report:
    sent = Submission("a file", "the library", 7, DIGEST, START, "m")
    arrivals = {"billing": ARRIVAL, **({"orders": orders} if orders else {})}
    return Report(
        deployment="coatcheck",
        started_at=START,
        publisher=DEPLOYMENT.publisher,
        subscribers=DEPLOYMENT.subscribers,
        payloads=[ReceivedPayload(sent, START, arrivals)],
        attempts=attempts,
        functions=[FunctionMemory("coatcheck-publish", "111111111111", "us-east-1", 60, by_size=[(7, 55)])],
        seconds={"deploy": 1.0},
    )


def limited(report: Report) -> Report:
    """Return the report of emulated accounts."""
    return dataclasses.replace(report, not_enforced=[Limitation("ECS tasks", "a container runs", "a process runs")])


def shown(report: Report, width: int = 80) -> str:
    text = io.StringIO()
    report.show(Console(file=text, width=width))
    return text.getvalue()


def test_report_is_ok_when_everything_holds() -> None:
    complete = report()
    assert complete.ok
    (payload,) = complete.to_json()["payloads"]
    assert payload["subscribers"][0] == {
        "name": "orders",
        "account": "222222222222",
        "region": "us-west-2",
        "bytes": 7,
        "sha256": DIGEST,
        "digest_by": "the ECS task",
        "application": {"kind": "ECS task", "status": "exit code 0", "arn": "arn"},
        "after_seconds": 2.0,
        "ended_after_seconds": 3.0,
        "filtered": False,
        "ok": True,
    }


@pytest.mark.parametrize(
    "orders",
    [
        None,
        dataclasses.replace(ARRIVAL, sha256=hashlib.sha256(b"pay1oad").hexdigest()),
        dataclasses.replace(ARRIVAL, bytes=6),
        dataclasses.replace(ARRIVAL, status="FAILED", succeeded=False),
    ],
    ids=["missing", "other digest", "other size", "failed application"],
)
def test_report_fails_when_a_payload_is_not_intact(orders: ScenarioArrival | None) -> None:
    assert not report(orders=orders).ok


def test_report_without_any_attempt_fails() -> None:
    """With credentials of the wrong accounts."""
    unseen = [Unseen("payloads", "no credentials of an account that sends: nothing is sent")]
    partial = dataclasses.replace(report(attempts=()), unseen=unseen)
    assert partial.ok
    assert not dataclasses.replace(partial, payloads=[]).ok


@pytest.mark.parametrize("orders", [None, ARRIVAL], ids=["not delivered", "delivered"])
def test_filtered_message_must_not_be_delivered(orders: ScenarioArrival | None) -> None:
    subscribers = [
        each.model_copy(update={"filter_policy": '{"source":["shop"]}'} if each.name == "orders" else {})
        for each in DEPLOYMENT.subscribers
    ]
    filtered = dataclasses.replace(report(orders=orders), subscribers=subscribers)
    assert filtered.ok is (orders is None)
    assert ("✓ orders  not delivered" in shown(filtered)) is (orders is None)
    assert outcomes(filtered)["queue"] is None
    assert outcomes(filtered)["function"]


def test_report_fails_when_an_attempt_was_allowed() -> None:
    failed = report(attempts=(DENIED, dataclasses.replace(DENIED, denied=False, response="allowed")))
    assert not failed.ok
    assert "✗ read a payload another account: allowed" in shown(failed)


def test_summary_splits_no_word_at_80_columns() -> None:
    attempts = tuple(dataclasses.replace(DENIED, policy=policy) for policy in (DENIED.policy, 20 * "long-words "))
    lines = shown(report(attempts=attempts)).splitlines()
    assert max(map(len, lines)) <= 80
    words = set(shown(report(attempts=attempts), width=1000).split())
    assert {word for line in lines for word in line.split()} == words


@pytest.mark.parametrize("peak", [None, 160])
def test_report_fails_when_a_function_used_much_memory(peak: int | None) -> None:
    grown = FunctionMemory("coatcheck-publish", "111111111111", "us-east-1", peak)
    assert not dataclasses.replace(report(), functions=[grown]).ok


def test_report_fails_when_a_part_is_empty() -> None:
    assert not dataclasses.replace(report(), payloads=[]).ok
    assert not dataclasses.replace(report(), attempts=[]).ok
    assert not dataclasses.replace(report(), functions=[]).ok


def test_report_is_written_as_json_and_as_a_page(tmp_path: Path) -> None:
    html, file = report().write(tmp_path / "demo" / "report.json", DEPLOYMENT, not_deleted=[])
    written = json.loads(file.read_text())
    assert (written["functions"][0]["peak_memory_mb"], written["not_deleted"]) == (60, [])
    assert html == tmp_path / "demo" / "index.html"
    assert "<!DOCTYPE html>" in html.read_text()

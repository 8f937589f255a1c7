"""The demo's verdict: it says yes only when everything held."""

import dataclasses
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from cli.scenario.arrivals import Arrival
from cli.scenario.deliveries import Delivery
from cli.scenario.payloads import generated, of_file, parse_size
from cli.scenario.refusals import Refusal
from cli.scenario.report import FunctionMemory, Report
from cli.scenario.routes import Sent
from stacks.deployment import Deployment, load_messaging

START = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = hashlib.sha256(b"payload").hexdigest()
HELD = Refusal("read a payload", "a stranger", "the bucket's policy", "AccessDenied: no", held=True)


def arrival(**changes: object) -> Arrival:
    whole = Arrival(
        message_id="m",
        bytes=7,
        sha256=DIGEST,
        kind="ECS task",
        arn="arn",
        status="RUNNING",
        at=START + timedelta(seconds=2),
        ended=True,
    )
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


@pytest.fixture
def deployment() -> Deployment:
    return load_messaging(Path(__file__).parents[2] / "deployments" / "example.toml")


def report(deployment: Deployment, *, orders: Arrival | None, refusals: list[Refusal]) -> Report:
    sent = Sent("a file", "the library", 7, DIGEST, START, "m")
    arrivals = {"billing": arrival(), **({"orders": orders} if orders else {})}
    functions = [FunctionMemory("coatcheck-publish", "111111111111", "us-east-1", 60)]
    return Report(deployment, [Delivery(sent, "m", START, arrivals)], refusals, functions, {"deploy": 1.0})


def test_all_held(deployment: Deployment) -> None:
    found = report(deployment, orders=arrival(), refusals=[HELD])
    assert found.ok
    (payload,) = found.to_json()["payloads"]
    assert payload["subscribers"][0] == {
        "name": "orders",
        "account": "222222222222",
        "region": "us-west-2",
        "bytes": 7,
        "sha256": DIGEST,
        "downstream": {"kind": "ECS task", "status": "RUNNING", "arn": "arn"},
        "after_seconds": 2.0,
        "ok": True,
    }


@pytest.mark.parametrize(
    "orders",
    [
        None,
        arrival(sha256=hashlib.sha256(b"pay1oad").hexdigest()),
        arrival(bytes=6),
        arrival(status="FAILED"),
    ],
    ids=["not arrived", "other bytes", "cut short", "failed downstream"],
)
def test_a_payload_that_did_not_arrive_whole_fails_the_demo(deployment: Deployment, orders: Arrival | None) -> None:
    assert not report(deployment, orders=orders, refusals=[HELD]).ok


def test_an_attempt_that_was_allowed_fails_the_demo(deployment: Deployment) -> None:
    allowed = dataclasses.replace(HELD, held=False, answer="it was allowed")
    found = report(deployment, orders=arrival(), refusals=[HELD, allowed])
    assert not found.ok
    shown = io.StringIO()
    found.show(Console(file=shown, width=150))
    assert "it was allowed" in shown.getvalue()


@pytest.mark.parametrize("peak", [None, 160])
def test_a_function_that_grew_or_said_nothing_fails_the_demo(deployment: Deployment, peak: int | None) -> None:
    found = report(deployment, orders=arrival(), refusals=[HELD])
    grown = dataclasses.replace(found.functions[0], peak_memory_mb=peak)
    assert not dataclasses.replace(found, functions=[grown]).ok


def test_nothing_tried_is_nothing_shown(deployment: Deployment) -> None:
    assert not report(deployment, orders=arrival(), refusals=[]).ok


def test_the_report_is_written_as_json(deployment: Deployment, tmp_path: Path) -> None:
    found = report(deployment, orders=arrival(), refusals=[HELD])
    found.write(tmp_path / "demo" / "report.json")
    written = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert written["functions"][0]["peak_memory_mb"] == 60
    assert written["not_enforced"]


@pytest.mark.parametrize(
    ("text", "size"), [("2GiB", 2 * 2**30), ("300 MB", 300_000_000), ("1048576", 1048576), ("5kib", 5120)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-1GB", "1.5GB", "2 parsecs"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


def test_a_generated_payload_is_what_it_says_and_goes(tmp_path: Path) -> None:
    with generated(2**20 + 1, tmp_path) as payload:
        assert of_file(payload.path) == payload
        assert payload.bytes == 2**20 + 1
    assert not payload.path.exists()

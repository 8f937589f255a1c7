"""Arrivals in the log of a consume function, in which own code also writes."""

from types import SimpleNamespace
from typing import Any

from cli.scenario.arrivals import ScenarioArrivals
from stacks.deployment import Names
from tests.cli.scenario.test_report import DEPLOYMENT, START

HANDED_OFF = (
    '{"message": "handed off", "message_id": "m", "bytes": 7, "checksum": "sha256 abc", '
    '"timestamp": "2026-01-01 00:00:02,000+0000"}'
)


def test_lines_of_own_code_are_skipped() -> None:
    lines = ["{'a': 1}", "{", '{"a": 1}', "START", HANDED_OFF]
    pages = [{"events": [{"message": line} for line in lines]}]
    logs = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: pages))
    world: Any = SimpleNamespace(client=lambda *_, **__: logs)
    billing = DEPLOYMENT.subscribers[1].model_copy(update={"application": "function"})
    found = ScenarioArrivals(world, Names(DEPLOYMENT), START).at(billing, ["m"])
    assert {message_id: (arrival.bytes, arrival.sha256) for message_id, arrival in found.items()} == {"m": (7, "abc")}

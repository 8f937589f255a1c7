"""The dead letter of a message that must be refused, in a queue with many others."""

from typing import Any

import pytest

from claim_check import Pointer
from cli.scenario import refusals
from stacks.deployment import Place
from tests.cli.redrive.fake_aws import ACCOUNT, NORTH, FakeAws, Queue, client

POINTER = Pointer("bucket", "payloads/secret")
REASON = {"DeadLetterReason": {"DataType": "String", "StringValue": "UntrustedStore: not trusted"}}


class World:
    """The accounts' clients."""

    def client(self, service: str, *, account: str, region: str) -> Any:
        assert account == ACCOUNT
        return client(service, region)


@pytest.mark.parametrize("name", ["dead", "dead.fifo"])
def test_dead_letter_is_found_among_others(aws: FakeAws, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    queue = Queue(name, NORTH)
    others = [str(number) for number in range(30)]
    for body in others:
        queue.put(body, group=f"group {body}")
    queue.put(POINTER.body(), REASON, group="verify")
    monkeypatch.setattr(refusals, "DEAD_LETTER_SECONDS", 5)
    found = refusals.dead_letter_reason(World(), Place(ACCOUNT, NORTH).named("sqs", name), POINTER)  # type: ignore[arg-type]
    assert found == "UntrustedStore: not trusted"
    assert queue.bodies == others

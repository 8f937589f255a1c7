"""`coatcheck local` with a deployment file and kept state: the deployment works in the next run."""

from pathlib import Path

import pytest

from claim_check import put_event
from stacks.deployment import Names, load_messaging
from tests.local.support import eventually
from tests.system.support import LocalAccounts

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]

_FILE = """
name = "kept"
[publisher]
account = "111111111111"
region = "us-east-1"
[[subscribers]]
name = "orders"
kind = "sqs"
account = "222222222222"
region = "us-west-2"
"""


def _process(local: LocalAccounts, names: Names, number: int) -> None:
    """Put the event with this number, and wait until as many executions have succeeded."""
    bus, events = names.publisher.event_bus.arn, local.client("events", "111111111111")
    put_event(bus=bus, source="test", detail_type="Order placed", detail={"number": number}, events=events)
    states, machine = local.client("stepfunctions", "222222222222", "us-west-2"), names.subscribers["orders"]

    def succeeded() -> bool:
        listed = states.list_executions(stateMachineArn=machine.state_machine.arn, statusFilter="SUCCEEDED")
        return len(listed["executions"]) == number

    eventually(succeeded, seconds=60)


def test_kept_deployment_processes_messages_in_the_next_run(tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    file.write_text(_FILE)
    for run in (1, 2):
        with LocalAccounts("--logs", "--deployment", file, "--state", tmp_path / "state") as local:
            assert "Profiles: publisher, orders" in local.printed
            _process(local, Names(load_messaging(file)), run)
        assert "111111111111 kept-publish: {" in local.printed, "the logs of functions"

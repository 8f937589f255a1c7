"""Sources of dead letters: which exist, and the executions of a state machine."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from cli.redrive import sources
from cli.redrive.sources import BATCH, HELD_SECONDS, NOT_REDRIVABLE, WAIT_SECONDS
from tests.cli.conftest import Redrive
from tests.cli.redrive.fake_aws import ACCOUNT, WEST, FakeStates


@pytest.mark.parametrize(("minutes", "local"), [(-5, False), (0, True), (5, False)])
def test_messages_have_the_clock_of_sqs(minutes: int, local: bool) -> None:
    """With a clock that is ahead, a message that fails again is sent again and again."""
    here = datetime.now(UTC)
    there = (here - timedelta(minutes=minutes)).replace(microsecond=0)
    found = sources._now({"ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(there, usegmt=True)}}})
    assert (found >= here) if local else (found == there)


EXECUTIONS = ("--subscriber", "orders", "--from", "executions")


def test_failed_and_timed_out_executions_are_redriven(
    redrive: Redrive, states: FakeStates, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        states.add(f"m-{number}", "Lambda.TooManyRequestsException")
    states.add("slow", "States.Timeout", status="TIMED_OUT")
    states.add("fine", status="SUCCEEDED")
    states.add("busy", status="RUNNING")
    assert redrive(*EXECUTIONS) == 0
    assert sorted(states.redriven) == [*(f"m-{number}" for number in range(5)), "slow"]
    printed = capsys.readouterr().out
    assert f"coatcheck-orders ({WEST}, {ACCOUNT}): 6 unsuccessful executions\n" in printed
    target = "the state machine coatcheck-orders"
    assert re.search(rf"^  5 +Lambda.TooManyRequestsException +24 hours ago +{target} *$", printed, re.MULTILINE)
    assert re.search(rf"^  1 +States.Timeout +24 hours ago +{target} *$", printed, re.MULTILINE)
    assert f"6 sent to {target}." in printed
    assert redrive(*EXECUTIONS) == 0
    assert "has no unsuccessful executions." in capsys.readouterr().out


def test_permanent_and_aborted_executions_need_their_reason(
    redrive: Redrive, states: FakeStates, capsys: pytest.CaptureFixture[str]
) -> None:
    states.add("gone", "PayloadMissing")
    states.add("stopped", "MyReason", status="ABORTED")
    states.add("late", "PayloadUnavailable")
    assert redrive(*EXECUTIONS) == 0
    assert states.redriven == ["late"]
    printed = capsys.readouterr().out
    for reason, target in (
        ("PayloadMissing", "ask the sender to publish the payload again"),
        ("ABORTED", "the execution was stopped by a user"),
    ):
        assert re.search(rf"^  1 +{reason} +24 hours ago +not sent: {target} *$", printed, re.MULTILINE), printed
    for reason, name in (("PayloadMissing", "gone"), ("ABORTED", "stopped")):
        assert redrive(*EXECUTIONS, "--reason", reason) == 0
        assert states.redriven.pop() == name


def test_executions_without_redrive_are_listed(
    redrive: Redrive, states: FakeStates, capsys: pytest.CaptureFixture[str]
) -> None:
    states.add("long-ago", "PayloadUnavailable", days=15)
    states.add("full", "PayloadUnavailable", redriveStatus="NOT_REDRIVABLE", redriveStatusReason="25,000 events")
    assert redrive(*EXECUTIONS) == 0
    assert states.redriven == []
    printed = capsys.readouterr().out
    assert "1 unsuccessful execution\n" in printed
    assert NOT_REDRIVABLE in printed
    assert "1 not sent, in coatcheck-orders: full" in printed


def test_already_redriven_execution_is_skipped(
    redrive: Redrive, states: FakeStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    states.add("one", "PayloadUnavailable")
    states.add("two", "PayloadUnavailable")
    list_executions = states.list_executions

    def list_then_redrive(request: Any) -> Any:
        page = list_executions(request)
        states.executions["one"]["status"] = "RUNNING"
        return page

    monkeypatch.setattr(states, "list_executions", list_then_redrive)
    assert redrive(*EXECUTIONS) == 0
    assert states.redriven == ["two"]


def test_interrupted_redrive_of_executions_can_be_repeated(
    redrive: Redrive, states: FakeStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        states.add(f"m-{number}", "PayloadUnavailable")
    redrive_execution = states.redrive_execution

    def interrupted(request: Any) -> Any:
        if len(states.redriven) == 2:
            raise KeyboardInterrupt
        return redrive_execution(request)

    with monkeypatch.context() as patch:
        patch.setattr(states, "redrive_execution", interrupted)
        assert redrive(*EXECUTIONS) == 130
    assert redrive(*EXECUTIONS) == 0
    assert sorted(states.redriven) == [f"m-{number}" for number in range(4)]


def test_failing_execution_is_redriven_once(
    redrive: Redrive, states: FakeStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.redrive.command.BATCH", 1)
    for number in range(3):
        states.add(f"m-{number}", "PayloadUnavailable")
    redrive_execution = states.redrive_execution

    def fail_again(request: Any) -> Any:
        redrive_execution(request)
        states.executions[states.redriven[-1]]["status"] = "FAILED"
        return {}

    monkeypatch.setattr(states, "redrive_execution", fail_again)
    assert redrive(*EXECUTIONS) == 0
    assert sorted(states.redriven) == ["m-0", "m-1", "m-2"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--subscriber unknown", "'unknown' is not a subscriber of this deployment. Subscribers: orders, billing,"),
        ("--subscriber unknown --from executions", "'unknown' is not a subscriber of this deployment."),
        ("--subscriber orders --from pipeline", "'orders' does not start a pipeline. Remove --from pipeline."),
        ("--subscriber billing --from executions", "'billing' has no state machine."),
        ("--subscriber partner --from executions", "'partner' has no state machine."),
        ("--subscriber partner --from undelivered", "Its server must receive undelivered messages from "),
        ("--subscriber partner", "coatcheck-partner-undelivered."),
        ("--publisher --from undelivered", "the publish function has one queue, remove --from"),
        ("--publisher --subscriber orders", "give either --subscriber NAME or --publisher"),
        ("--dry-run", "give either --subscriber NAME or --publisher"),
        ("--publisher --limit 0", "--limit"),
        ("--publisher --from nowhere", "dead-letters"),
    ],
)
def test_missing_source_is_rejected(
    redrive: Redrive, capsys: pytest.CaptureFixture[str], arguments: str, expected: str
) -> None:
    assert redrive(*arguments.split()) == 2
    assert expected in capsys.readouterr().err


def test_messages_are_held_long_enough() -> None:
    """At worst a message takes a second to send and delete."""
    assert BATCH <= 1.2 * HELD_SECONDS


def test_receives_wait_for_all_servers_of_sqs() -> None:
    assert WAIT_SECONDS > 0

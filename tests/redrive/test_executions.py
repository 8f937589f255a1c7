"""Executions that ended badly go on where they failed: those that can, each once, and again only when asked again."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli.redrive.executions import TOO_LATE
from tests.redrive.support import ACCOUNT, WEST, redrive

MACHINE = f"arn:aws:states:{WEST}:{ACCOUNT}:stateMachine:coatcheck-orders"
NOW = datetime.now(tz=UTC)
FROM = ("--subscriber", "orders", "--from", "executions")


class States:
    """Step Functions' answers behind boto3's own client, which checks what it is asked by the service's model."""

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}
        self.redriven: list[str] = []

    def ended(
        self, name: str, error: str | None = None, *, status: str = "FAILED", days: float = 1, **more: Any
    ) -> None:
        said = {"error": error, "cause": "as it says"} if error else {}
        self.executions[name] = {
            "executionArn": f"{MACHINE.replace('stateMachine', 'execution')}:{name}",
            "stateMachineArn": MACHINE,
            "name": name,
            "status": status,
            "startDate": NOW - timedelta(days=days + 1),
            "stopDate": NOW - timedelta(days=days),
            "redriveStatus": "REDRIVABLE",
            **said,
            **more,
        }

    def list_executions(self, *, stateMachineArn: str, statusFilter: str, nextToken: str = "0") -> Any:  # noqa: N803
        """A page has two."""
        assert stateMachineArn == MACHINE
        found = [each for each in self.executions.values() if each["status"] == statusFilter]
        start = int(nextToken)
        more = {"nextToken": str(start + 2)} if len(found) > start + 2 else {}
        return {"executions": found[start : start + 2], **more}

    def describe_execution(self, *, executionArn: str) -> Any:  # noqa: N803
        return self.executions[executionArn.rpartition(":")[2]]

    def redrive_execution(self, *, executionArn: str, clientToken: str) -> Any:  # noqa: N803
        name = executionArn.rpartition(":")[2]
        self.executions[name]["status"] = "RUNNING"
        self.redriven.append(name)
        return {"redriveDate": NOW}


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> States:
    found = States()
    real = boto3.Session.client

    def client(self: boto3.Session, service: str, **options: Any) -> Any:
        made = real(self, service, **options)  # type: ignore[call-overload]
        operations: dict[str, Callable[..., Any]] = {
            "ListExecutions": found.list_executions,
            "DescribeExecution": found.describe_execution,
            "RedriveExecution": found.redrive_execution,
        }

        def answer(model: Any, params: dict[str, Any], **_: Any) -> Any:
            http = type("Response", (), {"status_code": 200})()
            return http, operations[model.name](**json.loads(params["body"]))

        if service == "stepfunctions":
            made.meta.events.register("before-call.sfn", answer)
        return made

    monkeypatch.setattr(boto3.Session, "client", client)
    return found


def test_what_failed_or_timed_out_goes_on_where_it_failed(
    file: Path, states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        states.ended(f"m-{number}", "Lambda.TooManyRequestsException")
    states.ended("slow", "States.Timeout", status="TIMED_OUT")
    states.ended("fine", status="SUCCEEDED")
    states.ended("busy", status="RUNNING")
    assert redrive(file, *FROM) == 0
    assert sorted(states.redriven) == [*(f"m-{number}" for number in range(5)), "slow"]
    said = capsys.readouterr().out
    assert f"coatcheck-orders ({WEST}, {ACCOUNT}): 6 unsuccessful executions\n" in said
    assert re.search(
        r"^  5 +Lambda.TooManyRequestsException +24 hours ago +the state machine coatcheck-orders$", said, re.M
    )
    assert re.search(r"^  1 +States.Timeout ", said, re.M)
    assert "6 sent to the state machine coatcheck-orders." in said
    assert redrive(file, *FROM) == 0
    assert "has no unsuccessful executions." in capsys.readouterr().out


def test_what_would_fail_again_or_was_stopped_is_left_unless_it_is_named(
    file: Path, states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    states.ended("gone", "PayloadMissing")
    states.ended("stopped", "MyReason", status="ABORTED")
    states.ended("late", "PayloadUnavailable")
    assert redrive(file, *FROM) == 0
    assert states.redriven == ["late"]
    said = capsys.readouterr().out
    assert re.search(r"^  1 +PayloadMissing +24 hours ago +is left: have it published again$", said, re.M)
    assert re.search(r"^  1 +ABORTED +24 hours ago +is left: somebody stopped it$", said, re.M)
    for reason, name in (("PayloadMissing", "gone"), ("ABORTED", "stopped")):
        assert redrive(file, *FROM, "--reason", reason) == 0
        assert states.redriven.pop() == name


def test_what_step_functions_redrives_no_more_is_left(
    file: Path, states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    states.ended("long-ago", "PayloadUnavailable", days=15)
    states.ended("full", "PayloadUnavailable", redriveStatus="NOT_REDRIVABLE", redriveStatusReason="25,000 events")
    assert redrive(file, *FROM) == 0
    assert states.redriven == []
    said = capsys.readouterr().out
    assert "1 unsuccessful execution\n" in said
    assert TOO_LATE in said
    assert "1 left in coatcheck-orders: full" in said


def test_what_somebody_else_redrove_meanwhile_is_passed_over(file: Path, states: States) -> None:
    states.ended("one", "PayloadUnavailable")
    states.ended("two", "PayloadUnavailable")
    listed = states.list_executions

    def then_redriven(**asked: Any) -> Any:
        found = json.loads(json.dumps(listed(**asked), default=str))
        for each in found["executions"]:
            each["stopDate"] = NOW
        states.executions["one"]["status"] = "RUNNING"
        return found

    states.list_executions = then_redriven  # type: ignore[method-assign]
    assert redrive(file, *FROM) == 0
    assert states.redriven == ["two"]


def test_interrupted_it_goes_on_with_the_rest(file: Path, states: States, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        states.ended(f"m-{number}", "PayloadUnavailable")
    real = states.redrive_execution

    def interrupted(**asked: Any) -> Any:
        if len(states.redriven) == 2:
            raise KeyboardInterrupt
        return real(**asked)

    monkeypatch.setattr(states, "redrive_execution", interrupted)
    with pytest.raises(KeyboardInterrupt):
        redrive(file, *FROM)
    monkeypatch.setattr(states, "redrive_execution", real)
    assert redrive(file, *FROM) == 0
    assert sorted(states.redriven) == [f"m-{number}" for number in range(4)]


def test_what_fails_again_meanwhile_waits_for_another_day(
    file: Path, states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.redrive.command.AT_ONCE", 1)
    for number in range(3):
        states.ended(f"m-{number}", "PayloadUnavailable")
    real = states.redrive_execution

    def fails_again(**asked: Any) -> Any:
        answer = real(**asked)
        states.executions[states.redriven[-1]]["status"] = "FAILED"
        return answer

    monkeypatch.setattr(states, "redrive_execution", fails_again)
    assert redrive(file, *FROM) == 0
    assert sorted(states.redriven) == ["m-0", "m-1", "m-2"]


@pytest.mark.parametrize("subscriber", ["billing", "partner", "nobody"])
def test_only_a_queue_has_a_state_machine_behind_it(
    file: Path, capsys: pytest.CaptureFixture[str], subscriber: str
) -> None:
    assert redrive(file, "--subscriber", subscriber, "--from", "executions") == 1
    assert f"'{subscriber}' is no subscriber of kind sqs" in capsys.readouterr().err

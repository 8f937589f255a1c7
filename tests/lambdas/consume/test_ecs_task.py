"""Start of an ECS task, with ECS as a stub."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from claim_check import S3Object
from consume.ecs_task import Runner, TaskNotStarted, run_task
from shared.handoff import HandOff, InputTooLarge
from tests.lambdas.shared.test_handoff import described_task

TASK = "arn:aws:ecs:us-east-1:123456789012:task/billing/1"
CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/billing"
HANDOFF = HandOff(
    message_id="scan-1",
    stored=S3Object("payloads-bucket", "payloads/scan-1", "111111111111", "us-east-1"),
    bytes=4,
    sha256="ab" * 32,
)
STARTED = {"tasks": [{"taskArn": TASK}], "failures": []}
REQUEST = {
    "cluster": CLUSTER,
    "taskDefinition": "billing:1",
    "clientToken": "scan-1",
    "launchType": "FARGATE",
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    "overrides": {
        "containerOverrides": [
            {
                "name": "application",
                "environment": [{"name": name, "value": value} for name, value in HANDOFF.to_environment().items()],
            }
        ]
    },
}


def runner_with(ecs: Any) -> Runner:
    return Runner(
        cluster=CLUSTER,
        task_definition="billing:1",
        container="application",
        network={"subnets": ["subnet-1"]},
        ecs=ecs,
    )


@pytest.fixture
def runner(stubbed: Any) -> Iterator[tuple[Runner, Stubber]]:
    ecs, stub = stubbed("ecs")
    yield runner_with(ecs), stub
    stub.assert_no_pending_responses()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, in seconds. Nothing sleeps."""
    slept: list[float] = []
    monkeypatch.setattr("consume.ecs_task.time.sleep", slept.append)
    return slept


def run(runner: Runner, remaining_ms: Callable[[], int] = lambda: 300_000) -> str:
    return run_task(HANDOFF, runner=runner, remaining_ms=remaining_ms)


def test_transient_error_is_retried_with_pauses(runner: tuple[Runner, Stubber], pauses: list[float]) -> None:
    ecs = runner[1]
    ecs.add_response("run_task", {"tasks": [], "failures": [{"arn": CLUSTER, "reason": "RESOURCE:CPU"}]}, REQUEST)
    ecs.add_client_error("run_task", "ThrottlingException", "Rate exceeded", expected_params=REQUEST)
    for text in ("You've reached the limit on the number of tasks", "Capacity is unavailable at this time"):
        ecs.add_client_error("run_task", "ClientException", text, expected_params=REQUEST)
    ecs.add_response("run_task", STARTED, REQUEST)
    assert run(runner[0]) == TASK
    assert [0.5 <= pause / 2**number <= 1 for number, pause in enumerate(pauses)] == [True] * 4


def test_lasting_limit_is_raised_before_the_timeout(stubbed: Any, pauses: list[float]) -> None:
    ecs, stub = stubbed("ecs")
    for _ in range(20):
        failure = {"arn": CLUSTER, "reason": "RESOURCE:MEMORY"}
        stub.add_response("run_task", {"tasks": [], "failures": [failure]})
    with pytest.raises(TaskNotStarted, match=r"ECS placed no task for message scan-1.*RESOURCE:MEMORY"):
        run(runner_with(ecs), lambda: 30_000 - round(1000 * sum(pauses)))
    assert 5 < sum(pauses) <= 20


def test_invalid_request_is_raised_at_once(runner: tuple[Runner, Stubber], pauses: list[float]) -> None:
    runner[1].add_client_error("run_task", "ClientException", "TaskDefinition is inactive")
    with pytest.raises(ClientError, match="inactive"):
        run(runner[0])
    assert pauses == []


def described(handoff: HandOff) -> dict[str, Any]:
    return {"tasks": [described_task(handoff.to_environment(), TASK)]}


def add_conflict(stub: Stubber) -> None:
    stub.add_client_error("run_task", "ConflictException", "used before", modeled_fields={"resourceIds": [TASK]})


def test_task_of_an_earlier_definition_is_recognised(runner: tuple[Runner, Stubber]) -> None:
    """The stack was updated between two attempts, so that ECS rejects the token's other request."""
    add_conflict(runner[1])
    runner[1].add_response("describe_tasks", described(HANDOFF), {"cluster": CLUSTER, "tasks": [TASK]})
    assert run(runner[0]) == TASK


@pytest.mark.parametrize(
    "response",
    [described(replace(HANDOFF, sha256="0" * 64)), {"tasks": [], "failures": [{"arn": TASK, "reason": "MISSING"}]}],
    ids=["another payload", "forgotten"],
)
def test_conflict_is_raised_without_a_matching_task(runner: tuple[Runner, Stubber], response: dict[str, Any]) -> None:
    add_conflict(runner[1])
    runner[1].add_response("describe_tasks", response)
    with pytest.raises(ClientError, match="used before"):
        run(runner[0])


def test_result_over_the_size_of_overrides_is_rejected(runner: tuple[Runner, Stubber]) -> None:
    with pytest.raises(InputTooLarge, match=r"overrides of \d+ characters, more than 8192: .* \(message 'scan-1'\)"):
        run_task(replace(HANDOFF, result="x" * 8192), runner=runner[0], remaining_ms=lambda: 300_000)

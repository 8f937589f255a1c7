"""The memory of functions, from their logs."""

import json

from cli.scenario.memory import memory_by_size


def invocation(request: str, size: int, megabytes: int) -> tuple[str, str]:
    return (
        json.dumps({"message": "handed off", "function_request_id": request, "bytes": size}),
        f"REPORT RequestId: {request}\tDuration: 3.00 ms\tMemory Size: 256 MB\tMax Memory Used: {megabytes} MB\t",
    )


def test_memory_of_each_size_is_the_invocations_maximum() -> None:
    messages = (*invocation("a", 2**20, 70), *invocation("b", 95, 72), *invocation("c", 95, 71))
    assert memory_by_size(["START RequestId: a", *messages]) == [(95, 72), (2**20, 70)]


def test_invocation_without_a_report_has_no_memory() -> None:
    assert memory_by_size([invocation("a", 95, 70)[0]]) == []

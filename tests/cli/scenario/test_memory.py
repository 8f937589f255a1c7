"""The memory of functions, from their logs."""

import json
from typing import Any

from cli.scenario.memory import memory_by_size


class Logs:
    """A client of CloudWatch Logs with these messages."""

    def __init__(self, *messages: str) -> None:
        self._messages = messages

    def get_paginator(self, _: str) -> "Logs":
        return self

    def paginate(self, **_: Any) -> list[dict[str, list[dict[str, str]]]]:
        return [{"events": [{"message": message} for message in self._messages]}]


def invocation(request: str, size: int, megabytes: int) -> tuple[str, str]:
    return (
        json.dumps({"message": "handed off", "function_request_id": request, "bytes": size}),
        f"REPORT RequestId: {request}\tDuration: 3.00 ms\tMemory Size: 256 MB\tMax Memory Used: {megabytes} MB\t",
    )


def test_memory_of_each_size_is_the_invocations_maximum() -> None:
    messages = (*invocation("a", 2**20, 70), *invocation("b", 95, 72), *invocation("c", 95, 71))
    assert memory_by_size(Logs("START RequestId: a", *messages), "function") == [(95, 72), (2**20, 70)]


def test_invocation_without_a_report_has_no_memory() -> None:
    assert memory_by_size(Logs(invocation("a", 95, 70)[0]), "function") == []

"""The executions of a state machine that ended badly: each a letter, whose way back is to go on where it failed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from cli.redrive.destination import Destination
from cli.redrive.letter import Letter

UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")
REDRIVABLE = timedelta(days=14)
"""How long after its end Step Functions redrives an execution."""
TOO_LATE = "cannot be redriven: see its redriveStatusReason"


class Executions:
    """Those that had ended when they were counted: what fails again meanwhile waits for another day."""

    def __init__(self, *, state_machine_arn: str, states: Any) -> None:
        self._states = states
        since = datetime.now(tz=UTC) - REDRIVABLE
        pages = states.get_paginator("list_executions")
        # All of them before the first is redriven, and so gone from its page.
        self._ended = [
            execution["executionArn"]
            for status in UNSUCCESSFUL
            for page in pages.paginate(stateMachineArn=state_machine_arn, statusFilter=status)
            for execution in page["executions"]
            if execution["stopDate"] > since
        ]
        self._letters = self._read()

    def count(self) -> int:
        return len(self._ended)

    def take(self, most: int) -> list[Letter]:
        """The next ones, at most so many."""
        return list(islice(self._letters, most))

    def send(self, letters: Sequence[Letter], destination: Destination) -> Iterator[Letter]:
        """Each is redriven, and is no execution that ended any more: whoever interrupts this can repeat it."""
        for letter in letters:
            destination.send(letter)
            yield letter

    def let_go(self) -> None:
        """Nobody was kept from them."""

    def _read(self) -> Iterator[Letter]:
        for arn in self._ended:
            execution = self._states.describe_execution(executionArn=arn)
            if execution["status"] in UNSUCCESSFUL:  # nobody redrove it since
                yield _letter(execution)


def _letter(execution: dict[str, Any]) -> Letter:
    # What was aborted is told so, whatever error whoever did it gave.
    aborted = execution["status"] == "ABORTED"
    kind = execution["status"] if aborted else execution.get("error") or execution["status"]
    return Letter(
        id=execution["name"],
        receipt=execution["executionArn"],
        body="",
        attributes={},
        sent=execution["stopDate"],
        group=None,
        why=f"{kind}: {execution.get('cause', '')}",
        instead=TOO_LATE if execution["redriveStatus"] == "NOT_REDRIVABLE" else None,
    )

"""The time that an invocation has left."""

import pytest

from shared.deadline import RESERVE_MS, Deadline, OutOfTime


def test_deadline_subtracts_the_reserve() -> None:
    deadline = Deadline(lambda: RESERVE_MS + 2_000)
    assert deadline.leaves(2)
    assert not deadline.leaves(2.001)


def test_deadline_raises_when_only_the_reserve_is_left() -> None:
    remaining = iter([RESERVE_MS + 1, RESERVE_MS])
    deadline = Deadline(lambda: next(remaining))
    deadline.check()
    with pytest.raises(OutOfTime, match="raise function_timeout_seconds in the deployment file, or lower batch_size"):
        deadline.check()

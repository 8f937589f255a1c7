"""How a gap is filled: loudly, when there is nothing to fill any more."""

import types

import pytest

from local.patches.patch import replace_once, replaces


def test_the_filling_may_call_what_it_replaces() -> None:
    module = types.ModuleType("module")
    module.__dict__["double"] = lambda number: 2 * number

    @replaces(module, "double")
    def double(original: object, number: int) -> int:
        assert callable(original)
        return int(original(number)) + 1

    assert module.__dict__["double"](5) == double(5) == 11


def test_what_is_gone_cannot_be_replaced() -> None:
    with pytest.raises(AttributeError, match="missing"):
        replaces(types.ModuleType("module"), "missing")


@pytest.mark.parametrize("text", ["", "old old"])
def test_one_occurrence_is_replaced(text: str) -> None:
    assert replace_once("an old thing", "old", "new") == "an new thing"

    with pytest.raises(LookupError, match="was ministack updated"):
        replace_once(text, "old", "new")

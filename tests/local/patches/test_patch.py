"""Replacement of the emulator's code, and errors if the code does not exist."""

import types

import pytest

from local.patches.patch import apply_patches, patch, replace_once, replaces


def test_replacement_may_call_the_original() -> None:
    module = types.ModuleType("module")
    module.__dict__["double"] = lambda number: 2 * number

    @replaces(module, "double")
    def double(original: object, number: int) -> int:
        assert callable(original)
        return int(original(number)) + 1

    assert module.__dict__["double"](5) == double(5) == 11


def test_missing_function_cannot_be_replaced() -> None:
    with pytest.raises(AttributeError, match="missing"):
        replaces(types.ModuleType("module"), "missing")


@pytest.mark.parametrize("text", ["", "old old"])
def test_exactly_one_occurrence_is_replaced(text: str) -> None:
    assert replace_once("an old thing", "old", "new") == "an new thing"

    with pytest.raises(LookupError, match="was ministack updated"):
        replace_once(text, "old", "new")


def test_patches_of_a_module_are_applied_in_order() -> None:
    module, applied = types.ModuleType("module"), []
    for number in (1, 2):

        def apply(number: int = number) -> None:
            applied.append(number)

        apply.__module__ = module.__name__
        patch(apply)
    assert applied == []

    apply_patches(module)

    assert applied == [1, 2]
